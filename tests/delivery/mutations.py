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


_LANE = "gateway/lane/step.py"
_SUSPICION = "gateway/lane/suspicion.py"
_WINDOW = "gateway/window.py"
_MQTT, _PIPE = "gateway/mqtt.py", "gateway/pipe.py"
_JSON = "gateway/dialects/json.py"
_FEED = "gateway/feed.py"
_ANY = "tests/delivery/test_lane.py::TestAnyBroker"
_TEST_LANE = "tests/delivery/test_lane.py::"
_TEST_TABLE = "tests/delivery/test_refusal_table.py::"
_TEST_REFUSALS = "tests/delivery/test_refusals.py::"
_TEST_JSON = "tests/delivery/test_json.py::"

_TEST_RECEIPTS = "tests/delivery/test_receipts.py::"
_TEST_PROFILE = "tests/delivery/test_receipt_profile.py::"

MUTATIONS = [
    Mutation(
        "settle on PUBACK although the platform decides",
        "gateway/settlement.py",
        "        if not self.by_receipt:\n            self._journal.settle(",
        "        if True:\n            self._journal.settle(",
        _TEST_PROFILE + "test_acknowledged_is_not_settled_before_the_platform_has_it",
    ),
    Mutation(
        "settle on a receipt what the broker has not got",
        "gateway/settlement.py",
        "            self._lane, self._is_held, self.acknowledged\n",
        "            self._lane, self._is_held, self._journal.committed(self._lane)\n",
        _TEST_PROFILE + "test_forged_receipt_settles_nothing_that_the_broker_has_not_got",
    ),
    Mutation(
        "a receipt beyond the head counts",
        "gateway/receipts.py",
        "        if receipt.seq > head:\n",
        "        if receipt.seq > head + 10**30:\n",
        _TEST_RECEIPTS + "test_receipt_that_cannot_be_true_holds_nothing",
    ),
    Mutation(
        "a receipt for a stream nobody knows counts",
        "gateway/receipts.py",
        '        if head is None:\n            raise ReceiptError("unknown_stream")\n',
        "        head = head or 1 << 62\n",
        _TEST_RECEIPTS + "test_receipt_that_cannot_be_true_holds_nothing",
    ),
    Mutation(
        "a watermark moves back",
        "gateway/receipts.py",
        "        if receipt.seq <= self._seqs.get(stream, 0):\n            return None\n",
        "",
        _TEST_RECEIPTS + "test_watermark_never_moves_back",
    ),
    Mutation(
        "every impossible receipt is an event",
        "gateway/desk.py",
        "        if now_s < self._due_s.get(kind, now_s):\n            return\n",
        "",
        _TEST_PROFILE + "test_impossible_receipt_is_one_event_a_minute_and_changes_nothing",
    ),
    Mutation(
        "what the broker lost is never published again",
        "gateway/again.py",
        "            await self._look(lane)\n",
        "            pass\n",
        _TEST_PROFILE + "test_what_the_broker_lost_is_published_again_when_receipts_stall",
    ),
    Mutation(
        "a silent platform is asked every minute",
        "gateway/receipts.py",
        "    pause_s = min(2 * stall.pause_s, LONGEST_S)\n",
        "    pause_s = stall.pause_s\n",
        _TEST_RECEIPTS + "test_silent_platform_is_asked_more_and_more_rarely_with_little",
    ),
    Mutation(
        "a replay on which the broker cuts the connection is tried for ever",
        "gateway/again.py",
        "        while losses < POISON_LOSSES:\n",
        "        while True:\n",
        _TEST_PROFILE
        + "test_request_on_which_the_broker_cuts_each_connection_is_given_up_and_said",
    ),
    Mutation(
        "replay is not rate-limited",
        "gateway/again.py",
        "if is_free and slots > 0 and self._pace.allows(now_s):",
        "if is_free and slots > 0:",
        _TEST_PROFILE + "test_replay_goes_at_its_own_pace_behind_what_is_live",
    ),
    Mutation(
        "requests for replay pile up",
        "gateway/again.py",
        "        if len(self._requests) >= QUEUE:\n            return False\n",
        "",
        _TEST_PROFILE + "test_storm_of_requests_is_capped_and_repetitions_are_served_once",
    ),
    Mutation(
        "what is missing in a replay is not said",
        "gateway/again.py",
        "last - asked.from_ + 1 - stretch.seqs",
        "0 * stretch.seqs",
        _TEST_PROFILE + "test_what_is_no_longer_held_is_counted_and_said",
    ),
    Mutation(
        "a gap owed to a denied topic is struck out before the platform has it",
        "gateway/lane_delivery.py",
        "        if not self.state.policy.receipts or self.settlement.has_gap(order.stream):\n",
        "        if True:\n",
        _TEST_PROFILE + "test_gap_owed_to_a_denied_topic_is_owed_until_the_platform_has_it",
    ),
    Mutation(
        "what is no longer remembered is never settled",
        "gateway/settlement.py",
        "        group.create_task(self._follow(wake))\n",
        "        wake()\n",
        "tests/delivery/test_settlement.py",
    ),
    Mutation(
        "what is read twice is noted with a hole",
        "gateway/journal/reader.py",
        "        if self._notes and before <= settling.noted < note.position:\n",
        "        if self._notes and settling.noted < note.position:\n",
        "tests/journal/test_held.py::"
        "test_what_was_read_long_ago_is_settled_as_exactly_as_what_is_remembered",
    ),
    Mutation(
        "settle too early: in flight counts as delivered",
        _LANE,
        "    unacknowledged = [sent.message.key for sent in state.flight]\n",
        "    unacknowledged: list[int] = []\n",
        _ANY,
    ),
    Mutation(
        "settle too early: waiting counts as delivered",
        _LANE,
        "[message.key for message in state.waiting if message.key > 0]",
        "[message.key for message in state.waiting if message.key > 1e9]",
        _ANY,
    ),
    Mutation(
        "settle too early: the oldest unacknowledged record too",
        _LANE,
        "bisect_left(state.loaded, min(unacknowledged))",
        "bisect_left(state.loaded, min(unacknowledged)) + 1",
        _ANY,
    ),
    Mutation(
        "settle on any acknowledgement",
        _LANE,
        "    accepted = event.reason == SUCCESS or (\n",
        "    accepted = event.reason < 0x80 or (\n",
        _TEST_LANE + "test_nothing_but_reason_zero_settles",
    ),
    Mutation(
        "a refused message goes to the end of the queue",
        _LANE,
        "waiting=in_order(state.waiting, [message]))",
        "waiting=(*state.waiting, message))",
        _ANY,
    ),
    Mutation(
        "a lost message goes to the end of the queue",
        _LANE,
        "waiting=in_order(state.waiting, back))",
        "waiting=(*state.waiting, *back))",
        _ANY,
    ),
    Mutation(
        "later pieces of a divided message overtake older ones",
        _LANE,
        "waiting = deque(in_order(waiting, pieces))",
        "waiting.extendleft(reversed(pieces))",
        _TEST_LANE + "test_later_piece_of_a_divided_message_waits_behind_what_is_older",
    ),
    Mutation(
        "a refused record is forgotten",
        _LANE,
        "    state = replace(state, waiting=in_order(state.waiting, [message]))\n",
        "",
        _TEST_LANE + "test_nothing_but_reason_zero_settles",
    ),
    Mutation(
        "the window is not asked",
        _LANE,
        "    while waiting and len(taken) < slots:\n",
        "    while waiting:\n",
        _ANY,
    ),
    Mutation(
        "records of different streams in one message",
        "gateway/lane/words.py",
        "opened.get(item.stream)",
        "next(iter(opened.values()), None)",
        _ANY,
    ),
    Mutation(
        "no back-off after a refusal",
        _LANE,
        "        resume_s=event.now_s + pause,\n",
        "        resume_s=event.now_s,\n",
        _TEST_LANE + "test_temporary_refusals_back_off_up_to_a_minute",
    ),
    Mutation(
        "the whole window goes out as a probe",
        _LANE,
        "slots = min(tick.slots, 0 if state.flight else 1) if alone else tick.slots",
        "slots = tick.slots",
        _TEST_LANE
        + "test_no_subscribers_holds_the_lane_and_probes_with_one_message_every_30_s",
    ),
    Mutation(
        "a lost acknowledgement is waited for without end",
        _LANE,
        ">= ACK_TIMEOUT_S:",
        ">= 1e9:",
        _TEST_LANE
        + "test_lost_acknowledgement_gives_up_the_connection_and_sends_from_the_oldest",
    ),
    Mutation(
        "MQTT 3.1.1 settles without consent",
        _LANE,
        "mute = not (event.can_refuse or policy.accept_v3_acknowledgements or policy.receipts)",
        "mute = False",
        _TEST_LANE + "test_mqtt_3_without_consent_publishes_nothing_and_says_so",
    ),
    Mutation(
        "a record too large for the broker is sent",
        _LANE,
        "        if message.bytes > state.broker_bytes and",
        "        if message.bytes > 1 << 40 and",
        _TEST_LANE + "test_record_longer_than_the_broker_takes_is_never_sent",
    ),
    Mutation(
        "the broker's receive maximum is ignored",
        _WINDOW,
        "min(self._size >> self.halvings, receive_maximum)",
        "self._size",
        "tests/delivery/test_window.py::"
        "test_in_flight_never_exceeds_window_and_receive_maximum",
    ),
    Mutation(
        "data takes the alarms' share",
        _WINDOW,
        "reserve = max(1, self._capacity // 8)",
        "reserve = 0",
        "tests/delivery/test_window.py::test_data_never_takes_the_alarms_slots",
    ),
    Mutation(
        "the best moment of the link is taken for the link",
        _WINDOW,
        "upper = sorted(self._rates)[len(self._rates) * 3 // 4]",
        "upper = max(self._rates)",
        "tests/delivery/test_window.py::"
        "test_answers_that_come_in_bunches_do_not_overstate_the_link",
    ),
    Mutation(
        "all schemas go out at once",
        "gateway/deliver.py",
        "return slots > 0 and self.window.room(lane) > 0",
        "return slots > 0",
        "tests/delivery/test_deliver.py::"
        "test_schemas_of_a_large_site_leave_the_link_free_for_an_alarm",
    ),
    Mutation(
        "newest values are said however many bytes they take",
        "gateway/latest.py",
        "            if room <= 0:\n                break\n",
        "",
        "tests/delivery/test_latest.py::"
        "test_no_more_is_said_at_once_than_there_is_room_for_and_all_have_their_turn",
    ),
    Mutation(
        "an alarm waits behind data in a tiny window",
        _WINDOW,
        "return 0 if alarm_waits else free",
        "return free",
        "tests/delivery/test_window.py::test_next_free_slot_of_a_tiny_window_is_the_alarms",
    ),
    Mutation(
        "the reason of a PUBACK is thrown away",
        _PIPE,
        "Acknowledged(token, reason.value)",
        "Acknowledged(token, 0)",
        "tests/delivery/test_mqtt.py::test_refusal_is_told_with_the_brokers_reason",
    ),
    Mutation(
        "no long pause after a session was taken over",
        _MQTT,
        "return TAKEN_OVER_PAUSE_S + pause if reason == TAKEN_OVER else max(0.1, pause)",
        "return max(0.1, pause)",
        "tests/delivery/test_deliver.py::test_session_taken_over_is_answered_with_a_long_pause",
    ),
    Mutation(
        "the next broker is never tried",
        _MQTT,
        "self._settings.urls[self._turn % len(self._settings.urls)]",
        "self._settings.urls[0]",
        "tests/delivery/test_mqtt.py::test_next_broker_is_tried_when_one_cannot_be_reached",
    ),
    Mutation(
        "the broker's certificate is not checked",
        _PIPE,
        "        context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        "        context.check_hostname = False\n        context.verify_mode = ssl.CERT_NONE\n",
        "tests/interop/test_mosquitto.py::test_broker_that_is_not_the_one_we_trust_is_refused",
    ),
    Mutation(
        "the last value is written under a bad quality",
        _JSON,
        "        elif marks[row] >= _BAD:\n            out[row] = None\n",
        "",
        _TEST_JSON + "test_last_value_under_a_bad_quality_is_never_written",
    ),
    Mutation(
        "float32 is cut to seven digits without looking",
        _JSON,
        "    if back != tuple(column):\n",
        "    if not back:\n",
        _TEST_JSON + "test_float32_is_the_shortest_text_that_reads_back",
    ),
    Mutation(
        "a record delivered late does not say so",
        _JSON,
        "_LATE if is_late else _ON_TIME",
        "_ON_TIME",
        _TEST_JSON + "test_message_names_its_stream_and_its_seqs",
    ),
    Mutation(
        "records that cannot be read are passed over in silence",
        _FEED,
        "        return [self._hold(*pair) for pair in zip(entries, records, strict=True)]\n",
        "        return [\n            self._hold(e, r)\n"
        "            for e, r in zip(entries, records, strict=True)\n"
        "            if isinstance(e, Entry)\n        ]\n",
        "tests/delivery/test_deliver.py::"
        "test_records_that_cannot_be_read_become_a_gap_in_their_place",
    ),
    Mutation(
        "records are skipped when the disk cannot be read",
        _FEED,
        "            self._unreadable(error)\n            return None\n",
        "            self._unreadable(error)\n            self.read_to = goal\n"
        "            return None\n",
        "tests/delivery/test_feed.py::"
        "test_disk_that_cannot_be_read_is_tried_again_and_nothing_is_skipped",
    ),
    Mutation(
        "a denied topic holds up its lane",
        _SUSPICION,
        "        if not suspect.denied or not mine or is_busy:\n",
        "        if True:\n",
        _TEST_REFUSALS + "test_a_denied_topic_is_named_and_the_others_flow",
    ),
    Mutation(
        "records are quarantined although the broker refuses everything",
        _SUSPICION,
        "    if not suspect.others:\n",
        "    if False:\n",
        _TEST_REFUSALS + "test_a_refusal_of_everything_stops_the_lane_and_quarantines_nothing",
    ),
    Mutation(
        "innocent neighbours are quarantined with a refused record",
        _SUSPICION,
        "    if count > 1:\n",
        "    if False:\n",
        _TEST_REFUSALS
        + "test_a_record_on_which_the_broker_disconnects_is_found_and_quarantined",
    ),
    Mutation(
        "gaps owed to a denied topic are forgotten at a restart",
        "gateway/lane_delivery.py",
        "        await self._aside.remember()\n",
        "",
        _TEST_REFUSALS + "test_what_is_owed_is_delivered_after_a_restart_before_anything_newer",
    ),
    Mutation(
        "records are settled before it is durable that their gap is owed",
        _LANE,
        "    unacknowledged += [item.position for item in state.owing]\n",
        "",
        _TEST_LANE + "test_nothing_settles_before_it_is_durable_that_its_gap_is_owed",
    ),
    Mutation(
        "a temporary refusal is repeated in a tight loop",
        _LANE,
        "    return max(0.1, event.jitter * min(longest, first * 2.0 ** min(tries - 1, 16)))",
        "    return 0.0 * first * longest",
        _TEST_TABLE + "test_a_temporary_refusal_is_tried_again_in_order_from_1_to_60_s",
    ),
    Mutation(
        "a receive maximum that was exceeded teaches nothing",
        _WINDOW,
        "            self.halvings += 1\n",
        "            pass\n",
        _TEST_TABLE + "test_a_receive_maximum_exceeded_is_counted_and_halves_the_window",
    ),
    Mutation(
        "a broker that sends us away is asked at once, for ever",
        _MQTT,
        "            failures=0 if self._lasted() else status.failures + 1,\n",
        "            failures=0,\n",
        _TEST_TABLE + "test_a_broker_that_sends_us_away_is_left_alone_for_longer_and_longer",
    ),
    Mutation(
        "a broker that sends us elsewhere is asked again before the next one",
        _MQTT,
        " and lost.reason not in ELSEWHERE",
        "",
        "tests/delivery/test_mqtt.py::"
        "test_broker_that_names_another_is_left_for_the_next_without_a_pause",
    ),
    Mutation(
        "a broker that answers nothing is asked again before the next one",
        _MQTT,
        "self._pause_s, self._is_dropped = pause_s, True",
        "self._pause_s, self._is_dropped = pause_s, False",
        "tests/delivery/test_mqtt.py::test_broker_that_answers_nothing_is_left_for_the_next",
    ),
    Mutation(
        "a failover waits for the back-off of the broker before",
        _MQTT,
        "        if self._turn % count and",
        "        if False and",
        "tests/delivery/test_mqtt.py::"
        "test_broker_that_lets_us_in_and_drops_us_is_not_asked_before_the_next",
    ),
    Mutation(
        "a lane that is refused for good stays out of the meta lane",
        "gateway/health.py",
        "        if found - self._refusals:\n",
        "        if False:\n",
        "tests/test_agent.py::test_a_lane_that_is_refused_for_good_is_an_event_on_the_meta_lane",
    ),
    Mutation(
        "a gap costs as many readings of the pace as it counts",
        _FEED,
        "        readings = 0 if isinstance(body, Gap) else entry.readings or 0\n",
        "        readings = entry.readings or 0\n",
        "tests/delivery/test_pace.py::"
        "test_a_gap_over_ten_million_readings_holds_up_nothing_behind_it",
    ),
    Mutation(
        "the configured pace of catching up is not reached",
        "gateway/pace.py",
        "self._factor * rate)",
        "rate)",
        "tests/delivery/test_pace.py::"
        "test_with_factor_ten_a_backlog_goes_ten_times_as_fast_as_live",
    ),
    Mutation(
        "a record refused in a stretch is left out of it without its gap",
        "gateway/again.py",
        "            await self._replace(feed, message.items[0], reason, stretch)\n",
        "            pass\n",
        _TEST_PROFILE
        + "test_record_refused_in_a_stretch_gives_way_to_its_gap_and_the_rest_goes_on",
    ),
    Mutation(
        "a denied topic ends the stretch of all",
        "gateway/again.py",
        "            stretch.denied.add(message.device)\n",
        "            raise RefusedError(str(reason))\n",
        _TEST_PROFILE
        + "test_topic_denied_in_a_stretch_keeps_no_other_stream_from_coming_again",
    ),
    Mutation(
        "an event may say anything",
        "gateway/dialects/events.py",
        "    msgspec.convert(event, kind)\n",
        "",
        "tests/delivery/test_wire.py::"
        "test_event_of_another_kind_or_with_other_fields_is_refused",
    ),
    Mutation(
        "a subscription that is refused goes unsaid",
        "gateway/deliver.py",
        "        if not event.is_refused:\n",
        "        if True:\n",
        _TEST_PROFILE
        + "test_broker_that_denies_the_receipts_gets_everything_and_status_says_so",
    ),
    Mutation(
        "the hunt for poison waits out the back-off",
        _MQTT,
        "failures = 0 if is_wanted_soon else",
        "failures = 0 if False else",
        _TEST_REFUSALS
        + "test_a_record_the_broker_disconnects_on_is_found_in_less_than_a_minute",
    ),
    Mutation(
        "one poisonous record ends the back-off for good",
        _MQTT,
        "is_wanted_soon, self._is_wanted_soon = self._is_wanted_soon, False",
        "is_wanted_soon = self._is_wanted_soon",
        "tests/delivery/test_mqtt.py::"
        "test_next_attempt_that_is_wanted_soon_comes_within_a_second_once",
    ),
    Mutation(
        "a broker that cuts every connection is asked every second",
        _SUSPICION,
        "    if not suspect.others:\n        return state, []\n    state, actions",
        "    if not suspect.others:\n        return state, [Soon()]\n    state, actions",
        _TEST_REFUSALS + "test_a_broker_that_cuts_every_connection_is_not_hurried",
    ),
    Mutation(
        "connections that are cut without a word go unmentioned",
        "gateway/deliver.py",
        "            self._cut_short = self._cut_short + 1 if is_cut else 0\n",
        "",
        _TEST_TABLE
        + "test_connections_cut_short_again_and_again_without_a_reason_are_said_to_be",
    ),
    Mutation(
        "connections that are cut for a refusal are said to be cut for no reason",
        "gateway/deliver.py",
        ' and not set(found) - {"broker_unreachable"}:',
        ":",
        _TEST_TABLE
        + "test_connections_cut_where_a_topic_is_refused_are_said_to_be_refused_only",
    ),
    Mutation(
        "connections that end with a reason count as cut without one",
        "gateway/deliver.py",
        "is_cut = event.reason is None and not",
        "is_cut = not",
        _TEST_TABLE + "test_connections_that_end_with_a_reason_are_not_cut_short",
    ),
    Mutation(
        "a snapshot on which the broker disconnects is sent for ever",
        "gateway/deliver.py",
        "        if self._repeat_losses >= lanes.POISON_LOSSES:\n",
        "        if False:\n",
        _TEST_REFUSALS
        + "test_a_snapshot_the_broker_disconnects_on_is_given_up_and_accuses_no_record",
    ),
    Mutation(
        "what is no longer remembered is never settled by acknowledgements",
        "gateway/settlement.py",
        "        self._may_follow |= not more\n",
        "        self._may_follow |= self.by_receipt and not more\n",
        "tests/delivery/test_settlement.py",
    ),
]
