"""Refusals that waiting does not cure: find the record, or learn that it is the topic.

A refused device becomes a suspect: one message of it goes out at a time, the other topics
go on. After three tries, and once the broker took something else, the message is halved
until one record is left; that is quarantined and a gap takes its place. Where even the gap
is refused the topic is denied: what comes for it is put aside, and one gap per stream is
owed until the broker takes it. A record on which the broker cuts the connection five times
is looked for in the same way. A broker that refuses everything only stops the lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.lane.words import (
    BACKOFF_S,
    DENIED_PROBE_S,
    POISON,
    POISON_LOSSES,
    STOPPED_PROBE_S,
    TOO_LARGE,
    TRIES,
    Action,
    Answered,
    Isolated,
    Message,
    Owe,
    Owed,
    Quarantine,
    Sent,
    Soon,
    State,
    Step,
    Suspect,
    in_order,
)


def accusation(suspect: Suspect) -> str:
    """What is held against ``suspect``, as a word for the ``status`` topic."""
    if suspect.reason == POISON:
        return f"poison_suspected.{suspect.device}"
    if suspect.others:
        word = "denied" if suspect.denied else "refused"
        return f"{word}_0x{suspect.reason:02x}.{suspect.device}"
    return f"{'stopped' if suspect.tries >= TRIES else 'refused'}_0x{suspect.reason:02x}"


def suspect_poison(state: State, flight: Sequence[Sent], *, served: bool) -> Step:
    """Halve what was in flight each time the connection was lost, until one record is left.

    Each halving is worth a connection at once; a loss that narrows nothing is not.
    """
    head = next((m for m in state.waiting if m.key == state.head), None)
    if not flight or head is None:
        return state, []
    suspect = _suspect_of(state, head.device)
    if suspect is None and state.head_losses < POISON_LOSSES:
        return state, []
    if suspect is None:
        suspect = Suspect(head.device, POISON, head.items[-1].position)
    elif suspect.reason != POISON or len(flight) > 1:
        return state, []
    suspect = replace(suspect, others=suspect.others or served)
    state = _with(state, suspect)
    if not suspect.others:
        return state, []
    state, actions = _halve(state, suspect, head, 0.0)
    return state, [*actions, Soon()]


def _suspect_of(state: State, device: str) -> Suspect | None:
    return next((s for s in state.suspects if s.device == device), None)


def _with(state: State, suspect: Suspect) -> State:
    rest = (s for s in state.suspects if s.device != suspect.device)
    return replace(state, suspects=(*rest, suspect))


def _halve(state: State, suspect: Suspect, message: Message, now_s: float) -> Step:
    """Look for the record at fault in the older half; one alone goes to quarantine."""
    count, item = len(message.items), message.items[0]
    if count > 1:
        narrower = replace(suspect, limit=count // 2, tries=TRIES - 1, resume_s=now_s)
        return _with(state, narrower), []
    if item.replaced:
        return _with(state, replace(suspect, denied=True, resume_s=now_s)), []
    state = replace(_with(state, suspect), isolating=(*state.isolating, item.position))
    return state, [Quarantine(item, suspect.reason)]


def isolated(state: State, event: Isolated) -> State:
    """The gap goes where the record stood; it has all tries again."""
    waiting, device = [], ""
    for message in state.waiting:
        if message.key == event.position and len(message.items) == 1:
            device = message.device
            item = message.items[0]._replace(bytes=event.bytes, replaced=True)
            message = Message((item,), item.bytes)
        waiting.append(message)
    isolating = tuple(p for p in state.isolating if p != event.position)
    state = replace(state, waiting=tuple(waiting), isolating=isolating)
    state = replace(state, head=None, head_losses=0)
    suspect = _suspect_of(state, device)
    return state if suspect is None else _with(state, replace(suspect, tries=0, resume_s=0.0))


def owed(state: State, event: Owed) -> State:
    """What was owing need not be delivered any more; the gap waits before all else."""
    streams = {gap.stream for gap in event.gaps}
    waiting = [m for m in state.waiting if not (m.key < 0 and m.items[0].stream in streams)]
    gaps = [Message((gap,), gap.bytes) for gap in event.gaps]
    return replace(
        state,
        head=None,
        head_losses=0,
        waiting=in_order(waiting, gaps),
        owing=tuple(item for item in state.owing if item.stream[1] != event.device),
    )


def owe(state: State) -> Step:
    """Write off what waits for topics that take nothing, not even a gap."""
    actions: list[Action] = []
    for suspect in state.suspects:
        mine = [m for m in state.waiting if m.device == suspect.device and m.key > 0]
        is_busy = in_flight(state, suspect.device) or state.owing
        if not suspect.denied or not mine or is_busy:
            continue
        items = tuple(item for message in mine for item in message.items)
        waiting = tuple(m for m in state.waiting if m not in mine)
        state = replace(state, waiting=waiting, owing=items)
        actions.append(Owe(suspect.device, items, suspect.reason))
    return state, actions


def in_flight(state: State, device: str) -> bool:
    """Whether a message of ``device`` waits for its answer."""
    return any(sent.message.device == device for sent in state.flight)


def clear(state: State, message: Message, now_s: float) -> State:
    """What an acknowledgement says about those under suspicion."""
    suspects = []
    for suspect in state.suspects:
        if suspect.device != message.device:
            resume_s = suspect.resume_s if suspect.others else now_s
            suspects.append(replace(suspect, others=True, resume_s=resume_s))
        elif 0 < message.items[-1].position < suspect.until:
            suspects.append(replace(suspect, others=True, resume_s=now_s))
    return replace(state, suspects=tuple(suspects))


def accuse(state: State, message: Message, event: Answered) -> Step:
    """A refusal that waiting does not cure: the other topics go on and tell what it is."""
    now_s, device = event.now_s, message.device
    if any(m.device == device and m.key < message.key for m in state.waiting):
        return state, []  # of the same window as a refusal that counted
    suspect = _suspect_of(state, device) or Suspect(device, event.reason, 0)
    until = max(suspect.until, message.items[-1].position)
    tries = suspect.tries + 1
    suspect = replace(suspect, reason=event.reason, until=until, tries=tries)
    if suspect.denied or message.key < 0:
        resting = replace(suspect, denied=True, resume_s=now_s + DENIED_PROBE_S)
        return _with(state, resting), []
    if event.reason == TOO_LARGE:
        return _halve(state, suspect, message, now_s)
    if tries < TRIES:
        return _with(state, replace(suspect, resume_s=now_s + BACKOFF_S[0])), []
    if not suspect.others:
        return _with(state, replace(suspect, resume_s=now_s + STOPPED_PROBE_S)), []
    return _halve(state, suspect, message, now_s)
