"""All that one page's network does, told to the source that listens.

The page's own requests, and those of its frames from other sites and of its workers, each of which
is a session of its own. A new one waits until it is heard, so that no first request is missed.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import NamedTuple, Required, TypedDict, cast

import msgspec

from arenad.worker.devtools import Decode, DevTools, Params, Reply
from arenad.worker.page_port import BrowserError
from arenad.worker.proxying import Admit
from arenad.worker.source import Inbox

BODY_BUFFER_BYTES = 2 * 1024 * 1024
"""What the browser keeps of bodies, for those that were over before they could be streamed.

Its renderer fills this with whatever a page loads, streamed or not: it is memory of each instance.
"""

MAX_CHANNELS = 256
"""So many open sockets and streams of events are known; the oldest is forgotten first."""

MAX_SESSIONS = 64
"""So many frames and workers are listened to; further ones run on unheard."""

CALM_S = 0.1
"""What a page has to tell its server when it begins follows more closely than that."""

CALM_LIMIT_S = 2.0
"""A page whose sockets never rest is used after so long."""

EVENTS = (
    "requestWillBeSent",
    "responseReceived",
    "dataReceived",
    "loadingFinished",
    "loadingFailed",
    "eventSourceMessageReceived",
    "webSocketCreated",
    "webSocketHandshakeResponseReceived",
    "webSocketFrameSent",
    "webSocketFrameReceived",
    "webSocketFrameError",
    "webSocketClosed",
)

Key = tuple[str, str]
"""A session, and a request in it."""


class _BodyPiece(TypedDict, total=False):
    """What is used of a piece of a body; JSON has its bytes in base64."""

    requestId: Required[str]
    dataLength: int
    data: bytes


DECODERS = {"dataReceived": cast("Decode", msgspec.json.Decoder(_BodyPiece).decode)}
"""Of events that bring bytes: no text of the same size is made on the way."""


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
        self._opening: set[Key] = set()
        self._spoke_s = float("-inf")
        self._source: Inbox | None = None
        self.frame = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self) -> None:
        """Listen from now on. Raises `BrowserError`."""
        self._listen(self._session)
        self.admit()
        self._devtools.on("", "Target.attachedToTarget", self._on_attached)
        await self._devtools.command("Network.enable", _BOUNDS, self._session)
        await self._devtools.command("Target.setAutoAttach", _ATTACH, self._session)
        # A shared worker belongs to no page; the browser itself tells of it. A window that a page
        # opens waits for the debugger as soon as anything of the browser does, told or not, and
        # its opener waits with it: so we have to be told.
        whole = {**_ATTACH, "filter": [{"type": "shared_worker"}, {"type": "page"}]}
        await self._devtools.command("Target.setAutoAttach", whole)

    def admit(self) -> None:
        """Answer a proxy's questions to the page, again where that was ended."""
        self._admit(self._session)

    def attend(self, source: Inbox) -> None:
        """Tell this source, and no other any more."""
        if (left := self._source) is not None:
            left.let_go()
            left.valve = None  # a reply may come to it yet, but only one source holds the network
        self._source = source
        source.valve = self._devtools.valve

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
        self._opening.clear()

    async def calm(self) -> None:
        """Until the page's sockets are open and have rested for a moment, if it has any.

        Where the server holds a page's state, what is typed before the two have met is lost.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + CALM_LIMIT_S
        while any(each.is_socket for each in self._channels.values()):
            now_s = loop.time()
            calm_s = now_s + CALM_S if self._opening else self._spoke_s + CALM_S
            if min(calm_s, until_s) <= now_s:
                return
            await asyncio.sleep(min(calm_s, until_s) - now_s)

    def channels(self, *, is_socket: bool) -> list[Channel]:
        """The connections of this kind that are open."""
        return [each for each in self._channels.values() if each.is_socket is is_socket]

    # -- sessions ----------------------------------------------------------------------------------

    def _listen(self, session: str) -> None:
        for event in EVENTS:
            heard = partial(self._on_event, session, event)
            self._devtools.on(session, f"Network.{event}", heard, DECODERS.get(event))
        self._devtools.on(session, "Target.attachedToTarget", self._on_attached)
        self._devtools.on(session, "Target.detachedFromTarget", self.on_detached)

    def _on_attached(self, params: Params) -> None:
        """A frame, a worker or a window has begun, and waits for our word to go on.

        So may the page itself, which has a session of its own already: this one is left idle.
        """
        session, target = str(params["sessionId"]), params["targetInfo"]
        is_ours = target.get("browserContextId", self.context) == self.context
        is_known = target.get("targetId") == self.frame
        try:
            if is_ours and not is_known and len(self._sessions) < MAX_SESSIONS:
                self._sessions.add(session)
                self._listen(session)
                self._admit(session)
                self._devtools.send(session, "Network.enable", _BOUNDS, _ignore)
                self._devtools.send(session, "Target.setAutoAttach", _ATTACH, _ignore)
            self._devtools.send(session, "Runtime.runIfWaitingForDebugger", {}, _ignore)
        except BrowserError as error:
            self.lose(str(error))

    def on_detached(self, params: Params) -> None:
        """A frame or a worker has ended."""
        session = str(params["sessionId"])
        if session not in self._sessions:
            return
        self._sessions.discard(session)
        self._devtools.forget(session)
        for key in [key for key in self._channels if key[0] == session]:
            self._close(key)
        if self._source is not None:
            self._source.on_target_gone(session)

    # -- events ------------------------------------------------------------------------------------

    def _on_event(self, session: str, event: str, params: Params) -> None:
        key = session, str(params.get("requestId"))
        if event.startswith("webSocket"):
            self._spoke_s = asyncio.get_running_loop().time()
        if event == "webSocketCreated":
            self._opening.add(key)
            self._open(Channel(key, str(params["url"]), is_socket=True))
        elif event == "webSocketHandshakeResponseReceived":
            self._opening.discard(key)
        elif event == "requestWillBeSent" and params.get("type") == "EventSource":
            self._open(Channel(key, str(params["request"]["url"]), is_socket=False))
        elif event in ("webSocketClosed", "loadingFinished", "loadingFailed"):
            self._close(key)
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
            self._close(next(iter(self._channels)))

    def _close(self, key: Key) -> None:
        self._channels.pop(key, None)
        self._opening.discard(key)


_BOUNDS: Params = {
    "maxTotalBufferSize": BODY_BUFFER_BYTES,
    "maxResourceBufferSize": BODY_BUFFER_BYTES,
}
_ATTACH: Params = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}


def _ignore(_: Reply) -> None:
    pass
