"""Bounds against hostile bytes, taken away: each with the test that must fail."""

from __future__ import annotations

from tests.mutants import Mutation

_GARBAGE = "tests/delivery/test_mqtt.py::test_broker_that_sends_garbage_is_left_and_tried_again"
MUTATIONS = [
    Mutation(
        "what paho cannot read ends the agent",
        "gateway/pipe.py",
        "        except _NO_PACKET as error:\n",
        "        except KeyboardInterrupt as error:\n",
        _GARBAGE,
    ),
    Mutation(
        "a packet may be as large as its header says",
        "gateway/pipe.py",
        "        if bufsize > self.largest:\n",
        "        if bufsize > 1 << 30:\n",
        _GARBAGE,
    ),
    Mutation(
        "an array of nulls may be as long as it says",
        "drivers/opcua/codec.py",
        "    if kind > 25 or (mask & 0x80 and not kind):\n",
        "    if kind > 25:\n",
        "tests/opcua/test_codec.py::test_work_grows_no_faster_than_the_answer",
    ),
    Mutation(
        "a source time may be later than a record can say",
        "drivers/opcua/codec.py",
        "    return time_ns if 0 < time_ns < _END_NS else None\n",
        "    return time_ns if 0 < time_ns else None\n",
        "tests/opcua/test_codec.py::test_no_time_and_times_no_record_can_hold_are_none",
    ),
    Mutation(
        "one tag may have any number of samples in a notification",
        "drivers/opcua/notifications.py",
        "        if layer >= MOST_OF_A_TAG:\n",
        "        if False:\n",
        "tests/opcua/test_notifications.py::"
        "test_more_samples_of_a_tag_than_any_queue_holds_are_refused",
    ),
    Mutation(
        "an alias of a list may be a key",
        "gateway/loader/yaml_tree.py",
        "        if isinstance(key, Map | Seq):\n",
        "        if False:\n",
        "tests/test_loader.py",
    ),
    Mutation(
        "any intact slot is a state file's",
        "gateway/journal/slots.py",
        " and slot[1].keys() >= self._keys)",
        ")",
        "tests/journal/test_faults.py::test_a_state_file_that_holds_something_else_is_none",
    ),
]
