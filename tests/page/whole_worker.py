"""A whole worker in the test's own process, with the test as its master."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace
from real_browser import CONFIG, demo_profile, until

from arenad import child, deadman, link
from arenad.schema.config import BrowserConfig, HealthConfig
from arenad.schema.frame import Body
from arenad.schema.process import ForkOrder, SessionIs, Welcome, WorkerSettings
from arenad.worker import run
from arenad.worker.page import Page


class Master:
    """The master's end of a worker's life: what was told, and the worker's exit code."""

    def __init__(self, folder: Path, end: socket.socket) -> None:
        self.socket_path = folder / "w.sock"
        self.scratch = folder / "scratch"
        self.heard: list[Body] = []
        self.end = end
        self.worker: link.Link

    async def hear(self, kind: type[Body]) -> Body:
        """The first note of this kind, once it is there."""
        await until(lambda: any(isinstance(note, kind) for note in self.heard))
        return next(note for note in self.heard if isinstance(note, kind))

    def conditions(self) -> list[str]:
        """What it said of its session, each condition once as it changed."""
        told = [note.condition for note in self.heard if isinstance(note, SessionIs)]
        return [each for place, each in enumerate(told) if told[place - 1 : place] != [each]]

    def last_condition(self) -> SessionIs:
        """What the worker said of its session at last."""
        return [note for note in self.heard if isinstance(note, SessionIs)][-1]


def noted_pages(monkeypatch: pytest.MonkeyPatch) -> list[Page]:
    """Every page that workers make from now on, in their order."""
    pages: list[Page] = []
    create = Page.create

    async def noted(devtools: Any, *way: Any) -> Page:
        pages.append(await create(devtools, *way))
        return pages[-1]

    monkeypatch.setattr(Page, "create", noted)
    return pages


@asynccontextmanager
async def whole_worker(
    folder: Path, site_url: str, browser: BrowserConfig = CONFIG, **given: Any
) -> AsyncIterator[tuple[Master, "asyncio.Task[int]"]]:
    """A worker that runs in this very process, as its own code would in a forked one.

    `given` are further settings of the worker's.
    """
    ours, theirs = socket.socketpair()
    master = Master(folder, ours)
    order = ForkOrder(role="worker", name="w1", generation=1, uid=os.getuid(), gid=os.getgid())
    settings = WorkerSettings(
        socket_path=str(master.socket_path),
        scratch_dir=str(master.scratch),
        browser=browser,
        profile=demo_profile(),
        site_url=site_url,
        health=HealthConfig(interval_s=0.2, probe_s=0.2, timeout_s=0.5),
        slots=1,
    )
    master.worker = await link.adopt(ours, "w1", on_note=master.heard.append)
    master.worker.note(Welcome("info", worker=replace(settings, **given)))
    switch = deadman.create()
    life = asyncio.get_running_loop().create_task(child._live(order, switch, [theirs], run.run))
    try:
        yield master, life
        await life
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        master.worker.close()
        os.close(switch)
    assert not master.scratch.exists()
    assert not master.socket_path.exists()
    assert psutil.Process().children() == []
