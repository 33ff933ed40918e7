"""``tidegate simulate``: the devices of a configuration, served on loopback."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import config_option, fail, lang_option, run_loop, site_or_exit
from gateway.messages import text

if TYPE_CHECKING:
    from gateway.driver import Simulation
    from gateway.loader import LinkSite, Site

_HEAL = "heal"


@click.command("simulate")
@config_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the configuration with the urls of the simulated devices in it.",
)
@click.option("--seconds", type=float, help="Stop after so long; without it, at Ctrl-C.")
@lang_option
def command(file: Path, out: Path | None, seconds: float | None, lang: str) -> None:
    """Serve the very devices of a configuration, with waves for values.

    Every device, unit and address is there, over the real protocol, on 127.0.0.1 only. A
    link whose url is a loopback address is served at that address, any other at a free
    port. While it runs, write to its standard input what shall go wrong:

    \b
      timeout tk101      tk101 gives no answer
      late tk101         it answers after the timeout
      exception tk101    it refuses every request
      frozen tk101       its values stand still
      heal tk101         all is well again

    \b
    Examples:
      tidegate simulate -c gateway.yaml
      tidegate simulate -c gateway.yaml --out simulated.yaml
      tidegate run -c simulated.yaml
    """
    site = site_or_exit(file, lang)
    run_loop(_serve(site, file, out, seconds, lang))


async def _serve(
    site: Site, file: Path, out: Path | None, seconds: float | None, lang: str
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = [(link, await start(link, _loopback_port(link), lang)) for link in site.links]
    for link, simulation in running:
        name, devices = link.config.name, len(link.config.devices)
        click.echo(f"{name}: {simulation.url} ({devices} devices, {len(link.tags)} tags)")
    if out is not None:
        _write(out, file, running)
        click.echo(text("simulate_written", lang, file=out))
    loop.add_reader(sys.stdin, lambda: _obey(sys.stdin.readline(), running, lang))
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(sys.stdin)
        for _, simulation in running:
            await simulation.stop()


async def start(link: LinkSite, port: int, lang: str) -> Simulation:
    """The devices of ``link``, listening; a port that cannot be had ends the program."""
    from gateway.errors import ConnectError
    from gateway.simulation.waves import value_of

    try:
        return await link.driver.simulate(link.config, link.tags, value_of, port)
    except NotImplementedError:
        fail(text("simulate_none", lang, link=link.config.name, driver=link.config.driver))
    except ConnectError as error:
        fail(text("simulate_port", lang, link=link.config.name, reason=error))


def _write(out: Path, file: Path, running: list[tuple[LinkSite, Simulation]]) -> None:
    urls = {url_of(link): simulation.url for link, simulation in running}
    out.write_text(redirected(file.read_text(), urls))


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
    from urllib.parse import urlsplit

    from gateway.config import is_loopback

    parts = urlsplit(url_of(link))
    return (parts.port or 0) if is_loopback(parts.hostname or "") else 0


def _obey(line: str, running: list[tuple[LinkSite, Simulation]], lang: str) -> None:
    """Carry out one line of standard input."""
    from gateway.driver import FAULTS

    if not line:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        return
    word, _, device = line.strip().partition(" ")
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
