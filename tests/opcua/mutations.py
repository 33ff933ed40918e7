"""Changes to the code that must not go unnoticed, each with the test that must fail."""

from __future__ import annotations

from tests.delivery.mutations import Mutation

_SUBSCRIPTION = "drivers/opcua/subscription.py"
_TEST = "tests/opcua/test_subscription.py::"

MUTATIONS = [
    Mutation(
        "acknowledge what the disk does not have",
        _SUBSCRIPTION,
        "            await on_disk\n",
        "",
        _TEST + "test_nothing_is_acknowledged_before_the_disk_has_it",
    ),
    Mutation(
        "a failed disk counts as a disk that has it",
        "gateway/hearing.py",
        "                await self._clock.sleep_until("
        "self._clock.monotonic() + DISK_PAUSE_S)\n",
        "                return\n",
        "tests/test_link.py::test_what_was_heard_counts_as_durable_only_when_the_disk_says_so",
    ),
    Mutation(
        "a missing notification is not noticed",
        _SUBSCRIPTION,
        "        for sequence in missing:\n",
        "        for sequence in []:\n",
        _TEST + "test_what_cannot_be_had_again_ends_the_subscription_as_a_sub_gap",
    ),
    Mutation(
        "a keep-alive proves nothing",
        "drivers/opcua/notifications.py",
        "        own = 0 if notification.is_keep_alive else 1\n",
        "        own = 1\n",
        "tests/opcua/test_notifications.py::"
        "test_a_keep_alive_carries_the_next_number_and_uses_none",
    ),
    Mutation(
        "an overflow is not told",
        "drivers/opcua/quality.py",
        "    return status & OVERFLOW == OVERFLOW\n",
        "    return False\n",
        "tests/opcua/test_notifications.py::"
        "test_an_overflow_is_told_before_the_values_and_names_only_its_tag",
    ),
    Mutation(
        "silence is health",
        _SUBSCRIPTION,
        "                async with asyncio.timeout(self._silence_s):\n",
        "                async with asyncio.timeout(None):\n",
        _TEST + "test_silence_beyond_the_keep_alives_is_the_end_of_the_link",
    ),
    Mutation(
        "a request that writes may leave",
        "drivers/opcua/transport.py",
        "        if type(request) not in READ_SERVICES:\n",
        "        if False:\n",
        "tests/opcua/test_driver.py::"
        "test_a_request_that_could_change_something_never_reaches_the_socket",
    ),
    Mutation(
        "any server is trusted",
        "drivers/opcua/security.py",
        "        if not self._is_trusted(certificate):\n",
        "        if False:\n",
        "tests/opcua/test_security.py::"
        "test_a_server_nobody_trusted_is_refused_and_kept_for_a_person_to_look_at",
    ),
    Mutation(
        "a text is as long as it says",
        "drivers/opcua/codec.py",
        "        if count < 0 or count > len(self.content) - self.at:\n",
        "        if False:\n",
        "tests/opcua/test_codec.py::test_a_bomb_is_refused_and_builds_nothing",
    ),
    Mutation(
        "a value of another type is bent",
        "drivers/opcua/plan.py",
        "    return int(value) if low <= value < end else None\n",
        "    return int(value) % end\n",
        "tests/opcua/test_address.py::test_a_value_fits_its_type_without_change_or_not_at_all",
    ),
    Mutation(
        "a lost subscription leaves no gap",
        "gateway/hearing.py",
        "            self._sink.device_missing(name, cause, Quality.BAD_NO_COMMUNICATION)\n\n"
        "    def _hear",
        "            pass\n\n    def _hear",
        "tests/test_link.py::"
        "test_a_lost_subscription_is_an_outage_at_once_and_is_made_anew_at_once",
    ),
    Mutation(
        "a record may be larger than a message",
        "drivers/opcua/plan.py",
        "TAGS_PER_BLOCK = 250\n",
        "TAGS_PER_BLOCK = 2500\n",
        "tests/opcua/test_plan.py::"
        "test_a_record_of_all_tags_of_a_block_with_the_longest_names_and_all_times_fits",
    ),
    Mutation(
        "a cut is an outage although the session stands",
        "gateway/hearing.py",
        "        if self.is_cut and not driver.resumed:\n",
        "        if self.is_cut:\n",
        "tests/test_link.py::test_a_cut_after_which_the_subscription_is_found_again_is_no_outage",
    ),
    Mutation(
        "tags without a value stay so after a resumed session",
        "gateway/link.py",
        "        if driver.resumed and self._down_since is not None:\n",
        "        if False:\n",
        "tests/test_link.py::test_a_subscription_found_after_an_outage_was_told_is_made_anew",
    ),
    Mutation(
        "a server that was away is found half a minute later",
        "gateway/link.py",
        "        return min(pause_s, LONGEST_PAUSE_S) if is_away else pause_s\n",
        "        return pause_s\n",
        "tests/test_link.py::"
        "test_a_server_that_was_away_for_an_hour_is_found_within_ten_seconds",
    ),
    Mutation(
        "what was half taken in is gone on from",
        _SUBSCRIPTION,
        "        self._is_whole = False\n        yield\n",
        "        yield\n",
        _TEST + "test_what_was_half_taken_in_at_the_cut_cannot_be_gone_on_from",
    ),
    Mutation(
        "a late word covers up to its arrival",
        "gateway/coverage.py",
        "    return batch.time_ns if batch.known_to_ns is None else batch.known_to_ns\n",
        "    return batch.time_ns\n",
        "tests/test_coverage.py::"
        "test_a_word_that_was_long_on_its_way_covers_only_up_to_when_it_was_said",
    ),
    Mutation(
        "the dead band hides a tag whose changes were lost",
        "gateway/rules.py",
        "        for row in rows:\n            self._heard[row] = 0\n",
        "",
        "tests/test_rules.py::"
        "test_after_lost_changes_a_tag_is_reported_at_its_next_word_and_the_others_are_not",
    ),
    Mutation(
        "half of a notification counts as all of it",
        _SUBSCRIPTION,
        "        if not more:\n            self._told_to_ns",
        "        if True:\n            self._told_to_ns",
        _TEST + "test_what_is_told_in_parts_is_known_only_with_the_last_part",
    ),
]
