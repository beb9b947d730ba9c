"""The recorder as a process: notes of the master and of frontends in, one file out."""

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from arenad import child
from arenad.errors import ArenadError
from arenad.recorder.scribe import Scribe
from arenad.recorder.store import Store
from arenad.schema.frame import Body
from arenad.schema.process import Drained, ForkOrder, Ready, Welcome

PRIVATE = 0o077
"""Nobody else reads the history."""


def main(order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> int:
    """Live as the recorder; gives the exit code."""
    return child.live(order, switch, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Record until told to stop or to drain, and what was sent before that too.

    A file that cannot be written is no reason to leave, and no reason not to be ready: whoever
    asks is told.
    """
    if welcome.recorder is None:
        raise ArenadError("the master sent the recorder no settings of its own")
    os.umask(PRIVATE)
    store = Store(Path(welcome.recorder.folder), welcome.recorder.history)
    scribe = Scribe(store, me.master.note)

    def on_note(body: Body) -> None:
        if isinstance(body, Welcome) and body.recorder is not None:
            store.rules = body.recorder.history
        else:
            scribe.take(me.master, body)

    me.on_note = on_note
    me.serve = scribe.serve
    loop = asyncio.get_running_loop()
    servers = [await loop.create_unix_server(scribe.link, sock=each) for each in me.listeners]
    me.master.note(Ready())
    writing = me.tasks.start(scribe.write(), "write")
    leave = [me.tasks.start(_until(each), "leave") for each in (me.draining, me.stopping)]
    try:
        await asyncio.wait(leave, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for server in servers:
            server.close()
        await scribe.finish(writing)
    me.master.note(Drained())
    await me.stopping.wait()


async def _until(event: asyncio.Event) -> None:
    await event.wait()
