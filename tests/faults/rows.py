"""The table of faults: each row, what is expected of it, and what shows it.

A row is shown by faults of `catalogue`, by tests, or by both; a row without either says
why. Groups S (storage), T (time), M (broker and network), L (life and resources).
"""

from __future__ import annotations

from dataclasses import dataclass

TRIAL = "journal: "
"""Before the name of a trial."""
_JOURNAL = "tests/journal/test_journal.py::"
_MQTT = "tests/delivery/test_mqtt.py::"
_PEER = "tests/interop/test_mosquitto.py::"
_LIVING = "tests/living/test_apply.py::"
_RECEIPTS = "tests/interop/test_receipts.py::"
_CLOCK = "tests/living/test_clock_faults.py::"


@dataclass(frozen=True)
class TableRow:
    """One line of the table."""

    id: str
    injected: str
    expected: str
    faults: tuple[str, ...] = ()
    """Names in `catalogue.FAULTS`."""
    tests: tuple[str, ...] = ()
    """Node ids."""
    trials: tuple[str, ...] = ()
    """Names in `tests.crash.catalogue.TRIALS`: the journal alone, many times."""
    absent: str = ""
    """Why nothing shows it yet."""

    @property
    def parts(self) -> list[str]:
        """Everything behind it, by the names of its results."""
        return [*self.faults, *self.tests, *(TRIAL + name for name in self.trials)]


