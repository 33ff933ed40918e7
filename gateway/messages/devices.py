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
        "`bit` is for a `bool` in a register, not for `{type}`; delete it",
        "`bit` 仅用于寄存器中的 `bool`，不用于 `{type}`；请删除",
    ),
    "modbus_bit_of_bit": (
        "`bit` is for a `bool` in a register; an address in `{table}` is one bit already:"
        " delete it",
        "`bit` 仅用于寄存器中的 `bool`；`{table}` 的地址本身就是一个位，请删除",
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
    "opcua_password_signed_only": (
        "a password needs `security.mode: SignAndEncrypt`: what is only signed can be read",
        "使用口令需要 `security.mode: SignAndEncrypt`：仅签名的内容可被他人读取",
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
    # --- simulated values ---
    "sim_shape": (
        "`{shape}` is no wave; write one of {allowed}, a slash and a period, like `sine/60`",
        "`{shape}` 不是可用波形；请写 {allowed} 之一，加斜杠和周期，例如 `sine/60`",
    ),
    "sim_period": (
        "`{period}` is no period; write whole seconds above 0, like `sine/60`",
        "`{period}` 不是有效周期；请写大于 0 的整数秒，例如 `sine/60`",
    ),
    "connect_failed": ("{peer}: no connection: {reason}", "{peer}：无法连接：{reason}"),
    "link_closed": ("{peer}: not connected", "{peer}：未连接"),
    "link_lost": ("{peer}: the connection is gone", "{peer}：连接已断开"),
    "port_unusable": ("{peer} cannot be used: {reason}", "{peer} 无法使用：{reason}"),
    "plan_broken": (
        "the driver planned {planned} of {tags} tags; this is a fault of the driver, please"
        " report it",
        "驱动只规划了 {tags} 个点位中的 {planned} 个；这是驱动的缺陷，请报告",
    ),
    "plan_misfit": (
        "the driver put {tag} of {device} into a block it does not fit; this is a fault of the"
        " driver, please report it",
        "驱动把 {device} 的 {tag} 放入了不相符的块；这是驱动的缺陷，请报告",
    ),
    "sim_offline": ("the simulated link is offline", "模拟链路已离线"),
    # --- Modbus: what is provably not the answer ---
    "device_stray": (
        "{peer}: an answer came that nobody asked for; the connection was closed",
        "{peer}：收到未请求的应答；已关闭连接",
    ),
    "modbus_refusal_short": (
        "unit {unit} sent fewer bytes than it announced; they were discarded",
        "站号 {unit} 返回的字节数少于其声明；已丢弃",
    ),
    "modbus_refusal_protocol": (
        "what answers for unit {unit} is not Modbus TCP; it was discarded",
        "站号 {unit} 的应答不是 Modbus TCP；已丢弃",
    ),
    "modbus_refusal_length": (
        "the answer of unit {unit} has an impossible length; it was discarded",
        "站号 {unit} 的应答长度不可能成立；已丢弃",
    ),
    "modbus_refusal_transaction": (
        "unit {unit} answered another request; it was discarded",
        "站号 {unit} 应答的是另一个请求；已丢弃",
    ),
    "modbus_refusal_unit": (
        "another unit answered for unit {unit}; it was discarded",
        "应答来自其他站，而非站号 {unit}；已丢弃",
    ),
    "modbus_refusal_function": (
        "unit {unit} answered with another function code; it was discarded",
        "站号 {unit} 的应答功能码不符；已丢弃",
    ),
    "modbus_refusal_exception_length": (
        "unit {unit} sent an exception of the wrong length; it was discarded",
        "站号 {unit} 返回的异常长度错误；已丢弃",
    ),
    "modbus_refusal_byte_count": (
        "unit {unit} sent another number of bytes than was asked for; they were discarded",
        "站号 {unit} 返回的字节数与请求不符；已丢弃",
    ),
    # --- OPC UA: sessions and certificates ---
    "opcua_no_answer": ("{what}: no answer", "{what}：没有应答"),
    "opcua_failed": ("{what}: {reason}", "{what}：{reason}"),
    "opcua_own_certificate": (
        "the own certificate {file} can neither be read nor made: {reason}",
        "本机证书 {file} 无法读取或生成：{reason}",
    ),
    "opcua_certificate_unreadable": (
        "the server's certificate cannot be read",
        "无法读取服务器证书",
    ),
    "opcua_not_trusted": (
        "the server's certificate is not trusted; look at {file}, and if it is the server's,"
        " move it to {folder}",
        "服务器证书不受信任；请查看 {file}，若确为该服务器的证书，请移入 {folder}",
    ),
    "opcua_certificate_dates": (
        "the server's certificate is valid from {since} to {until}; renew it, or set the clock",
        "服务器证书的有效期为 {since} 至 {until}；请更新证书或校准时钟",
    ),
    "opcua_certificate_uri": (
        "the server calls itself {uri}, its certificate says {named}",
        "服务器自称 {uri}，而其证书为 {named}",
    ),
    "opcua_trusted_unreadable": (
        "{file} is no certificate; take it away, or put the right file in its place",
        "{file} 不是证书；请移走，或换成正确的文件",
    ),
    "opcua_not_kept": (
        "the server's certificate is not trusted, and {file} cannot be written: {reason}",
        "服务器证书不受信任，且无法写入 {file}：{reason}",
    ),
    "opcua_not_offered": (
        "the server does not offer {wanted}; it offers: {offered}",
        "服务器不提供 {wanted}；它提供：{offered}",
    ),
    "opcua_no_namespaces": (
        "the server does not say which namespaces it has",
        "服务器没有给出其命名空间",
    ),
    "opcua_status_badidentitytokenrejected": (
        "the server refuses user or password (BadIdentityTokenRejected)",
        "服务器拒绝该用户名或密码（BadIdentityTokenRejected）",
    ),
    "opcua_status_badidentitytokeninvalid": (
        "the server does not take this kind of user; see `user` (BadIdentityTokenInvalid)",
        "服务器不接受这种用户身份；请检查 `user`（BadIdentityTokenInvalid）",
    ),
    "opcua_status_baduseraccessdenied": (
        "the server does not allow this to the user (BadUserAccessDenied)",
        "服务器不允许该用户执行此操作（BadUserAccessDenied）",
    ),
    "opcua_status_badsecuritychecksfailed": (
        "the server does not trust our certificate; trust pki/own/certificate.der there"
        " (BadSecurityChecksFailed)",
        "服务器不信任本机证书；请在服务器上信任 pki/own/certificate.der"
        "（BadSecurityChecksFailed）",
    ),
    "opcua_status_badcertificateuntrusted": (
        "the server does not trust our certificate; trust pki/own/certificate.der there"
        " (BadCertificateUntrusted)",
        "服务器不信任本机证书；请在服务器上信任 pki/own/certificate.der"
        "（BadCertificateUntrusted）",
    ),
    "opcua_status_badtoomanysessions": (
        "the server has no session left for us (BadTooManySessions)",
        "服务器的会话数已用完（BadTooManySessions）",
    ),
    "opcua_status_badsessionidinvalid": (
        "the server has ended the session (BadSessionIdInvalid)",
        "服务器已结束会话（BadSessionIdInvalid）",
    ),
    "opcua_status_badtcpendpointurlinvalid": (
        "the server does not know this url (BadTcpEndpointUrlInvalid)",
        "服务器不认识该 url（BadTcpEndpointUrlInvalid）",
    ),
    # --- the broker ---
    "broker_down": ("{url}: {reason}", "{url}：{reason}"),
    "broker_cut": ("the connection was lost", "连接已断开"),
    "broker_no_subscription": (
        "the broker refuses the subscription to {topic}, reason {reason}; allow it there",
        "代理服务器拒绝订阅 {topic}，原因 {reason}；请在代理服务器上授权",
    ),
    "broker_says": ("the broker refused, reason {reason}", "代理服务器拒绝，原因 {reason}"),
    "broker_says_82": ("the broker speaks of a protocol error", "代理服务器报告协议错误"),
    "broker_says_84": (
        "the broker does not speak this version of MQTT; set `version: 3.1.1`",
        "代理服务器不支持此 MQTT 版本；请设置 `version: 3.1.1`",
    ),
    "broker_says_85": ("the broker refuses the client id", "代理服务器拒绝该客户端标识"),
    "broker_says_86": (
        "the broker refuses user or password",
        "代理服务器拒绝该用户名或密码",
    ),
    "broker_says_87": (
        "the broker does not allow this to the user (its access list)",
        "代理服务器不允许该用户执行此操作（访问控制列表）",
    ),
    "broker_says_88": ("the broker is not ready", "代理服务器尚未就绪"),
    "broker_says_89": ("the broker is busy", "代理服务器繁忙"),
    "broker_says_8a": ("the broker has banned this client", "代理服务器已禁止该客户端"),
    "broker_says_8b": ("the broker is shutting down", "代理服务器正在关闭"),
    "broker_says_8d": ("the broker heard nothing for too long", "代理服务器长时间未收到数据"),
    "broker_says_8e": (
        "another client took over this client id",
        "另一个客户端占用了该客户端标识",
    ),
    "broker_says_95": ("a message was too large for the broker", "消息超过代理服务器的限制"),
    "broker_says_97": ("the quota at the broker is used up", "代理服务器上的配额已用完"),
}
