"""Modbus TCP.

    settings    what a person writes → addresses and shapes of requests
    address     tables, offsets, byte orders
    plan        tags → the fewest requests                           pure
    admission   is this the answer to the request asked?             pure
    codec       bytes ⇄ raw values, one compiled layout per block    pure
    transport   one socket; the only importer of pymodbus
    driver      the five put together
    simulator   the devices of a configuration, with faults on demand
    image       what their registers hold                            pure

Only function codes 1 to 4 exist here; `transport` holds the check before the socket.
"""

from drivers.modbus.driver import ModbusDriver

DRIVER = ModbusDriver