ROWS = (
    TableRow("S1", "kill -9 at random moments, online, also with alarms", "nothing accepted is"
             " lost, one declared gap", ("S1", "A2"), trials=("kills",)),
    TableRow("S2", "kill -9 at every write, sync, open, rename, unlink", "as S1, start < 5 s",
             ("S2", "S2e"), trials=("calls",)),
    TableRow("S3", "kill -9 offline with backlog and during catch-up", "nothing lost, doubles"
             " by key only", ("S3", "kill_in_outage")),
    TableRow("S4", "power cut on ext4, with control", "accepted survives; the control loses",
             ("S4", "S4c"), trials=("ext4",)),
    TableRow("S5", "power cut on vfat, and on ext4 with data=writeback", "as S4",
             ("S5w", "S5c"), trials=("ext4-writeback", "vfat")),
    TableRow("S6", "torn and reordered writes in a commit", "a torn commit is cut, earlier ones"
             " stand", tests=(
                 "tests/journal/test_model.py::"
                 "test_whatever_happens_nothing_is_lost_invented_or_silent",)),
    TableRow("S7", "a bit flips in the journal", "one frame lost, exact gap", ("S7",), (
        "tests/journal/test_model.py::test_whatever_happens_nothing_is_lost_invented_or_silent",),
        ("flips",)),
    TableRow("S8", "segment deleted, truncated, zeroed, swapped, duplicated", "it starts, with"
             " exact gaps; where a lane's only segment is gone, what came after its last mark"
             " is known by time and not by seq", ("S8", "S8a"), (
                 f"{_JOURNAL}test_file_surgery_never_stops_the_start",
                 "tests/journal/test_surgery.py")),
    TableRow("S9", "the journal of an earlier stop is put back", "a new incarnation; nothing"
             " new is taken for a duplicate; the gap it declares may lie over what it forgot",
             ("S9",)),
    TableRow("S10", "the journal is full, the broker away", "oldest goes, exactly declared",
             ("S10",), ("tests/journal/test_full_disk.py",)),
    TableRow("S11", "another process fills the file system", "the pool is not affected",
             ("S11",)),
    TableRow("S12", "EIO on fdatasync, once and for ever", "another segment; then"
             " storage_failed and volatile publishing", ("S12", "S12x")),
    TableRow("S13", "ENOSPC and short writes", "the frame is written elsewhere",
             ("S13", "S13s")),
    TableRow("S14", "read-only while running, and at the start", "storage_failed, live data"
             " flows, recovery", ("S14", "S14b")),
    TableRow("S15", "fdatasync takes 0.7 s, and 30 s", "bounded memory, the watchdog is fed",
             ("S15", "S15x")),
    TableRow("S16", "second instance, symbolic link, open permissions", "refused with one line,"
             " nothing touched", ("S16", "S16l"), (
                 f"{_JOURNAL}test_a_second_owner_is_refused",
                 f"{_JOURNAL}test_a_directory_open_to_others_is_refused")),
    TableRow("T1", "clock steps −1 h, +1 h, −10 s, +2 s", "no pause, no burst, no disorder",
             ("T1", "T1p"), (
                 f"{_CLOCK}"
                 "test_a_step_is_one_epoch_within_one_poll_and_nothing_is_late_or_lost",)),
    TableRow("T2", "a start in 1970, set later; a certificate not valid yet", "unsynced, then"
             " an anchor for what was read before; no trust meanwhile", ("T2",), (
                 f"{_CLOCK}"
                 "test_what_was_read_before_the_first_synchronisation_is_mapped_by_the_anchor",
                 f"{_CLOCK}"
                 "test_a_certificate_that_is_not_valid_yet_is_not_trusted_until_the_clock_is_set")),
    TableRow("T3", "a start in 2099; drift in holdover", "the bound grows", ("T3",), (
        "tests/living/test_clock_state.py::"
        "test_the_bound_grows_by_what_the_clock_may_drift_since_it_was_told",
        f"{_CLOCK}test_in_holdover_the_declared_bound_is_never_below_the_true_error")),
    TableRow("T4", "the agent is paused", "one gap, no storm", ("T4",), (
        f"{_CLOCK}"
        "test_an_agent_that_was_stopped_a_while_says_so_in_one_gap_and_catches_nothing_up",)),
    TableRow("T5", "source times of an OPC UA server that differ from ours (none that is"
             " impossible)", "kept beside the gateway's own",
             tests=("tests/opcua/test_driver.py::"
                    "test_changes_arrive_in_order_with_the_times_of_device_and_server",)),
    TableRow("T6", "TZ set, TZ garbage", "no effect", ("T6", "T6g"), (
        f"{_CLOCK}test_the_time_zone_of_the_machine_changes_nothing",)),
    TableRow("M1", "the broker is away, comes and goes, restarts", "complete, in order",
             ("M1", "flaps", "A1", "restart")),
    TableRow("M2", "half-open connection", "found within 45 s, nothing lost", ("M2", "M2n")),
    TableRow("M3", "PUBACKs lost, late, twice, foreign, out of order", "the contiguous prefix"
             " is settled", ("M3",)),
    TableRow("M4", "Receive Maximum 1 and 2 with a backlog", "never exceeded", ("M4",), (
        "tests/delivery/test_deliver.py::test_receive_maximum_is_never_exceeded",)),
    TableRow("M5", "each refusal code", "retry, quarantine or hold, as the table of reasons"
             " says", ("M5", "M5q"), ("tests/delivery/test_refusals.py",)),
    TableRow("M6", "mosquitto's ACL denies everything, or one topic; MQTT 3.1.1 cannot say so",
             "an acknowledgement that proves nothing settles nothing", tests=(
                 f"{_PEER}test_topic_denied_by_acl_is_refused_and_nothing_is_settled",
                 f"{_PEER}test_one_topic_denied_by_acl_is_named_and_the_others_flow",
                 "tests/delivery/test_deliver.py::test_mqtt_3_is_settled_only_with_consent")),
    TableRow("M7", "mosquitto acknowledges and is killed before it saved anything; a control"
             " without receipts", "with receipts nothing is missing in the end; the control"
             " loses", tests=(
                 f"{_RECEIPTS}test_what_a_killed_broker_had_acknowledged_comes_again",
                 f"{_RECEIPTS}test_without_receipts_the_same_broker_loses_records")),
    TableRow("M8", "the consumer is offline beyond mosquitto's queue", "it comes again,"
             " unasked or on request", tests=(
                 f"{_RECEIPTS}test_what_did_not_fit_into_the_brokers_queue_comes_again",
                 f"{_RECEIPTS}test_what_did_not_fit_into_the_brokers_queue_comes_on_request")),
    TableRow("M9", "another client takes the gateway's name", "a broker that says so: back-off"
             " ≥ 30 s, client_id_conflict; mosquitto, which does not: connections_cut_short and"
             " the usual back-off", ("M9", "M9m")),
    TableRow("M10", "a record on which the broker disconnects", "found by bisection, set aside",
             ("M10",), ("tests/delivery/test_refusals.py::"
                        "test_a_record_on_which_the_broker_disconnects_is_found_and_quarantined",)),
    TableRow("M11", "TLS: wrong CA, wrong host", "refused, no downgrade", tests=(
        f"{_PEER}test_broker_that_is_not_the_one_we_trust_is_refused",)),
    TableRow("M12", "credentials change on disk", "read anew at each connection",
             tests=(f"{_LIVING}test_a_credential_is_read_at_each_connection_and_one_that_is_"
                    "missing_stops_nothing",)),
    TableRow("M13", "DNS fails, hangs, changes", "each address in turn, the loop does not wait",
             absent="no scripted name server yet"),
    TableRow("M14", "20 % loss, 10 KB/s, resets, MTU black hole", "progress, no tight loop",
             ("M14", "M14r", "M14s", "M14h")),
    TableRow("M15", "the broker sends garbage", "left, tried again", tests=(
        f"{_MQTT}test_broker_that_sends_garbage_is_left_and_tried_again",)),
    TableRow("M16", "an exception in a callback", "the publisher ends aloud, systemd restarts",
             tests=(f"{_MQTT}test_error_in_what_hears_ends_the_publisher_aloud",)),
    TableRow("M17", "CONNACK refuses for ever", "back-off to 60 s", ("M17",), (
        f"{_MQTT}test_back_off_grows_to_a_minute_and_a_taken_name_waits_thirty_seconds",)),
    TableRow("L1", "every kind of mistake in a configuration", "exit 78, file, line, column",
             tests=("tests/test_check.py",)),
    TableRow("L2", "SIGHUP with a wrong file", "the old one stays", tests=(
        f"{_LIVING}test_a_wrong_file_keeps_the_old_configuration_and_names_every_mistake",)),
    TableRow("L3", "SIGHUP with a good change", "the others miss no poll", tests=(
        f"{_LIVING}test_under_load_a_reload_costs_the_others_no_poll_and_no_connection",
        f"{_LIVING}test_a_removed_device_ends_with_a_closed_gap_and_its_schema_is_taken_back")),
    TableRow("L4", "SIGTERM in an outage, twice", "clean end within 5 s",
             ("sigterm_in_outage", "L4")),
    TableRow("L5", "a writer is stuck in one flush", "fed while slow, withheld when hung",
             ("L5",)),
    TableRow("L6", "256 MiB of memory, 25,000 values a second, broker away", "bounded, no OOM",
             ("L6",)),
    TableRow("L7", "the OOM killer ends the agent", "as S1", ("L7",)),
    TableRow("L8", "alarm flood while the broker flaps", "every alarm, in order", ("L8",)),
    TableRow("L9", "no more than 32 open files", "it goes on", ("L9",)),
    TableRow("L10", "a tenth of a processor", "late polls are declared", ("L10",)),
    TableRow("L11", "a journal of a newer format", "refused, untouched", tests=(
        f"{_JOURNAL}test_a_newer_format_is_refused_and_nothing_is_touched",)),
    TableRow("L12", "everything in random order", "every law", ("L12", "unheard")),
)  # fmt: skip

BESIDE = ("quiet", "P1", "P2", "P4", "P6", "P6x", "P9", "P10", "frozen", "S5")
"""Run with the table, but no row rests on them: faults of the plant, and the agent on vfat,
which a kernel has to know; the trial of that name brings its own."""
