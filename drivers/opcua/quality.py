"""StatusCode → quality: the one table.

Source: OPC 10000-4, 7.39 (StatusCode) and OPC 10000-8, 6.3 (codes of Data Access).
"""

from __future__ import annotations

from functools import cache

from gateway.model import Quality

OVERFLOW = 0x0480
"""InfoType DataValue and its Overflow bit: samples before this one were lost."""
_SUBCODE = 0xFFFF0000
_UNCERTAIN, _BAD = 0x40000000, 0x80000000

_BY_CODE = {
    0x408F0000: Quality.UNCERTAIN_LAST_USABLE,  # NoCommunicationLastUsableValue
    0x40900000: Quality.UNCERTAIN_LAST_USABLE,
    0x40930000: Quality.UNCERTAIN_OUT_OF_RANGE,  # SensorNotAccurate
    0x40940000: Quality.UNCERTAIN_OUT_OF_RANGE,  # EngineeringUnitsExceeded
    0x40950000: Quality.UNCERTAIN_SENSOR,  # SubNormal
    0x80050000: Quality.BAD_NO_COMMUNICATION,  # CommunicationError
    0x800A0000: Quality.BAD_NO_COMMUNICATION,  # Timeout
    0x800D0000: Quality.BAD_NO_COMMUNICATION,  # ServerNotConnected
    0x80310000: Quality.BAD_NO_COMMUNICATION,
    0x808B0000: Quality.BAD_DEVICE_FAILURE,
    0x808C0000: Quality.BAD_SENSOR,  # SensorFailure
    0x808D0000: Quality.BAD_OUT_OF_SERVICE,
    0x80890000: Quality.BAD_CONFIGURATION,  # ConfigurationError
    0x808A0000: Quality.BAD_CONFIGURATION,  # NotConnected: the source was never wired up
    0x80330000: Quality.BAD_CONFIGURATION,  # NodeIdInvalid
    0x80340000: Quality.BAD_CONFIGURATION,  # NodeIdUnknown
    0x80350000: Quality.BAD_CONFIGURATION,  # AttributeIdInvalid
    0x803A0000: Quality.BAD_CONFIGURATION,  # NotReadable
    0x801F0000: Quality.BAD_CONFIGURATION,  # UserAccessDenied
}


@cache
def quality_of(status: int) -> Quality:
    """What ``status`` says of a value; reasons nobody knows keep their severity."""
    known = _BY_CODE.get(status & _SUBCODE)
    if known is not None:
        return known
    if status & _BAD:
        return Quality.BAD
    return Quality.UNCERTAIN if status & _UNCERTAIN else Quality.GOOD


def overflowed(status: int) -> bool:
    """Whether the server lost samples before this one, because its queue was full."""
    return status & OVERFLOW == OVERFLOW
