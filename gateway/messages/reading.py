"""What is wrong with a file of the configuration before its keys are looked at."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
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
        "YAML anchors, aliases and merge keys are not accepted; use `defaults`, a series or a"
        " template",
        "不接受 YAML 锚点、别名和合并键；请使用 `defaults`、序列或模板",
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
}
