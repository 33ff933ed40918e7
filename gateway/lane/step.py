"""One lane's delivery as a pure function: (state, event) → (state, actions).

    journal ──Loaded──▶ waiting ──Publish──▶ flight ──0x00──▶ acknowledged ──▶ Settle
                           ▲                    │
                           └── refused, lost ───┘

What is loaded is grouped into messages: one stream, consecutive seqs. They are sent in
journal order, may be acknowledged in any order, and only the contiguous prefix of
positions is settled. A refused or lost message takes its old place again, in front of
everything younger. After a temporary refusal the lane holds, then sends its oldest message
alone; the full window opens again when that one is acknowledged.

A refusal that waiting does not cure concerns a topic or a record, not the lane: the others
go on. When one of them was accepted, the suspect is halved until one record is left; that
goes to quarantine and a gap takes its place (`suspicion`).

Nothing here reads a clock, rolls dice or touches a socket: `deliver` performs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import replace

from gateway.dialects.wire import MAX_RECORDS
from gateway.lane.suspicion import (
    accusation,
    accuse,
    clear,
    in_flight,
    isolated,
    owe,
    owed,
    suspect_poison,
)
from gateway.lane.words import (
    ACK_TIMEOUT_S,
    BACKOFF_S,
    FINAL,
    NO_SUBSCRIBERS,
    POISON,
    POISON_LOSSES,
    PROBE_S,
    SUCCESS,
    TOO_LARGE,
    Action,
    Answered,
    Closed,
    Event,
    Isolated,
    Loaded,
    Message,
    Opened,
    Owed,
    Pay,
    Publish,
    Quarantine,
    Reconnect,
    Sent,
    Settle,
    State,
    Step,
    Suspect,
    Tick,
    group,
    in_order,
)


def step(state: State, event: Event) -> Step:
    """What follows from ``event``."""
    match event:
        case Tick():
            return _tick(state, event)
        case Answered():
            return _answered(state, event)
        case Loaded():
            return _load(state, event), []
        case Opened():
            return _open(state, event), []
        case Closed():
            return _close(state, event.reason, served=event.served)
        case Isolated():
            return isolated(state, event), []
        case Owed():
            return _settle(owed(state, event))


def reasons(state: State) -> list[str]:
    """Why this lane does not deliver, in words for the ``status`` topic."""
    found = []
    if state.mute:
        found.append("v3_acknowledgements_not_accepted")
    if state.refusal == NO_SUBSCRIBERS:
        found.append("no_subscribers")
    elif state.refusal is not None:
        found.append(f"refused_0x{state.refusal:02x}")
    if state.head_losses >= POISON_LOSSES:
        found.append("poison_suspected")
    return found + sorted({accusation(suspect) for suspect in state.suspects})


def ready(state: State) -> int:
    """Messages that wait and are under no suspicion."""
    suspects = {suspect.device for suspect in state.suspects}
    return sum(message.device not in suspects for message in state.waiting)


def _load(state: State, event: Loaded) -> State:
    limit = min(event.message_bytes, state.max_bytes)
    return replace(
        state,
        loaded=state.loaded + tuple(item.position for item in event.items),
        waiting=state.waiting + tuple(group(event.items, limit)),
    )


def _open(state: State, event: Opened) -> State:
    policy = state.policy
    mute = not (event.can_refuse or policy.accept_v3_acknowledgements or policy.receipts)
    return replace(
        state,
        online=True,
        mute=mute,
        broker_bytes=event.max_bytes,
        max_bytes=min(state.max_bytes, event.max_bytes),
        refused=None,
        tries=0,
    )


def _close(state: State, reason: int | None, *, served: bool = False) -> Step:
    """Whatever was in flight counts as not delivered and waits in its old place."""
    flight = state.flight
    state = _count_losses(state)
    if reason == TOO_LARGE and flight:
        state = replace(state, max_bytes=max(1, flight[0].message.bytes // 2))
    back = (sent.message for sent in flight)
    state = replace(state, online=False, flight=(), waiting=in_order(state.waiting, back))
    return suspect_poison(state, flight, served=served)


def _count_losses(state: State) -> State:
    oldest = min((sent.message.key for sent in state.flight), default=None)
    if oldest is None:
        return state
    losses = state.head_losses + 1 if oldest == state.head else 1
    return replace(state, head=oldest, head_losses=losses)


def _tick(state: State, tick: Tick) -> Step:
    if state.flight and tick.now_s - state.flight[0].at_s >= ACK_TIMEOUT_S:
        return _close(state, None)[0], [Reconnect()]
    alone = state.probing or any(
        s.reason == POISON and in_flight(state, s.device) for s in state.suspects
    )
    slots = min(tick.slots, 0 if state.flight else 1) if alone else tick.slots
    state, owed = owe(state) if state.online else (state, [])
    if not state.online or state.mute or tick.now_s < state.resume_s or slots <= 0:
        return state, owed
    state, actions = _send(state, tick, slots)
    return state, owed + actions


def _send(state: State, tick: Tick, slots: int) -> Step:
    """Move up to ``slots`` messages from ``waiting`` into ``flight``."""
    limit, room = min(tick.message_bytes, state.max_bytes), tick.room
    waiting, taken, held = deque(state.waiting), list[Message](), list[Message]()
    suspects = {suspect.device: suspect for suspect in state.suspects}
    busy = {sent.message.device for sent in state.flight}
    busy |= {item.stream[1] for item in state.owing}
    actions: list[Action] = []
    while waiting and len(taken) < slots:
        message = waiting[0]
        suspect = suspects.get(message.device)
        if suspect is not None and (message.device in busy or suspect.resume_s > tick.now_s):
            held.append(waiting.popleft())
            continue
        count = suspect.limit if suspect else MAX_RECORDS
        if (message.bytes > limit or len(message.items) > count) and len(message.items) > 1:
            pieces = group(message.items, limit, count)
            waiting.popleft()
            # The later pieces are younger than other messages that wait.
            waiting = deque(in_order(waiting, pieces))
            continue
        if message.key in state.isolating:
            busy.add(message.device)
            suspects.setdefault(message.device, Suspect(message.device, TOO_LARGE, 0))
            held.append(waiting.popleft())
            continue
        if message.bytes > state.broker_bytes and not message.items[0].replaced:
            state = replace(state, isolating=(*state.isolating, message.key))
            actions.append(Quarantine(message.items[0], TOO_LARGE))
            continue
        is_poison = suspect is not None and suspect.reason == POISON
        if (is_poison or message.bytes > room) and (taken or state.flight):
            break
        room -= message.bytes
        taken.append(waiting.popleft())
        if is_poison:
            break
        if suspect is not None:
            busy.add(message.device)
    flight = state.flight + tuple(Sent(message, tick.now_s) for message in taken)
    actions += [Publish(message) for message in taken]
    return replace(state, waiting=in_order(waiting, held), flight=flight), actions


def _answered(state: State, event: Answered) -> Step:
    sent = next((s for s in state.flight if s.message.key == event.key), None)
    if sent is None:
        return state, []
    state = replace(state, flight=tuple(s for s in state.flight if s is not sent))
    accepted = event.reason == SUCCESS or (
        event.reason == NO_SUBSCRIBERS and state.policy.accept_no_subscribers
    )
    if not accepted:
        return _refuse(state, sent, event)
    state, actions = _settle(_accept(state, sent.message, event.now_s))
    owed = [Pay(item.stream) for item in sent.message.items if item.position < 0]
    return state, [*owed, *actions]


def _accept(state: State, message: Message, now_s: float) -> State:
    key = message.key
    state = clear(state, message, now_s)
    if key == state.head:
        state = replace(state, head=None, head_losses=0)
    if state.refused in (None, key):
        return replace(state, probing=False, refused=None, tries=0, refusal=None)
    return state


def _settle(state: State) -> Step:
    """Settle up to the last loaded position before the oldest unacknowledged one."""
    unacknowledged = [sent.message.key for sent in state.flight]
    unacknowledged += [message.key for message in state.waiting if message.key > 0][:1]
    unacknowledged = [key for key in unacknowledged if key > 0]
    unacknowledged += [item.position for item in state.owing]
    count = len(state.loaded)
    if unacknowledged:
        count = bisect_left(state.loaded, min(unacknowledged))
    if count == 0:
        return state, []
    position = state.loaded[count - 1]
    return replace(state, settled=position, loaded=state.loaded[count:]), [Settle(position)]


def _refuse(state: State, sent: Sent, event: Answered) -> Step:
    message = sent.message
    state = replace(state, waiting=in_order(state.waiting, [message]))
    if event.reason == TOO_LARGE and len(message.items) > 1:
        return replace(state, max_bytes=message.bytes // 2), []
    if event.reason in FINAL or event.reason == TOO_LARGE:
        return accuse(state, message, event)
    if state.refused is not None and message.key > state.refused:
        return state, []
    tries = state.tries + 1
    pause = _pause(event, tries)
    return replace(
        state,
        probing=True,
        refused=message.key,
        tries=tries,
        refusal=event.reason,
        resume_s=event.now_s + pause,
    ), []


def _pause(event: Answered, tries: int) -> float:
    if event.reason == NO_SUBSCRIBERS:
        return PROBE_S
    first, longest = BACKOFF_S
    return max(0.1, event.jitter * min(longest, first * 2.0 ** min(tries - 1, 16)))
