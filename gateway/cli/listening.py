"""What ``tidegate tap`` hears, said line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import click
import msgspec
from msgspec import UNSET

from gateway.cli.table import coloured
from gateway.clock import Clock
from gateway.continuity import Continuity, Finding, Kind
from gateway.dialects import wire
from gateway.dialects.wire import Heads, LaneMessage, Status
from gateway.messages import CATALOGUE, text, told
from gateway.model import Lane
from gateway.mqtt import Credentials, MqttPublisher, MqttSettings
from gateway.publisher import Connected, Lost, PublisherEvent, Received, Subscribed

_PACKET_BYTES: Final = wire.MAX_BYTES + 64 * 1024
_COLOUR: Final = {Kind.FILLED: "yellow", Kind.DUPLICATE: "yellow"}


class Source(NamedTuple):
    """Where to listen, and as whom."""

    settings: MqttSettings
    credentials: Credentials | None


def subscriptions(root: str, gateway: str) -> tuple[str, ...]:
    """The topics that say what ``gateway`` delivers; ``+`` is every gateway."""
    lanes = [f"{lane}/+" for lane in Lane]
    return tuple(f"{root}/{gateway}/{topic}" for topic in (*lanes, "status", "heads"))


async def listen(source: Source, listener: Listener) -> None:
    """Hear the broker, whatever happens to the connection, until cancelled."""
    settings = replace(source.settings, max_incoming_bytes=_PACKET_BYTES)
    publisher = MqttPublisher(settings, Clock(), credentials=lambda: source.credentials)
    await publisher.run(listener.hear)


class Listener:
    """Prints what is heard, and keeps account of it."""

    def __init__(self, *, checks: bool, is_json: bool, lang: str) -> None:
        self._checks = checks
        self._is_json = is_json
        self._lang = lang
        self._lost = ""
        self.connected = False
        """Whether a broker ever answered."""
        self.continuity = Continuity()

    def hear(self, event: PublisherEvent) -> None:
        """Take in one event of the connection."""
        if isinstance(event, Received):
            self._receive(event)
        elif isinstance(event, Connected):
            if self.connected:
                self.continuity.rejoined()
                self._complain(text("tap_rejoined", self._lang))
            self.connected, self._lost = True, ""
        elif isinstance(event, Lost) and event.text != self._lost:
            self._lost = event.text
            self._complain(text("tap_lost", self._lang, reason=why(event, self._lang)))
        elif isinstance(event, Subscribed) and event.is_refused:
            fields = {"topic": event.topic_filter, "reason": f"0x{event.reason:02x}"}
            self._complain(text("broker_no_subscription", self._lang, **fields))

    def close(self) -> None:
        """Say what it all came to."""
        seen = self.continuity
        counts = {
            "records": seen.records,
            "readings": seen.readings,
            "gaps": seen.gaps,
            "duplicates": seen.duplicates,
        }
        verdict = {
            "missing": seen.missing,
            "wrong": seen.wrong,
            "disorders": seen.disorders,
            "streams": seen.streams,
        }
        if self._is_json:
            self._print({"summary": counts | (verdict if self._checks else {})})
            return
        click.echo(text("tap_summary", self._lang, **counts))
        if self._checks and seen.lossless:
            click.echo(coloured(text("tap_check_good", self._lang, **verdict), "green"))
        elif self._checks:
            click.echo(coloured(text("tap_check_loss", self._lang, **verdict), "red"))

    def _receive(self, event: Received) -> None:
        if not event.payload:
            return  # how a broker says that a retained message was taken back
        try:
            message = wire.parse(event.topic, event.payload)
        except ValueError as error:
            self._unreadable(event.topic, str(error))
            return
        if stream := _foreign(event.topic, message):
            self._unreadable(event.topic, text("tap_other_stream", self._lang, stream=stream))
        elif isinstance(message, LaneMessage):
            for record in message.records:
                self._say_record(message, record)
            self._judge(self.continuity.message(message))
        elif isinstance(message, Heads):
            self._judge(self.continuity.heads(event.topic.split("/")[-2], message))
        elif isinstance(message, Status):
            self._say_status(message)

    def _say_record(self, message: LaneMessage, record: wire.Record) -> None:
        if self._is_json:
            stream = {
                "gateway": message.gateway,
                "incarnation": message.incarnation,
                "lane": message.lane,
                "device": message.device,
            }
            self._print(stream | msgspec.to_builtins(record))
        else:
            click.echo(record_line(message, record, self._lang))

    def _say_status(self, status: Status) -> None:
        if self._is_json:
            self._print({"status": msgspec.to_builtins(status)})
        else:
            reasons = f" ({', '.join(status.reasons)})" if status.reasons else ""
            click.echo(f"{status.time} status {status.gateway} {status.state}{reasons}")

    def _unreadable(self, topic: str, reason: str) -> None:
        self.continuity.unreadable()
        if self._is_json:
            self._print({"finding": "unreadable", "topic": topic, "reason": reason})
        else:
            words = text("finding_unreadable", self._lang, stream=topic, reason=reason)
            click.echo(coloured(words, "red"))

    def _judge(self, findings: Iterable[Finding]) -> None:
        if self._checks:
            for finding in findings:
                self._say_finding(finding)

    def _say_finding(self, finding: Finding) -> None:
        fields: dict[str, Any] = {
            "stream": str(finding.stream),
            "first": finding.first,
            "last": finding.last,
            "count": finding.seqs,
            "reason": finding.reason,
        }
        if self._is_json:
            whole = {**fields, "stream": finding.stream._asdict()}
            self._print({"finding": finding.kind.value, **whole})
        else:
            words = text(f"finding_{finding.kind}", self._lang, **fields)
            click.echo(coloured(words, _COLOUR.get(finding.kind, "red")))

    def _print(self, line: Mapping[str, Any]) -> None:
        click.echo(json.dumps(line, ensure_ascii=False, separators=(",", ":")))

    @staticmethod
    def _complain(words: str) -> None:
        click.echo(words, err=True)


def why(lost: Lost, lang: str) -> str:
    """Why there is no connection: what kept us from it, or what the broker said."""
    if lost.error is not None:
        return told(lost.error, lang)
    if lost.reason is None:
        return text("broker_cut", lang)
    code = f"broker_says_{lost.reason:02x}"
    known = code if code in CATALOGUE else "broker_says"
    return text(known, lang, reason=f"0x{lost.reason:02x}")


def _foreign(topic: str, message: wire.Message) -> str:
    """The stream of a message that stands in the topic of another; empty when all is well."""
    if not isinstance(message, LaneMessage):
        return ""
    named = f"{message.gateway}/{message.lane}/{message.device}"
    return "" if topic.endswith(f"/{named}") else named


def record_line(message: LaneMessage, record: wire.Record, lang: str) -> str:
    """One record as people read it: when, whose, and what."""
    marks = "" if record.late is UNSET else " late"
    if record.clock != "synced":
        marks += f" clock={record.clock}"
    return f"{record.time} {message.device} #{record.seq}{marks} {_body(record, lang)}"


def _body(record: wire.Record, lang: str) -> str:
    if record.values is not UNSET:
        quality = {} if record.quality is UNSET else record.quality
        return " ".join(
            f"{name}={_shown(value)}" + (f"({quality[name]})" if name in quality else "")
            for name, value in record.values.items()
        )
    if record.gap is not UNSET:
        return coloured(_gap(record.gap), "yellow")
    if record.alarm is not UNSET:
        return coloured(_alarm(record.alarm), "red")
    event = {} if record.event is UNSET else record.event
    code = f"event_{event.get('kind')}"
    if code in CATALOGUE:
        step_s = event.get("step_ms", 0) / 1000
        words = text(code, lang, **event, step_s=step_s)
        return coloured(words, "yellow")
    fields = " ".join(f"{key}={_shown(value)}" for key, value in event.items() if key != "kind")
    return f"event {event.get('kind')} {fields}".rstrip()


def _gap(gap: wire.Gap) -> str:
    tags = gap.tags if isinstance(gap.tags, str) else ",".join(gap.tags)
    count = "?" if gap.count is None else str(gap.count)
    at_most = "<=" if gap.count_is == "at_most" and gap.count is not None else ""
    seqs = "" if gap.seqs is UNSET else f" seqs={gap.seqs[0]}..{gap.seqs[1]}"
    return (
        f"gap {gap.cause} tags={tags} {gap.from_}..{gap.to or ''}"
        f" readings={at_most}{count}{seqs}"
    )


def _alarm(alarm: wire.Alarm) -> str:
    return (
        f"alarm {alarm.state} {alarm.level} {alarm.tag}={_shown(alarm.value)} {alarm.unit}"
        f" limit={_shown(alarm.limit)} priority={alarm.priority}"
    )


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
