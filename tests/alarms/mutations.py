"""Changes to the code that must not go unnoticed, each with the test that must fail."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """Replace ``old`` by ``new`` in ``path``: ``test`` fails."""

    name: str
    path: str
    old: str
    new: str
    test: str


_ALARMS = "gateway/alarms.py"
_FILE = "gateway/alarm_file.py"
_ANNUNCIATOR = "gateway/annunciator.py"
_LIMITS = "tests/alarms/test_limits.py::"
_TOLD = "tests/alarms/test_annunciator.py::"
_WHOLE = "tests/alarms/test_line.py::"

MUTATIONS = [
    Mutation(
        "an alarm changes while quality is bad",
        _ALARMS,
        "        if quality >= _BAD or not isinstance(value, int | float):\n",
        "        if not isinstance(value, int | float):\n",
        _LIMITS + "test_an_alarm_is_frozen_while_quality_is_bad",
    ),
    Mutation(
        "a delay runs on while quality is bad",
        _ALARMS,
        "        return self.is_pending and self.frozen_ns is None\n",
        "        return self.is_pending\n",
        _LIMITS + "test_no_delay_runs_while_quality_is_bad",
    ),
    Mutation(
        "time without quality counts towards the delay",
        _ALARMS,
        "            self.since_ns += mono_ns - self.frozen_ns\n",
        "",
        _LIMITS + "test_no_delay_runs_while_quality_is_bad",
    ),
    Mutation(
        "an alarm clears inside its dead band",
        _ALARMS,
        "        edge = self.back if was else self.value\n",
        "        edge = self.value\n",
        _LIMITS + "test_the_limit_itself_raises_and_only_a_value_behind_the_dead_band_clears",
    ),
    Mutation(
        "a delay is not begun anew when the value came back",
        _ALARMS,
        "            self.beyond, self.since_ns = beyond, mono_ns\n",
        "            self.beyond = beyond\n",
        _LIMITS + "test_a_value_must_stay_beyond_for_the_whole_on_delay",
    ),
    Mutation(
        "a delay that ended unseen is forgotten",
        _ALARMS,
        "        is_over = watch.is_running and watch.due_ns < mono_ns\n",
        "        is_over = False\n",
        _LIMITS + "test_a_delay_that_ended_before_a_reading_counts_though_nobody_looked",
    ),
    Mutation(
        "rows in which a delay runs are not looked at",
        _ALARMS,
        "                return sorted(self._pending)\n",
        "                return ()\n",
        _LIMITS + "test_a_value_must_stay_beyond_for_the_whole_on_delay",
    ),
    Mutation(
        "the edges stay where they were",
        _ALARMS,
        "        self._above[place], self._below[place] = above, below\n",
        "        self._above[place] = above\n",
        _LIMITS + "test_the_limit_itself_raises_and_only_a_value_behind_the_dead_band_clears",
    ),
    Mutation(
        "class safety waits for its delays",
        _ALARMS,
        "0 if is_safety else int(delay_s * 1e9)",
        "int(delay_s * 1e9)",
        _LIMITS + "test_class_safety_has_no_delays",
    ),
    Mutation(
        "the id of an alarm is not on disk before its record",
        _ANNUNCIATOR,
        "            await self._save()\n            waiting",
        "            waiting",
        _TOLD + "test_an_alarm_keeps_its_id_when_the_power_goes",
    ),
    Mutation(
        "a change that was not committed is forgotten",
        _ANNUNCIATOR,
        "            return _Change(device, alarm, payload)\n",
        "            return _Change(device, alarm, payload, incarnation, seq, is_taken=True)\n",
        _TOLD + "test_what_was_not_committed_is_said_after_the_start_under_its_id",
    ),
    Mutation(
        "a change that was committed is said again",
        _ANNUNCIATOR,
        "        return _Change(device, alarm, payload, incarnation, seq, is_taken=True)\n",
        "        return _Change(device, alarm, payload)\n",
        _TOLD + "test_what_was_committed_is_not_said_again_after_a_start",
    ),
    Mutation(
        "an alarm the journal refuses is dropped",
        _ANNUNCIATOR,
        "        return change.is_taken\n\n    def _begin",
        "        change.is_taken = True\n        return True\n\n    def _begin",
        _TOLD + "test_a_change_the_journal_refuses_is_said_later_in_order",
    ),
    Mutation(
        "an alarm the journal has not committed is repeated",
        _ANNUNCIATOR,
        "        return change.seq <= heads.get(",
        "        return True or change.seq <= heads.get(",
        _TOLD + "test_only_committed_alarms_are_repeated",
    ),
    Mutation(
        "the alarm lane opens without its gap",
        _ANNUNCIATOR,
        "        if gap is not None:\n",
        "        if False:\n",
        _TOLD + "test_the_first_record_of_an_incarnation_is_the_time_nothing_was_watched",
    ),
    Mutation(
        "the state of alarms is not flushed",
        _FILE,
        "+ body, 0)\n            file.sync()\n",
        "+ body, 0)\n",
        _TOLD + "TestAlarmFile",
    ),
    Mutation(
        "the state of alarms is written over itself",
        _FILE,
        "        path = self._paths[turn % 2]\n",
        "        path = self._paths[0]\n",
        _TOLD + "TestAlarmFile",
    ),
    Mutation(
        "no snapshot after a reconnect",
        "gateway/health.py",
        "        self._announcer.snapshot(self._delivery)\n",
        "",
        _WHOLE + "test_active_alarms_are_repeated_after_a_reconnect_ahead_of_queued_ones",
    ),
    Mutation(
        "the snapshot waits behind the queue",
        "gateway/deliver.py",
        "        while self._repeats and ",
        "        while self._repeats and not self.alarm_waits and ",
        "tests/delivery/test_deliver.py::"
        "test_repeats_go_ahead_of_the_alarm_lane_even_with_one_slot",
    ),
    Mutation(
        "alarm records that the power tore are passed over in silence",
        _ANNUNCIATOR,
        "        if torn is not None:\n",
        "        if False:\n",
        _TOLD
        + "test_records_that_the_power_tore_are_a_gap_behind_the_time_nothing_was_watched",
    ),
    Mutation(
        "an alarm waits for its state file for as long as the disk hangs",
        _ANNUNCIATOR,
        "        async with asyncio.timeout(SAVE_S):\n",
        "        async with asyncio.timeout(None):\n",
        _TOLD + "test_an_alarm_goes_out_though_its_state_file_never_answers",
    ),
]
