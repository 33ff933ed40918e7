"""The laws of one lane's delivery, driven without a socket."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway import lane
from gateway.lane import (
    ACK_TIMEOUT_S,
    POISON,
    PROBE_S,
    STOPPED_PROBE_S,
    Answered,
    Closed,
    Isolated,
    Item,
    Loaded,
    Message,
    Opened,
    Owe,
    Owed,
    Pay,
    Policy,
    Publish,
    Quarantine,
    Reconnect,
    Settle,
    Soon,
    State,
    Tick,
    group,
    reasons,
    step,
)

STREAMS = [("1a", "tk101"), ("1a", "tk102"), ("0e", "tk101")]
REASONS = [0x00, 0x00, 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x95, 0x97, 0x99, 0xFF]
LARGEST = 100_000


class AnyBroker(RuleBasedStateMachine):
    """Whatever a broker and a journal may do to a lane, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now_s = 0.0
        self.position = 0
        self.seqs: dict[lane.Stream, int] = {}
        self.items: dict[int, Item] = {}
        self.flight: dict[int, Message] = {}
        self.accepted: set[int] = set()
        self.attempted: dict[lane.Stream, int] = {}
        self.orders: list[Quarantine | Owe] = []
        self.ledger: dict[lane.Stream, Item] = {}

    def tell(self, event: lane.Event) -> list[lane.Action]:
        before = self.state
        self.state, actions = step(self.state, event)
        assert step(before, event) == (self.state, actions), "the same twice: it is pure"
        for action in actions:
            if isinstance(action, Publish):
                self.published(action.message)
            elif isinstance(action, Settle):
                self.settled(action.position)
            elif isinstance(action, Quarantine | Owe):
                self.orders.append(action)
            elif isinstance(action, Reconnect):
                self.flight.clear()
        return actions

    def published(self, message: Message) -> None:
        first, last = message.items[0], message.items[-1]
        assert first.position not in self.state.isolating
        assert message.key not in self.flight
        for left, right in zip(message.items, message.items[1:], strict=False):
            assert left.stream == right.stream
            assert left.last + 1 == right.first
        attempted = self.attempted.get(first.stream, 0)
        assert first.first <= attempted + 1, "a first attempt overtook an older record"
        self.attempted[first.stream] = max(attempted, last.last)
        self.flight[message.key] = message

    def settled(self, position: int) -> None:
        unacknowledged = [p for p in self.items if p <= position and p not in self.accepted]
        assert not unacknowledged, "settled beyond an unacknowledged record"

    @rule(data=st.data(), count=st.integers(1, 40))
    def load(self, data: st.DataObject, count: int) -> None:
        items = []
        for _ in range(count):
            stream = data.draw(st.sampled_from(STREAMS))
            width = data.draw(st.sampled_from([1, 1, 1, 5]))
            first = self.seqs.get(stream, 0) + 1
            self.seqs[stream] = last = first + width - 1
            self.position += data.draw(st.integers(1, 9))
            size = data.draw(st.integers(50, 3000))
            items.append(Item(self.position, stream, first, last, size))
        self.items.update((item.position, item) for item in items)
        self.tell(Loaded(items, data.draw(st.sampled_from([4000, LARGEST]))))

    @precondition(lambda self: not self.state.online)
    @rule(max_bytes=st.sampled_from([3000, 10_000, LARGEST]))
    def open(self, max_bytes: int) -> None:
        self.flight.clear()
        self.tell(Opened(can_refuse=True, max_bytes=max_bytes))

    @rule(reason=st.sampled_from([None, 0x93, 0x95, 0x8B]))
    def close(self, reason: int | None) -> None:
        self.flight.clear()
        self.tell(Closed(reason))

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), reason=st.sampled_from(REASONS), jitter=st.floats(0, 0.99))
    def answer(self, data: st.DataObject, reason: int, jitter: float) -> None:
        message = self.flight.pop(data.draw(st.sampled_from(sorted(self.flight))))
        if reason == 0:
            self.taken(message)
        self.tell(Answered(message.key, reason, self.now_s, jitter))

    def taken(self, message: Message) -> None:
        """The broker has it. A gap that is owed stands for records put aside before."""
        self.accepted.update(item.position for item in message.items)
        if message.key < 0:
            del self.ledger[message.items[0].stream]

    @precondition(lambda self: self.orders)
    @rule()
    def obey(self) -> None:
        """The disk has kept what was to be kept."""
        order = self.orders.pop(0)
        if isinstance(order, Quarantine):
            self.tell(Isolated(order.item.position, 250))
            return
        for item in order.items:
            former = self.ledger.get(item.stream)
            assert former is None or former.last + 1 == item.first
            first = former.first if former else item.first
            position = -1 - STREAMS.index(item.stream)
            self.ledger[item.stream] = Item(position, item.stream, first, item.last, 250, True)
            self.accepted.add(item.position)
        gaps = [gap for gap in self.ledger.values() if gap.stream[1] == order.device]
        self.tell(Owed(order.device, gaps))

    @rule(key=st.integers(100_000, 200_000))
    def answer_for_nobody(self, key: int) -> None:
        before = self.state
        assert self.tell(Answered(key, 0, self.now_s)) == []
        assert self.state == before

    @rule(
        seconds=st.sampled_from([0.0, 0.1, 2.0, 31.0, 400.0]),
        slots=st.integers(-1, 6),
        room=st.sampled_from([0, 5000, 1 << 40]),
        longest=st.sampled_from([2000, LARGEST]),
    )
    def tick(self, seconds: float, slots: int, room: int, longest: int) -> None:
        self.now_s += seconds
        actions = self.tell(Tick(self.now_s, slots, room, longest))
        assert len([a for a in actions if isinstance(a, Publish)]) <= max(0, slots)

    @invariant()
    def every_record_is_in_one_place(self) -> None:
        waiting = [i.position for m in self.state.waiting for i in m.items]
        flying = [i.position for s in self.state.flight for i in s.message.items]
        places = [p for p in waiting + flying if p > 0]
        places += [item.position for item in self.state.owing]
        assert len(places) == len(set(places))
        unsettled = {p for p in self.items if p > self.state.settled}
        assert set(places) == unsettled - self.accepted

    @invariant()
    def the_oldest_waits_in_front(self) -> None:
        keys = [message.key for message in self.state.waiting]
        assert keys == sorted(keys)

    def teardown(self) -> None:
        """From any state, a broker that behaves gets everything, and everything is settled."""
        self.close(None)
        self.open(LARGEST)
        for _ in range(2000):
            if not (self.state.waiting or self.state.flight or self.orders):
                break
            self.now_s += 1000.0
            while self.orders:
                self.obey()
            self.tell(Tick(self.now_s, 8))
            for key, message in tuple(self.flight.items()):
                self.taken(message)
                del self.flight[key]
                self.tell(Answered(key, 0, self.now_s))
        assert self.state.settled == self.position
        assert not self.ledger, "a gap is owed for ever"


