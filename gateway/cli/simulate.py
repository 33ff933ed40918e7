"""``tidegate simulate``: the devices of a configuration, served on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from gateway.cli.options import (
    FILE,
    config_option,
    fail,
    lang_option,
    run_loop,
    seconds_option,
    site_or_exit,
)
from gateway.cli.spoken import Verb
from gateway.messages import text, told

if TYPE_CHECKING:
    from gateway.driver import Simulation
    from gateway.loader import LinkSite, Site

_HEAL = "heal"


@click.command("simulate", cls=Verb, help="help_simulate")
@config_option
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="option_simulate_out",
)
@click.option(
    "--broker",
    default="mqtt://127.0.0.1:1883",
    show_default=True,
    metavar="URL",
    help="option_broker",
)
@seconds_option
@lang_option
def command(
    file: Path, out: Path | None, broker: str, seconds: float | None, lang: str
) -> None:
    """Serve the very devices of a configuration, with waves for values."""
    site = site_or_exit(file, lang)
    written = None if out is None else Rewriting(file, out, broker, lang)
    run_loop(_serve(site, written, seconds, lang))


@dataclass(frozen=True)
class Rewriting:
    """A configuration to be written anew, with simulated devices in the place of its own."""

    file: Path
    out: Path
    broker: str
    lang: str

    def write(self, site: Site, urls: Mapping[str, str]) -> None:
        """Write it; the program ends when the result could touch anything real."""
        mqtt, gateway = site.config.mqtt, site.config.gateway.id
        journal = str(self.out.absolute()) + ".journal"
        replaced = {site.config.journal.path: journal, **dict.fromkeys(mqtt.urls, self.broker)}
        text_now = redirected(self.file.read_text(encoding="utf-8"), {**urls, **replaced})
        name = re.compile(rf"(\bid:\s*[\"']?){re.escape(gateway)}(?![\w.-])")
        text_now = name.sub(rf"\g<1>{gateway}-sim", text_now, count=1)
        if not self._is_harmless(text_now, site, journal):
            fail(text("simulate_not_rewritten", self.lang, file=self.file))
        try:
            self.out.write_text(text_now, encoding="utf-8")
        except OSError as error:
            fail(text("file_not_written", self.lang, file=self.out, reason=error))

    def _is_harmless(self, yaml: str, site: Site, journal: str) -> bool:
        """Whether every device, the broker and the journal in ``yaml`` are the bench's."""
        from gateway.config import broker, is_loopback
        from gateway.loader import WrongConfigError, from_text

        try:
            new = from_text(yaml, str(self.out))
        except WrongConfigError:
            return False
        hosts = [urlsplit(url_of(link)).hostname or "127.0.0.1" for link in new.links]
        hosts += [(parts.hostname or "") for u in new.config.mqtt.urls if (parts := broker(u))]
        ports = {url_of(link) for link in new.links if url_of(link)}
        return (
            all(map(is_loopback, hosts))
            and len(new.links) == len(site.links)
            and len(ports) == len([link for link in new.links if url_of(link)])
            and new.config.journal.path == journal
            and new.config.gateway.id != site.config.gateway.id
        )


async def _serve(
    site: Site, written: Rewriting | None, seconds: float | None, lang: str
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = [(link, await start(link, _loopback_port(link), lang)) for link in site.links]
    for link, simulation in running:
        counts = {"devices": len(link.config.devices), "tags": len(link.tags)}
        where = {"link": link.config.name, "url": simulation.url}
        click.echo(text("simulate_serving", lang, **where, **counts))
    if written is not None:
        written.write(site, {url_of(link): simulation.url for link, simulation in running})
        click.echo(text("simulate_written", lang, file=written.out))
    try:
        with listening(lambda line: _obey(line, running, lang)):
            async with asyncio.timeout(seconds):
                await stop.wait()
    except TimeoutError:
        pass
    finally:
        for _, simulation in running:
            await simulation.stop()


@contextmanager
def listening(obey: Callable[[str], None]) -> Iterator[None]:
    """Hand each line of standard input to ``obey`` while the loop runs.

    A file is read at once; what can be neither read nor waited for is left alone.
    """
    loop, rest = asyncio.get_running_loop(), bytearray()

    def take() -> None:
        found = os.read(0, 4096)
        if not found:
            loop.remove_reader(0)
        rest.extend(found)
        *lines, rest[:] = rest.split(b"\n")
        for line in lines:
            obey(line.decode(errors="replace").strip())

    try:
        kind = os.fstat(0).st_mode
    except OSError:
        yield
        return
    if stat.S_ISREG(kind):
        for line in sys.stdin:
            obey(line.strip())
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or sys.stdin.isatty()):
        yield
        return
    loop.add_reader(0, take)
    try:
        yield
    finally:
        loop.remove_reader(0)


async def start(link: LinkSite, port: int, lang: str) -> Simulation:
    """The devices of ``link``, listening; a port that cannot be had ends the program."""
    from gateway.errors import ConnectError
    from gateway.simulation.waves import value_of

    try:
        return await link.driver.simulate(link.config, link.tags, value_of, port)
    except NotImplementedError:
        fail(text("simulate_none", lang, link=link.config.name, driver=link.config.driver))
    except ConnectError as error:
        fail(text("simulate_port", lang, link=link.config.name, reason=told(error, lang)))


def redirected(yaml: str, urls: Mapping[str, str]) -> str:
    """The text of a configuration with each url (or path) that is a key of ``urls`` replaced.

    In one pass and only whole: ``…:502`` is not found in ``…:5020``.
    """
    keys = sorted((re.escape(key) for key in urls if key), key=len, reverse=True)
    whole = re.compile(rf"(?:{'|'.join(keys)})(?![\w.:/-])")
    return whole.sub(lambda found: urls[found[0]], yaml) if keys else yaml


def url_of(link: LinkSite) -> str:
    """The url of ``link``; empty for a driver that has none."""
    return getattr(link.config, "url", "")


def _loopback_port(link: LinkSite) -> int:
    """The port of the link's own url where that is on loopback, else 0."""
    from gateway.config import is_loopback

    parts = urlsplit(url_of(link))
    return (parts.port or 0) if is_loopback(parts.hostname or "") else 0


def _obey(line: str, running: list[tuple[LinkSite, Simulation]], lang: str) -> None:
    """Carry out one line of standard input."""
    from gateway.driver import FAULTS

    word, _, device = line.partition(" ")
    if not word:
        return
    if word not in (*FAULTS, _HEAL):
        click.echo(
            text("simulate_word", lang, word=word, allowed=", ".join((*FAULTS, _HEAL))),
            err=True,
        )
        return
    for simulation in _with(device.strip(), running):
        simulation.fail(device.strip(), None if word == _HEAL else word)
        click.echo(f"{word} {device.strip()}")
        return
    click.echo(text("simulate_device", lang, device=device.strip()), err=True)


def _with(device: str, running: list[tuple[LinkSite, Simulation]]) -> Iterator[Simulation]:
    for link, simulation in running:
        if any(device == known.name for known in link.config.devices):
            yield simulation
