"""A good configuration, and every way to spoil it, each with what must be told and where.

`FILES` are the files of one configuration as trees of text. `MISTAKES` change single lines of
them. `written` turns trees into YAML and knows where each key and each value stands.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Found = tuple[str, int, int, str]
"""File, line, column and code of a problem."""

MAIN, MORE = "gateway.yaml", "conf.d/more.yaml"

FILES: dict[str, Any] = {
    MAIN: {
        "version": "1",
        "gateway": {"id": "cr1", "label": "控制室", "timezone": "Asia/Shanghai"},
        "defaults": {"interval": "1s", "max_silence": "60s", "timeout": "1s"},
        "links": [
            {
                "name": "line-1",
                "driver": "modbus",
                "url": "tcp://10.0.0.5:502",
                "label": "罐区",
                "connections": "1",
                "interval": "2s",
                "timeout": "800ms",
                "gap": "10ms",
                "order": "ABCD",
                "max_registers": "100",
                "devices": [
                    {
                        "name": "plc1",
                        "unit": "1",
                        "label": "储罐",
                        "class": "normal",
                        "addressing": "zero_based",
                        "max_gap": "4",
                        "max_bits": "100",
                        "tags": [
                            {
                                "name": "level",
                                "address": "holding/100",
                                "type": "float32",
                                "label": "液位",
                                "order": "CDAB",
                                "unit": "m",
                                "interval": "500ms",
                                "max_silence": "10m",
                                "deadband": "0.5",
                                "class": "safety",
                                "scale": {"factor": "0.1", "offset": "-4"},
                                "range": "[0, 10]",
                                "clamp": "true",
                                "sentinels": "[65535]",
                                "alarms": {
                                    "low_low": "1",
                                    "low": "2",
                                    "high": "8",
                                    "high_high": "9",
                                    "deadband": "0.1",
                                    "on_delay": "2s",
                                    "off_delay": "3s",
                                    "priority": "2",
                                },
                            },
                            {
                                "name": "pressure",
                                "address": "input/12",
                                "type": "int16",
                                "scale": {
                                    "raw": "[0, 100]",
                                    "span": "[0, 1.6]",
                                    "ne43": "true",
                                },
                                "enum": {"0": "shut", "1": "open"},
                            },
                            {"name": "on", "address": "holding/9", "type": "bool", "bit": "3"},
                            {
                                "name": "coil",
                                "address": "coil/9",
                                "type": "bool",
                                "invert": "true",
                            },
                            {
                                "name": "id",
                                "address": "input/3",
                                "type": "string",
                                "length": "8",
                            },
                            {
                                "name": "p{01..04}",
                                "address": "holding/{200..206..2}",
                                "type": "uint16",
                                "deadband": "1%",
                                "range": "[0, 5]",
                            },
                        ],
                    },
                    {
                        "name": "panel",
                        "unit": "2",
                        "template": "anxinhuarui-jb-tb-ax100",
                        "parameters": {"probes": "8"},
                    },
                ],
            },
            {
                "name": "dcs",
                "driver": "opcua",
                "url": "opc.tcp://10.0.0.6:4840",
                "security": {"policy": "Basic256Sha256", "mode": "SignAndEncrypt"},
                "user": {"name": "reader", "password": {"credential": "opc"}},
                "opcua": {"mode": "subscribe", "sampling": "1s", "queue": "10"},
                "devices": [
                    {
                        "name": "r201",
                        "tags": [
                            {"name": "t", "address": "nsu=urn:x;s=T1", "type": "float64"},
                            {"name": "n", "address": "i=2258", "opcua": {"mode": "poll"}},
                        ],
                    }
                ],
            },
        ],
        "mqtt": {
            "urls": ["mqtts://a.example:8883", "mqtts://b.example:8883"],
            "root": "park/v1",
            "version": "5",
            "client_id": "cr1",
            "username": "cr1",
            "password": {"credential": "mqtt"},
            "tls": {"ca": "/ca", "certificate": "/c", "key": {"file": "/k"}},
            "no_subscribers": "hold",
            "accept_v3_acknowledgements": "false",
            "window": "64",
            "catch_up": "3",
        },
        "journal": {
            "path": "/tmp/j",
            "size": "2GiB",
            "commit": "250ms",
            "memory": "32MiB",
            "retain_settled": "24h",
        },
        "log": {"level": "info", "format": "json"},
    },
    MORE: {
        "version": "1",
        "links": [
            {
                "name": "bench",
                "driver": "sim",
                "devices": [
                    {
                        "name": "pump",
                        "interval": "5s",
                        "tags": [
                            {"name": "flow", "address": "sine/60", "range": "[0, 12]"},
                            {"name": "head", "address": "ramp/30", "unit": "bar"},
                        ],
                    }
                ],
            }
        ],
    },
}


class Mistake(NamedTuple):
    """Lines that are changed, what must be told of it, and where."""

    changes: Mapping[str, str | None]
    """Path of a key → what stands there instead; None: the key is not there."""
    code: str
    at: str
    """Path of the value at fault; with a ``!`` in front, of the key."""
    reads: frozenset[str] = frozenset()
    """Other keys that must be right, and as they are, for this to be a mistake."""

    @property
    def concerns(self) -> frozenset[str]:
        """Every key it depends on."""
        return self.reads | self.changes.keys()

    def goes_with(self, other: Mistake) -> bool:
        """Whether both are mistakes when both are made."""
        return not any(
            _overlap(mine, its)
            for ours, theirs in ((self.changes, other.concerns), (other.changes, self.concerns))
            for mine in ours
            for its in theirs
        )


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _values(prefix: str, *cases: tuple[str, str, str]) -> Iterator[Mistake]:
    """Keys that are wrong by themselves: key, what stands there, code."""
    for key, value, code in cases:
        path = f"{prefix}.{key}"
        yield Mistake({path: value}, code, path)


def _unknown(path: str, code: str = "unknown_key", value: str = "1") -> Mistake:
    return Mistake({path: value}, code, f"!{path}")


def _missing(prefix: str, key: str) -> Mistake:
    return Mistake({f"{prefix}.{key}": None}, "missing_key", prefix)


def _together(
    prefix: str, changes: Mapping[str, str | None], code: str, at: str, *reads: str
) -> Mistake:
    """Keys of one object that are wrong together only; all paths from ``prefix`` on."""
    where = f"{prefix}.{at}" if at else prefix
    full = {f"{prefix}.{key}": value for key, value in changes.items()}
    return Mistake(full, code, where, frozenset(f"{prefix}.{key}" for key in reads))


LINK, OPC, SIM = f"{MAIN}/links.0", f"{MAIN}/links.1", f"{MORE}/links.0"
DEVICE, PANEL, PUMP = f"{LINK}.devices.0", f"{LINK}.devices.1", f"{SIM}.devices.0"
LEVEL, PRESSURE, ON, COIL, ID, SERIES = (f"{DEVICE}.tags.{n}" for n in range(6))
NODE, POLLED = (f"{OPC}.devices.0.tags.{n}" for n in range(2))
FLOW, HEAD = (f"{PUMP}.tags.{n}" for n in range(2))
MQTT, JOURNAL = f"{MAIN}/mqtt", f"{MAIN}/journal"

MISTAKES: tuple[Mistake, ...] = (
    # --- single keys, level by level ---
    *_values(
        f"{MAIN}/gateway",
        ("id", "控制室", "not_a_name"),
        ("label", "5", "quote_it"),
        ("timezone", "Asia/Atlantis", "unknown_timezone"),
    ),
    *_values(
        f"{MAIN}/defaults",
        ("interval", "5", "not_a_duration"),
        ("max_silence", "0s", "not_above"),
        ("timeout", "1 s", "not_a_duration"),
    ),
    *_values(
        MQTT,
        ("root", "a/#", "not_a_topic"),
        ("version", "4", "not_one_of"),
        ("client_id", "[]", "not_text"),
        ("username", "5", "quote_it"),
        ("no_subscribers", "wait", "not_one_of"),
        ("accept_v3_acknowledgements", "yes", "bool_word"),
        ("window", "0", "too_small"),
        ("catch_up", "fast", "not_a_number"),
        ("urls.0", "http://a", "not_a_broker_url"),
        ("urls.1", "mqtts://u:p@b", "secret_in_url"),
        ("tls.ca", "7", "quote_it"),
        ("tls.certificate", "7", "quote_it"),
        ("tls.key", "inline", "secret_inline"),
        ("password", "inline", "secret_inline"),
    ),
    *_values(
        JOURNAL,
        ("path", "null", "not_text"),
        ("size", "1KiB", "too_small"),
        ("commit", "2m", "too_large"),
        ("memory", "32", "not_a_size"),
        ("retain_settled", "day", "not_a_duration"),
    ),
    *_values(f"{MAIN}/log", ("level", "loud", "not_one_of"), ("format", "xml", "not_one_of")),
    *_values(
        LINK,
        ("name", "line 1", "not_a_name"),
        ("url", "tpc://10.0.0.5", "modbus_url"),
        ("label", "5", "quote_it"),
        ("connections", "17", "too_large"),
        ("interval", "soon", "not_a_duration"),
        ("timeout", "0s", "not_above"),
        ("gap", "5", "not_a_duration"),
        ("order", "AB", "not_one_of"),
        ("max_registers", "200", "too_large"),
        ("driver", "modbsu", "unknown_driver"),
    ),
    *_values(
        DEVICE,
        ("name", "plc 1", "not_a_name"),
        ("unit", "300", "too_large"),
        ("label", "true", "quote_it"),
        ("class", "urgent", "not_one_of"),
        ("addressing", "one_based", "not_one_of"),
        ("max_gap", "-1", "too_small"),
        ("max_bits", "many", "not_an_integer"),
    ),
    *_values(
        LEVEL,
        ("name", "液位", "not_a_name"),
        ("address", "hold/100", "modbus_table"),
        ("type", "flot32", "not_one_of"),
        ("label", "1", "quote_it"),
        ("order", "XY", "not_one_of"),
        ("unit", "1", "quote_it"),
        ("interval", "0s", "not_above"),
        ("max_silence", "x", "not_a_duration"),
        ("deadband", "-1", "too_small"),
        ("class", "x", "not_one_of"),
        ("scale.factor", "x", "not_a_number"),
        ("scale.factor", "0", "scale_zero"),
        ("scale.offset", "x", "not_a_number"),
        ("range", "[0]", "too_few"),
        ("clamp", "on", "bool_word"),
        ("sentinels", "65535", "not_a_list"),
        ("alarms.low_low", "x", "not_a_number"),
        ("alarms.low", "x", "not_a_number"),
        ("alarms.high", "x", "not_a_number"),
        ("alarms.high_high", "x", "not_a_number"),
        ("alarms.deadband", "-1", "too_small"),
        ("alarms.on_delay", "2", "not_a_duration"),
        ("alarms.off_delay", "x", "not_a_duration"),
        ("alarms.priority", "5", "too_large"),
    ),
    *_values(
        PRESSURE,
        ("scale.raw", "[5, 5]", "scale_raw_equal"),
        ("scale.span", "[5, 5]", "scale_zero"),
        ("scale.ne43", "1", "not_a_bool"),
        ("enum.0", "5", "quote_it"),
        ("enum", "[a]", "not_a_mapping"),
        ("name", "5", "quote_it"),
    ),
    *_values(ON, ("bit", "16", "too_large"), ("address", "holding", "modbus_address")),
    *_values(
        ID, ("length", "0", "too_small"), ("address", "input/70000", "modbus_address_range")
    ),
    *_values(
        SERIES,
        ("name", '"p{01..04..0}"', "series_zero_step"),
        ("address", '"holding/{a..b}"', "series_bad_range"),
    ),
    *_values(
        PANEL, ("template", "anxinhuarui", "unknown_template"), ("unit", "x", "not_an_integer")
    ),
    *_values(
        OPC,
        ("url", "http://10.0.0.6", "opcua_url"),
        ("security.policy", "Basic128", "not_one_of"),
        ("security.mode", "x", "not_one_of"),
        ("user.name", "5", "quote_it"),
        ("user.password", "inline", "secret_inline"),
        ("user.password.credential", "a/b", "not_a_name"),
        ("opcua.mode", "x", "not_one_of"),
        ("opcua.sampling", "0s", "not_above"),
        ("opcua.queue", "0", "too_small"),
    ),
    *_values(NODE, ("address", "T1", "opcua_address"), ("type", "bcd16", "opcua_type")),
    *_values(
        POLLED, ("address", '"ns=2;i=4"', "opcua_index"), ("opcua.mode", "x", "not_one_of")
    ),
    *_values(PUMP, ("interval", "5", "not_a_duration"), ("name", "泵", "not_a_name")),
    *_values(FLOW, ("address", "sinus/60", "sim_shape"), ("range", "[12, 0]", "range_order")),
    *_values(HEAD, ("address", "ramp/0", "sim_period"), ("unit", "5", "quote_it")),
    # --- keys that are not there, or should not be ---
    _missing(JOURNAL, "path"),
    _missing(LINK, "url"),
    _missing(DEVICE, "unit"),
    _missing(LEVEL, "address"),
    _missing(PRESSURE, "type"),
    _missing(PUMP, "name"),
    _missing(SIM, "driver")._replace(  # without it nobody can judge an address
        reads=frozenset({f"{FLOW}.address", f"{HEAD}.address"})
    ),
    _unknown(f"{MAIN}/gateway.nmae"),
    _unknown(f"{MAIN}/log.levle"),
    _unknown(f"{MQTT}.rooot"),
    _unknown(f"{LINK}.colour"),
    _unknown(f"{LINK}.bit", "misplaced_key"),
    _unknown(f"{DEVICE}.colour"),
    _unknown(f"{LEVEL}.colour"),
    _unknown(f"{LEVEL}.alarms.colour"),
    _unknown(f"{PRESSURE}.scale.colour"),
    _unknown(f"{OPC}.security.colour"),
    _unknown(f"{MORE}/mqtt", "misplaced_key"),
    # --- misspelt keys on which others depend ---
    Mistake(
        {f"{LEVEL}.range": None, f"{LEVEL}.rnage": "[0, 10]"}, "unknown_key", f"!{LEVEL}.rnage"
    ),
    Mistake(
        {f"{MQTT}.insecrue": "true", f"{MQTT}.urls.0": "mqtt://a.example"},
        "unknown_key",
        f"!{MQTT}.insecrue",
        frozenset({f"{MQTT}.urls.1"}),
    ),
    Mistake(
        {
            f"{DEVICE}.addressing": None,
            f"{DEVICE}.adressing": "modicon",
            f"{LEVEL}.address": "40101",
        },
        "unknown_key",
        f"!{DEVICE}.adressing",
    ),
    # --- keys that are wrong together ---
    _together(MQTT, {"urls.0": "mqtt://a.example"}, "insecure_url", "urls.0", "insecure"),
    _together(MQTT, {"urls.1": "mqtt://b.example"}, "insecure_url", "urls.1", "insecure"),
    _together(
        MQTT, {"version": "3.1.1"}, "v3_not_accepted", "version", "accept_v3_acknowledgements"
    ),
    _together(MQTT, {"tls.certificate": None}, "tls_pair", "tls", "tls.key"),
    _together(MQTT, {"tls.key": None}, "tls_pair", "tls"),
    _together(MQTT, {"password.file": "/p"}, "secret_source", "password"),
    _together(LEVEL, {"range": "[10, 0]"}, "range_order", "range"),
    _together(LEVEL, {"range": None}, "clamp_needs_range", "clamp", "clamp"),
    _together(LEVEL, {"enum": "{0: a}"}, "alarms_need_numbers", "alarms"),
    _together(LEVEL, {"invert": "true"}, "invert_not_bool", "invert", "type"),
    _together(LEVEL, {"length": "4"}, "modbus_length_unused", "length", "type"),
    _together(LEVEL, {"bit": "4"}, "modbus_bit_unused", "bit", "type"),
    _together(LEVEL, {"alarms": "{}"}, "alarms_empty", "alarms"),
    _together(LEVEL, {"alarms.low": "0"}, "alarms_order", "alarms.low", "alarms.low_low"),
    _together(
        LEVEL, {"alarms.high_high": "7"}, "alarms_order", "alarms.high_high", "alarms.high"
    ),
    _together(
        LEVEL,
        {"alarms.deadband": "1"},
        "alarms_deadband",
        "alarms.deadband",
        *(f"alarms.{level}" for level in ("low_low", "low", "high", "high_high")),
    ),
    _together(
        LEVEL, {"scale.raw": "[0, 1]"}, "scale_form", "scale", "scale.factor", "scale.span"
    ),
    _together(
        LEVEL, {"scale.ne43": "true"}, "scale_ne43", "scale.ne43", "scale.factor", "scale.raw"
    ),
    _together(
        PRESSURE, {"scale.span": None}, "scale_half", "scale", "scale.raw", "scale.factor"
    ),
    _together(
        PRESSURE,
        {"scale.offset": "1"},
        "scale_form",
        "scale.offset",
        "scale.raw",
        "scale.factor",
    ),
    _together(ID, {"scale": "2"}, "scale_not_numeric", "scale", "type"),
    _together(ID, {"length": None}, "modbus_length_missing", "type", "type"),
    _together(ID, {"alarms": "{high: 1}"}, "alarms_need_numbers", "alarms", "type"),
    _together(COIL, {"type": "int16", "invert": None}, "modbus_bit_table", "type", "address"),
    _together(COIL, {"bit": "3"}, "modbus_bit_of_bit", "bit", "address", "type"),
    _together(ON, {"bit": None}, "modbus_bit_missing", "type", "address", "type"),
    _together(
        SERIES, {"range": None}, "deadband_needs_range", "deadband", "deadband", "type", "scale"
    ),
    _together(SERIES, {"name": "p{01..05}"}, "series_uneven", "address", "address", "label"),
    _together(SERIES, {"name": "p"}, "series_same_name", "name", "address"),
    _together(SERIES, {"address": "holding/7"}, "series_same_address", "address", "name"),
    _together(OPC, {"user.name": None}, "opcua_user", "user", "user.certificate"),
    _together(OPC, {"user.certificate": "/c"}, "opcua_user", "user", "user.name"),
    _together(
        OPC,
        {"security.policy": "None", "user": None},
        "opcua_insecure",
        "security",
        "url",
        "insecure",
    ),
    _together(
        OPC,
        {"security.policy": "None", "insecure": "true"},
        "opcua_user_in_clear",
        "user",
    ),
    # --- between objects ---
    Mistake(
        {f"{PANEL}.name": "plc1"},
        "duplicate_device",
        f"{PANEL}.name",
        frozenset({f"{DEVICE}.name"}),
    ),
    Mistake(
        {f"{SIM}.name": "dcs"}, "duplicate_link", f"{SIM}.name", frozenset({f"{OPC}.name"})
    ),
    Mistake({f"{PUMP}.name": "r201"}, "duplicate_device", f"{PUMP}.name"),
    Mistake({f"{COIL}.name": "on"}, "duplicate_tag", f"{COIL}.name", frozenset({f"{ON}.name"})),
    Mistake(
        {f"{ID}.name": "p03"},
        "duplicate_tag",
        f"{SERIES}.name",
        frozenset({f"{SERIES}.name", f"{SERIES}.address"}),
    ),
    Mistake(
        {f"{PANEL}.parameters.porbes": "1"},
        "template_unknown_parameter",
        f"!{PANEL}.parameters.porbes",
        frozenset({f"{PANEL}.template"}),
    ),
)


class Spots(NamedTuple):
    """Where the keys and the values of one file stand: path → line and column, from 1."""

    keys: dict[str, tuple[int, int]]
    values: dict[str, tuple[int, int]]


def spoilt(mistakes: Iterable[Mistake]) -> dict[str, Any]:
    """The files with all of ``mistakes``."""
    files = copy.deepcopy(FILES)
    for mistake in mistakes:
        for path, value in mistake.changes.items():
            file, _, keys = path.rpartition("/")
            *way, last = keys.split(".")
            node = files[file]
            for part in way:
                node = _child(node, part)
            if value is None:
                del node[last]
            else:
                node[int(last) if isinstance(node, list) else last] = value
    return files


def _child(node: Any, part: str) -> Any:
    """What lies under ``part``; a key that takes keys is made when it is not there."""
    return node[int(part)] if isinstance(node, list) else node.setdefault(part, {})


def written(name: str, tree: Any) -> tuple[str, Spots]:
    """``tree`` as YAML, a key in each line, and where everything in it stands."""
    lines: list[str] = []
    spots = Spots({}, {f"{name}": (1, 1)})
    _write(tree, f"{name}/", 0, lines, spots)
    return "\n".join(lines) + "\n", spots


def _write(node: Any, path: str, indent: int, lines: list[str], spots: Spots) -> None:
    pairs = enumerate(node) if isinstance(node, list) else node.items()
    for key, value in pairs:
        where = f"{path}{key}"
        sign = "- " if isinstance(node, list) else f"{key}: "
        lines.append(" " * indent + sign)
        spots.keys[where] = (len(lines), indent + 1)
        if isinstance(value, str):
            spots.values[where] = (len(lines), indent + len(sign) + 1)
            lines[-1] += value
        elif not value:
            spots.values[where] = (len(lines), indent + len(sign) + 1)
            lines[-1] += "{}"
        else:
            spots.values[where] = (len(lines) + 1, indent + 3)
            _write(value, f"{where}.", indent + 2, lines, spots)


def told(mistake: Mistake, spots: Mapping[str, Spots]) -> Found:
    """What must be told of ``mistake``."""
    file = MAIN if MAIN in mistake.at else MORE
    path = mistake.at.removeprefix("!")
    found = spots[file].keys if mistake.at.startswith("!") else spots[file].values
    return (file, *found[path], mistake.code)
