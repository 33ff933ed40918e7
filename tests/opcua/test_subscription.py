"""What a subscription owes the server and the gateway: acknowledge late, miss nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua.ua import uaerrors

from drivers.opcua import subscription
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.subscription import Subscription
from gateway.clock import Clock
from gateway.errors import LinkError, LinkTimeoutError, SubscriptionLostError
from gateway.model import Cause, Quality
from tests.opcua.site import Ear, ScriptedSession, link_to, notification, republished

FAULTS: Any = uaerrors  # its classes have no types
LINK = link_to("opc.tcp://127.0.0.1:1", "a", "b")


def new_subscription(session: ScriptedSession, ear: Ear) -> Subscription:
    """A subscription on a scripted session: handle 1 is tag a, 2 is tag b."""
    blocks = OpcuaDriver(LINK.config, Clock()).plan(LINK.tags)
    scripted: Any = session
    return Subscription(scripted, blocks, ear.emit, Clock())


@asynccontextmanager
async def subscribed(session: ScriptedSession, ear: Ear) -> AsyncIterator[asyncio.Task[None]]:
    """`new_subscription`, running."""
    task = asyncio.create_task(new_subscription(session, ear).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def turns(count: int = 20) -> None:
    """Let everything that can happen without an answer happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_is_acknowledged_before_the_disk_has_it() -> None:
    session, ear = ScriptedSession(), Ear()
    ear.disk.clear()
    async with subscribed(session, ear):
        for sequence in range(1, 9):
            session.answers.put_nowait(notification(sequence, (1, float(sequence))))
        await ear.until(lambda: len(ear.batches) >= 8)
        await turns()
        assert session.acknowledged == []
        ear.disk.set()
        await turns()
        session.answers.put_nowait(notification(9, (1, 9.0)))
        await ear.until(lambda: len(ear.batches) >= 9)
        await turns()
        assert session.acknowledged == list(range(1, 10))


async def test_a_keep_alive_is_not_acknowledged_and_says_that_nothing_changed() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear):
        session.answers.put_nowait(notification(1, (1, 1.0)))
        for _ in range(3):
            session.answers.put_nowait(notification(2))
        await ear.until(lambda: len(ear.said) >= 4)
        await turns()
        assert [len(batch) for batch in ear.said] == [1, 0, 0, 0]  # type: ignore[arg-type]
        assert session.acknowledged == [1]


async def test_a_missing_notification_is_asked_for_again_and_comes_in_its_place() -> None:
    session, ear = ScriptedSession(), Ear()
    session.republishes = {2: republished(2, (1, 2.0)), 3: republished(3, (1, 3.0))}
    async with subscribed(session, ear):
        for sequence in (1, 4):
            session.answers.put_nowait(notification(sequence, (1, float(sequence))))
        await ear.until(lambda: len(ear.batches) >= 4)
        assert ear.values("a") == [1.0, 2.0, 3.0, 4.0]


async def test_a_keep_alive_reveals_a_notification_that_did_not_come() -> None:
    session, ear = ScriptedSession(), Ear()
    session.republishes = {2: republished(2, (1, 2.0))}
    async with subscribed(session, ear):
        session.answers.put_nowait(notification(1, (1, 1.0)))
        session.answers.put_nowait(notification(3))
        await ear.until(lambda: len(ear.batches) >= 2)
        assert session.asked_again == [2]


async def test_what_cannot_be_had_again_ends_the_subscription_as_a_sub_gap() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear) as task:
        session.answers.put_nowait(notification(1, (1, 1.0)))
        session.answers.put_nowait(notification(3, (1, 3.0)))
        with pytest.raises(SubscriptionLostError) as lost:
            await asyncio.wait_for(task, 5)
    assert lost.value.cause is Cause.SUB_GAP
    assert ear.values("a") == [1.0]


async def test_a_refused_node_is_missing_and_the_others_are_heard() -> None:
    session, ear = ScriptedSession(), Ear()
    session.refused = {"a"}
    async with subscribed(session, ear):
        session.answers.put_nowait(notification(1, (2, 5.0)))
        await ear.until(lambda: len(ear.batches) >= 1)
    (missing,) = ear.missing
    assert missing.rows == (0,)
    assert (missing.cause, missing.quality) == (
        Cause.DEVICE_REFUSED,
        Quality.BAD_CONFIGURATION,
    )


