"""The checker names the broken law for every kind of lie, and none for an honest run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.faults.annunciation import check_snapshots
from tests.faults.checker import Key
from tests.faults.encoding import value_at
from tests.faults.evidence import Stream, take_apart
from tests.faults.facts import Life, Step
from tests.faults.story import FIRST, SECOND, SITE, ZERO_NS, Story, honest, utc
from tests.faults.wirelog import What, Wire

_MS = 1_000_000


def broken_by(change: Callable[[Story], Any]) -> list[str]:
    """The laws the checker names after one change to an honest run."""
    story = honest()
    change(story)
    return story.verdict().laws


def test_an_honest_run_breaks_no_law() -> None:
    verdict = honest().verdict()
    assert verdict.violations == []
    assert verdict.counts["duplicates"] == 2


def test_a_record_lost_between_journal_and_broker_breaks_i1() -> None:
    assert "I1" in broken_by(lambda story: story.drop(SECOND, 5))


def test_an_accepted_record_beyond_the_last_that_arrived_breaks_i1() -> None:
    stream = Stream(SECOND, "data", "d1")
    assert broken_by(lambda story: story.accepted.append(Key(stream, 99))) == ["I1"]


def test_a_record_named_by_the_seqs_of_a_gap_is_not_lost() -> None:
    def evict(story: Story) -> None:
        record = story.record(SECOND, 8)
        values = record.pop("values")
        mono = record.pop("mono")
        at_s = (mono[1] - ZERO_NS) / 1e9
        story.drop(SECOND, 7)
        message = next(m for m in story.messages if m["records"][0] is record)
        message.update(prev=6, first=7)
        record["gap"] = {
            "id": "g-9",
            "cause": "journal_evicted",
            "tags": sorted(values),
            "from": utc(at_s - 0.6),
            "to": utc(at_s),
            "count": 8,
            "count_is": "exact",
            "seqs": [7, 8],
        }

    assert broken_by(evict) == []


def test_a_durable_reply_that_only_the_restart_explains_breaks_i1() -> None:
    def lose(story: Story) -> None:
        for seq in (13, 14, 15, 16, 17):
            story.drop(FIRST, seq)
        story.accepted = [key for key in story.accepted if key.stream.incarnation == SECOND]
        gap = story.gap("not_running_unclean")
        gap["count"] = 40
        gap["from"], gap["after"] = utc(5.504), {"incarnation": FIRST, "seq": 12}

    assert broken_by(lose) == ["I1"]


def test_a_stream_that_ends_before_its_stated_head_breaks_i1() -> None:
    def claim(story: Story) -> None:
        story.heads[0]["streams"]["data/d1"]["head"] += 1

    assert broken_by(claim) == ["I1"]


@pytest.mark.parametrize(("said", "laws"), [({"volatile": True}, []), ({}, ["I6", "I8"])])
def test_a_gap_over_what_was_only_volatile_is_no_lie(
    said: dict[str, bool], laws: list[str]
) -> None:
    """The disk died with what it had not taken; the gap of the next start supersedes it."""
    story = honest()
    last = max(
        (m for m in story.messages if m["incarnation"] == FIRST), key=lambda m: m["last"]
    )
    live = {**copy.deepcopy(last), **said, "prev": last["last"], "at_s": last["at_s"] + 0.5}
    live["first"] = live["last"] = last["last"] + 1
    (record,) = live["records"]
    record |= {"seq": live["last"], "time": utc((record["mono"][1] - ZERO_NS) / 1e9 + 0.5)}
    record["mono"] = [at + 500 * _MS for at in record["mono"]]
    reply = next(w for w in story.wires if record["mono"][0] <= w.mono_ns <= record["mono"][1])
    record["values"] = {
        f"h{i:04}": value_at(1, 3, i, reply.tick) for i in range(len(record["values"]))
    }
    story.messages.insert(story.messages.index(last) + 1, live)
    verdict = story.verdict()
    assert verdict.laws == laws
    assert verdict.counts["volatile"] == len(said)


@pytest.mark.parametrize(("since_s", "laws"), [(12.504, []), (10.004, ["I8"])])
def test_a_gap_over_a_step_of_the_clock_has_the_length_that_passed(
    since_s: float, laws: list[str]
) -> None:
    """The clock is set back an hour at 14 s; the gap from 12.504 s is closed after that."""
    story = honest()
    step_s, step_ns = -3600.0, -3600 * 10**9
    story.facts.steps = [Step(ZERO_NS + 14_000 * _MS, story.facts.offset_ns + step_ns)]
    for message in story.messages:
        for record in message["records"] if message["at_s"] > 14.0 else ():
            record["time"] = _moved(record["time"], step_s)
            if gap := record.get("gap"):
                record["mono"] = [_mono_of(message["at_s"])] * 2
                gap |= {"from": utc(since_s + step_s), "to": _moved(gap["to"], step_s)}
    assert story.verdict().laws == laws


def _moved(told: str, step_s: float) -> str:
    moment = datetime.fromisoformat(told) + timedelta(seconds=step_s)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _mono_of(at_s: float) -> int:
    return ZERO_NS + round(at_s * 1e9)


@pytest.mark.parametrize(("cause", "laws"), [("journal_corrupt", []), ("quarantined", ["I6"])])
def test_only_a_lost_segment_may_name_seqs_that_had_arrived(
    cause: str, laws: list[str]
) -> None:
    def lose(story: Story) -> None:
        record = story.record(SECOND, 8)
        taken_s = (record.pop("mono")[1] - ZERO_NS) / 1e9
        count = len(record.pop("values"))
        span = {"from": utc(taken_s - 0.6), "to": utc(taken_s), "seqs": [6, 8]}
        gap = {"id": "g-9", "cause": cause, "tags": "*", "count": count, "count_is": "at_most"}
        record["gap"] = {**gap, **span}
        message = next(m for m in story.messages if m["records"][0] is record)
        message.update(prev=5, first=6)

    assert broken_by(lose) == laws


def test_a_hole_without_a_gap_breaks_i2() -> None:
    def shorten(story: Story) -> None:
        story.gap("device_timeout")["from"] = utc(14.0)

    assert broken_by(shorten) == ["I2"]


def test_a_gap_for_some_tags_does_not_cover_the_others() -> None:
    def narrow(story: Story) -> None:
        story.gap("device_timeout")["tags"] = ["h0000", "h0001"]

    assert broken_by(narrow) == ["I2"]


def test_bad_readings_are_not_coverage() -> None:
    def only_bad(story: Story) -> None:
        values = story.record(SECOND, 5)
        values["quality"] = dict.fromkeys(values["values"], "bad.no_communication")
        values["values"] = dict.fromkeys(values["values"])

    assert "I2" in broken_by(only_bad)


def test_silence_at_the_end_of_the_run_breaks_i2() -> None:
    def fall_silent(story: Story) -> None:
        story.facts.lives[-1].ended_ns += 5_000 * _MS

    assert broken_by(fall_silent) == ["I2"]


def test_a_value_that_the_reply_did_not_carry_breaks_i3() -> None:
    def corrupt(story: Story) -> None:
        story.record(SECOND, 5)["values"]["h0002"] ^= 1

    assert broken_by(corrupt) == ["I3"]


def test_values_under_the_wrong_tags_break_i3() -> None:
    def swap(story: Story) -> None:
        values = story.record(SECOND, 5)["values"]
        values["h0001"], values["h0002"] = values["h0002"], values["h0001"]

    assert "I3" in broken_by(swap)


def test_a_late_reply_taken_for_the_next_request_breaks_i3() -> None:
    def shift(story: Story) -> None:
        at = next(i for i, w in enumerate(story.wires) if w.mono_ns > story.facts.healed_ns[0])
        story.wires[at] = story.wires[at]._replace(address=100)

    laws = broken_by(shift)
    assert "I3" in laws or "I4" in laws


def test_a_reading_without_any_reply_on_the_wire_breaks_i4() -> None:
    def invent(story: Story) -> None:
        mono = story.record(SECOND, 5)["mono"]
        story.wires = [w for w in story.wires if not mono[0] <= w.mono_ns <= mono[1]]

    assert broken_by(invent) == ["I4"]


def test_a_hostile_answer_taken_for_a_reading_breaks_i4() -> None:
    def lie(story: Story) -> None:
        mono = story.record(SECOND, 5)["mono"]
        for at, wire in enumerate(story.wires):
            if mono[0] <= wire.mono_ns <= mono[1]:
                story.wires[at] = wire._replace(what=What.HOSTILE)

    assert broken_by(lie) == ["I4"]


def test_a_tag_nobody_configured_breaks_i4() -> None:
    def rename(story: Story) -> None:
        values = story.record(SECOND, 5)["values"]
        values["ghost"] = values.pop("h0003")

    assert "I4" in broken_by(rename)


def test_one_key_with_two_contents_breaks_i5() -> None:
    def rewrite(story: Story) -> None:
        message = copy.deepcopy(story.messages[-1])
        message["records"][0]["values"]["h0000"] ^= 1
        story.messages.append(message)

    assert broken_by(rewrite) == ["I5"]


def test_one_poll_under_two_keys_breaks_i5() -> None:
    def repeat(story: Story) -> None:
        message = copy.deepcopy(story.messages[-1])
        message["prev"], message["first"], message["last"] = (
            message[k] + 1 for k in ("prev", "first", "last")
        )
        message["records"][0]["seq"] += 1
        story.messages.append(message)

    assert broken_by(repeat) == ["I5"]


def test_the_same_record_again_is_counted_and_forgiven() -> None:
    story = honest()
    story.messages.append(copy.deepcopy(story.messages[-1]))
    story.messages[-1]["records"][0]["late"] = True
    verdict = story.verdict()
    assert (verdict.laws, verdict.counts["duplicates"]) == ([], 3)


def test_first_attempts_out_of_order_break_i6() -> None:
    def swap(story: Story) -> None:
        story.messages[3], story.messages[4] = story.messages[4], story.messages[3]

    assert broken_by(swap) == ["I6"]


def test_a_missing_seq_breaks_i6() -> None:
    assert "I6" in broken_by(lambda story: story.drop(SECOND, 5))


def test_an_incarnation_that_opens_without_its_gap_breaks_i6() -> None:
    def forget(story: Story) -> None:
        opening = story.record(SECOND, 1)
        opening["event"] = {"kind": "start"}
        del opening["gap"]

    assert "I6" in broken_by(forget)


def test_an_opening_gap_that_names_the_wrong_predecessor_breaks_i6() -> None:
    def mislink(story: Story) -> None:
        story.gap("not_running_unclean")["after"]["seq"] -= 1

    assert broken_by(mislink) == ["I6"]


def test_an_instant_outside_request_and_reply_breaks_i7() -> None:
    def misdate(story: Story) -> None:
        record = story.record(SECOND, 5)
        record["mono"] = [instant + 20 * _MS for instant in record["mono"]]

    assert "I7" in broken_by(misdate)


def test_a_civil_time_beyond_its_bound_breaks_i7() -> None:
    def misdate(story: Story) -> None:
        story.record(SECOND, 5)["time"] = utc(11.5)

    assert broken_by(misdate) == ["I7"]


def test_a_gap_over_delivered_readings_breaks_i8() -> None:
    def overreach(story: Story) -> None:
        story.gap("device_timeout")["from"] = utc(11.0)

    assert broken_by(overreach) == ["I8"]


def test_a_gap_that_counts_too_few_breaks_i8() -> None:
    assert broken_by(lambda story: story.gap("device_timeout").update(count=4)) == ["I8"]


def test_an_exact_count_that_is_too_high_breaks_i8() -> None:
    def exaggerate(story: Story) -> None:
        story.gap("device_timeout").update(count=99, count_is="exact")

    assert broken_by(exaggerate) == ["I8"]


def test_an_open_gap_that_was_closed_later_counts_as_closed() -> None:
    def open_first(story: Story) -> None:
        closed = next(
            m for m in story.messages if m["records"][0].get("gap", {}).get("id") == "g-2"
        )
        opened = copy.deepcopy(closed)
        opened["records"][0]["gap"]["to"] = None
        at = story.messages.index(closed)
        story.messages.insert(at, opened)
        for message in story.messages[at + 1 :]:
            for key in ("prev", "first", "last"):
                message[key] += 1
            message["records"][0]["seq"] += 1
        story.heads.clear()

    assert broken_by(open_first) == []


def test_an_open_gap_ends_with_its_incarnation() -> None:
    def leave_open(story: Story) -> None:
        gap = story.gap("device_timeout")
        gap.update({"to": None, "count": None})
        record = next(r for m in story.messages for r in m["records"] if r.get("gap") is gap)
        record["time"] = utc(14.9)
        first, second = story.facts.lives
        died_ns = ZERO_NS + 14_950 * _MS
        story.facts.lives = [
            first,
            Life(second.began_ns, died_ns),
            Life(died_ns, second.ended_ns),
        ]

    assert broken_by(leave_open) == []


def test_no_fresh_data_after_the_fault_breaks_i9() -> None:
    def delay(story: Story) -> None:
        for message in story.messages:
            if message["at_s"] > 15:
                message["at_s"] += 40

    assert broken_by(delay) == ["I9"]


@pytest.mark.parametrize("name", ["rss_bytes", "threads", "files", "journal_bytes"])
def test_use_beyond_its_bound_breaks_i10(name: str) -> None:
    assert broken_by(lambda story: setattr(story.facts.samples[3], name, 1 << 40)) == ["I10"]


def test_memory_that_creeps_breaks_i10() -> None:
    def creep(story: Story) -> None:
        for at, sample in enumerate(story.facts.samples):
            sample.rss_bytes += at * (6 << 20)

    assert broken_by(creep) == ["I10"]


def test_a_write_function_code_breaks_i11() -> None:
    write = Wire(ZERO_NS, 1, 16, 0, 0, 0, What.FORBIDDEN)
    assert broken_by(lambda story: story.wires.append(write)) == ["I11"]


def test_a_head_that_contradicts_its_records_is_named() -> None:
    def misstate(story: Story) -> None:
        story.messages[4]["last"] += 1

    assert "wire" in broken_by(misstate)


def test_a_number_that_is_not_json_is_named() -> None:
    def not_a_number(story: Story) -> None:
        story.record(SECOND, 5)["values"]["h0000"] = float("nan")

    assert "wire" in broken_by(not_a_number)


def test_a_trouble_of_the_run_itself_is_a_violation() -> None:
    assert broken_by(lambda story: story.facts.notes.append("exit status 1")) == ["run"]


def test_one_wrong_value_in_the_last_record_of_the_last_message_breaks_the_form() -> None:
    def nest(story: Story) -> None:
        last = story.messages[-1]["records"][-1]
        last["values"]["h0003"] = [last["values"]["h0003"]]

    assert "wire" in broken_by(nest)


ALARM: dict[str, Any] = {
    "id": "a-1", "tag": "h0000", "level": "high", "state": "active", "priority": "medium",
    "value": 7, "limit": 5, "unit": "", "quality": "good", "raised": utc(1.0),
    "cleared": None, "snapshot": False,
}  # fmt: skip


def repeated(**changes: object) -> list[str]:
    """What the checker says of one alarm and of its repetition with ``changes``."""
    story = Story()
    record = {"seq": 1, "time": utc(1.0), "clock": "synced", "bound_ms": 3}
    head = {
        "incarnation": FIRST, "lane": "alarm", "device": "d1", "prev": 0, "first": 1, "last": 1,
        "at_s": 1.0,
    }  # fmt: skip
    again = {**record, "late": True, "alarm": {**ALARM, "snapshot": True, **changes}}
    story.messages = [
        {**head, "records": [again]},
        {**head, "records": [record | {"alarm": ALARM}]},
    ]
    evidence = take_apart(story.arrivals(), SITE.root, SITE.gateway)
    return [violation.law for violation in check_snapshots(evidence)]


def test_a_snapshot_is_the_record_it_repeats_marked_and_late() -> None:
    assert repeated() == []


@pytest.mark.parametrize(
    "changes", [{"value": 8}, {"raised": utc(2.0)}, {"id": "a-2"}, {"priority": "high"}]
)
def test_a_snapshot_that_differs_from_its_record_breaks_i4(changes: dict[str, object]) -> None:
    assert repeated(**changes) == ["I4"]


def test_a_snapshot_of_an_alarm_that_is_over_breaks_i4() -> None:
    assert repeated(state="cleared", cleared=utc(2.0)) == ["I4"]


def test_a_snapshot_of_a_record_that_never_came_breaks_i4() -> None:
    story = Story()
    body = {"seq": 9, "alarm": {**ALARM, "snapshot": True}}
    story.messages = [
        {"incarnation": FIRST, "lane": "alarm", "device": "d1", "prev": 8, "first": 9,
         "last": 9, "records": [body], "at_s": 1.0}
    ]  # fmt: skip
    evidence = take_apart(story.arrivals(), SITE.root, SITE.gateway)
    assert [violation.law for violation in check_snapshots(evidence)] == ["I4"]