TestAnyBroker = AnyBroker.TestCase
# Without shrinking: a failure of a long run would be shrunk for minutes.
TestAnyBroker.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def items(count: int, size: int = 100, stream: lane.Stream = STREAMS[0]) -> list[Item]:
    return [Item(10 * n, stream, n, n, size) for n in range(1, count + 1)]


def lane_with(count: int, policy: Policy | None = None, *, each: int = 100) -> State:
    """An open lane with ``count`` messages of one record of 100 bytes."""
    state = State(policy or Policy())
    for item in items(count, each):
        state, _ = step(state, Loaded([item]))
    return step(state, Opened(can_refuse=True, max_bytes=LARGEST))[0]


def sent(state: State, actions: list[lane.Action]) -> list[int]:
    return [a.message.key for a in actions if isinstance(a, Publish)]


def test_acknowledgements_out_of_order_settle_only_the_contiguous_prefix() -> None:
    state, _ = step(lane_with(3), Tick(0.0, 3))
    state, late = step(state, Answered(30, 0, 0.0))
    state, later = step(state, Answered(20, 0, 0.0))
    state, last = step(state, Answered(10, 0, 0.0))
    assert (late, later, last) == ([], [], [Settle(30)])


def test_nothing_but_reason_zero_settles() -> None:
    for reason in range(1, 256):
        state, _ = step(lane_with(1), Tick(0.0, 1))
        state, actions = step(state, Answered(10, reason, 0.0))
        assert not [action for action in actions if isinstance(action, Settle)]
        assert [m.key for m in state.waiting] == [10]
        assert reasons(state) != []


def test_no_subscribers_holds_the_lane_and_probes_with_one_message_every_30_s() -> None:
    state, _ = step(lane_with(5), Tick(0.0, 2))
    for key in (10, 20):
        state, _ = step(state, Answered(key, 0x10, 0.0))
    assert reasons(state) == ["no_subscribers"]
    state, actions = step(state, Tick(PROBE_S - 0.1, 9))
    assert actions == []
    state, actions = step(state, Tick(PROBE_S, 9))
    assert sent(state, actions) == [10]
    state, actions = step(state, Tick(PROBE_S + 1, 9))
    assert actions == []
    state, actions = step(state, Answered(10, 0, PROBE_S + 1))
    assert actions == [Settle(10)]
    state, actions = step(state, Tick(PROBE_S + 1, 9))
    assert sent(state, actions) == [20, 30, 40, 50]
    assert reasons(state) == []


