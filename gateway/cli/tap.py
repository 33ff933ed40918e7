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
    EX_USAGE,
    config_option,
    fail,
    format_option,
    lang_option,
    run_loop,
    seconds_option,
    site_or_exit,
)
from gateway.cli.spoken import Verb
from gateway.messages import text, told

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from gateway.cli.listening import Source
    from gateway.config import MqttConfig

DEFAULT_ROOT: Final = "tidegate/v1"


@click.command("tap", cls=Verb, help="help_tap")
@click.argument("url", required=False, help="argument_url")
@config_option
@click.option("--root", metavar="TOPIC", help="option_root")
@click.option("--check", "checks", is_flag=True, help="option_check")
@format_option("text", "json", help="option_tap_format")
@seconds_option
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
    """Listen on the platform's side of the broker and print every record."""
    from gateway.cli.listening import Listener, listen

    is_default = context.get_parameter_source("file") is ParameterSource.DEFAULT
    if url is None and is_default and not file.exists():
        fail(text("tap_no_url", lang, file=file), EX_USAGE)
    source = (
        _plain(url, root, lang) if url and is_default else _configured(file, url, root, lang)
    )
    listener = Listener(checks=checks, is_json=form == "json", lang=lang)
    filters = ", ".join(source.settings.subscriptions)
    where = {"url": source.settings.urls[0], "topics": filters}
    click.echo(text("tap_listening", lang, **where), err=True)
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
    from gateway.cli.listening import Source, subscriptions
    from gateway.errors import ConfigError
    from gateway.line import mqtt_credentials, mqtt_settings

    config = site_or_exit(file, lang).config
    if url is not None:
        _check_secrecy(url, config.mqtt, lang)
    try:
        settings = mqtt_settings(config.mqtt, config.gateway.id)
        credentials = mqtt_credentials(config.mqtt)
    except ConfigError as error:
        fail(f"{file}: {told(error, lang)}", EX_CONFIG)
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
