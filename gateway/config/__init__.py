"""What a person writes, as models: the one table of keys, defaults and limits.

The schema for editors, the reference in ``config/README.md`` and the loader all read
these models. A driver extends `LinkConfig`, `DeviceConfig` and `TagConfig` with its own
keys. Nothing here knows YAML, files or positions.

    links     link ─ device ─ tag, and what passes inwards
    mqtt      the broker               secret   where a secret lies
    whole     a file, and a drop-in
"""

from __future__ import annotations

from gateway.config.links import (
    OWN,
    AlarmsConfig,
    Defaults,
    DeviceConfig,
    LinkConfig,
    ScaleConfig,
    TagConfig,
    passed_down,
)
from gateway.config.mqtt import MqttConfig, TlsConfig, broker, is_loopback
from gateway.config.secret import Secret, SecretRef
from gateway.config.whole import Config, DropIn, GatewayConfig, JournalConfig, LogConfig
from gateway.notation import (
    NAME,
    Clash,
    Duration,
    Interval,
    Model,
    Name,
    Number,
    Pair,
    Size,
    wrong,
)

__all__ = [
    "NAME",
    "OWN",
    "AlarmsConfig",
    "Clash",
    "Config",
    "Defaults",
    "DeviceConfig",
    "DropIn",
    "Duration",
    "GatewayConfig",
    "Interval",
    "JournalConfig",
    "LinkConfig",
    "LogConfig",
    "Model",
    "MqttConfig",
    "Name",
    "Number",
    "Pair",
    "ScaleConfig",
    "Secret",
    "SecretRef",
    "Size",
    "TagConfig",
    "TlsConfig",
    "broker",
    "is_loopback",
    "passed_down",
    "wrong",
]
