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
_UNITS = "tests/living/test_units.py::"

MUTATIONS = [
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
        "not 0 <= age_s <= STATE_MAX_AGE_S",
        "age_s < 0",
        "tests/living/test_clock_state.py::test_a_word_that_does_not_count_is_no_word",
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
]
