"""``tidegate tap``: the platform's side of the broker: what arrives, and is it complete?"""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from gateway.cli.interrupt import until_interrupted
from gateway.cli.options import (
    EX_CONFIG,
    EX_UNAVAILABLE,
    config_option,
    fail,
    lang_option,
    run_loop,
    site_or_exit,
)
from gateway.messages import text

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from gateway.cli.listening import Source
    from gateway.config import MqttConfig

EX_USAGE: Final = 2
DEFAULT_ROOT: Final = "tidegate/v1"


@click.command("tap")
@click.argument("url", required=False)
@config_option
@click.option("--root", help="First levels of every topic.  [default: as configured]")
@click.option("--check", "checks", is_flag=True, help="Judge continuity; exit 1 at a loss.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="text for people; json for programs, one object a line.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after so long; without it, at Ctrl-C.",
)
@lang_option
@click.pass_context
def command(
    context: click.Context,
    url: str | None,
    file: Path,
    root: str | None,
    checks: bool,
    form: str,
    seconds: float | None,
    lang: str,
) -> None:
    """Listen on the platform's side of the broker and print every record.

    Without URL, the brokers, root and credentials of the configuration are used, and only
    its gateway is heard; with URL, every gateway under the root. It has a client id of its
    own, so it never takes over a session. Exit code 0: ended, nothing missing. 1: --check
    found loss. 69: no broker could be reached.

    To the broker it is a subscriber like any other. While the platform is away and tap is
    not, the broker says of each record that it was delivered, and the agent believes it.

    \b
    Examples:
      tidegate tap -c gateway.yaml                    what this gateway delivers
      tidegate tap mqtt://127.0.0.1:1883 --check      is anything missing?
      tidegate tap --check --seconds 60 >/dev/null    the same as a test: see the exit code
      tidegate tap --format json | jq .values
    """
    from gateway.cli.listening import Listener, listen

    is_default = context.get_parameter_source("file") is ParameterSource.DEFAULT
    if url is None and is_default and not file.exists():
        fail(text("tap_no_url", lang, file=file), EX_USAGE)
    source = (
        _plain(url, root, lang) if url and is_default else _configured(file, url, root, lang)
    )
    listener = Listener(checks=checks, is_json=form == "json", lang=lang)
    filters = ", ".join(source.settings.subscriptions)
    told = text("tap_listening", lang, url=source.settings.urls[0], topics=filters)
    click.echo(told, err=True)
    click.echo(text("tap_counts", lang), err=True)

    async def work() -> None:
        await until_interrupted(listen(source, listener), seconds=seconds)

    try:
        run_loop(work())
    except* BrokenPipeError:
        # Whoever read us has gone; what is still to be said must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not listener.connected:
        fail(text("tap_unreachable", lang), EX_UNAVAILABLE)
    listener.close()
    sys.exit(1 if checks and not listener.continuity.lossless else 0)


def _plain(url: str, root: str | None, lang: str) -> Source:
    """A broker that needs nothing but its url; every gateway under ``root``."""
    from gateway.cli.listening import Source, subscriptions
    from gateway.mqtt import Credentials, MqttSettings

    user = _checked(url, lang).username
    topics = subscriptions(root or DEFAULT_ROOT, "+")
    settings = MqttSettings((url,), client_id(), subscriptions=topics)
    return Source(settings, Credentials(user, None) if user else None)


def _configured(file: Path, url: str | None, root: str | None, lang: str) -> Source:
    """The brokers of a configuration, or ``url`` with its credentials; its gateway only."""
    from gateway.agent import mqtt_credentials, mqtt_settings
    from gateway.cli.listening import Source, subscriptions
    from gateway.errors import ConfigError

    config = site_or_exit(file, lang).config
    if url is not None:
        _check_secrecy(url, config.mqtt, lang)
    try:
        settings = mqtt_settings(config.mqtt, config.gateway.id)
        credentials = mqtt_credentials(config.mqtt)
    except ConfigError as error:
        fail(f"{file}: {error}", EX_CONFIG)
    own = replace(
        settings,
        urls=settings.urls if url is None else (url,),
        client_id=client_id(),
        subscriptions=subscriptions(root or config.mqtt.root, config.gateway.id),
    )
    return Source(own, credentials)


def _check_secrecy(url: str, mqtt: MqttConfig, lang: str) -> None:
    """End the program where the password of ``mqtt`` would be read on the way to ``url``."""
    from gateway.config import is_loopback

    parts = _checked(url, lang)
    is_open = parts.scheme == "mqtt" and not is_loopback(parts.hostname or "")
    if is_open and mqtt.password is not None and not mqtt.insecure:
        fail(text("tap_insecure", lang, url=url), EX_USAGE)


def _checked(url: str, lang: str) -> SplitResult:
    """The parts of ``url``; ends the program when it is not the url of a broker."""
    from gateway.config import broker

    parts = broker(url)
    if parts is None:
        fail(f"{url}: {text('not_a_broker_url', lang)}", EX_USAGE)
    if parts.password is not None:
        fail(text("secret_in_url", lang), EX_USAGE)
    return parts


def client_id() -> str:
    """A client id that nobody else has."""
    return f"tidegate-tap-{uuid.uuid4().hex[:8]}"
