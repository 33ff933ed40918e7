"""Changes to the judge that must not go unnoticed: a blind oracle proves nothing."""

from __future__ import annotations

from tests.delivery.mutations import Mutation

_CHECKER = "tests/faults/test_checker.py::"
_CAMPAIGN = "tests/faults/test_campaign.py::"

MUTATIONS = [
    Mutation(
        "the oracle takes for delivered what no disk held",
        "tests/faults/evidence.py",
        'if content.get("volatile"):',
        "if False:",
        f"{_CHECKER}test_a_gap_over_what_was_only_volatile_is_no_lie",
    ),
    Mutation(
        "the oracle reads the two ends of a gap by two clocks",
        "tests/faults/truth.py",
        '    if "mono" in record.raw:\n',
        "    if False:\n",
        f"{_CHECKER}test_a_gap_over_a_step_of_the_clock_has_the_length_that_passed",
    ),
    Mutation(
        "the oracle lets any gap name what had arrived",
        "tests/faults/checker.py",
        "    return is_lost and record.first",
        "    return record.first",
        f"{_CHECKER}test_only_a_lost_segment_may_name_seqs_that_had_arrived",
    ),
    Mutation(
        "the oracle looks at the form of a few messages only",
        "tests/faults/checker.py",
        "    for kind, content in evidence.messages:\n",
        "    for kind, content in evidence.messages[:5]:\n",
        f"{_CHECKER}"
        "test_one_wrong_value_in_the_last_record_of_the_last_message_breaks_the_form",
    ),
    Mutation(
        "the oracle believes every snapshot",
        "tests/faults/annunciation.py",
        " and _told(original.raw) != _told(repeated.raw):",
        " and False:",
        f"{_CHECKER}test_a_snapshot_that_differs_from_its_record_breaks_i4",
    ),
    Mutation(
        "a fault that was not run counts as survived",
        "tests/faults/campaign.py",
        "        if not result.survived:\n",
        "        if result.failed:\n",
        f"{_CAMPAIGN}test_a_row_of_which_something_was_not_run_has_not_survived",
    ),
    Mutation(
        "a program without gaps may have holes",
        "tests/faults/peer.py",
        "    found += check_coverage(site, wires, evidence, facts)\n",
        "",
        "tests/faults/test_stage.py::"
        "test_a_foreign_program_without_gaps_hides_that_a_unit_was_silent",
    ),
]
