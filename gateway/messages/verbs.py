"""What the verbs of the command line print."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- version ---
    "version_python": ("python {version} on {system}", "python {version}，系统 {system}"),
    "version_absent": ("{name} not installed", "{name} 未安装"),
    # --- check ---
    "severity_error": ("error", "错误"),
    "severity_warning": ("warning", "警告"),
    "check_ok": (
        "{file}: good; links {links}, devices {devices}, tags {tags}; configuration"
        " {fingerprint}",
        "{file}：正确；{links} 条链路，{devices} 台设备，{tags} 个点位；配置指纹 {fingerprint}",
    ),
    "check_failed": (
        "errors: {errors}; nothing was applied",
        "共 {errors} 处错误；未应用任何配置",
    ),
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
    "tap_other_stream": ("the message is of {stream}", "该报文属于 {stream}"),
    "event_clock_epoch": (
        "the clock was set by {step_s} s: {before} until here, {after} from here on; times"
        " before and after do not compare",
        "时钟被调整了 {step_s} 秒：此前状态 `{before}`，此后状态 `{after}`；"
        "前后的时间不可直接比较",
    ),
    "event_clock_anchor": (
        "the clock is known: {utc}, within {bound_ms} ms; it dates what was recorded before,"
        " since boot {boot}",
        "时钟已校准：{utc}，误差不超过 {bound_ms} 毫秒；"
        "据此可确定本次开机（{boot}）以来此前记录的时间",
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
        "{key} cannot change while the gateway runs; restart it, or take the change back",
        "{key} 不能在运行中更改；请重启网关，或撤销该更改",
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
    # --- init ---
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
    # --- simulate ---
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
    "simulate_serving": (
        "{link}: {url} ({devices} devices, {tags} tags)",
        "{link}：{url}（{devices} 台设备，{tags} 个点位）",
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
    # --- demo ---
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
    "demo_alarm": ("alarm", "报警"),
    "demo_gap": ("gap", "缺口"),
    "demo_lag": ("newest data {seconds} s old", "最新数据 {seconds} 秒前"),
    "demo_took": ("here after {seconds} s", "{seconds} 秒后到达"),
    "demo_overtook": ("{readings} older readings behind it", "先于 {readings} 个更早的读数"),
    "demo_keys": (
        "b broker off/on   f freeze tk101   d delay gas-panel   s silence tk102   q quit",
        "b 代理 停/启   f 冻结 tk101   d 延迟 gas-panel   s 静默 tk102   q 退出",
    ),
    # --- systemctl status ---
    "status_online": (
        "broker online, {records} records to deliver",
        "代理在线，待送达 {records} 条记录",
    ),
    "status_unreachable": (
        "broker unreachable, {records} records to deliver",
        "代理不可达，待送达 {records} 条记录",
    ),
    "reason_no_receipts": (
        "{lane}: the platform sends no receipts, so nothing of it is settled",
        "{lane}：平台未发送回执，因此该通道的数据均未结清",
    ),
    "reason_receipt_denied": (
        "the broker refuses the subscription to receipts, so nothing is settled",
        "代理服务器拒绝订阅回执，因此数据均未结清",
    ),
    "reason_replay_denied": (
        "the broker refuses the subscription to requests for replay",
        "代理服务器拒绝订阅重发请求",
    ),
    "status_missing": ("{told}, {count} devices missing", "{told}，{count} 台设备失联"),
}
