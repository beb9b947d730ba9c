"""A deadline that is put off, on the loop's own clock."""

import asyncio
import gc
import weakref

import pytest
import uvloop

from arenad.due import NEVER_S, Due, deadline

SOON_S = 0.05
LATER_S = 60.0


async def _called(due_in_s: list[float]) -> bool:
    """Whether one that was put off like this has called back, some while after all of it."""
    called = asyncio.Event()
    due = Due(called.set)
    for limit_s in due_in_s:
        due.within(limit_s)
    await asyncio.sleep(4 * SOON_S)
    due.close()
    return called.is_set()


@pytest.mark.parametrize(
    ("due_in_s", "is_called"),
    [
        ([SOON_S], True),
        ([0.0], True),
        ([SOON_S, LATER_S], False),
        ([LATER_S, SOON_S], True),
        ([SOON_S, NEVER_S], False),
        ([SOON_S, NEVER_S, SOON_S], True),
        ([SOON_S, LATER_S, SOON_S], True),
        ([], False),
    ],
)
def test_the_last_word_counts(due_in_s: list[float], is_called: bool) -> None:
    """Put off or brought forward, whatever the timer was set for first."""
    assert asyncio.run(_called(due_in_s)) is is_called


def test_a_time_that_has_come_can_be_named_twice() -> None:
    """Before the loop looks; uvloop gives a handle for it that cannot tell its time."""

    async def story() -> None:
        called = asyncio.Event()
        due = Due(called.set)
        due.within(0.0)
        due.within(0.0)
        await asyncio.wait_for(called.wait(), 10)

    uvloop.run(story())


def test_it_goes_on_after_it_was_due() -> None:
    """Once for each time that it is set, and never after it is closed."""

    async def story() -> None:
        called: list[int] = []
        due = Due(lambda: called.append(1))
        for _ in range(2):
            due.within(0.0)
            await asyncio.sleep(SOON_S)
        assert len(called) == 2
        due.within(SOON_S)
        due.close()
        await asyncio.sleep(4 * SOON_S)
        assert len(called) == 2

    asyncio.run(story())


def test_whose_deadline_it_was_is_gone_at_once_once_it_is_closed() -> None:
    """Each holds the other; left to the garbage collector, each answer would stay for a while."""

    class Owner:
        def __init__(self) -> None:
            self.due = Due(self.too_late)

        def too_late(self) -> None:
            """Never."""

    async def story() -> None:
        owner = Owner()
        owner.due.within(LATER_S)
        owner.due.close()
        gone = weakref.ref(owner)
        gc.disable()
        try:
            del owner
            assert gone() is None
        finally:
            gc.enable()

    asyncio.run(story())


def test_a_scope_ends_when_it_is_due() -> None:
    """With `TimeoutError`, after it was put off once; what ends before is not touched."""

    async def lasts(first_s: float, then_s: float) -> None:
        async with deadline() as limit:
            limit.within(first_s)
            limit.within(then_s)
            await asyncio.sleep(2 * SOON_S)

    asyncio.run(lasts(SOON_S, LATER_S))
    with pytest.raises(TimeoutError):
        asyncio.run(lasts(LATER_S, SOON_S))
