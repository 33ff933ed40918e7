"""A platform that keeps what it gets by key and says with receipts how far it has come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.delivery.schema import checked

Publish = Callable[[str, bytes], Any]


class Confirming:
    """Feed it with `hear`; it publishes a receipt whenever a watermark moves."""

    def __init__(self, publish: Publish) -> None:
        """publish: topic and payload of a receipt, to be retained."""
        self._publish = publish
        self.records: dict[tuple[str, str, str], dict[int, Any]] = {}
        """By lane, device and incarnation: seq → record; a gap stands at each of its seqs."""
        self.replays: list[str] = []
        """``replay`` of each message that has one."""
        self.is_silent = False
        """It gives no receipts; it keeps all the same."""
        self._marks: dict[tuple[str, str, str], int] = {}
        self._topics: dict[str, bytes] = {}

    def hear(self, topic: str, payload: bytes) -> None:
        """Take in one message; what is of no lane is ignored."""
        *_, about, kind, _ = topic.split("/")
        if about == "receipt" or kind not in ("data", "alarm", "meta"):
            return
        message = checked(topic, payload)
        self.replays += [message["replay"]] if "replay" in message else []
        stream = (message["lane"], message["device"], message["incarnation"])
        records = self.records.setdefault(stream, {})
        for record in message["records"]:
            first, last = record.get("gap", {}).get("seqs", [record["seq"], record["seq"]])
            for seq in range(first, last + 1):
                if "gap" not in record or seq not in records:
                    records[seq] = record
        self.confirm(stream, topic.rsplit("/", 2)[0])

    def confirm(self, stream: tuple[str, str, str], prefix: str) -> None:
        """Say how far ``stream`` has come, if that is news."""
        mark = self._marks.get(stream, 0)
        while mark + 1 in self.records[stream]:
            mark += 1
        if self.is_silent or mark == self._marks.get(stream, 0):
            return
        self._marks[stream] = mark
        lane, device, incarnation = stream
        receipt = json.dumps({"incarnation": incarnation, "seq": mark}).encode()
        topic = f"{prefix}/receipt/{lane}/{device}"
        self._topics[topic] = receipt
        self._publish(topic, receipt)

    def repeat(self) -> None:
        """Say once more how far each stream has come: the broker may have forgotten."""
        for topic, receipt in list(self._topics.items()):
            self._publish(topic, receipt)

    def missing(self) -> dict[tuple[str, str, str], list[int]]:
        """Of each stream, the seqs up to the highest that are not there."""
        found = {
            stream: sorted(set(range(1, max(records) + 1)) - set(records))
            for stream, records in list(self.records.items())
        }
        return {stream: seqs for stream, seqs in found.items() if seqs}
