"""What the READMEs of the drivers show can be loaded, and says what they say it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.loader import from_text

DRIVERS = Path(__file__).parents[2] / "drivers"
PAGES = sorted(DRIVERS.rglob("README.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DRIVERS).as_posix())
def test_every_yaml_block_is_a_configuration_without_mistakes(page: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert from_text(block, page.name).links[0].tags


def test_the_modbus_page_means_the_registers_it_names() -> None:
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (DRIVERS / "modbus/README.md").read_text(), re.DOTALL
    )
    (link,) = from_text(block).links
    places = {tag.name: str(tag.address) for tag in link.tags}
    assert places["total"] == "holding/100"
    assert places["running"] == "holding/110 bit 3"
    driver = link.driver(link.config, None)  # type: ignore[arg-type]  # planning needs no clock
    requests = [
        (b.request.count, b.request.gap_s, b.request.timeout_s) for b in driver.plan(link.tags)
    ]
    assert (4, 0.02, 0.8) in requests
