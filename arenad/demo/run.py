"""The demo arena as a process: the site on the socket that the master opened."""

import socket
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from arenad import child
from arenad.activity import Activity
from arenad.demo.site import make_runner
from arenad.errors import ArenadError
from arenad.schema.process import Drained, ForkOrder, Ready, Welcome

LINGER_S = 0.5
"""Browsers keep connections: who has been quiet for so long is hung up on."""


def main(order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> int:
    """Live as the demo arena; gives the exit code."""
    return child.live(order, switch, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Serve until told to stop; when told to drain, finish what is under way first."""
    if welcome.demo is None:
        raise ArenadError("the master sent the demo arena no settings of its own")
    activity = Activity()

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        with activity.one():
            return await handler(request)

    async def close_when_draining(_: web.Request, response: web.StreamResponse) -> None:
        if me.draining.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    runner = make_runner(welcome.demo)
    runner.app.middlewares.insert(0, count)
    runner.app.on_response_prepare.append(close_when_draining)
    await runner.setup()
    try:
        sites = [web.SockSite(runner, each, backlog=1024) for each in me.listeners]
        for site in sites:
            await site.start()
        me.master.note(Ready())
        me.tasks.start(_drain(me, activity, sites), "drain when told to")
        await me.stopping.wait()
    finally:
        await runner.cleanup()


async def _drain(me: child.Child, activity: Activity, sites: list[web.SockSite]) -> None:
    await me.draining.wait()
    for site in sites:
        await site.stop()
    await activity.quiet(LINGER_S)
    me.master.note(Drained())
