"""What is wrong with a command line, and the frame of a help page."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- what is wrong ---
    "usage_try": ("`{command} --help` says more.", "详见 `{command} --help`。"),
    "usage_no_verb": ("there is no verb `{name}`", "没有子命令“{name}”"),
    "usage_no_option": ("there is no option `{name}`", "没有选项“{name}”"),
    "usage_needs_value": ("option `{name}` needs a value", "选项“{name}”需要一个值"),
    "usage_takes_no_value": ("option `{name}` takes no value", "选项“{name}”不带值"),
    "usage_missing": ("`{name}` is missing", "缺少“{name}”"),
    "usage_extra": (
        "nothing more is expected here: {words}",
        "此处不应再有其他参数：{words}",
    ),
    "usage_value": ("`{name}`: {why}", "“{name}”：{why}"),
    "usage_choice": (
        "`{value}` is not one of {allowed}",
        "“{value}”不在可选值之内：{allowed}",
    ),
    "usage_number": ("`{value}` is not a number", "“{value}”不是数字"),
    "usage_range": (
        "{value} cannot be used; it must be from {low} to {high}",
        "不能使用 {value}；取值范围为 {low} 到 {high}",
    ),
    "usage_above": (
        "{value} cannot be used; it must be above {low}, and at most {high}",
        "不能使用 {value}；必须大于 {low}，且不超过 {high}",
    ),
    "usage_time": (
        "`{value}` is not a time; write one like 2026-11-22T03:04:05Z",
        "“{value}”不是时间；请写成 2026-11-22T03:04:05Z 的形式",
    ),
    # --- the frame of a help page ---
    "page_usage": ("Usage: {line}", "用法：{line}"),
    "page_arguments": ("Arguments:", "参数："),
    "page_options": ("Options:", "选项："),
    "page_verbs": ("Verbs:", "子命令："),
    "page_default": ("{told} [default: {value}]", "{told} [默认：{value}]"),
    "page_repeatable": ("{told} May be repeated.", "{told}可重复使用。"),
}
