"""The control socket: who may command, and what each command does.

The same commands reach us from a frontend, on behalf of its dashboard, over that frontend's link.
"""

import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from arenad.errors import Refused
from arenad.master.handover import KeptCrew
from arenad.master.loop import Channel, Loop, Timer
from arenad.master.reload import Reloader
from arenad.master.supervised import Supervised
from arenad.master.supervisor import Supervisor
from arenad.master.upgrade import Upgrader
from arenad.schema import control, history, keys
from arenad.schema.chat import failure_of
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.process import Forget, LogLine, Renew
from arenad.wire import CONTROL_MAX_FRAME_BYTES, Peer

MAX_CLIENTS = 64
MAX_STREAMS = 16
"""Watches and followed logs that one client may have open."""

STATE_INTERVAL_S = 0.5
"""Watchers are told of changes at most this often."""

ACCEPT_AGAIN_S = 1.0
"""Out of descriptors, a waiting client would wake us again at once: look away for so long."""

MAX_LOG_LINES = 2000
MAX_SHOWN_CHARS = 60

CHANGES = (
    control.Scale,
    control.Restart,
    control.DrainOne,
    control.RenewOne,
    control.ForgetSession,
    control.Reset,
    control.Reload,
    control.Upgrade,
    keys.CreateKey,
    keys.RevokeKey,
    control.Shutdown,
)
"""Commands that change something: each is logged with the uid it came from."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)

logger = logging.getLogger("arenad.master")


class Office(NamedTuple):
    """Who sees to undertakings that reach beyond the supervisor."""

    reloader: Reloader
    upgrader: Upgrader


class Control:
    """Serves commands, keeps the streams of those who watch."""

    def __init__(
        self, loop: Loop, supervisor: Supervisor, office: Office, listener: socket.socket
    ) -> None:
        """Serve those who connect to `listener`; `office` has the larger undertakings."""
        self._loop = loop
        self._supervisor = supervisor
        self._office = office
        self._listener = listener
        self._clients: set[Channel] = set()
        self._watching: set[tuple[Channel, int]] = set()
        self._following: set[tuple[Channel, int]] = set()
        self._next_state: Timer | None = None
        self._commands: Mapping[type, Callable[[Channel, int, Any], Body | None]] = {
            control.GetState: self._get_state,
            control.Watch: self._watch,
            control.Logs: self._logs,
            control.Scale: self._scale,
            control.Restart: self._restart,
            control.DrainOne: self._drain,
            control.RenewOne: self._renew,
            control.ForgetSession: self._forget_session,
            control.Reset: self._reset,
            control.GetStory: self._story,
            history.GetHistory: self._history,
            keys.CreateKey: self._create_key,
            keys.RevokeKey: self._revoke_key,
            keys.GetKeys: self._keys,
            control.Reload: self._reload,
            control.Upgrade: self._upgrade,
            control.Shutdown: self._shutdown,
        }
        """What can be commanded, and who performs it; a stream stays open and has no answer yet."""
        self._watch_listener()
        supervisor.on_relayed = self.on_frame
        supervisor.on_log = self.on_log

    def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        for channel in list(self._clients):
            channel.close()

    # -- clients -----------------------------------------------------------------------------------

    def _watch_listener(self) -> None:
        self._loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        try:
            end, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            logger.warning("the control socket takes nobody for a moment: %s", error.strerror)
            self._loop.unwatch(self._listener.fileno())
            self._loop.after(ACCEPT_AGAIN_S, self._watch_listener)
            return
        packed = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(packed)
        if uid not in (0, os.getuid()):
            logger.warning("the control socket turned away uid %d: it may not command", uid)
            end.close()
        elif len(self._clients) >= MAX_CLIENTS:
            logger.warning("the control socket turned away one more: %d are on it", MAX_CLIENTS)
            end.close()
        else:
            self._open(end, uid)

    def _open(self, end: socket.socket, uid: int) -> None:
        def on_frame(frame: Frame) -> None:
            if frame.kind is Kind.CALL and isinstance(frame.body, CHANGES):
                logger.info("uid %d commands %s", uid, frame.body)
            self.on_frame(channel, frame)

        def on_end(reason: str) -> None:
            if not reason.startswith("closed the link"):
                logger.warning("a control client of uid %d %s", uid, reason)
            self._clients.discard(channel)
            self._forget_ended()

        channel = Channel(self._loop, end, Peer(CONTROL_MAX_FRAME_BYTES), on_frame, on_end)
        self._clients.add(channel)

    # -- commands ----------------------------------------------------------------------------------

    def on_frame(self, channel: Channel, frame: Frame) -> None:
        """One frame from a client or a frontend."""
        if frame.kind is Kind.CANCEL:
            self._watching.discard((channel, frame.call))
            self._following.discard((channel, frame.call))
            channel.send(channel.peer.end(frame.call, control.Done("ended")))
            return
        if frame.kind is not Kind.CALL or frame.call == 0:
            return
        try:
            answer = self._answer(channel, frame)
        except Refused as error:
            logger.info("refused: %s", error.message)
            answer = failure_of(error)
        if answer is not None:
            channel.send(channel.peer.end(frame.call, answer))

    def _answer(self, channel: Channel, frame: Frame) -> Body | None:
        """The END's body; none for a stream that stays open."""
        perform = self._commands.get(type(frame.body))
        if perform is None:
            raise Refused(f"{type(frame.body).__name__} is not a command")
        if self._supervisor.leaving and isinstance(frame.body, CHANGES[:-1]):
            raise Refused("the daemon is stopping; nothing new is begun")
        return perform(channel, frame.call, frame.body)

    def _get_state(self, _channel: Channel, _call: int, _: control.GetState) -> Body:
        return control.StateNow(self._supervisor.state())

    def _watch(self, channel: Channel, call: int, _: control.Watch) -> None:
        self._check_room(channel)
        self._watching.add((channel, call))
        channel.send(channel.peer.item(call, control.StateNow(self._supervisor.state())))

    def _logs(self, channel: Channel, call: int, wish: control.Logs) -> Body | None:
        if wish.follow:
            self._check_room(channel)
        for line in self._supervisor.ledger.last_lines(max(0, min(wish.lines, MAX_LOG_LINES))):
            channel.send(channel.peer.item(call, line))
        if not wish.follow:
            return control.Done("")
        self._following.add((channel, call))
        return None

    def _scale(self, _channel: Channel, _call: int, wish: control.Scale) -> Body:
        if wish.template:
            before = self._supervisor.wishes.others.get(wish.template, 0)
            self._supervisor.scale_template(wish.template, wish.instances)
            return control.Done(f"from {before} to {wish.instances} instances of {wish.template}")
        limit = self._supervisor.wishes.most
        if not 0 <= wish.instances <= limit:
            beside = " beside the others" if self._supervisor.wishes.others else ""
            must = f"must be 0 to {limit}{beside} (fleet.max_instances)"
            raise Refused(f"instances: is {wish.instances}; {must}")
        before = self._supervisor.wanted
        note = self._supervisor.scale(wish.instances)
        return control.Done(f"from {before} to {wish.instances} instances{note}")

    def _restart(self, _channel: Channel, _call: int, wish: control.Restart) -> Body:
        child = self._named(wish.name)
        was_running = child.pid != 0
        is_relayed = child.role == "frontend" and child.life.phase == "ready"
        self._supervisor.restart(child)
        if is_relayed:
            return control.Done(f"{child.name} finishes its requests once a successor serves")
        if was_running:
            return control.Done(f"{child.name} finishes its running chats and is started anew")
        return control.Done(f"{child.name} is started")

    def _drain(self, _channel: Channel, _call: int, wish: control.DrainOne) -> Body:
        child = self._named(wish.name)
        if child.role != "worker":
            raise Refused(f"name: {child.name} is no instance; only instances can be drained")
        self._supervisor.drain(child)
        return control.Done(f"{child.name} finishes its running chats and stays stopped")

    def _renew(self, _channel: Channel, _call: int, wish: control.RenewOne) -> Body:
        child = self._named(wish.name)
        if child.role != "worker":
            raise Refused(f"name: {child.name} is no instance; only instances have a session")
        if child.life.phase != "ready" or child.channel is None:
            raise Refused(f"name: {child.name} is {child.life.phase}; a started one is fresh")
        self._supervisor.tell(child.name, "an operator asks for a fresh session")
        child.channel.note(Renew())
        when = "once its chat has ended and the site wants nothing of it first"
        return control.Done(f"{child.name} begins a fresh session, {when}")

    def _forget_session(self, _channel: Channel, _call: int, wish: control.ForgetSession) -> Body:
        """Whoever runs is told first, so that it does not keep at its end what it still has."""
        child = self._supervisor.child(wish.name)
        is_up = child is not None and child.role == "worker" and child.pid != 0
        if child is not None and is_up and child.channel is not None:
            child.channel.note(Forget())
        was_kept = self._supervisor.forget_login(wish.name)
        if child is None or not is_up:
            if not was_kept:
                raise Refused(f"name: no login is kept for {wish.name[:MAX_SHOWN_CHARS]!r}")
            return control.Done(f"the login of {wish.name} is removed")
        self._supervisor.restart(child)
        return control.Done(f"{child.name} finishes its chats and is started without a login")

    def _reset(self, _channel: Channel, _call: int, wish: control.Reset) -> Body:
        if not wish.name:
            self._supervisor.reset(self._supervisor.children)
            return control.Done("all deaths are forgotten; what waited is started")
        child = self._named(wish.name)
        waited = child.life.phase in ("backoff", "failed")
        self._supervisor.reset([child])
        then = f"; {child.name} is started" if waited else ""
        return control.Done(f"the deaths of {child.name} are forgotten{then}")

    def _story(self, _channel: Channel, _call: int, wish: control.GetStory) -> Body:
        story = self._supervisor.ledger.story_of(wish.name)
        if not story:
            self._named(wish.name)
        children = self._supervisor.state().children
        now = next((child for child in children if child.name == wish.name), None)
        return control.StoryOf(wish.name, story, now)

    def _history(self, channel: Channel, call: int, wish: history.GetHistory) -> None:
        """The recorder's answer is passed on when it comes."""
        self._supervisor.recording.ask(
            wish, lambda answer: channel.send(channel.peer.end(call, answer))
        )

    def _create_key(self, _channel: Channel, _call: int, wish: keys.CreateKey) -> Body:
        self._supervisor.add_key(wish.key, wish.lasts_s)
        return control.Done(f"there is a key {wish.key.name}")

    def _revoke_key(self, _channel: Channel, _call: int, wish: keys.RevokeKey) -> Body:
        self._supervisor.revoke_key(wish.name)
        return control.Done(f"the key {wish.name} is refused from now on; what runs goes on")

    def _keys(self, _channel: Channel, _call: int, wish: keys.GetKeys) -> Body:
        return self._supervisor.keys(wish.use_of)

    def _reload(self, _channel: Channel, _call: int, wish: control.Reload) -> Body:
        return self._office.reloader.reload(is_rehearsal=wish.dry_run)

    def _upgrade(self, channel: Channel, call: int, _: control.Upgrade) -> None:
        def answer(text: str, fault: str) -> None:
            body = failure_of(Refused(fault)) if fault else control.Done(text)
            channel.send(channel.peer.end(call, body))

        self._office.upgrader.begin(answer)

    def _shutdown(self, _channel: Channel, _call: int, _: control.Shutdown) -> Body:
        self._loop.after(0.0, self._supervisor.shutdown)
        return control.Done("stopping: running chats finish first")

    def _named(self, name: str) -> Supervised:
        child = self._supervisor.child(name)
        if child is None:
            known = ", ".join(self._supervisor.names)
            raise Refused(f"name: there is no {name[:MAX_SHOWN_CHARS]!r}; there are {known}")
        return child

    # -- another program takes our place -----------------------------------------------------------

    @property
    def fd(self) -> int:
        """The descriptor of the listening socket."""
        return self._listener.fileno()

    def streams(self, channel: Channel | None) -> tuple[list[int], list[int]]:
        """The calls that are open on a link: watches, followed logs."""
        watching = [call for each, call in self._watching if each is channel]
        following = [call for each, call in self._following if each is channel]
        return watching, following

    def resume(self, crew: KeptCrew) -> None:
        """Go on with the streams that frontends had opened; other clients come again."""
        for kept in crew.children:
            child = self._supervisor.child(kept.name)
            if kept.link is not None and child is not None and child.channel is not None:
                self._watching |= {(child.channel, call) for call in kept.link.watching}
                self._following |= {(child.channel, call) for call in kept.link.following}

    # -- streams -----------------------------------------------------------------------------------

    def _check_room(self, channel: Channel) -> None:
        self._forget_ended()
        streams = (*self._watching, *self._following)
        if sum(follower is channel for follower, _ in streams) >= MAX_STREAMS:
            raise Refused(f"{MAX_STREAMS} streams are open on this connection; end one first")

    def _forget_ended(self) -> None:
        """Streams end with their channel; a frontend's may have been closed without a word."""
        self._watching = {stream for stream in self._watching if stream[0].open}
        self._following = {stream for stream in self._following if stream[0].open}

    def on_log(self, line: LogLine) -> None:
        """Pass a new record on to whoever follows."""
        for channel, call in list(self._following):
            channel.send(channel.peer.item(call, line))

    def on_change(self) -> None:
        """Something changed: tell those who watch, once for all changes of the next moment."""
        if self._watching and self._next_state is None:
            self._next_state = self._loop.after(STATE_INTERVAL_S, self._send_states)

    def _send_states(self) -> None:
        self._next_state = None
        self._forget_ended()
        if self._watching:
            state = control.StateNow(self._supervisor.state())
            for channel, call in list(self._watching):
                channel.send(channel.peer.item(call, state))


def listen(path: Path) -> socket.socket:
    """A socket with mode 0600 from its first moment (facts: chmod before bind leaves no gap)."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen(MAX_CLIENTS)
    listener.setblocking(False)
    return listener
