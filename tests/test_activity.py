"""Activity: it is over when nothing has been under way for a while."""

import asyncio
from contextlib import ExitStack

from arenad.activity import Activity

WHILE_S = 0.05


def test_nothing_under_way_is_quiet_after_a_while():
    """Who has not been asked anything may leave soon."""

    async def story():
        async with asyncio.timeout(10):
            await Activity().quiet(WHILE_S)

    asyncio.run(story())


def test_what_is_under_way_is_waited_for():
    """Also what begins while the quiet is being waited for, and what ends with an error."""

    async def story():
        activity = Activity()
        with ExitStack() as under_way:
            under_way.enter_context(activity.one())
            waiting = asyncio.create_task(activity.quiet(WHILE_S))
            done, _ = await asyncio.wait({waiting}, timeout=3 * WHILE_S)
            assert not done
        try:
            with activity.one():
                assert activity.count == 1
                await asyncio.sleep(0)
                raise LookupError  # noqa: TRY301 - as a handler may end
        except LookupError:
            pass
        assert activity.count == 0
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(story())


def test_a_quiet_that_was_broken_begins_anew():
    """As long as somebody comes within the while, nobody leaves."""

    async def story():
        activity = Activity()
        waiting = asyncio.create_task(activity.quiet(10 * WHILE_S))
        for _ in range(5):
            await asyncio.sleep(WHILE_S)
            with activity.one():
                assert not waiting.done()
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(story())
