"""All that one page's network does, told to the source that listens.

The page's own requests, and those of its frames from other sites and of its workers, each of which
is a session of its own. A new one waits until it is heard, so that no first request is missed.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from arenad.worker.devtools import DevTools, DevToolsError, Params, Reply
from arenad.worker.proxying import Admit
from arenad.worker.source import Inbox

BODY_BUFFER_BYTES = 32 * 1024 * 1024
"""What the browser keeps of bodies, for those that were over before they could be streamed."""

MAX_CHANNELS = 256
"""So many open sockets and streams of events are known; the oldest is forgotten first."""

MAX_SESSIONS = 64
"""So many frames and workers are listened to; further ones run on unheard."""

EVENTS = (
    "requestWillBeSent",
    "responseReceived",
    "dataReceived",
    "loadingFinished",
    "loadingFailed",
    "eventSourceMessageReceived",
    "webSocketCreated",
    "webSocketFrameSent",
    "webSocketFrameReceived",
    "webSocketFrameError",
    "webSocketClosed",
)

Key = tuple[str, str]
"""A session, and a request in it."""


class Channel(NamedTuple):
    """A connection that stays: a WebSocket, or an EventSource's stream."""

    key: Key
    url: str
    is_socket: bool


class Traffic:
    """Listens in every session of one page."""

    def __init__(
        self, devtools: DevTools, session: str, context: str, admit: Admit = lambda _session: None
    ) -> None:
        """`session` is the page's, `context` its own context; `admit` comes first in each."""
        self._devtools = devtools
        self._session = session
        self.context = context
        self._admit = admit
        self._sessions: set[str] = set()
        self._channels: OrderedDict[Key, Channel] = OrderedDict()
        self._source: Inbox | None = None
        self.frame = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self) -> None:
        """Listen from now on. Raises `DevToolsError`."""
        self._listen(self._session)
        self._admit(self._session)
        self._devtools.on("", "Target.attachedToTarget", self._on_attached)
        await self._devtools.command("Network.enable", _BOUNDS, self._session)
        await self._devtools.command("Target.setAutoAttach", _ATTACH, self._session)
        # A shared worker belongs to no page; the browser itself tells of it.
        shared = {**_ATTACH, "filter": [{"type": "shared_worker"}]}
        await self._devtools.command("Target.setAutoAttach", shared)

    def attend(self, source: Inbox) -> None:
        """Tell this source, and no other any more."""
        self._source = source

    def lose(self, why: str) -> None:
        """The page or its browser is gone."""
        if self._source is not None:
            self._source.lose(why)

    def forget(self) -> None:
        """The page is closed: nothing is heard of it any more."""
        for session in (self._session, *self._sessions):
            self._devtools.forget(session)
        self._sessions.clear()
        self._channels.clear()

    def channels(self, *, is_socket: bool) -> list[Channel]:
        """The connections of this kind that are open."""
        return [each for each in self._channels.values() if each.is_socket is is_socket]

    # -- sessions ----------------------------------------------------------------------------------

    def _listen(self, session: str) -> None:
        for event in EVENTS:
            self._devtools.on(session, f"Network.{event}", partial(self._on_event, session, event))
        self._devtools.on(session, "Target.attachedToTarget", self._on_attached)
        self._devtools.on(session, "Target.detachedFromTarget", self.on_detached)

    def _on_attached(self, params: Params) -> None:
        """A frame or a worker has begun, and waits for our word to go on."""
        session = str(params["sessionId"])
        is_ours = params["targetInfo"].get("browserContextId", self.context) == self.context
        try:
            if is_ours and len(self._sessions) < MAX_SESSIONS:
                self._sessions.add(session)
                self._listen(session)
                self._admit(session)
                self._devtools.send(session, "Network.enable", _BOUNDS, _ignore)
                self._devtools.send(session, "Target.setAutoAttach", _ATTACH, _ignore)
            self._devtools.send(session, "Runtime.runIfWaitingForDebugger", {}, _ignore)
        except DevToolsError as error:
            self.lose(str(error))

    def on_detached(self, params: Params) -> None:
        """A frame or a worker has ended."""
        session = str(params["sessionId"])
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        self._devtools.forget(session)
        for key in [key for key in self._channels if key[0] == session]:
            del self._channels[key]
        if self._source is not None:
            self._source.on_target_gone(session)

    # -- events ------------------------------------------------------------------------------------

    def _on_event(self, session: str, event: str, params: Params) -> None:
        key = session, str(params.get("requestId"))
        if event == "webSocketCreated":
            self._open(Channel(key, str(params["url"]), is_socket=True))
        elif event == "requestWillBeSent" and params.get("type") == "EventSource":
            self._open(Channel(key, str(params["request"]["url"]), is_socket=False))
        elif event in ("webSocketClosed", "loadingFinished", "loadingFailed"):
            self._channels.pop(key, None)
        elif event == "responseReceived" and params.get("frameId") == self.frame:
            self._note_document(params)
        if self._source is not None:
            self._source.on_event(session, event, params)

    def _note_document(self, params: Params) -> None:
        """How the page itself was answered, which its script cannot tell in full."""
        if params.get("type") == "Document":
            self.status = int(params["response"]["status"])
            headers = params["response"]["headers"].items()
            self.headers = {str(name).lower(): str(value) for name, value in headers}

    def _open(self, channel: Channel) -> None:
        self._channels[channel.key] = channel
        while len(self._channels) > MAX_CHANNELS:
            self._channels.popitem(last=False)


_BOUNDS: Params = {
    "maxTotalBufferSize": BODY_BUFFER_BYTES,
    "maxResourceBufferSize": BODY_BUFFER_BYTES,
}
_ATTACH: Params = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}


def _ignore(_: Reply) -> None:
    pass
