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


_APPLY = "tests/living/test_apply.py::"
_RELOAD = "tests/living/test_reload.py::"
_CLOCK = "tests/living/test_clock_faults.py::"
_COVERAGE = "tests/test_coverage.py::"
_EPOCHS = "tests/test_epochs.py::"
_UNITS = "tests/living/test_units.py::"

MUTATIONS = [
    Mutation(
        "systemd is waited for without end",
        "gateway/systemd.py",
        "sock.settimeout(PATIENCE_S)",
        "sock.settimeout(None)",
        "tests/test_systemd.py::test_a_systemd_that_reads_nothing_does_not_hold_up_the_gateway",
    ),
    Mutation(
        "a reload stops every link",
        "gateway/reload.py",
        "    staying = {before[name].link for name in kept}\n",
        "    staying: set[str] = set()\n",
        _RELOAD + "test_a_kept_device_is_on_a_link_that_neither_stops_nor_starts",
    ),
    Mutation(
        "a neighbour's change disturbs no driver",
        "gateway/reload.py",
        "before[name].link not in disturbed or before[name].driver.can_adopt",
        "name in before",
        _RELOAD
        + "test_where_the_driver_cannot_adopt_a_neighbour_that_comes_means_a_new_connection",
    ),
    Mutation(
        "a reload forgets the phase of what is kept",
        "gateway/apply.py",
        "    return PlannedLink(new.site, old.drivers, (*kept, *fresh))\n",
        "    return PlannedLink(new.site, old.drivers, new.blocks)\n",
        _APPLY + "test_a_neighbour_goes_and_another_comes_and_a_device_misses_nothing",
    ),
    Mutation(
        "a removed device ends without a word",
        "gateway/coverage.py",
        "        if removed is None or removed:\n",
        "        if removed:\n",
        _APPLY + "test_a_removed_device_ends_with_a_closed_gap_and_its_schema_is_taken_back",
    ),
    Mutation(
        "a changed device leaves a hole",
        "gateway/coverage.py",
        "            if self._changed:\n",
        "            if False:\n",
        _APPLY + "test_a_changed_device_goes_on_in_its_stream_and_the_change_is_a_gap",
    ),
    Mutation(
        "a device that comes back begins its stream again",
        "gateway/intake.py",
        "before = None if name in self._streams else self._before(Lane.DATA, name)",
        "before = self._before(Lane.DATA, name)",
        _APPLY + "test_a_device_that_comes_back_is_not_said_to_have_been_off_with_the_gateway",
    ),
    Mutation(
        "records after a reload keep the layout before it",
        "gateway/agent.py",
        "        self._journal.use_schema(schema, site.fingerprint)\n",
        "",
        _APPLY + "test_a_neighbour_goes_and_another_comes_and_a_device_misses_nothing",
    ),
    Mutation(
        "the schema of a removed device stays at the broker",
        "gateway/announce.py",
        "        self.forget(delivery, sorted(self._devices_said - names))\n",
        "",
        _APPLY + "test_a_removed_device_ends_with_a_closed_gap_and_its_schema_is_taken_back",
    ),
    Mutation(
        "an answer for a removed device is recorded",
        "gateway/link.py",
        "            return not isinstance(outcome, DeviceSilentError)"
        "  # gone while it was asked\n",
        "            pass\n",
        "tests/living/test_amend.py::"
        "test_an_answer_that_comes_after_its_device_went_is_dropped",
    ),
    Mutation(
        "what is added waits for what is rarely due",
        "gateway/link.py",
        "                if slot.run_at > soon:\n",
        "                if False:\n",
        "tests/living/test_amend.py::"
        "test_what_is_added_does_not_wait_for_a_block_that_is_rarely_due",
    ),
    Mutation(
        "a key that needs a restart is applied",
        "gateway/apply.py",
        "        if found.needs_restart:\n",
        "        if False:\n",
        _APPLY + "test_a_key_that_needs_a_restart_is_refused_by_name_and_nothing_is_applied",
    ),
    Mutation(
        "a wrong file is not said on the status topic",
        "gateway/health.py",
        "        reasons += self._config_reasons\n",
        "",
        _APPLY + "test_a_wrong_file_keeps_the_old_configuration_and_names_every_mistake",
    ),
    Mutation(
        "the copy forgets the drop-ins",
        "gateway/last_good.py",
        '_PARTS: Final = ("conf.d", "templates")',
        '_PARTS: Final = ("templates",)',
        _APPLY + "test_what_was_applied_is_kept_and_runs_in_place_of_a_wrong_file",
    ),
    Mutation(
        "a missing credential ends the gateway",
        "gateway/mqtt.py",
        "except (BrokerDownError, ConfigError) as error:",
        "except BrokerDownError as error:",
        _APPLY + "test_a_credential_is_read_at_each_connection_and_one_that_is_missing_stops"
        "_nothing",
    ),
    Mutation(
        "an old word about the clock is believed",
        "gateway/clock.py",
        "0 <= age_ns <= STATE_MAX_AGE_S * 1e9",
        "0 <= age_ns",
        "tests/living/test_clock_state.py::test_a_word_that_does_not_count_is_no_word",
    ),
    Mutation(
        "nobody sees that the clock was set",
        "gateway/epochs.py",
        "return moved_ns if abs(moved_ns) >",
        "return 0 if abs(moved_ns) >",
        _EPOCHS + "test_a_step_opens_an_epoch_that_says_how_far_the_clock_was_set",
    ),
    Mutation(
        "a clock that was set is trusted as before",
        "gateway/epochs.py",
        "        if step_ns:\n            self._vouched = None\n",
        "",
        _EPOCHS + "test_a_step_ends_all_trust_until_somebody_vouches_for_the_clock_again",
    ),
    Mutation(
        "no anchor after an unsynchronised start",
        "gateway/epochs.py",
        "        self._anchor(look)\n",
        "",
        _EPOCHS + "test_the_first_word_after_an_unsynchronised_start_is_an_anchor",
    ),
    Mutation(
        "the bound does not grow in holdover",
        "gateway/epochs.py",
        "drift_ns(mono_ns - at_ns + ASK_NS)",
        "drift_ns(ASK_NS)",
        _EPOCHS
        + "test_drift_is_no_step_and_the_bound_in_holdover_is_never_below_the_true_error",
    ),
    Mutation(
        "what was said before the clock was set is believed",
        "gateway/clock.py",
        "    if moved_ns > explained_ns(error_ns) + look.unsure_ns:\n",
        "    if False:\n",
        "tests/living/test_clock_state.py::test_a_word_that_does_not_count_is_no_word",
    ),
    Mutation(
        "a gap begins by one clock and ends by another",
        "gateway/coverage.py",
        "replace(self.gap, from_ns=self.gap.from_ns + step_ns)",
        "self.gap",
        _COVERAGE + "test_an_outage_during_which_the_clock_is_set_is_closed_as_long_as_it_was",
    ),
    Mutation(
        "the time not running stays as an unsynchronised clock told it",
        "gateway/coverage.py",
        "        return () if gap.from_ns == told.from_ns else (replace(gap, id=told.id),)\n",
        "        return ()\n",
        _COVERAGE + "test_the_time_not_running_is_told_again_when_the_clock_can_be_trusted",
    ),
    Mutation(
        "a step ends the retention of what was settled",
        "gateway/journal/log.py",
        "segment.sealed, segment.touched_s = done.sealed, self._clock.monotonic()",
        "segment.sealed, segment.touched_s = done.sealed, -self._clock.now_ns()",
        "tests/journal/test_journal.py"
        "::test_settled_segments_do_not_go_because_the_clock_is_set",
    ),
    Mutation(
        "a step makes what waits late",
        "gateway/record.py",
        "        return now.mono_ns - self.mono_ns\n",
        "        return now.time_ns - self.time_ns\n",
        "tests/test_clock_told.py"
        "::test_a_record_grows_no_older_or_younger_when_the_clock_is_set",
    ),
    Mutation(
        "what nobody polled cannot be mapped to civil time",
        "gateway/record.py",
        "            mono_ns = stamp.mono_ns, stamp.mono_ns\n",
        "            pass\n",
        "tests/test_clock_told.py::test_what_nobody_polled_carries_the_instant_it_was_written",
    ),
    Mutation(
        "a step delays the full image",
        "gateway/model.py",
        "        return self.time_ns if self.mono_ns is None else self.mono_ns[1]\n",
        "        return self.time_ns\n",
        "tests/test_clock_told.py::test_a_step_neither_hastens_nor_delays_the_full_image",
    ),
    Mutation(
        "the agent does not say that the clock was set",
        "gateway/intake.py",
        "        for turn in self._clock.turns():\n            self._take_turn(turn)\n",
        "",
        _CLOCK + "test_a_step_is_one_epoch_within_one_poll_and_nothing_is_late_or_lost",
    ),
    Mutation(
        "the time asleep does not count",
        "gateway/clock.py",
        "return time.clock_gettime(time.CLOCK_BOOTTIME)",
        "return time.monotonic()",
        _CLOCK + "test_the_time_a_machine_was_asleep_counts",
    ),
    Mutation(
        "a wrong configuration is started again and again",
        "systemd/tidegate.service",
        "RestartPreventExitStatus=78\n",
        "",
        _UNITS + "test_the_unit_gives_the_agent_what_it_relies_on",
    ),
    Mutation(
        "a device that went while the gateway was stopped ends without a word",
        "gateway/intake.py",
        "if lane is Lane.DATA and name not in self._devices:",
        "if False:",
        _APPLY + "test_a_device_removed_while_the_agent_was_stopped_is_told_once",
    ),
    Mutation(
        "a device that went is told again at each start",
        "gateway/intake.py",
        "self._journal.mark(self.covered() | ended)",
        "self._journal.mark(self.covered())",
        _APPLY + "test_a_device_removed_while_the_agent_was_stopped_is_told_once",
    ),
    Mutation(
        "a key that needs a restart is refused without its place",
        "gateway/loader/__init__.py",
        "report.add(locate(main, where), code",
        "report.add(locate(main, ()), code",
        _APPLY + "test_a_key_that_needs_a_restart_is_refused_by_name_and_nothing_is_applied",
    ),
    Mutation(
        "a key of the broker's that is missing hangs the publisher",
        "gateway/mqtt.py",
        "        except (BrokerDownError, ConfigError) as caught:",
        "        except BrokerDownError as caught:",
        "tests/delivery/test_mqtt.py::test_a_key_that_is_not_there_yet_is_told_and_tried_again",
    ),
    Mutation(
        "what no disk holds keeps its place on a clock that was set since",
        "gateway/intake.py",
        "            self._started_ns += turn.step_ns\n",
        "",
        "tests/test_intake.py::test_what_no_disk_holds_begins_by_the_clock_that_ends_it",
    ),
]
