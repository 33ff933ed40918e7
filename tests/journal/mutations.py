"""Changes to the journal that must not go unnoticed, each with the test that must fail."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """Replace ``old`` by ``new`` in ``path``: ``test`` fails."""

    name: str
    path: str
    old: str
    new: str
    test: str


_TEST = "tests/journal/test_evict.py::"
_FAILED = "tests/journal/test_failed_disk.py::"
_VOLATILE = "tests/delivery/test_volatile.py::"
MUTATIONS = [
    Mutation(
        "the youngest unsettled records go first",
        "gateway/journal/log.py",
        "self._evict(victims[0])",
        "self._evict(victims[-1])",
        _TEST + "test_the_oldest_go_first_and_a_gap_counts_them_in_their_place",
    ),
    Mutation(
        "what a full journal gives up is passed over in silence",
        "gateway/journal/log.py",
        "first, rows)] if rows else []",
        "first, rows)] if not rows else []",
        _TEST + "test_the_oldest_go_first_and_a_gap_counts_them_in_their_place",
    ),
    Mutation(
        "an evicted segment is reused before its gap is durable",
        "gateway/journal/log.py",
        "        self._watch()\n        first = tomb.header.evicts",
        "        pool.give(victim.path)\n        first = tomb.header.evicts",
        _TEST + "test_power_may_go_at_every_single_change_of_an_eviction",
    ),
    Mutation(
        "a gap counts readings that were settled",
        "gateway/journal/evict.py",
        "readings=fewer(row.readings, gone)",
        "readings=row.readings",
        _TEST + "test_a_gap_never_counts_what_was_settled",
    ),
    Mutation(
        "a gap counts readings that were handed out before it",
        "gateway/journal/reader.py",
        " + settling.unpaid(key, due_seq)",
        "",
        _TEST + "test_records_already_handed_out_are_not_in_the_gap_that_follows_them",
    ),
    Mutation(
        "a count that may be too high is told as exact",
        "gateway/journal/reader.py",
        "            is_exact,\n",
        "            True,\n",
        _TEST + "test_gap_behind_more_records_than_are_noted_says_its_count_is_a_bound",
    ),
    Mutation(
        "each eviction takes a file for its gap",
        "gateway/journal/log.py",
        "        if tomb and not fits(rows, pool.segment_bytes):\n",
        "        if tomb:\n",
        _TEST + "test_the_gap_takes_one_file_however_long_the_broker_is_away",
    ),
    Mutation(
        "memory has no bound while the disk takes nothing",
        "gateway/journal/waiting.py",
        "        if self.bytes > self.limit:\n",
        "        if self.bytes > self.limit << 20:\n",
        _FAILED + "test_beyond_memory_the_oldest_become_one_gap_whose_count_is_exact",
    ),
    Mutation(
        "what memory gives up is passed over in silence",
        "gateway/journal/waiting.py",
        "            if draft.kind != Kind.MARK:\n",
        "            if draft.kind == Kind.MARK:\n",
        _FAILED + "test_beyond_memory_the_oldest_become_one_gap_whose_count_is_exact",
    ),
    Mutation(
        "an OPC UA server is acknowledged what memory gave up",
        "gateway/journal/journal.py",
        "            if waiter.sheds != log.waiting.sheds:\n",
        "            if False:\n",
        _FAILED + "test_durable_never_returns_for_what_memory_gave_up",
    ),
    Mutation(
        "a disk that hangs is waited for",
        "gateway/journal/log.py",
        "if waited_s > STALL_S else None",
        "if waited_s < 0 else None",
        _FAILED + "test_while_a_disk_hangs_nobody_waits_and_memory_is_bounded",
    ),
    Mutation(
        "the loop waits while a file changes hands",
        "gateway/journal/log.py",
        "        with self.files_lock:\n            # No reader may be",
        "        with self.files_lock, self.lock:\n            # No reader may be",
        _FAILED + "test_a_rename_that_hangs_while_a_segment_is_recycled_holds_up_nobody",
    ),
    Mutation(
        "a segment deleted from the head of its incarnation is not missed",
        "gateway/journal/recovery.py",
        "        if found.is_all_there(segment.header):\n",
        "        if False:\n",
        "tests/journal/test_surgery.py"
        "::test_a_segment_that_is_gone_is_a_gap_with_its_very_seqs",
    ),
    Mutation(
        "records that stand twice count as given out",
        "gateway/journal/reader.py",
        "size += length if len(found) > before else 0",
        "size += length",
        "tests/journal/test_surgery.py"
        "::test_records_that_stand_twice_never_hide_what_follows_them",
    ),
    Mutation(
        "a committed record whose frame was flipped passes for a torn write",
        "gateway/journal/recovery.py",
        "if mark.incarnation.hex() in found.unreadable or _should_hold(found, mark):",
        "if _should_hold(found, mark):",
        "tests/journal/test_surgery.py"
        "::test_a_committed_record_whose_frame_was_flipped_is_named_where_a_mark_counted_it",
    ),
    Mutation(
        "a stream whose records were let go ends at its first mark",
        "gateway/journal/recovery.py",
        " or known.last_seq < mark.last_seq:",
        ":",
        "tests/journal/test_surgery.py"
        "::test_a_stream_whose_records_were_all_let_go_ends_where_its_last_mark_says",
    ),
    Mutation(
        "what a later life let go is missed",
        "gateway/journal/gather.py",
        "for s in self.segments if not s.is_tomb][-1]",
        "for s in self.segments if s.header.incarnation == header.incarnation][-1]",
        "tests/journal/test_surgery.py"
        "::test_what_a_later_life_let_go_is_not_missed_when_the_cursor_is_lost",
    ),
    Mutation(
        "a size is accepted that the journal cannot keep to",
        "gateway/config/whole.py",
        "Field(ge=32 * 2**20)",
        "Field(ge=28 * 2**20)",
        "tests/test_config.py"
        "::test_every_size_that_is_accepted_holds_all_the_files_of_the_journal",
    ),
    Mutation(
        "a gap that is gathered names its last seq only",
        "gateway/journal/gather.py",
        "        first, first_ns = first_of(frame)\n",
        "        first, first_ns = frame.seq, frame.time_ns\n",
        _FAILED + "test_a_gap_that_is_gathered_at_a_start_keeps_its_very_seqs",
    ),
    Mutation(
        "what a gathered segment says of a stream is not heard",
        "gateway/journal/recovery.py",
        "        seen.update(rows)\n",
        "",
        _TEST + "test_a_gap_begins_with_its_first_reading_also_where_that_was_gathered",
    ),
    Mutation(
        "a gathered segment claims records it left out",
        "gateway/journal/gather.py",
        "first_seq=max(row.first_seq, due)",
        "first_seq=row.first_seq",
        "tests/journal/test_surgery.py"
        "::test_a_record_that_stood_twice_is_not_missed_where_it_was_left_out",
    ),
    Mutation(
        "the gap of a full journal takes a file beside its share",
        "gateway/journal/log.py",
        "        self._retire()\n        while not self._births_left():",
        "        self._retire()\n        if not self._births_left():",
        _TEST + "test_a_full_journal_never_holds_more_files_than_its_share",
    ),
    Mutation(
        "what no disk holds is not marked",
        "gateway/volatile.py",
        "parts, late, volatile=True)",
        "parts, late)",
        _VOLATILE + "test_live_records_go_out_marked_with_the_keys_they_will_keep",
    ),
    Mutation(
        "what was in flight past a failed disk is forgotten with the connection",
        "gateway/deliver.py",
        "            lane.volatile.closed()\n",
        "",
        _VOLATILE + "test_what_was_in_flight_when_the_connection_went_is_passed_on_again",
    ),
    Mutation(
        "a disk filled by others stops the journal",
        "gateway/journal/log.py",
        "                if error.errno not in DISK_FULL:\n                    raise\n",
        "                raise\n",
        _TEST + "test_a_disk_filled_by_others_is_a_smaller_journal_not_a_failed_one",
    ),
    Mutation(
        "alarms beyond their share are refused while there is data to give up",
        "gateway/journal/log.py",
        "                self._loan.ask()\n",
        "                pass\n",
        _TEST + "test_alarms_beyond_their_share_push_out_the_oldest_data_and_all_are_kept",
    ),
    Mutation(
        "alarms take the last segments of data",
        "gateway/journal/loan.py",
        " - LEAST_SEGMENTS",
        "",
        _TEST + "test_data_keeps_its_last_segments_and_only_then_are_alarms_refused",
    ),
    Mutation(
        "what was lent to alarms is never given back",
        "gateway/journal/loan.py",
        "        while self._taken and spare >= self._ratio:\n",
        "        while False:\n",
        _TEST + "test_delivered_alarms_give_their_room_back_to_data",
    ),
    Mutation(
        "what was lent to alarms is forgotten at a restart",
        "gateway/journal/loan.py",
        "        while self.left and alarms > ",
        "        while False and alarms > ",
        _TEST + "test_borrowed_room_is_known_again_after_a_restart",
    ),
    Mutation(
        "what was missing already is not in the count of what is given up",
        "gateway/intake.py",
        "            readings=_counted_here(gap),\n",
        "            readings=0,\n",
        "tests/test_intake.py::"
        "test_readings_that_were_never_taken_count_once_when_their_gap_closes",
    ),
    Mutation(
        "a crash in an outage that began with the start leaves a silent hole",
        "gateway/intake.py",
        "covers=gap.after is not None and not stream.readings,",
        "covers=False,",
        "tests/test_intake.py::"
        "test_an_outage_from_the_start_leaves_the_time_before_it_accounted_for",
    ),
    Mutation(
        "the gap of a start that is told again takes back what was read since",
        "gateway/intake.py",
        "covers=gap.after is not None and not stream.readings,",
        "covers=gap.after is not None,",
        "tests/test_intake.py::test_a_gap_of_a_start_that_is_told_again_takes_back_nothing",
    ),
    Mutation(
        "whoever evicts the gap of a start leaves the time before it uncovered",
        "gateway/intake.py",
        "stamp.time_ns if gap.after is None else gap.from_ns",
        "stamp.time_ns",
        "tests/test_intake.py::"
        "test_the_gap_of_a_start_lies_where_it_began_so_that_whoever_evicts_it_covers_it",
    ),
    Mutation(
        "records of a segment that is sealed while it is read are taken for lost",
        "gateway/journal/reader.py",
        "            if frame is not None or not is_over:\n",
        "            if frame is not None or not (is_over or self._segment.sealed):\n",
        "tests/journal/test_two_threads.py::"
        "test_records_of_a_segment_sealed_while_it_is_read_are_not_taken_for_lost",
    ),
    Mutation(
        "marks that wait for the disk keep the events behind them from being told",
        "gateway/journal/waiting.py",
        "(each for each in numbered if each[1].kind != Kind.MARK), limit",
        "numbered, limit",
        "tests/journal/test_failed_disk.py::"
        "test_marks_never_stand_before_what_can_be_told_from_memory",
    ),
]
