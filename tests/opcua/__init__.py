"""The OPC UA driver."""