async def test_silence_beyond_the_keep_alives_is_the_end_of_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "KEEP_ALIVE_S", 0.05)
    session, ear = ScriptedSession(), Ear()
    session.keep_alive_s = 0.05
    async with subscribed(session, ear) as task:
        with pytest.raises(LinkTimeoutError):
            await asyncio.wait_for(task, 5)


async def test_a_value_for_a_handle_that_was_never_given_ends_the_link() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear) as task:
        session.answers.put_nowait(notification(1, (1, 1.0), (99, 4.0)))
        with pytest.raises(LinkError):
            await asyncio.wait_for(task, 5)
    assert ear.batches == []


@pytest.mark.parametrize("body", [b"", b"\x00" * 40, b"\xff" * 200], ids=["-", "zeros", "ones"])
async def test_an_answer_that_is_none_ends_the_link(body: bytes) -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear) as task:
        session.answers.put_nowait(body or b"\x01")
        with pytest.raises(LinkError):
            await asyncio.wait_for(task, 5)


async def test_too_many_publish_requests_means_fewer_of_them() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear) as task:
        for _ in range(2):
            session.answers.put_nowait(FAULTS.BadTooManyPublishRequests())
        session.answers.put_nowait(notification(1, (1, 1.0)))
        await ear.until(lambda: len(ear.batches) >= 1)
        assert not task.done()


async def test_a_subscription_the_server_forgot_is_lost() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear) as task:
        session.answers.put_nowait(FAULTS.BadNoSubscription())
        with pytest.raises(SubscriptionLostError):
            await asyncio.wait_for(task, 5)


async def test_a_notification_of_another_subscription_is_not_ours() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear):
        session.answers.put_nowait(notification(5, (1, 4.0), subscription=6))
        session.answers.put_nowait(notification(1, (1, 1.0)))
        await ear.until(lambda: bool(ear.batches))
    assert ear.values("a") == [1.0]


async def cut_after(
    count: int, under_test: Subscription, session: ScriptedSession, ear: Ear
) -> None:
    """Run until ``count`` batches were said in all; then the connection is lost."""
    task = asyncio.create_task(under_test.run())
    await ear.until(lambda: len(ear.batches) == count)
    await turns()
    session.answers.put_nowait(ConnectionError("reset"))
    with pytest.raises(LinkError):
        await asyncio.wait_for(task, 30)
    session.answers = asyncio.Queue()


async def test_a_subscription_goes_on_after_a_cut_and_asks_for_what_it_swallowed() -> None:
    session, ear = ScriptedSession(), Ear()
    under_test = new_subscription(session, ear)
    session.answers.put_nowait(notification(1, (1, 1.0)))
    await cut_after(1, under_test, session, ear)
    assert under_test.can_resume
    session.republishes = {2: republished(2, (1, 2.0))}
    session.answers.put_nowait(notification(3, (1, 3.0)))
    await cut_after(3, under_test, session, ear)
    assert ear.values("a") == [1.0, 2.0, 3.0]
    assert session.made == 1


async def test_what_the_disk_got_around_a_cut_is_acknowledged_after_it() -> None:
    session, ear = ScriptedSession(), Ear()
    ear.disk.clear()
    under_test = new_subscription(session, ear)
    session.answers.put_nowait(notification(1, (1, 1.0)))
    await cut_after(1, under_test, session, ear)
    ear.disk.set()
    task = asyncio.create_task(under_test.run())
    await turns()
    session.answers.put_nowait(notification(2, (1, 2.0)))
    await ear.until(lambda: len(ear.batches) == 2)
    await turns()
    assert session.acknowledged == [1, 2]
    task.cancel()
    await asyncio.wait([task])


async def test_what_was_half_taken_in_at_the_cut_cannot_be_gone_on_from() -> None:
    session, ear = ScriptedSession(), Ear()
    under_test = new_subscription(session, ear)
    session.answers.put_nowait(notification(1, (99, 1.0)))
    with pytest.raises(LinkError):
        await asyncio.wait_for(under_test.run(), 30)
    assert not under_test.can_resume


async def test_what_is_told_in_parts_is_known_only_with_the_last_part() -> None:
    session, ear = ScriptedSession(), Ear()
    async with subscribed(session, ear):
        session.answers.put_nowait(notification(1, (1, 1.0), (2, 1.0)))
        session.answers.put_nowait(notification(2, (1, 2.0), more=True))
        session.answers.put_nowait(notification(3, (2, 2.0)))
        await ear.until(lambda: len(ear.batches) == 3)
    whole, part, rest = (batch.known_to_ns or 0 for batch in ear.batches)
    assert part == whole
    assert rest > whole
