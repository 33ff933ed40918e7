"""One look at the devices of a link: connect, read each block once, forget.

Drivers are asked for raw values, and the gateway's own `Normaliser` makes values of
them: so one request shows both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.clock import Clock
from gateway.division import Division
from gateway.driver import Driver
from gateway.errors import DeviceError, DeviceSilentError, GatewayError, LinkError
from gateway.messages import told
from gateway.model import Batch, Block, Quality, Scalar, Tag
from gateway.normalise import Normaliser

PATIENCE: Final = 2
"""A device that never answered is not asked again after so many timeouts."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tags are meant; an empty word stands for all."""

    link: str = ""
    device: str = ""
    tag: str = ""

    def takes(self, tag: Tag) -> bool:
        """Whether ``tag``, of the link that is meant, is among them."""
        return (not self.device or tag.device == self.device) and (
            not self.tag or tag.name == self.tag
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one tag."""

    link: str
    tag: Tag
    quality: Quality
    raw: Scalar = None
    value: Scalar = None
    ms: float | None = None
    """From request to answer; None without an answer."""
    answered: bool = False
    """Whether the device said anything, be it a refusal."""
    reason: str = ""
    """Why there is no value."""


class LinkProbe:
    """Reads the blocks of one link that hold a tag of ``selection``."""

    def __init__(
        self,
        name: str,
        driver: Driver[Any],
        tags: Sequence[Tag],
        selection: Selection,
        clock: Clock,
        *,
        on_block: Callable[[int], None] = lambda tags: None,
        not_asked: Callable[[str], str],
        lang: str,
    ) -> None:
        """tags: all of the link, so that blocks are those of the agent.

        on_block: told how many tags were settled; not_asked: words for a given up device.
        """
        self._name = name
        self._driver = driver
        self._selection = selection
        self._clock = clock
        self._on_block = on_block
        self._not_asked = not_asked
        self._lang = lang
        self._tags = {(tag.device, tag.name): tag for tag in tags}
        raw = [replace(tag, conversion=None) for tag in tags]
        self._division = Division(driver.plan)
        blocks = driver.plan(raw)
        self._blocks = [b for b in blocks if any(map(selection.takes, b.tags))]
        self._silences: Counter[str] = Counter()
        self._heard: set[str] = set()
        self._found: dict[tuple[str, str], Finding] = {}

    def findings(self, missing: str) -> Iterator[Finding]:
        """One for each tag, in the order written; ``missing`` says why some were not read."""
        for key, tag in self._tags.items():
            if self._selection.takes(tag):
                unread = Finding(self._name, tag, Quality.BAD_NO_COMMUNICATION, reason=missing)
                yield self._found.get(key, unread)

    async def run(self) -> None:
        """Connect and read once; every failure becomes a finding."""
        blocks = list(reversed(self._blocks))
        try:
            await self._driver.connect()
            while blocks:
                blocks += reversed(await self._settle(blocks.pop()))
        except LinkError as error:
            for block in self._blocks:
                self._fail(
                    block,
                    told(error, self._lang),
                    Quality.BAD_NO_COMMUNICATION,
                    only_unread=True,
                )
        finally:
            await self._driver.close()

    async def _settle(self, block: Block[Any]) -> list[Block[Any]]:
        """Read ``block``; the halves to read in its place when it is refused as a whole.

        Raises:
            LinkError: The link is gone and cannot be opened again.
        """
        device = block.device
        if self._silences[device] >= PATIENCE and device not in self._heard:
            self._fail(block, self._not_asked(device), Quality.BAD_NO_COMMUNICATION)
            return []
        try:
            await self._read(block)
        except DeviceSilentError as error:
            await self._silent(block, error, error.quality)
        except DeviceError as error:
            self._heard.add(device)
            if error.divisible and len(block.tags) > 1:
                return self._division.halve(block)
            self._fail(block, told(error, self._lang), error.quality, answered=True)
        except LinkError as error:
            await self._driver.close()
            await self._silent(block, error, Quality.BAD_NO_COMMUNICATION)
        return []

    async def _silent(self, block: Block[Any], error: GatewayError, quality: Quality) -> None:
        self._silences[block.device] += 1
        self._fail(block, told(error, self._lang), quality)
        await self._driver.connect()

    async def _read(self, block: Block[Any]) -> None:
        asked = self._clock.monotonic()
        batch = await self._driver.read(block)
        elapsed_s = self._clock.monotonic() - asked
        self._heard.add(block.device)
        self._keep(batch, elapsed_s)
        if self._driver.pause_s:
            await self._clock.sleep_until(self._clock.monotonic() + self._driver.pause_s)

    def _keep(self, batch: Batch, elapsed_s: float) -> None:
        raw = list(batch.readings())
        tags = [self._tags[reading.tag.device, reading.tag.name] for reading in raw]
        values, quality = Normaliser(tags).apply([reading.value for reading in raw])
        mono = batch.mono_ns
        ms = elapsed_s * 1e3 if mono is None else (mono[1] - mono[0]) / 1e6
        for row, (tag, reading) in enumerate(zip(tags, raw, strict=True)):
            judged = Quality.GOOD if quality is None else Quality(quality[row])
            worse = max(judged, reading.quality)
            self._found[tag.device, tag.name] = Finding(
                self._name, tag, worse, reading.value, values[row], ms, answered=True
            )
        self._on_block(len(tags))

    def _fail(
        self,
        block: Block[Any],
        reason: str,
        quality: Quality,
        *,
        answered: bool = False,
        only_unread: bool = False,
    ) -> None:
        """Note ``reason`` for the tags of ``block``, or for those of them not read yet."""
        for tag in block.tags:
            key = tag.device, tag.name
            if not only_unread or key not in self._found:
                self._found[key] = Finding(
                    self._name, self._tags[key], quality, answered=answered, reason=reason
                )
        self._on_block(len(block.tags))
