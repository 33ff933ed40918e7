"""What the platform is told beside the records: status, schema, heads, latest, alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version

from gateway.alarms import levels_of
from gateway.annunciator import Standing
from gateway.clock import Clock
from gateway.deliver import Delivery
from gateway.dialects import Origin
from gateway.dialects.json import JsonDialect
from gateway.feed import LATE_NS
from gateway.intake import Intake
from gateway.journal import Journal
from gateway.latest import Rota
from gateway.loader import Site
from gateway.model import Alarm, Lane, Tag
from gateway.publisher import Publisher
from gateway.record import Record

SNAPSHOT_RECORDS = 32
"""Alarms in one message of a snapshot: short enough for a slow link and a small broker."""
VERSION = version("tidegate")


class Announcer:
    """Builds the retained topics of one gateway and hands them to delivery."""

    def __init__(
        self,
        site: Site,
        journal: Journal,
        intake: Intake,
        dialect: JsonDialect,
        connection: Callable[[], int],
        clock: Clock,
    ) -> None:
        """connection: number of the connection that stands or is being made."""
        self._site = site
        self._journal = journal
        self._intake = intake
        self._dialect = dialect
        self._connection = connection
        self._clock = clock
        self._started = clock.monotonic()
        self._devices_said: set[str] = set()
        self._rota = Rota()
        self._said: tuple[str, tuple[str, ...], int] | None = None

    def will(self) -> tuple[str, bytes]:
        """Topic and payload the broker publishes when we vanish."""
        return self._dialect.topic("status"), self._status("offline", ())

    def status(self, delivery: Delivery, state: str, reasons: Sequence[str]) -> None:
        """Say ``state`` and why, once per change and connection."""
        said = state, tuple(reasons), self._connection()
        if said != self._said:
            self._said = said
            delivery.announce(self._dialect.topic("status"), self._status(state, reasons))

    def change(self, site: Site) -> None:
        """From now on ``site`` is the configuration."""
        self._site = site
        self._said = None

    def forget(self, delivery: Delivery, devices: Iterable[str]) -> None:
        """Take back what was said about ``devices``: they are not in the configuration."""
        for name in devices:
            delivery.retract(self._dialect.topic("schema", name))

    def schemas(self, delivery: Delivery) -> None:
        """Say what each device's tags mean, and take back what is no longer true."""
        names = {device.name for link in self._site.links for device in link.config.devices}
        self.forget(delivery, sorted(self._devices_said - names))
        self._devices_said = names
        for link in self._site.links:
            tags_of: dict[str, list[Tag]] = {}
            for tag in link.tags:
                tags_of.setdefault(tag.device, []).append(tag)
            for device in link.config.devices:
                tags = tags_of.get(device.name, ())
                payload = self._dialect.schema(
                    device=device.name,
                    label=device.label,
                    config=self._site.fingerprint,
                    tags=tags,
                    limits={
                        tag.name: levels_of(link.alarms[tag.device, tag.name])
                        for tag in tags
                        if (tag.device, tag.name) in link.alarms
                    },
                )
                delivery.announce(self._dialect.topic("schema", device.name), payload)

    def heads(self, delivery: Delivery) -> None:
        """Say how far each stream reaches, is settled and has been watched."""
        stamp = self._clock.stamp()
        well = {lane for lane in Lane if self._journal.trouble(lane) is None}
        covered = {key: ns for key, ns in self._intake.covered().items() if key[0] in well}
        streams = {
            f"{lane}/{device}": (head, settled, covered.get((lane, device)))
            for (lane, device), (head, settled) in self._journal.heads().items()
        }
        stats = self._journal.stats()
        payload = self._dialect.heads(
            incarnation=self._journal.incarnation,
            time_ns=stamp.time_ns,
            clock=stamp.state,
            config=self._site.fingerprint,
            journal=(stats.unsettled_bytes, stats.size, self._hours_left()),
            streams=streams,
        )
        delivery.announce(self._dialect.topic("heads"), payload)

    def latest(self, delivery: Delivery, publisher: Publisher) -> None:
        """While the data lane lags, say newest values; QoS 0, not a record."""
        if not delivery.lags:
            return
        now_ns = self._clock.now_ns()

        def say(device: str) -> int:
            payload = self._dialect.latest(
                device=device, time_ns=now_ns, values=self._intake.latest(device)
            )
            topic = self._dialect.topic("latest", device)
            publisher.publish(topic, payload, qos=0, retain=False)
            return len(payload)

        room = delivery.window.aside_bytes
        self._rota.turn(self._devices(), self._clock.monotonic(), room, say)

    def snapshot(self, delivery: Delivery) -> None:
        """Repeat the record of every active alarm, marked, ahead of the alarm lane.

        A repetition has the seq of the record it repeats: it is no record of its own,
        settles nothing, and a platform that knows the record may drop it.
        """
        standing = sorted(self._intake.alarms.standing(), key=lambda s: s[:3])
        for run in _runs(standing):
            delivery.repeat(
                self._dialect.topic(Lane.ALARM, run[0].device), self._repetition(run)
            )

    def _repetition(self, run: Sequence[Standing]) -> bytes:
        first, last = run[0], run[-1]
        origin = Origin(
            first.incarnation,
            first.record.boot,
            first.device,
            Lane.ALARM,
            first.seq,
            last.seq,
        )
        parts = [self._dialect.record(s.seq, _marked(s.record)) for s in run]
        now, boot = self._clock.stamp(), self._clock.boot
        late = [s.record.made.age_ns(boot, now) > LATE_NS for s in run]
        return self._dialect.message(origin, parts, late)

    def _devices(self) -> Iterator[str]:
        unwatched = set(self._intake.unwatched())
        named = dict.fromkeys(tag.device for link in self._site.links for tag in link.tags)
        yield from (name for name in named if name not in unwatched)

    def _status(self, state: str, reasons: Sequence[str]) -> bytes:
        return self._dialect.status(
            state=state,
            incarnation=self._journal.incarnation,
            connection=self._connection(),
            time_ns=self._clock.now_ns(),
            version=VERSION,
            config=self._site.fingerprint,
            reasons=reasons,
        )

    def _hours_left(self) -> float | None:
        """Hours until the journal is full if nothing is delivered; None while unknown."""
        running_s = self._clock.monotonic() - self._started
        if running_s < 10 or not self._intake.bytes_total:
            return None
        stats = self._journal.stats()
        free = max(0, stats.size - stats.unsettled_bytes)
        return round(free / (self._intake.bytes_total / running_s) / 3600, 1)


def _runs(standing: Sequence[Standing]) -> Iterator[list[Standing]]:
    """``standing`` in runs of consecutive seqs of one stream, none too long."""
    run: list[Standing] = []
    for one in standing:
        if run and (
            len(run) == SNAPSHOT_RECORDS or one[:2] != run[-1][:2] or one.seq != run[-1].seq + 1
        ):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _marked(record: Record) -> Record:
    body = record.body
    return (
        replace(record, body=replace(body, snapshot=True))
        if isinstance(body, Alarm)
        else record
    )
