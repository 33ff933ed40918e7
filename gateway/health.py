"""How the gateway is: what systemd and the platform are told, and the watchdog's proof.

The watchdog is fed by proof, not by a timer: the event loop turns, no link hangs in its
driver, and each journal writer is idle, at work, or in declared failure. The broker
never counts: a gateway whose broker, or whose PLC, is off is healthy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import structlog

from gateway.announce import Announcer
from gateway.clock import Clock
from gateway.deliver import Delivery
from gateway.errors import JournalError
from gateway.intake import Intake
from gateway.journal import Journal
from gateway.link import Link
from gateway.messages import language, text
from gateway.model import ClockState, Event, Lane
from gateway.publisher import Publisher
from gateway.systemd import sd_notify

log = structlog.get_logger()

TICK_S = 1.0
HEADS_EVERY = 10
LOOP_LAG_S = 5.0
WRITER_STALL_S = 120.0
LINK_TURNS = 3
_LASTING = re.compile(r"client_id_conflict$|\w+\.(stopped|denied)_0x")
"""Reasons that waiting does not cure: a person has to know, also when `status` has changed."""
STORAGE_FAILED = "storage_failed"
"""Reason of a status, while the disk takes nothing."""


class Health:
    """Looks at everything once a second and tells whoever has to know."""

    def __init__(
        self,
        links: Mapping[Link, float],
        journal: Journal,
        intake: Intake,
        delivery: Delivery,
        publisher: Publisher,
        announcer: Announcer,
        clock: Clock,
    ) -> None:
        """links: each link with its longest timeout in seconds."""
        self._links = links
        self._journal = journal
        self._intake = intake
        self._delivery = delivery
        self._publisher = publisher
        self._announcer = announcer
        self._clock = clock
        self._ticks = 0
        self._marked = 0
        """Streams there were when they were marked last: a new one is marked at once."""
        self._status = ""
        self._reasons: list[str] = []
        self._refusals: set[str] = set()
        self._config_reasons: Sequence[str] = ()
        self._config_text = ""

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        due = self._clock.monotonic()
        while True:
            await self._clock.sleep_until(due)
            now = self._clock.monotonic()
            self._look(now - due)
            due = max(due + TICK_S, now)

    def opened(self) -> None:
        """A connection to the broker stands: say what is wrong in the plant, and who we are."""
        self._announcer.snapshot(self._delivery)
        self._announcer.status(self._delivery, *self.state())
        self._announcer.heads(self._delivery)

    def state(self) -> tuple[str, list[str]]:
        """``online`` or ``degraded``, and the reasons."""
        reasons = [r for r in self._delivery.reasons() if r != "broker_unreachable"]
        reasons += [f"device_missing.{name}" for name in self._intake.unwatched()]
        reasons += self._storage()
        if self._clock.stamp().state is ClockState.UNSYNCED:
            reasons.append("clock_unsynced")
        reasons += self._config_reasons
        serious = [reason for reason in reasons if reason != "clock_unsynced"]
        return ("degraded" if serious else "online"), reasons

    def _storage(self) -> list[str]:
        """What is wrong with the disk: it failed, or it is slower than anybody should wait."""
        refusing = self._intake.refusing or self._intake.alarms.refusing
        if self._journal.stats().failed is not None or refusing:
            return [STORAGE_FAILED]
        slow = any(self._journal.trouble(lane) is not None for lane in Lane)
        return ["storage_slow"] if slow else []

    def config(self, reasons: Sequence[str], text: str) -> None:
        """What speaks against the configuration that runs, or that was to run.

        reasons: words for the ``status`` topic; none: all is well. text: for people.
        """
        self._config_reasons, self._config_text = reasons, text
        self._announcer.status(self._delivery, *self.state())
        self._tell_systemd()

    def proof(self, loop_lag_s: float) -> Sequence[str]:
        """What speaks against feeding the watchdog; empty when all is well."""
        now = self._clock.monotonic()
        faults = [] if loop_lag_s < LOOP_LAG_S else [f"event loop late by {loop_lag_s:.1f} s"]
        faults += [
            f"link {link.name} hangs"
            for link, timeout_s in self._links.items()
            if link.busy_s(now) > LINK_TURNS * timeout_s + TICK_S
        ]
        for writer in self._journal.stats().writers:
            if not writer.alive or (writer.busy_s or 0.0) > WRITER_STALL_S:
                faults.append(f"journal writer {writer.name} hangs")
        return faults

    def _look(self, loop_lag_s: float) -> None:
        self._ticks += 1
        self._feed(loop_lag_s)
        self._intake.announce()
        if self._ticks % HEADS_EVERY == 1 or self._intake.streams > self._marked:
            self._mark()
        if self._ticks % HEADS_EVERY == 1:
            self._announcer.heads(self._delivery)
        state, reasons = self.state()
        self._announcer.status(self._delivery, state, reasons)
        self._log_changes(reasons)
        self._record_refusals(reasons)
        if self._delivery.online:
            self._announcer.latest(self._delivery, self._publisher)
        self._tell_systemd()

    def _log_changes(self, reasons: list[str]) -> None:
        """One line when something is out of order, one when it is in order again."""
        new = [r for r in reasons if r not in self._reasons and _is_ours_to_log(r)]
        gone = [r for r in self._reasons if r not in reasons and _is_ours_to_log(r)]
        before, self._reasons = self._reasons, reasons
        if (STORAGE_FAILED in reasons) != (STORAGE_FAILED in before):
            self._say_storage()
        if new:
            log.warning("out of order", reasons=new)
        if gone:
            log.info("in order again", reasons=gone)

    def _record_refusals(self, reasons: list[str]) -> None:
        """An event on the meta lane when the broker begins to refuse for good."""
        found = {reason for reason in reasons if _LASTING.match(reason)}
        if found - self._refusals:
            self._intake.event(Event("refusal", {"reasons": sorted(found)}))
        self._refusals = found

    def _say_storage(self) -> None:
        """Tell the platform that the disk failed, or that it is well again."""
        why = self._journal.stats().failed
        if STORAGE_FAILED in self._reasons:
            fields = {"error": why or "the journal refuses records", "volatile": True}
            self._intake.event(Event("storage_degraded", fields))
        else:
            self._intake.event(Event("storage_restored", {}))

    def _mark(self) -> None:
        self._marked = self._intake.streams
        try:
            self._intake.mark()
        except JournalError as error:
            log.warning("coverage mark not taken", error=str(error))

    def _feed(self, loop_lag_s: float) -> None:
        faults = self.proof(loop_lag_s)
        if faults:
            log.error("watchdog not fed", faults="; ".join(faults))
        elif os.environ.get("WATCHDOG_USEC"):
            sd_notify("WATCHDOG=1")

    def _tell_systemd(self) -> None:
        stats = self._journal.stats()
        lang, records = language(), stats.unsettled_records
        code = "status_online" if self._delivery.online else "status_unreachable"
        status, missing = text(code, lang, records=records), len(self._intake.unwatched())
        if missing:
            status = text("status_missing", lang, told=status, count=missing)
        why = [reason for reason in self._reasons if _is_ours_to_log(reason)]
        if why:
            status += f" ({', '.join(why)})"
        if self._config_text:
            status = f"{self._config_text}; {status}"
        if status != self._status:
            self._status = status
            sd_notify(f"STATUS={status}")


def _is_ours_to_log(reason: str) -> bool:
    """Whether nobody else logs ``reason``: links tell of their devices themselves."""
    return not reason.startswith("device_missing.")
