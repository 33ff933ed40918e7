"""What goes wrong outside the program is told in Chinese to whoever asked for it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.cli_stage import Ended, device, modbus_link, tidegate, write_site

SENTENCE = re.compile(r"[A-Za-z]{2,}( [a-z]{2,}){2,}")
TK101 = device("tk101", 1, "{name: level, address: holding/0, type: uint16}")


def port_in_use() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def in_chinese(*arguments: str | Path) -> Ended:
    ended = await tidegate(*arguments, LANG="zh_CN.UTF-8")
    told = (ended.out + ended.err).splitlines()
    # The log is for machines and support: structlog's lines begin with a level.
    people = [line for line in told if not line.startswith(("<", "{", "20"))]
    assert people
    assert not [line for line in people if SENTENCE.search(line)]
    return ended


async def test_a_journal_behind_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")
    told = await in_chinese("run", "-c", write_site(tmp_path, modbus_link(1, TK101)))
    assert told.code == 1
    assert "不是独立的文件夹" in told.err


async def test_a_journal_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o755)
    told = await in_chinese("run", "-c", write_site(tmp_path, modbus_link(1, TK101)))
    assert "权限为 0700" in told.err


@pytest.mark.parametrize("verb", ["stat", "verify", "export"])
async def test_no_journal_to_look_at(tmp_path: Path, verb: str) -> None:
    told = await in_chinese("journal", verb, "--path", tmp_path / "none")
    assert told.code == 1
    assert "没有本地日志缓存" in told.err


async def test_a_port_that_the_simulation_cannot_have(tmp_path: Path) -> None:
    with port_in_use() as taken:
        link = modbus_link(taken.getsockname()[1], TK101)
        told = await in_chinese("simulate", "-c", write_site(tmp_path, link))
    assert told.code == 1
    assert "端口已被其他程序占用" in told.err


async def test_a_device_that_refuses_the_connection(tmp_path: Path) -> None:
    with port_in_use() as unused:
        port = unused.getsockname()[1]
    told = await in_chinese("probe", "-c", write_site(tmp_path, modbus_link(port, TK101)))
    assert told.code == 69
    assert "连接被拒绝" in told.out


async def test_a_password_that_nobody_handed_in(tmp_path: Path) -> None:
    file = write_site(tmp_path, modbus_link(1, TK101))
    secret = "username: u, password: {credential: mqtt-password}"
    file.write_text(file.read_text().replace("root: park/v1", f"root: park/v1, {secret}"))
    told = await in_chinese("tap", "-c", file)
    assert told.code == 78
    assert "没有凭据" in told.err


async def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    with port_in_use() as unused:
        port = unused.getsockname()[1]
    told = await in_chinese("tap", f"mqtt://127.0.0.1:{port}", "--seconds", "3")
    assert told.code == 69
    assert "连接被拒绝" in told.err


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    told = await in_chinese("init", "--out", tmp_path / "none" / "gateway.yaml")
    assert told.code == 1
    assert "文件或目录不存在" in told.err
