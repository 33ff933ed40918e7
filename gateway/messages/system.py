"""What the operating system refused, by the name of its number (errno(3)), and TLS."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "errno_eacces": ("permission denied", "权限不足"),
    "errno_eperm": ("not permitted", "不允许此操作"),
    "errno_enoent": ("there is no such file or directory", "文件或目录不存在"),
    "errno_enotdir": ("not a directory", "不是目录"),
    "errno_eisdir": ("it is a directory", "这是一个目录"),
    "errno_eexist": ("it is there already", "已经存在"),
    "errno_eloop": ("it is a symbolic link", "是符号链接"),
    "errno_enametoolong": ("the name is too long", "名称过长"),
    "errno_enospc": ("the disk is full", "磁盘已满"),
    "errno_edquot": ("the quota is used up", "磁盘配额已用完"),
    "errno_erofs": ("the file system is read-only", "文件系统是只读的"),
    "errno_eio": ("the disk has failed (input/output error)", "磁盘故障（读写错误）"),
    "errno_emfile": ("too many open files", "打开的文件过多"),
    "errno_enomem": ("out of memory", "内存不足"),
    "errno_eaddrinuse": (
        "the port is in use by another program",
        "端口已被其他程序占用",
    ),
    "errno_eaddrnotavail": (
        "this machine does not have this address",
        "本机没有该地址",
    ),
    "errno_econnrefused": ("the connection was refused", "连接被拒绝"),
    "errno_econnreset": ("the connection was cut by the other side", "连接被对方断开"),
    "errno_epipe": ("the connection was cut by the other side", "连接被对方断开"),
    "errno_etimedout": ("no answer in time", "超时无应答"),
    "errno_ehostunreach": ("there is no way to this address", "该地址不可达"),
    "errno_enetunreach": ("there is no way to this network", "该网络不可达"),
    "name_unknown": ("the name is not known", "无法解析该主机名"),
    # --- TLS ---
    "tls_not_trusted": (
        "its certificate comes from an authority that `tls.ca` does not name",
        "其证书的签发机构不在 `tls.ca` 中",
    ),
    "tls_expired": (
        "its certificate has expired; renew it, or set the clock",
        "其证书已过期；请更新证书或校准时钟",
    ),
    "tls_not_yet_valid": (
        "its certificate is not valid yet; set the clock",
        "其证书尚未生效；请校准时钟",
    ),
    "tls_other_name": (
        "its certificate is for another host name",
        "其证书属于另一个主机名",
    ),
    "tls_failed": (
        "no agreement on TLS; check port, certificates and key",
        "TLS 协商失败；请检查端口、证书和私钥",
    ),
}
