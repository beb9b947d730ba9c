"""The frontend from its first line to its last: two listening sockets, one link to the master."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from functools import partial

from aiohttp import web

from arenad import child
from arenad.errors import ArenadError
from arenad.frontend import tokens
from arenad.frontend.api import Api
from arenad.frontend.dispatch import Dispatch
from arenad.frontend.door import Door
from arenad.frontend.entrance import Entrance
from arenad.frontend.gui import Gui
from arenad.frontend.recording import Recording
from arenad.frontend.view import LiveView
from arenad.schema.config import ApiConfig
from arenad.schema.frame import Body
from arenad.schema.keys import GetKeys, KeysAre
from arenad.schema.process import Drained, ForkOrder, FrontendSettings, Ready, Roster, Welcome

BEAT_INTERVAL_S = 1.0
SHUTDOWN_TIMEOUT_S = 1.0
"""What still runs when the master says stop is cancelled after so long."""

STORE_TIMEOUT_S = 1.0
"""Whoever asks whether we are ready waits no longer for the master's word about keys."""

LINGER_S = 0.5
"""A client that has just been answered may be sending its next request on the same connection: it
is served, and told that the connection ends. Who is quiet for so long is hung up on."""

logger = logging.getLogger("arenad.frontend")


def main(order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> int:
    """Live as a frontend; gives the exit code."""
    return child.live(order, switch, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Serve until told to stop; when told to drain, finish what is under way first."""
    if welcome.frontend is None:
        raise ArenadError("the master sent a frontend no frontend's settings")
    settings = welcome.frontend
    tokens.counter()
    dispatch = Dispatch(settings.queue, settings.chat)
    _follow(dispatch, settings)
    recording = Recording(settings.recorder_socket, me.name)
    api = Api(dispatch, settings, recording)
    api.store_fault = partial(_store_fault, me)
    gui = Gui(me.master, LiveView(dispatch.pool), api.keys)

    def on_note(body: Body) -> None:
        if isinstance(body, Roster):
            dispatch.on_roster(body)
        elif isinstance(body, Welcome) and body.frontend is not None:
            _follow(dispatch, body.frontend)
            api.adjust(body.frontend)

    me.on_note = on_note
    runners = [
        web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        for app in (api.app(), gui.app())
    ]
    doors: list[Door] = []
    try:
        pairs = zip(runners, me.listeners, strict=True)
        doors = [await _open(*each, settings.api) for each in pairs]
        me.master.note(Ready())
        recording.start()
        me.tasks.start(api.kept.sweep(), "remove kept images in time")
        me.tasks.start(api.once.sweep(), "remove kept answers in time")
        me.tasks.start(_beat(me, dispatch), "beat")
        me.tasks.start(_drain(me, api, doors), "drain when told to")
        await me.stopping.wait()
    finally:
        api.is_closing = True
        for door in doors:
            door.close()
        await gui.close()
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        await dispatch.close()
        await api.close()
        await recording.close()


def _follow(dispatch: Dispatch, settings: FrontendSettings) -> None:
    dispatch.adjust(settings.queue, settings.chat, settings.breaker)
    dispatch.battle_targets = settings.battle_targets


async def _open(runner: web.AppRunner, listener: socket.socket, limits: ApiConfig) -> Door:
    await runner.setup()
    if runner.server is None:
        raise ArenadError("the HTTP server was not set up")
    return Door(listener, Entrance(runner.server, limits))


async def _store_fault(me: child.Child) -> str:
    """What is wrong with the store of keys, as far as the master tells."""
    try:
        told = await me.master.call(GetKeys(), STORE_TIMEOUT_S)
    except (ArenadError, TimeoutError) as error:
        return f"the master does not tell: {error}"
    return told.fault if isinstance(told, KeysAre) else ""


async def _beat(me: child.Child, dispatch: Dispatch) -> None:
    """Tell the master what changed, at most once a second."""
    last = None
    while True:
        beat = dispatch.beat()
        if beat != last:
            me.master.note(beat)
        last = beat
        await asyncio.sleep(BEAT_INTERVAL_S)


async def _drain(me: child.Child, api: Api, doors: list[Door]) -> None:
    """Accept nobody new, let everybody in finish, and tell whoever stays connected to leave."""
    await me.draining.wait()
    api.is_closing = True
    for door in doors:
        door.close()
    await api.activity.quiet(LINGER_S)
    me.master.note(Drained())
