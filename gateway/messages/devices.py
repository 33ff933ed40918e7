"""What drivers say: of an address, of a connection, of an answer."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- Modbus ---
    "modbus_url": (
        "`{value}` is not the url of a Modbus TCP device; write `tcp://10.10.1.20:502`",
        "`{value}` 不是 Modbus TCP 设备的 url；请写成 `tcp://10.10.1.20:502`",
    ),
    "modbus_url_scheme": (
        "`{value}`: only `tcp://` is in this version",
        "`{value}`：本版本仅支持 `tcp://`",
    ),
    "modbus_address": (
        "`{address}` is not a Modbus address; write `holding/100`, `input/12`, `coil/3` or"
        " `discrete/7`, counted from 0",
        "`{address}` 不是 Modbus 地址；请写成 `holding/100`、`input/12`、`coil/3` 或"
        " `discrete/7`，从 0 开始计数",
    ),
    "modbus_table": (
        "there is no table `{table}`; did you mean `{suggestion}`?",
        "没有名为 `{table}` 的数据表；是否应为 `{suggestion}`？",
    ),
    "modbus_modicon": (
        "`{address}` counts from 1, as old manuals do; set `addressing: modicon` on the device,"
        " or write `{suggestion}`",
        "`{address}` 是从 1 开始计数的旧式地址；请在设备上设置 `addressing: modicon`，"
        "或写成 `{suggestion}`",
    ),
    "modbus_address_range": (
        "`{address}` does not lie in the table; its offsets are 0 to 65535, and every register"
        " of the value must fit",
        "`{address}` 超出数据表；偏移量为 0 到 65535，且该值的所有寄存器都必须在内",
    ),
    "modbus_bit_table": (
        "`{table}` holds single bits; the type must be `bool`, not `{type}`",
        "`{table}` 表只有单个位；类型必须是 `bool`，而不是 `{type}`",
    ),
    "modbus_bit_missing": (
        "`{address}` is a register of 16 bits; say which one with `bit: 0` (the least"
        " significant) to `bit: 15`",
        "`{address}` 是 16 位寄存器；请用 `bit: 0`（最低位）到 `bit: 15` 指明是哪一位",
    ),
    "modbus_bit_unused": (
        "`bit` is for a `bool` in a register, not for `{type}` in `{table}`; delete it",
        "`bit` 仅用于寄存器中的 `bool`，不用于 `{table}` 中的 `{type}`；请删除",
    ),
    "modbus_length_missing": (
        "a string needs `length`: its characters, two in each register",
        "字符串需要 `length`：字符数，每个寄存器两个字符",
    ),
    "modbus_length_unused": (
        "`length` is for a `string`, not for `{type}`; delete it",
        "`length` 仅用于 `string`，不用于 `{type}`；请删除",
    ),
    "modbus_too_wide": (
        "the value takes {registers} registers, and one request may ask for {max_registers};"
        " a value is never read in two parts",
        "该值占 {registers} 个寄存器，而一次请求最多 {max_registers} 个；"
        "同一个值不会分两次读取",
    ),
    "modbus_exception_1": (
        "exception 1: the device does not know this function",
        "异常 1：设备不支持该功能码",
    ),
    "modbus_exception_2": (
        "exception 2: the device does not have this address",
        "异常 2：设备中没有该地址",
    ),
    "modbus_exception_3": (
        "exception 3: the device refuses this length or value",
        "异常 3：设备拒绝该长度或数值",
    ),
    "modbus_exception_4": ("exception 4: the device has failed", "异常 4：设备故障"),
    "modbus_exception_6": ("exception 6: the device is busy", "异常 6：设备忙"),
    "modbus_exception_10": (
        "exception 10: the gateway has no path to the unit",
        "异常 10：网关没有到该站的通路",
    ),
    "modbus_exception_11": (
        "exception 11: the unit behind the gateway does not answer",
        "异常 11：网关后的站没有应答",
    ),
    "modbus_exception": (
        "the device answered with exception {exception}",
        "设备返回异常 {exception}",
    ),
    # --- OPC UA ---
    "opcua_url": (
        "`{value}` is not the url of an OPC UA server; write `opc.tcp://10.10.2.5:4840`",
        "`{value}` 不是 OPC UA 服务器的 url；请写成 `opc.tcp://10.10.2.5:4840`",
    ),
    "opcua_address": (
        "`{address}` is not a node id; write `nsu=urn:plant:dcs;s=R201.TI01`, with `i=`, `g=`"
        " or `b=` in place of `s=` for numbers, GUIDs and base64",
        "`{address}` 不是节点标识；请写成 `nsu=urn:plant:dcs;s=R201.TI01`，"
        "数字、GUID、base64 标识用 `i=`、`g=`、`b=` 代替 `s=`",
    ),
    "opcua_index": (
        "`{address}` names its namespace by index, which may mean another one after a restart"
        " of the server; name it by URI, `nsu=URI;…` (the server lists them in its"
        " NamespaceArray)",
        "`{address}` 用序号指定命名空间，服务器重启后序号可能指向别的命名空间；"
        "请用 URI：`nsu=URI;…`（见服务器的 NamespaceArray）",
    ),
    "opcua_type": (
        "type `{type}` does not exist in OPC UA; write the type of the value itself",
        "OPC UA 没有类型 `{type}`；请写该值本身的类型",
    ),
    "opcua_user": (
        "write `name` and `password`, or `certificate` and `key`",
        "请写 `name` 和 `password`，或 `certificate` 和 `key`",
    ),
    "opcua_insecure": (
        "`{value}` is on another machine: choose a `security.policy`, or write"
        " `insecure: true` to do without",
        "`{value}` 在另一台机器上：请选择 `security.policy`，或写 `insecure: true` 表示不加密",
    ),
    "opcua_user_in_clear": (
        "a user needs a `security.policy`: without one a password travels in clear text",
        "使用用户身份需要 `security.policy`：否则口令以明文传输",
    ),
    # --- connections ---
    "connect_refused": ("{peer}: the connection was refused", "{peer}：连接被拒绝"),
    "connect_timeout": ("{peer}: nobody answered the connection in time", "{peer}：连接超时"),
    "connect_unreachable": ("{peer}: there is no way to this address", "{peer}：该地址不可达"),
    "connect_name": ("{peer}: the name is not known", "{peer}：无法解析该主机名"),
    "device_no_answer": (
        "unit {unit} did not answer: {reason}",
        "站号 {unit} 没有应答：{reason}",
    ),
    "device_inadmissible": (
        "unit {unit} sent what is provably not the answer ({reason}); it was discarded",
        "站号 {unit} 返回的内容不是本次请求的应答（{reason}），已丢弃",
    ),
    # --- simulated values ---
    "sim_shape": (
        "`{shape}` is no wave; write one of {allowed}, a slash and a period, like `sine/60`",
        "`{shape}` 不是可用波形；请写 {allowed} 之一，加斜杠和周期，例如 `sine/60`",
    ),
    "sim_period": (
        "`{period}` is no period; write whole seconds above 0, like `sine/60`",
        "`{period}` 不是有效周期；请写大于 0 的整数秒，例如 `sine/60`",
    ),
}
