"""OPC UA.

    settings      what a person writes
    address       node ids that name their namespace by URI             pure
    plan          tags → blocks                                         pure
    quality       StatusCode → quality                                  pure
    codec         the bytes of an answer → values, within bounds        pure
    security      certificates: our own, those we trust, those we refused
    transport     the socket: bounds, and the services that may be asked
    session       connect, resolve node ids, read
    subscription  what the server says by itself, acknowledged after the disk
    driver        the above put together
    simulator     the devices of a configuration, with faults on demand

asyncua is known to ``transport``, ``session``, ``subscription`` and ``simulator``, which
are imported when a link opens: a configuration is checked without it.
"""

from drivers.opcua.driver import OpcuaDriver

DRIVER = OpcuaDriver