def test_no_subscribers_settles_when_the_configuration_accepts_it() -> None:
    state, _ = step(lane_with(1, Policy(accept_no_subscribers=True)), Tick(0.0, 1))
    assert step(state, Answered(10, 0x10, 0.0))[1] == [Settle(10)]


def test_mqtt_3_without_consent_publishes_nothing_and_says_so() -> None:
    state, _ = step(lane_with(1), Opened(can_refuse=False, max_bytes=LARGEST))
    state, actions = step(state, Tick(0.0, 9))
    assert actions == []
    assert reasons(state) == ["v3_acknowledgements_not_accepted"]


def test_mqtt_3_with_consent_settles() -> None:
    state = lane_with(1, Policy(accept_v3_acknowledgements=True))
    state, _ = step(state, Opened(can_refuse=False, max_bytes=LARGEST))
    state, _ = step(state, Tick(0.0, 9))
    assert step(state, Answered(10, 0, 0.0))[1] == [Settle(10)]


@pytest.mark.parametrize("reason", sorted(lane.FINAL))
def test_third_final_refusal_stops_the_lane_and_it_is_tried_again_rarely(reason: int) -> None:
    state, now_s = lane_with(2), 0.0
    for _ in range(3):
        state, actions = step(state, Tick(now_s, 1))
        assert sent(state, actions) == [10]
        state, _ = step(state, Answered(10, reason, now_s))
        now_s += 1.0
    assert reasons(state) == [f"stopped_0x{reason:02x}"]
    state, actions = step(state, Tick(now_s + STOPPED_PROBE_S - 10, 9))
    assert actions == []
    state, actions = step(state, Tick(now_s + STOPPED_PROBE_S, 9))
    assert sent(state, actions) == [10]


def test_temporary_refusals_back_off_up_to_a_minute() -> None:
    state, now_s, pauses = lane_with(1), 0.0, []
    for _ in range(9):
        state, _ = step(state, Tick(now_s, 1))
        state, _ = step(state, Answered(10, 0x97, now_s, jitter=1.0))
        pauses.append(state.resume_s - now_s)
        now_s = state.resume_s
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_refusals_of_one_window_count_as_one_try() -> None:
    state, _ = step(lane_with(4), Tick(0.0, 4))
    for key in (10, 20, 30, 40):
        state, _ = step(state, Answered(key, 0x87, 0.0))
    assert [suspect.tries for suspect in state.suspects] == [1]


def test_younger_message_taken_while_the_oldest_is_refused_is_not_sent_again() -> None:
    state, _ = step(lane_with(2), Tick(0.0, 2))
    state, _ = step(state, Answered(10, 0x80, 0.0))
    state, actions = step(state, Answered(20, 0, 0.0))
    assert actions == []
    state, actions = step(state, Tick(90.0, 2))
    assert sent(state, actions) == [10]
    assert step(state, Answered(10, 0, 90.0))[1] == [Settle(20)]


def test_too_large_message_is_halved_at_once_until_one_record_is_left() -> None:
    state, _ = step(State(), Opened(can_refuse=True, max_bytes=LARGEST))
    state, _ = step(state, Loaded(items(4)))
    actions: list[lane.Action] = []
    for want in ([10, 20, 30, 40], [10, 20], [10]):
        state, actions = step(state, Tick(0.0, 1))
        (publish,) = actions
        assert isinstance(publish, Publish)
        assert [item.position for item in publish.message.items] == want
        state, actions = step(state, Answered(10, 0x95, 0.0))
    assert actions == [Quarantine(items(1)[0], 0x95)]


def test_record_longer_than_the_broker_takes_is_never_sent() -> None:
    state, _ = step(State(), Loaded(items(1, size=5000)))
    state, _ = step(state, Opened(can_refuse=True, max_bytes=4000))
    state, actions = step(state, Tick(0.0, 9))
    assert actions == [Quarantine(items(1, size=5000)[0], 0x95)]
    state, _ = step(state, Isolated(10, 250))
    state, actions = step(state, Tick(0.0, 9))
    assert sent(state, actions) == [10]


