"""A driver that somebody else wrote and installed: found by its entry point."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

from tests.cli_stage import tidegate

DRIVER = """
from typing import Literal
from drivers.sim import SimDriver
from gateway.config import LinkConfig

class AcmeLink(LinkConfig):
    driver: Literal["acme"]
    station: int

class AcmeDriver(SimDriver):
    Link = AcmeLink
"""


def install(folder: Path, entry: str = "acme = acme_tidegate:AcmeDriver") -> None:
    """The distribution ``acme-tidegate`` in ``folder``, as pip would unpack it."""
    (folder / "acme_tidegate.py").write_text(dedent(DRIVER))
    meta = folder / "acme_tidegate-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tidegate\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(f"[tidegate.drivers]\n{entry}\n")


def write_site(folder: Path, link: str) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(
        f"version: 1\ngateway: {{id: g}}\nlinks: [{link}]\n"
        f"mqtt: {{urls: ['mqtt://127.0.0.1:4']}}\njournal: {{path: {folder / 'journal'}}}\n"
    )
    return file


LINK = (
    "{name: l, driver: acme, station: 7,"
    " devices: [{name: d, tags: [{name: t, address: sine/60}]}]}"
)


def path_with(folder: Path) -> str:
    return ":".join([str(folder), *filter(None, sys.path)])


async def test_an_installed_driver_is_checked_and_read_like_our_own(tmp_path: Path) -> None:
    install(tmp_path)
    file = write_site(tmp_path, LINK)
    path = path_with(tmp_path)
    checked = await tidegate("check", "-c", file, "--format", "json", PYTHONPATH=path)
    assert json.loads(checked.out)["tags"] == 1
    probed = await tidegate("probe", "-c", file, PYTHONPATH=path)
    assert probed.code == 0, probed.err
    assert "good" in probed.out


async def test_its_own_keys_are_checked_by_its_own_model(tmp_path: Path) -> None:
    install(tmp_path)
    file = write_site(tmp_path, LINK.replace("station: 7", "stations: 7"))
    checked = await tidegate("check", "-c", file, PYTHONPATH=path_with(tmp_path))
    assert checked.code == 78
    assert "station" in checked.err


async def test_without_it_the_drivers_that_are_there_are_named(tmp_path: Path) -> None:
    checked = await tidegate("check", "-c", write_site(tmp_path, LINK))
    assert checked.code == 78
    assert "'acme'" in checked.err
    assert "modbus" in checked.err


async def test_one_that_cannot_be_loaded_is_a_mistake_with_its_reason(tmp_path: Path) -> None:
    install(tmp_path, "acme = acme_tidegate:NoSuchClass")
    file = write_site(tmp_path, LINK)
    checked = await tidegate("check", "-c", file, PYTHONPATH=path_with(tmp_path))
    assert checked.code == 78
    assert "NoSuchClass" in checked.err
