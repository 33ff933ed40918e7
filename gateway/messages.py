"""Every message to people, by code, in English and Chinese. Log events are not here.

``text("unknown_key", "en", key="adress")`` fills one entry. Both languages of an entry
use the same fields, and every code the source uses is here: a test holds both. A message
names the thing, the value and the remedy. Append to the section of your area.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "zh")

CONFIG: Final[dict[str, tuple[str, str]]] = {
    # --- reading the file ---
    "file_missing": ("there is no such file", "文件不存在"),
    "file_unreadable": ("cannot be read: {reason}", "无法读取：{reason}"),
    "file_huge": (
        "the file has {size} bytes; {limit} is the most that is read",
        "文件大小为 {size} 字节，超过上限 {limit} 字节",
    ),
    "not_utf8": (
        "not UTF-8 text (byte {byte}); save the file as UTF-8 in your editor",
        "不是 UTF-8 文本（第 {byte} 字节）；请在编辑器中另存为 UTF-8",
    ),
    "control_character": (
        "character {character} is not allowed here; delete it and type it again",
        "此处不允许出现字符 {character}；请删除后重新输入",
    ),
    "file_empty": (
        "the file is empty; begin with `version: 1` and `gateway:`, or copy the example that"
        " came with tidegate",
        "文件为空；请从 `version: 1` 和 `gateway:` 写起，或复制 tidegate 自带的示例",
    ),
    # --- YAML ---
    "yaml_tab": (
        "a tab cannot indent YAML; use spaces",
        "YAML 不能用制表符缩进，请改用空格",
    ),
    "yaml_nested_colon": (
        "a second `key: value` on one line, or a line indented differently from its neighbours;"
        " put text that contains `: ` in quotes",
        "同一行出现第二个“键: 值”，或本行缩进与相邻行不一致；含有“: ”的文本请加引号",
    ),
    "yaml_no_colon": (
        "expected `key: value`; is the colon, or the space after it, missing?",
        "此处应为“键: 值”；是否漏了冒号或冒号后的空格？",
    ),
    "yaml_indent": (
        "this line does not fit the indentation of the lines above it",
        "本行缩进与上文不一致",
    ),
    "yaml_unclosed": (
        "a bracket or brace is not closed, or a comma is missing",
        "括号未闭合，或缺少逗号",
    ),
    "yaml_quote": ("a quote is not closed", "引号未闭合"),
    "yaml_fullwidth": (
        "`{character}` is a full-width character; type `{ascii}` instead",
        "“{character}”是全角字符，请改用半角“{ascii}”",
    ),
    "yaml_reserved": (
        "text cannot begin with `{character}` here; put it in quotes",
        "文本不能以“{character}”开头，请加引号",
    ),
    "yaml_escape": (
        "unknown escape after `\\`; in single quotes a backslash is just a backslash",
        "反斜杠“\\”后的转义无效；用单引号时反斜杠不作转义",
    ),
    "yaml_broken": ("this is not YAML: {reason}", "不是有效的 YAML：{reason}"),
    "yaml_tag": (
        "YAML tags such as `{tag}` are not accepted; write the plain value",
        "不接受 YAML 标签 `{tag}`，请直接写值",
    ),
    "yaml_anchor": (
        "YAML anchors and aliases are not accepted; use `defaults`, a series or a template",
        "不接受 YAML 锚点和别名；请使用 `defaults`、序列或模板",
    ),
    "yaml_deep": (
        "more than {limit} levels of nesting",
        "嵌套超过 {limit} 层",
    ),
    "yaml_large": (
        "more than {limit} values in one file",
        "单个文件中的值超过 {limit} 个",
    ),
    "yaml_key": (
        "a key must be a plain word or number",
        "键必须是普通的单词或数字",
    ),
    "yaml_documents": (
        "a second document begins here (`---`); one file holds one configuration",
        "此处开始了第二个文档（`---`）；一个文件只能有一份配置",
    ),
    "duplicate_key": (
        "`{key}` is written twice; first in line {first_line}",
        "“{key}”重复；首次出现在第 {first_line} 行",
    ),
    # --- shape ---
    "unknown_key": ("unknown key `{key}`", "未知的键“{key}”"),
    "decimal_comma": (
        "a comma separates entries; write decimals with a point: 0.1",
        "逗号用于分隔各项；小数请用小数点：0.1",
    ),
    "misplaced_key": (
        "`{key}` does not belong here, but to {level}",
        "“{key}”不应写在此处，而属于{level}",
    ),
    "missing_key": ("`{key}` is missing", "缺少“{key}”"),
    "did_you_mean": ("{told}; did you mean `{word}`?", "{told}；是否想写“{word}”？"),
    "not_a_mapping": (
        "expected keys and values, found {found}",
        "此处应为键值对，实际为{found}",
    ),
    "not_a_list": (
        "expected a list (lines that begin with `- `), found {found}",
        "此处应为列表（以“- ”开头的行），实际为{found}",
    ),
    "not_text": ("expected text, found {found}", "此处应为文本，实际为{found}"),
    "quote_it": (
        'expected text, found {found}; put it in quotes: "{value}"',
        '此处应为文本，实际为{found}；请加引号："{value}"',
    ),
    "not_a_number": ("expected a number, found {found}", "此处应为数字，实际为{found}"),
    "not_an_integer": (
        "expected a whole number, found {found}",
        "此处应为整数，实际为{found}",
    ),
    "not_a_bool": (
        "expected `true` or `false`, found {found}",
        "此处应为 `true` 或 `false`，实际为{found}",
    ),
    "bool_word": (
        "`{value}` is just a word in YAML 1.2; write `true` or `false`",
        "“{value}”在 YAML 1.2 中只是普通单词；请写 `true` 或 `false`",
    ),
    "not_finite": ("{value} is not a usable number", "{value} 不是可用的数字"),
    "not_one_of": (
        "`{value}` is not one of {allowed}",
        "“{value}”不在允许值之内：{allowed}",
    ),
    "too_small": ("{value} is too small: at least {limit}", "{value} 太小：至少为 {limit}"),
    "not_above": (
        "{value} is too small: it must be above {limit}",
        "{value} 太小：必须大于 {limit}",
    ),
    "too_large": ("{value} is too large: at most {limit}", "{value} 太大：最多为 {limit}"),
    "not_below": (
        "{value} is too large: it must be below {limit}",
        "{value} 太大：必须小于 {limit}",
    ),
    "too_few": (
        "{count} entries are too few: at least {limit}",
        "只有 {count} 项：至少需要 {limit} 项",
    ),
    "too_many": (
        "{count} entries are too many: at most {limit}",
        "共有 {count} 项：最多 {limit} 项",
    ),
    "text_short": (
        "the text is too short: at least {limit} characters",
        "文本太短：至少 {limit} 个字符",
    ),
    "text_long": (
        "the text is too long: at most {limit} characters",
        "文本太长：最多 {limit} 个字符",
    ),
    "text_pattern": (
        "`{value}` does not have the form {pattern}",
        "“{value}”不符合格式 {pattern}",
    ),
    "not_usable_here": ("`{value}` cannot be used here", "此处不能使用“{value}”"),
    "not_usable": (
        "`{value}` cannot be used here: {reason}",
        "此处不能使用“{value}”：{reason}",
    ),
    # --- values ---
    "not_a_duration": (
        "`{value}` is not a duration; write a number and its unit: 250ms, 1s, 10m, 24h, 7d",
        "“{value}”不是时长；请写数字加单位：250ms、1s、10m、24h、7d",
    ),
    "not_a_size": (
        "`{value}` is not a size; write a number and its unit: 64KiB, 32MiB, 4GiB",
        "“{value}”不是容量；请写数字加单位：64KiB、32MiB、4GiB",
    ),
    "not_a_name": (
        "`{value}` is not a name: 1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or"
        " digit; other text goes into `label`",
        "“{value}”不是有效名称：1 到 64 个字符，可用 A-Z a-z 0-9 . _ -，以字母或数字开头；"
        "中文等其他文字请写在 `label` 中",
    ),
    "not_a_deadband": (
        "`{value}` is not a dead band; write a number, or a percentage of the range: 1%",
        "“{value}”不是死区；请写数字，或量程的百分比：1%",
    ),
    "not_a_topic": (
        "`{value}` cannot begin topics: levels joined by `/`, without + # $ or spaces",
        "“{value}”不能作为主题前缀：各级以“/”连接，不能含 + # $ 或空格",
    ),
    "not_a_broker_url": (
        "not the address of a broker; write mqtts://host:8883",
        "不是代理服务器地址；请写 mqtts://主机:8883",
    ),
    "insecure_url": (
        "{value} is not encrypted; use mqtts://, or set `insecure: true` beside `urls`",
        "{value} 未加密；请使用 mqtts://，或在 `urls` 旁设置 `insecure: true`",
    ),
    "secret_in_url": (
        "a password in a url can be read by everyone; use `username` and `password`",
        "URL 中的密码人人可见；请使用 `username` 和 `password`",
    ),
    "secret_inline": (
        "a secret is never written into this file; write {{credential: NAME}} or"
        " {{file: PATH}}",
        "机密不得写入本文件；请写 {{credential: 名称}} 或 {{file: 路径}}",
    ),
    "secret_source": (
        "write exactly one of `credential` and `file`",
        "`credential` 和 `file` 必须且只能写一个",
    ),
    "tls_pair": (
        "`certificate` and `key` go together; `{missing}` is missing",
        "`certificate` 和 `key` 必须同时给出；缺少“{missing}”",
    ),
    "v3_not_accepted": (
        "an MQTT 3.1.1 acknowledgement does not say that a message was accepted; set"
        " `accept_v3_acknowledgements: true` if that is good enough, or use version 5",
        "MQTT 3.1.1 的确认不能说明消息已被接受；若可接受，请设置"
        " `accept_v3_acknowledgements: true`，否则使用版本 5",
    ),
    "receipts_to_come": (
        "this version settles by the broker's acknowledgement only; write `delivery: puback`",
        "本版本只支持以代理确认为准；请写 `delivery: puback`",
    ),
    "unknown_timezone": (
        "there is no time zone `{value}`; e.g. Asia/Shanghai",
        "没有时区“{value}”；例如 Asia/Shanghai",
    ),
    "scale_form": (
        "write `factor` and, if needed, `offset`; or `raw` and `span`",
        "请写 `factor`（可加 `offset`），或写 `raw` 和 `span`",
    ),
    "scale_half": (
        "`raw` and `span` go together; `{key}` is missing",
        "`raw` 和 `span` 必须同时给出；缺少“{key}”",
    ),
    "scale_raw_equal": (
        "the two raw values must differ, found {value}",
        "两个原始值不能相同，实际为 {value}",
    ),
    "scale_ne43": (
        "`ne43` needs `raw`: the raw values of 4 and 20 mA",
        "`ne43` 需要 `raw`：4 mA 和 20 mA 对应的原始值",
    ),
    "scale_zero": ("a factor of 0 makes every value the same", "系数为 0 会使所有值相同"),
    "scale_not_numeric": (
        "a tag of type {type} cannot be scaled",
        "类型为 {type} 的点位不能换算",
    ),
    "range_order": (
        "the lower end {low} must be below the upper end {high}",
        "下限 {low} 必须小于上限 {high}",
    ),
    "clamp_needs_range": ("`clamp` needs `range`", "`clamp` 需要 `range`"),
    "deadband_needs_range": (
        "`{deadband}` is a share of the range; give tag `{tag}` a `range`, or write a number",
        "“{deadband}”是量程的百分比；请为点位“{tag}”设置 `range`，或写数字",
    ),
    "invert_not_bool": (
        "only a bool can be inverted; this tag is {type}",
        "只有 bool 可以取反；该点位类型为 {type}",
    ),
    "alarms_empty": (
        "no limit; write at least one of high_high, high, low, low_low",
        "没有限值；请至少写 high_high、high、low、low_low 之一",
    ),
    "alarms_order": (
        "{lower} ({low}) must be below {upper} ({high})",
        "{lower}（{low}）必须小于 {upper}（{high}）",
    ),
    "alarms_deadband": (
        "the dead band must be smaller than the distance from {lower} to {upper}",
        "死区必须小于 {lower} 与 {upper} 之间的距离",
    ),
    "alarms_need_numbers": (
        "only a number or a bool can have limits, no text and no `enum`",
        "只有数值或 bool 点位可以设置限值，文本和 `enum` 不可以",
    ),
    # --- references and names ---
    "duplicate_link": (
        "link `{name}` is named twice; first in {first_file}:{first_line}",
        "链路“{name}”重名；首次出现在 {first_file}:{first_line}",
    ),
    "duplicate_device": (
        "device `{name}` is named twice; first in {first_file}:{first_line}; a device is"
        " unique in its gateway",
        "设备“{name}”重名；首次出现在 {first_file}:{first_line}；设备名在网关内必须唯一",
    ),
    "duplicate_tag": (
        "tag `{name}` is named twice in its device; first in {first_file}:{first_line}",
        "点位“{name}”在同一设备中重名；首次出现在 {first_file}:{first_line}",
    ),
    "unknown_driver": (
        "no driver '{driver}' is installed; installed: {installed}",
        "未安装驱动“{driver}”；已安装：{installed}",
    ),
    "broken_driver": (
        "driver '{driver}' cannot be loaded: {reason}",
        "驱动“{driver}”无法加载：{reason}",
    ),
    "unknown_template": (
        "there is no template `{template}`, neither in templates/ beside the configuration nor"
        " among those that came with tidegate",
        "没有模板“{template}”：配置旁的 templates/ 和 tidegate 自带模板中都没有",
    ),
    "template_driver": (
        "template `{template}` is for driver '{wanted}', this link has '{driver}'",
        "模板“{template}”用于驱动“{wanted}”，本链路的驱动为“{driver}”",
    ),
    "template_missing_parameter": (
        "template `{template}` needs the parameter `{parameter}`",
        "模板“{template}”需要参数“{parameter}”",
    ),
    "template_unknown_parameter": (
        "template `{template}` has no parameter `{parameter}`; it has: {known}",
        "模板“{template}”没有参数“{parameter}”；可用：{known}",
    ),
    "parameters_without_template": (
        "`parameters` needs a `template`",
        "`parameters` 需要 `template`",
    ),
    "unknown_placeholder": (
        "`{{{name}}}` is neither a range like {{01..32}} nor a parameter of the template",
        "“{{{name}}}”既不是 {{01..32}} 这样的区间，也不是模板参数",
    ),
    "no_links": (
        "there is nothing to read: no `links` here or in conf.d",
        "没有可读取的内容：此处和 conf.d 中都没有 `links`",
    ),
    "no_tags": (
        "device `{device}` has no tags",
        "设备“{device}”没有点位",
    ),
    # --- series ---
    "series_bad_range": (
        "`{{{range}}}` is not a range; write {{01..32}} or {{258..320..2}}",
        "“{{{range}}}”不是区间；请写 {{01..32}} 或 {{258..320..2}}",
    ),
    "series_zero_step": (
        "the step of `{{{range}}}` must be above 0",
        "“{{{range}}}”的步长必须大于 0",
    ),
    "series_uneven": (
        "the ranges run in step and must be equally long: {lengths}",
        "各区间同步展开，长度必须相等：{lengths}",
    ),
    "series_open": (
        "`{{{range}}}` has no end; another range must say how many there are",
        "“{{{range}}}”没有终点；必须由另一个区间给出个数",
    ),
    "series_same_name": (
        "the address runs but the name does not; put a range into the name too",
        "地址含区间而名称没有；名称中也要写区间",
    ),
    "series_same_address": (
        "the name runs but the address does not: {count} tags would read the same place",
        "名称含区间而地址没有：{count} 个点位将读取同一位置",
    ),
    "series_too_long": (
        "a series of {count} tags; at most {limit}",
        "序列展开为 {count} 个点位；最多 {limit} 个",
    ),
    # --- parts of other messages ---
    "level_link": ("a link", "链路（link）"),
    "level_device": ("a device", "设备（device）"),
    "level_tag": ("a tag", "点位（tag）"),
    "level_main": ("the main file", "主文件"),
    "secret_hidden": ("a secret", "机密"),
    "found_mapping": ("keys and values", "键值对"),
    "found_list": ("a list", "列表"),
    "found_nothing": ("nothing", "空"),
    "found_bool": ("{value}", "{value}"),
    "found_number": ("the number {value}", "数字 {value}"),
    "found_text": ("the text `{value}`", "文本“{value}”"),
}

CHECK: Final[dict[str, tuple[str, str]]] = {
    "severity_error": ("error", "错误"),
    "severity_warning": ("warning", "警告"),
    "check_ok": (
        "{file}: {links} links, {devices} devices, {tags} tags; configuration {fingerprint}",
        "{file}：{links} 条链路，{devices} 台设备，{tags} 个点位；配置指纹 {fingerprint}",
    ),
    "check_failed": (
        "{errors} errors; nothing was applied",
        "共 {errors} 处错误；未应用任何配置",
    ),
}

MODBUS: Final[dict[str, tuple[str, str]]] = {
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
}

OPCUA: Final[dict[str, tuple[str, str]]] = {
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
}

CLI: Final[dict[str, tuple[str, str]]] = {
    "interrupted": ("interrupted", "已中断"),
    # --- plan ---
    "head_device": ("device", "设备"),
    "head_request": ("request", "请求"),
    "head_tags": ("tags", "点位数"),
    "head_registers": ("registers", "寄存器数"),
    "head_interval": ("interval", "周期"),
    "head_bus_time": ("bus time", "总线时间"),
    "head_record": ("record", "记录"),
    "plan_nothing": ("no link has a tag: nothing will be asked", "没有任何点位：不会发出请求"),
    "plan_link": (
        "link {link}: requests {requests}, connections {connections}, bus time {load} s per"
        " second ({percent})",
        "链路 {link}：请求 {requests} 个，连接 {connections} 个，"
        "每秒占用总线 {load} s（{percent}）",
    ),
    "plan_silent": (
        "  worst case: {device} falls silent, and other polls wait up to {wait} (its timeout"
        " {timeout} and one pass over all requests)",
        "  最坏情况：{device} 无应答时，其他轮询最多等待 {wait}"
        "（其超时 {timeout} 加上全部请求一轮）",
    ),
    "plan_journal": (
        "journal: at most {most} per day; {least} when no value changes",
        "本地日志缓存：每天最多 {most}；数值不变时 {least}",
    ),
    "plan_buffer": (
        "buffer: {size} hold {hours} without a broker; {quiet_hours} when no value changes",
        "断网缓存：{size} 可保存 {hours}；数值不变时 {quiet_hours}",
    ),
    "plan_wear": (
        "flash: about {per_year} written per year, {times} times the journal's size, in"
        " {commits} commits per second; what the card adds by itself is not counted",
        "闪存：每年约写入 {per_year}，为缓存容量的 {times} 倍，每秒提交 {commits} 次；"
        "不含存储卡自身的写放大",
    ),
    "plan_assumed": (
        "assumed: {ms} ms from request to answer (--round-trip), and the device's `gap`",
        "假定：请求到应答 {ms} ms（--round-trip），另加设备的 `gap`",
    ),
    "plan_overload": (
        "link {link}: its {requests} requests need {needed} s of bus time each second, and"
        " there are {given} s; {remedies}",
        "链路 {link}：{requests} 个请求每秒需要 {needed} s 总线时间，"
        "而只有 {given} s；{remedies}",
    ),
    "plan_tight": (
        "link {link}: its {requests} requests need {needed} s of the {given} s of bus time"
        " there are each second; a slow answer will cost polls; {remedies}",
        "链路 {link}：{requests} 个请求每秒需要 {needed} s 总线时间，仅有 {given} s；"
        "应答稍慢就会漏采；{remedies}",
    ),
    "plan_slow_request": (
        "link {link}: {device} {request} takes {time} and is asked every {interval}; make the"
        " interval longer, or `gap` shorter",
        "链路 {link}：{device} {request} 需要 {time}，周期却为 {interval}；"
        "请延长周期或缩短 `gap`",
    ),
    "plan_remedy_interval": (
        "make the intervals {factor} times as long ({before} → {after})",
        "将周期延长到 {factor} 倍（{before} → {after}）",
    ),
    "plan_remedy_connections": (
        "set `connections: {count}` if the device allows it",
        "在设备允许时设置 `connections: {count}`",
    ),
    "plan_remedy_blocks": (
        "let one request read more (`max_registers`, `max_gap`)",
        "让每次请求读得更多（`max_registers`、`max_gap`）",
    ),
    "plan_or": (", or ", "；或"),
    "span_hours": ("{count} h", "{count} 小时"),
    "span_days": ("{count} days", "{count} 天"),
    # --- probe ---
    "head_link": ("link", "链路"),
    "head_tag": ("tag", "点位"),
    "head_raw": ("raw", "原始值"),
    "head_value": ("value", "值"),
    "head_unit": ("unit", "单位"),
    "head_quality": ("quality", "质量"),
    "head_ms": ("ms", "毫秒"),
    "head_reason": ("reason", "原因"),
    "probe_title": ("{file}: read once", "{file}：读取一次"),
    "probe_summary": (
        "tags asked {tags}: good {good}, not good {bad}, no answer {silent}",
        "点位 {tags} 个：良好 {good}，非良好 {bad}，无应答 {silent}",
    ),
    "probe_unreachable": (
        "nothing could be reached; check cable, address, port and unit id",
        "没有任何设备可达；请检查接线、地址、端口和站号",
    ),
    "probe_not_asked": (
        "not asked any more: {device} was silent twice",
        "不再询问：{device} 已两次无应答",
    ),
    "probe_stopped": ("not asked: interrupted", "未询问：已中断"),
    "probe_progress": ("reading {link}", "正在读取 {link}"),
    "probe_nothing": ("no link has a tag: nothing to read", "没有任何点位：无可读取"),
    "unknown_link": ("there is no link `{name}`", "没有链路“{name}”"),
    "unknown_device": ("link `{link}` has no device `{name}`", "链路“{link}”没有设备“{name}”"),
    "unknown_tag": ("device `{device}` has no tag `{name}`", "设备“{device}”没有点位“{name}”"),
    # --- tap ---
    "tap_listening": ("listening at {url} to {topics}", "正在监听 {url}：{topics}"),
    "tap_counts": (
        "to the broker this is a subscriber: what the agent publishes now counts as delivered,"
        " even while the platform is away",
        "对代理服务器而言这也是一个订阅者：即使平台不在线，网关此时发布的数据也算已送达",
    ),
    "tap_lost": ("not connected: {reason}", "未连接：{reason}"),
    "tap_unreachable": (
        "no broker could be reached; check address, port, user and certificates",
        "无法连接任何代理服务器；请检查地址、端口、用户和证书",
    ),
    "tap_no_url": (
        "there is no {file}; give the url of a broker, like mqtt://127.0.0.1:1883, or -c FILE",
        "没有文件 {file}；请给出代理服务器地址，例如 mqtt://127.0.0.1:1883，或 -c 文件",
    ),
    "tap_insecure": (
        "{url} is not encrypted, and the password of this configuration would cross the"
        " network; use mqtts://",
        "{url} 未加密，本配置的密码会以明文传输；请使用 mqtts://",
    ),
    "tap_summary": (
        "records {records}, readings {readings}, gaps {gaps}, duplicates {duplicates}",
        "记录 {records} 条，读数 {readings} 个，缺口 {gaps} 个，重复 {duplicates} 条",
    ),
    "tap_check_good": (
        "continuity: nothing is missing in {streams} streams; out of order {disorders}",
        "连续性：{streams} 个流均无缺失；乱序 {disorders} 条",
    ),
    "tap_check_loss": (
        "continuity: MISSING {missing} records, wrong messages {wrong}, in {streams} streams;"
        " out of order {disorders}",
        "连续性：缺失 {missing} 条记录，错误报文 {wrong} 条，"
        "共 {streams} 个流；乱序 {disorders} 条",
    ),
    "tap_rejoined": (
        "connected again; what passed meanwhile is not judged",
        "已重新连接；其间的数据不作判断",
    ),
    "finding_missing": (
        "{stream}: missing {first}..{last} ({count} records)",
        "{stream}：缺失 {first}..{last}（{count} 条）",
    ),
    "finding_filled": (
        "{stream}: {first}..{last} came late, out of order",
        "{stream}：{first}..{last} 迟到，乱序",
    ),
    "finding_duplicate": (
        "{stream}: {first}..{last} again (duplicate)",
        "{stream}：{first}..{last} 重复",
    ),
    "finding_mismatch": (
        "{stream}: message {first}..{last} holds other seqs: {reason}",
        "{stream}：报文 {first}..{last} 的序号不符：{reason}",
    ),
    "finding_unreadable": ("{stream}: unreadable: {reason}", "{stream}：无法解析：{reason}"),
    # --- run and reload ---
    "config_needs_restart": (
        "{keys} cannot change while the gateway runs; restart it, or take the change back",
        "{keys} 不能在运行中更改；请重启网关，或撤销该更改",
    ),
    "config_kept": (
        "new configuration not applied, the one before runs on: {first}",
        "新配置未生效，仍按原配置运行：{first}",
    ),
    "config_copy_runs": (
        "configuration wrong, the last good copy runs: {first}",
        "配置有误，正按上次有效的副本运行：{first}",
    ),
    "config_no_copy": (
        "and there is no last good configuration to run instead",
        "且没有上次有效的配置可供运行",
    ),
    "init_written": (
        "written: {file}; edit it, then `tidegate check -c {file}`",
        "已写入：{file}；请编辑后运行 `tidegate check -c {file}`",
    ),
    "init_exists": (
        "{file} is there already and stays as it is; choose another name with --out",
        "{file} 已存在，未作改动；请用 --out 指定其他文件名",
    ),
    "init_unwritable": (
        "{file} cannot be written: {reason}",
        "无法写入 {file}：{reason}",
    ),
    "journal_newer": (
        "{path} has format {format}, newer than this program; nothing was touched: install the"
        " version that wrote it",
        "{path} 的格式 {format} 比本程序新；未做任何改动：请安装写入它的版本",
    ),
    "journal_of_another": (
        "{path} belongs to gateway {owner}, and this is {gateway}; nothing was touched: use"
        " another directory, or the old name until all is delivered",
        "{path} 属于网关 {owner}，而本网关是 {gateway}；未做任何改动：请换一个目录，"
        "或在全部送达前沿用旧名称",
    ),
    "journal_in_use": (
        "{path} is in use by another instance",
        "{path} 正被另一个实例使用",
    ),
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
    "journal_refused": (
        "the journal cannot be used: {reason}",
        "无法使用本地日志缓存：{reason}",
    ),
    "simulate_written": (
        "written: {file}; start the agent with `tidegate run -c {file}`",
        "已写入：{file}；用 `tidegate run -c {file}` 启动网关",
    ),
    "simulate_not_rewritten": (
        "{file} cannot be rewritten for the bench: its links must all be in this one file, each"
        " with a url of its own; write the simulated configuration by hand",
        "{file} 无法改写为测试配置：所有链路必须写在这一个文件中，且各有自己的 url；请手工编写",
    ),
    "file_not_written": (
        "{file} cannot be written: {reason}",
        "无法写入 {file}：{reason}",
    ),
    "simulate_none": (
        "link {link}: the driver `{driver}` has no simulator",
        "链路 {link}：驱动 `{driver}` 没有模拟器",
    ),
    "simulate_port": (
        "link {link}: {reason}",
        "链路 {link}：{reason}",
    ),
    "simulate_word": (
        "`{word}` is not known; write one of {allowed} and a device",
        "无法识别 `{word}`；请写 {allowed} 之一，再加设备名",
    ),
    "simulate_device": (
        "there is no device `{device}` in this configuration",
        "配置中没有设备 `{device}`",
    ),
    "sim_shape": (
        "`{shape}` is no wave; write one of {allowed}, a slash and a period, like `sine/60`",
        "`{shape}` 不是可用波形；请写 {allowed} 之一，加斜杠和周期，例如 `sine/60`",
    ),
    "sim_period": (
        "`{period}` is no period; write whole seconds above 0, like `sine/60`",
        "`{period}` 不是有效周期；请写大于 0 的整数秒，例如 `sine/60`",
    ),
}

DEMO: Final[dict[str, tuple[str, str]]] = {
    "demo_nothing_arrived": (
        "nothing reached the platform's side within {seconds} s",
        "{seconds} 秒内没有数据到达平台侧",
    ),
    "demo_title": (
        "simulated plant → journal → broker → platform",
        "模拟装置 → 本地日志缓存 → 代理 → 平台",
    ),
    "demo_device": ("device", "设备"),
    "demo_time": ("newest (UTC)", "最新时间 (UTC)"),
    "demo_values": ("values", "数值"),
    "demo_fault": ("fault", "故障"),
    "demo_broker_on": ("● broker on", "● 代理在线"),
    "demo_broker_off": ("○ broker OFF", "○ 代理离线"),
    "demo_backlog": ("waiting on disk: {records} records", "磁盘待发：{records} 条记录"),
    "demo_delivered": ("delivered: {readings} readings", "已送达：{readings} 个读数"),
    "demo_alarms": ("active alarms: {count}", "活动报警：{count}"),
    "demo_overtook": ("ahead of {readings} older readings", "先于 {readings} 个更早的读数"),
    "demo_keys": (
        "b broker off/on   f freeze tk101   d delay gas-panel   s silence tk102   q quit",
        "b 代理 停/启   f 冻结 tk101   d 延迟 gas-panel   s 静默 tk102   q 退出",
    ),
}

JOURNAL: Final[dict[str, tuple[str, str]]] = {
    "journal_lane": (
        "{lane}: {records} records, {readings} readings in {segments} segments,"
        " {since} to {until}; {waiting} not delivered, {evicted} evicted",
        "{lane}：{segments} 个段，{records} 条记录，{readings} 个读数，"
        "时间 {since} 至 {until}；未送达 {waiting} 条，已淘汰 {evicted} 条",
    ),
    "journal_quarantine": (
        "under quarantine/, for a person to look at: {names}",
        "quarantine/ 下有待人工查看的文件：{names}",
    ),
    "journal_verified": (
        "{segments} segments read, {damaged} damaged",
        "已读取 {segments} 个段，其中 {damaged} 个损坏",
    ),
    "journal_unreadable": ("the disk cannot read it", "磁盘无法读取"),
    "journal_bad_header": (
        "both copies of the header are damaged; the next start moves it to quarantine/",
        "段头的两份副本均已损坏；下次启动时会移入 quarantine/",
    ),
    "journal_bad_seal": (
        "the seal is damaged; what was evicted is no longer known to the reading",
        "段尾摘要已损坏；被淘汰的读数数量无法精确得知",
    ),
    "journal_bad_payload": (
        "a record is damaged; a gap is delivered in its place",
        "有记录损坏；将以缺口记录代替送出",
    ),
    "journal_bad_frame": (
        "bytes between the records are damaged; a gap is delivered in their place",
        "记录之间的字节已损坏；将以缺口记录代替送出",
    ),
    "journal_export_unreadable": (
        "{records} records could not be read; `tidegate journal verify` names the places",
        "有 {records} 条记录无法读取；用 `tidegate journal verify` 查看位置",
    ),
}

CATALOGUE: Final[Mapping[str, tuple[str, str]]] = {
    **CONFIG,
    **CHECK,
    **MODBUS,
    **OPCUA,
    **CLI,
    **DEMO,
    **JOURNAL,
}
"""code → (English, Chinese); a code stands in one section only."""


def text(code: str, lang: str, **fields: object) -> str:
    """The message ``code`` in ``lang``, filled with ``fields``.

    Raises:
        KeyError: The catalogue has no such code, or a field of it is not given.
    """
    return CATALOGUE[code][LANGUAGES.index(lang)].format_map(fields)


def told(error: Exception, lang: str) -> str:
    """What to tell a person of ``error``: its entry of the catalogue, else its own text."""
    code = getattr(error, "code", "")
    return text(code, lang, **getattr(error, "fields", {})) if code else str(error)


def language(chosen: str | None = None) -> str:
    """``en`` or ``zh``: what was chosen with ``--lang``, else what the environment says."""
    for wish in (chosen, *(os.environ.get(key) for key in ("LC_ALL", "LC_MESSAGES", "LANG"))):
        if wish:
            return "zh" if wish.lower().startswith("zh") else "en"
    return "en"
