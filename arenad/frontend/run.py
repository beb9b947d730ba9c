"""The frontend from its first line to its last: two listening sockets, one link to the master."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from aiohttp import web

from arenad import child
from arenad.errors import ArenadError
from arenad.frontend.api import Api
from arenad.frontend.dispatch import Dispatch
from arenad.frontend.gui import Gui
from arenad.schema.frame import Body
from arenad.schema.process import Drained, ForkOrder, Ready, Roster, Welcome

BEAT_INTERVAL_S = 1.0
LISTEN_BACKLOG = 1024

logger = logging.getLogger("arenad.frontend")


def main(order: ForkOrder, sockets: Sequence[socket.socket]) -> int:
    """Live as a frontend; gives the exit code."""
    return child.live(order, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Serve until told to stop; when told to drain, finish what is under way first."""
    if welcome.frontend is None:
        raise ArenadError("the master sent a frontend no frontend's settings")
    settings = welcome.frontend
    dispatch = Dispatch(settings.queue, settings.chat)
    api, gui = Api(dispatch, settings), Gui(me.master)

    def on_note(body: Body) -> None:
        if isinstance(body, Roster):
            dispatch.on_roster(body)

    me.on_note = on_note
    runners = [
        web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        for app in (api.app(), gui.app())
    ]
    sites: list[web.SockSite] = []
    for runner, listener in zip(runners, me.listeners, strict=True):
        await runner.setup()
        sites.append(web.SockSite(runner, listener, backlog=LISTEN_BACKLOG))
        await sites[-1].start()
    me.master.note(Ready())
    me.tasks.start(_beat(me, dispatch), "beat")
    me.tasks.start(_drain(me, api, sites), "drain when told to")
    await me.stopping.wait()
    await gui.close()
    for runner in runners:
        await runner.cleanup()
    await dispatch.close()


async def _beat(me: child.Child, dispatch: Dispatch) -> None:
    """Tell the master what changed, at most once a second."""
    last = None
    while True:
        beat = dispatch.beat()
        if beat != last:
            me.master.note(beat)
        last = beat
        await asyncio.sleep(BEAT_INTERVAL_S)


async def _drain(me: child.Child, api: Api, sites: list[web.SockSite]) -> None:
    """Accept nobody new, let everybody in finish."""
    await me.draining.wait()
    api.is_closing = True
    for site in sites:
        await site.stop()
    await api.idle.wait()
    me.master.note(Drained())