def test_lost_acknowledgement_gives_up_the_connection_and_sends_from_the_oldest() -> None:
    state, _ = step(lane_with(3), Tick(0.0, 3))
    state, _ = step(state, Answered(20, 0, 1.0))
    state, actions = step(state, Tick(ACK_TIMEOUT_S, 3))
    assert actions == [Reconnect()]
    state, actions = step(state, Tick(ACK_TIMEOUT_S, 3))
    assert actions == []
    state, _ = step(state, Opened(can_refuse=True, max_bytes=LARGEST))
    state, actions = step(state, Tick(30.0, 3))
    assert sent(state, actions) == [10, 30]


def test_fifth_connection_lost_with_one_message_in_flight_is_suspected_poison() -> None:
    state = lane_with(1)
    for _ in range(5):
        assert reasons(state) == []
        state, _ = step(state, Opened(can_refuse=True, max_bytes=LARGEST))
        state, _ = step(state, Tick(0.0, 1))
        state, _ = step(state, Closed())
    assert reasons(state) == ["poison_suspected", "poison_suspected.tk101"]


def test_each_halving_in_the_hunt_for_poison_asks_to_go_on_soon() -> None:
    state, seen = lane_with(1), list[list[lane.Action]]()
    state = replace(state, waiting=tuple(group(items(2), LARGEST)), loaded=(10, 20))
    for _ in range(7):
        state, _ = step(state, Opened(can_refuse=True, max_bytes=LARGEST))
        state, _ = step(state, Tick(0.0, 1))
        state, actions = step(state, Closed(served=True))
        seen.append(actions)
    assert seen[:4] == [[]] * 4
    assert seen[4] == [Soon()]
    assert seen[5] == [Quarantine(items(2)[0], POISON), Soon()]
    assert seen[6] == []


def test_bytes_in_flight_stay_within_the_room_but_for_one_message() -> None:
    state = lane_with(5, each=1000)
    state, actions = step(state, Tick(0.0, 9, room=2500))
    assert sent(state, actions) == [10, 20]
    state, actions = step(replace(state, flight=()), Tick(0.0, 9, room=0))
    assert sent(state, actions) == [30]


def test_message_ends_at_a_hole_in_the_seqs_at_1000_records_and_at_its_limit() -> None:
    records = items(2500)
    del records[1200]
    sizes = [len(message.items) for message in group(records, 90_000)]
    assert sizes == [900, 300, 900, 399]
    assert [len(m.items) for m in group(records[:1100], 10_000_000)] == [1000, 100]


def test_later_piece_of_a_divided_message_waits_behind_what_is_older() -> None:
    one, two = STREAMS[0], STREAMS[1]
    records = [Item(10, one, 1, 1, 100), Item(20, two, 1, 1, 100), Item(40, one, 2, 2, 100)]
    state, _ = step(State(), Loaded(records))
    state, _ = step(state, Opened(can_refuse=True, max_bytes=150))
    state, actions = step(state, Tick(0.0, 2))
    assert sent(state, actions) == [10, 20]


def denied() -> tuple[State, Owe]:
    """A lane of two devices, one of which is denied even a gap; and what follows."""
    state, now_s = State(), 0.0
    for n, stream in enumerate(STREAMS[:2], start=1):
        state, _ = step(state, Loaded([Item(10 * n, stream, 1, 1, 100)]))
    state, _ = step(state, Opened(can_refuse=True, max_bytes=LARGEST))
    while True:
        state, actions = step(state, Tick(now_s, 9))
        for action in actions:
            if isinstance(action, Owe):
                return state, action
        for key in sent(state, actions):
            reason = 0x87 if key == 10 else 0
            state, more = step(state, Answered(key, reason, now_s))
            for order in (a for a in more if isinstance(a, Quarantine)):
                state, _ = step(state, Isolated(order.item.position, 50))
        now_s += 2.0
        assert now_s < 100


def test_nothing_settles_before_it_is_durable_that_its_gap_is_owed() -> None:
    state, order = denied()
    assert [item.position for item in order.items] == [10]
    state, _ = step(state, Loaded([Item(30, STREAMS[1], 2, 2, 100)]))
    state, actions = step(state, Tick(200.0, 9))
    assert sent(state, actions) == [30]
    state, actions = step(state, Answered(30, 0, 200.0))
    assert actions == []
    gap = Item(-1, STREAMS[0], 1, 1, 50, replaced=True)
    state, actions = step(state, Owed("tk101", [gap]))
    assert actions == [Settle(30)]
    state, actions = step(state, Tick(300.0, 9))
    assert sent(state, actions) == [-1]
    assert step(state, Answered(-1, 0, 300.0))[1] == [Pay(STREAMS[0])]
