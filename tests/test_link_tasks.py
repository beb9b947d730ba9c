"""The tasks of a group: their errors are said, and none outlives its end."""

import asyncio
import logging
from collections.abc import Awaitable

import pytest
from linked import on_each_loop

from arenad.link import Tasks


async def _fail() -> None:
    raise ValueError("nobody expected it")


@on_each_loop
async def test_an_error_in_a_task_is_said(*, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody awaits a background task, so its end with an error is a log line."""
    caplog.set_level(logging.ERROR)
    tasks = Tasks()
    task = tasks.start(_fail(), "the failing one")
    await asyncio.wait([task])
    await tasks.close()
    assert "the failing one ended with an error that nobody expected" in caplog.text


@on_each_loop
async def test_close_ends_all_and_what_they_start_meanwhile() -> None:
    """Tasks that start others on their way out leave nothing behind; closing twice is fine."""
    ended: list[str] = []

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("last")

    async def first(tasks: Tasks) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("first")
            tasks.start(last(), "started late")
            await asyncio.sleep(0)

    before = asyncio.all_tasks()
    tasks = Tasks()
    tasks.start(first(tasks), "first")
    await asyncio.sleep(0)
    await tasks.close()
    await tasks.close()
    assert asyncio.all_tasks() == before
    assert ended == ["first", "last"]


@on_each_loop
async def test_a_task_of_the_group_may_close_it() -> None:
    """It does not wait for itself."""
    closed: list[Awaitable[None]] = []

    async def close(tasks: Tasks) -> None:
        await tasks.close()
        closed.append(asyncio.sleep(0))

    tasks = Tasks()
    await tasks.start(close(tasks), "the closing one")
    await closed[0]
