"""The Modbus TCP driver."""
