"""What is wrong with the keys, values and names of a configuration."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
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
        "too few entries ({count}): at least {limit}",
        "只有 {count} 项：至少需要 {limit} 项",
    ),
    "too_many": (
        "too many entries ({count}): at most {limit}",
        "共有 {count} 项：最多 {limit} 项",
    ),
    "text_short": (
        "the text is too short; least number of characters: {limit}",
        "文本太短：至少 {limit} 个字符",
    ),
    "text_long": (
        "the text is too long; largest number of characters: {limit}",
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
        " `accept_v3_acknowledgements: true` if that is good enough, or use version 5 or"
        " `delivery: receipt`",
        "MQTT 3.1.1 的确认不能说明消息已被接受；若可接受，请设置"
        " `accept_v3_acknowledgements: true`，否则使用版本 5 或 `delivery: receipt`",
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
        "`{deadband}` is a share of the range; give the tag a `range`, or write a number",
        "“{deadband}”是量程的百分比；请为该点位设置 `range`，或写数字",
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
    "secret_no_credentials": (
        "there is no credential `{name}`: systemd handed in none (`LoadCredential=`); outside"
        " of systemd set CREDENTIALS_DIRECTORY, or write {{file: PATH}}",
        "没有凭据“{name}”：systemd 未传入任何凭据（`LoadCredential=`）；不经 systemd 运行时"
        "请设置 CREDENTIALS_DIRECTORY，或写 {{file: 路径}}",
    ),
    "secret_unreadable": (
        "the secret in {file} cannot be read: {reason}",
        "无法读取 {file} 中的机密：{reason}",
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
    "driver_without_class": (
        "driver '{driver}' cannot be loaded: it has no DRIVER class",
        "驱动“{driver}”无法加载：其中没有 DRIVER 类",
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
