"""What the journal says of itself."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- opening it ---
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
    "journal_refused": (
        "the journal cannot be used: {reason}",
        "无法使用本地日志缓存：{reason}",
    ),
    "journal_disk": ("{path}: {reason}", "{path}：{reason}"),
    "journal_not_a_folder": (
        "{path} is not a folder of its own (a file, or a symbolic link); choose another path",
        "{path} 不是独立的文件夹（而是文件或符号链接）；请换一个路径",
    ),
    "journal_not_private": (
        "{path} must belong to this user alone, mode 0700; correct it with chown and chmod",
        "{path} 必须只属于本用户，权限为 0700；请用 chown 和 chmod 更正",
    ),
    "journal_none": (
        "{path}: there is no journal; `--path` or `-c` names another place",
        "{path}：没有本地日志缓存；可用 `--path` 或 `-c` 指定其他位置",
    ),
    # --- looking at it ---
    "journal_lane": (
        "{lane}: {records} records, {readings} readings in {segments} segments,"
        " {since} to {until}; {waiting} not delivered,"
        " {retained} delivered and kept, {evicted} evicted",
        "{lane}：{segments} 个段，{records} 条记录，{readings} 个读数，"
        "时间 {since} 至 {until}；未送达 {waiting} 条，"
        "已送达仍保留 {retained} 条，已淘汰 {evicted} 条",
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
