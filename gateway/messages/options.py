"""The lines of the help pages: for each verb, option and argument."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- the verbs, in a line ---
    "verb_init": ("Write a commented file to begin with.", "生成带注释的起始配置文件。"),
    "verb_run": ("Run the agent in the foreground.", "在前台运行网关。"),
    "verb_check": ("Name every mistake in a configuration.", "列出配置中的所有错误。"),
    "verb_plan": ("Show what will be asked of which device.", "显示将向哪些设备请求什么。"),
    "verb_probe": (
        "Read every tag once and show what came.",
        "每个点位读取一次并显示结果。",
    ),
    "verb_simulate": (
        "Serve the devices of a configuration on loopback.",
        "在本机模拟配置中的设备。",
    ),
    "verb_demo": (
        "Show the whole line at work, with no hardware.",
        "无需硬件，演示整条链路。",
    ),
    "verb_tap": (
        "Listen on the platform's side of the broker.",
        "在代理服务器的平台一侧监听。",
    ),
    "verb_journal": (
        "Look at what is on disk, without stopping the agent.",
        "查看磁盘上的数据，无需停止网关。",
    ),
    "verb_journal_stat": (
        "Say what is stored, and what is not delivered.",
        "说明存了什么，哪些尚未送达。",
    ),
    "verb_journal_verify": ("Read and check every record.", "读取并校验每条记录。"),
    "verb_journal_export": ("Print the records on disk as JSON.", "以 JSON 输出磁盘上的记录。"),
    "verb_schema": (
        "Print the JSON Schema of the configuration.",
        "输出配置的 JSON Schema。",
    ),
    "verb_version": ("Print versions.", "显示版本。"),
    # --- options and arguments ---
    "option_help": ("Show this page.", "显示本页。"),
    "option_version": ("Show the version.", "显示版本。"),
    "option_config": (
        "The main file; conf.d/*.yaml beside it belongs to it.",
        "主配置文件；旁边的 conf.d/*.yaml 也属于它。",
    ),
    "option_lang": (
        "Language of messages; by default that of the environment.",
        "消息的语言；默认取自环境变量。",
    ),
    "option_seconds": (
        "Stop after so many seconds; without it, at Ctrl-C.",
        "运行多少秒后停止；不给出则按 Ctrl-C 停止。",
    ),
    "option_format": (
        "text for people, json for programs.",
        "text 供人阅读，json 供程序读取。",
    ),
    "option_tap_format": (
        "text for people; json for programs, one object a line.",
        "text 供人阅读；json 供程序读取，每行一个对象。",
    ),
    "option_schema_format": (
        "json: JSON Schema for editors. markdown: a table of every key.",
        "json：供编辑器使用的 JSON Schema。markdown：所有键的表格。",
    ),
    "option_init_out": ("Where to write it.", "写入的位置。"),
    "option_last_good": (
        "With a wrong FILE, run the copy of the last one that ran, and say `degraded`.",
        "若 FILE 有误，则运行上次有效配置的副本，并报告 `degraded`。",
    ),
    "option_round_trip": (
        "Assumed milliseconds from request to answer; measure it with probe.",
        "假定的请求到应答毫秒数；可用 probe 实测。",
    ),
    "option_simulate_out": (
        "Also write a configuration that reads the simulated devices.",
        "同时写出一份读取模拟设备的配置。",
    ),
    "option_broker": (
        "The broker on this machine that the written configuration publishes to.",
        "写出的配置所发布到的本机代理服务器。",
    ),
    "option_root": (
        "First levels of every topic; as configured if not given.",
        "每个主题的前几级；不给出则按配置。",
    ),
    "option_check": (
        "Judge continuity; exit code 1 at a loss.",
        "判断连续性；有缺失时退出码为 1。",
    ),
    "option_path": (
        "The journal; as configured if not given.",
        "本地日志缓存的位置；不给出则按配置。",
    ),
    "option_since": (
        "From this time on, e.g. 2026-11-22T03:00:00Z.",
        "从此时间起，例如 2026-11-22T03:00:00Z。",
    ),
    "option_until": ("Up to this time.", "到此时间为止。"),
    "option_device": ("Of this device only.", "仅此设备。"),
    "option_lane": ("Of this lane only.", "仅此通道。"),
    "argument_what": (
        "What to read: a link, a device or a tag; everything if not given.",
        "要读取的内容：链路、设备或点位；不给出则读取全部。",
    ),
    "argument_url": (
        "The broker to listen at, like mqtt://127.0.0.1:1883.",
        "要监听的代理服务器，例如 mqtt://127.0.0.1:1883。",
    ),
}
