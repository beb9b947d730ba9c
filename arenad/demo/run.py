"""The demo arena as a process: the site on the socket that the master opened."""

import socket
from collections.abc import Sequence

from aiohttp import web

from arenad import child
from arenad.demo.site import make_runner
from arenad.errors import ArenadError
from arenad.schema.process import ForkOrder, Ready, Welcome


def main(order: ForkOrder, sockets: Sequence[socket.socket]) -> int:
    """Live as the demo arena; gives the exit code."""
    return child.live(order, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Serve until told to stop."""
    if welcome.demo is None:
        raise ArenadError("the master sent the demo arena no settings of its own")
    runner = make_runner(welcome.demo)
    await runner.setup()
    try:
        for listener in me.listeners:
            await web.SockSite(runner, listener, backlog=1024).start()
        me.master.note(Ready())
        await me.stopping.wait()
    finally:
        await runner.cleanup()
