"""The control socket: who may command, and what each command does.

The same commands reach us from a frontend, on behalf of its dashboard, over that frontend's link.
"""

import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from arenad.errors import Refused
from arenad.master.loop import Channel, Loop, Timer
from arenad.master.supervised import Supervised
from arenad.master.supervisor import Supervisor
from arenad.schema import control
from arenad.schema.chat import failure_of
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.process import LogLine
from arenad.wire import CONTROL_MAX_FRAME_BYTES, Peer

MAX_CLIENTS = 64
STATE_INTERVAL_S = 0.5
"""Watchers are told of changes at most this often."""

MAX_LOG_LINES = 2000

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)

logger = logging.getLogger("arenad.master")


class Control:
    """Serves commands, keeps the streams of those who watch."""

    def __init__(self, loop: Loop, supervisor: Supervisor, path: Path) -> None:
        """Listen at `path`, for this user and root alone."""
        self._loop = loop
        self._supervisor = supervisor
        self._path = path
        self._clients: set[Channel] = set()
        self._watching: set[tuple[Channel, int]] = set()
        self._following: set[tuple[Channel, int]] = set()
        self._next_state: Timer | None = None
        self._listener = _listen(path)
        loop.watch(self._listener.fileno(), self._accept)
        supervisor.on_relayed = self.on_frame
        supervisor.on_log = self.on_log

    def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for channel in list(self._clients):
            channel.close()

    def _accept(self, _events: int) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError:
            return
        uid = _CREDENTIALS.unpack(
            end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )[1]
        if uid not in (0, os.getuid()) or len(self._clients) >= MAX_CLIENTS:
            logger.warning("the control socket turned away uid %d", uid)
            end.close()
            return
        self._open(end, uid)

    def _open(self, end: socket.socket, uid: int) -> None:
        channel = Channel(
            self._loop,
            end,
            Peer(CONTROL_MAX_FRAME_BYTES),
            lambda frame: self._audited(channel, frame, uid),
            lambda reason: self._on_end(channel, reason),
        )
        self._clients.add(channel)

    def _audited(self, channel: Channel, frame: Frame, uid: int) -> None:
        if isinstance(frame.body, control.Scale | control.Restart | control.DrainOne | control.Shutdown):
            logger.info("uid %d commands %s", uid, frame.body)
        self.on_frame(channel, frame)

    def _on_end(self, channel: Channel, reason: str) -> None:
        if "protocol" in reason:
            logger.warning("a control client %s", reason)
        self._clients.discard(channel)
        self._forget(lambda entry: entry[0] is channel)

    def _forget(self, ended: Callable[[tuple[Channel, int]], bool]) -> None:
        self._watching = {entry for entry in self._watching if not ended(entry)}
        self._following = {entry for entry in self._following if not ended(entry)}

    # -- commands -----------------------------------------------------------------------------------

    def on_frame(self, channel: Channel, frame: Frame) -> None:
        """One frame from a client or a frontend."""
        if frame.kind is Kind.CANCEL:
            self._forget(lambda entry: entry == (channel, frame.call))
            channel.send(channel.peer.end(frame.call, control.Done("ended")))
            return
        if frame.kind is not Kind.CALL or frame.call == 0:
            return
        try:
            answer = self._answer(channel, frame)
        except Refused as error:
            answer = failure_of(error)
        if answer is not None:
            channel.send(channel.peer.end(frame.call, answer))

    def _answer(self, channel: Channel, frame: Frame) -> Body | None:
        """The END's body; none for a stream that stays open."""
        body = frame.body
        if isinstance(body, control.GetState):
            return control.StateNow(self._supervisor.state())
        if isinstance(body, control.Watch):
            self._watching.add((channel, frame.call))
            self._send_state(channel, frame.call)
            return None
        if isinstance(body, control.Logs):
            return self._logs(channel, frame.call, body)
        if self._supervisor.leaving and not isinstance(body, control.Shutdown):
            raise Refused("the daemon is stopping; nothing new is begun")
        if isinstance(body, control.Scale):
            return self._scale(body.instances)
        if isinstance(body, control.Restart):
            return self._restart(body.name)
        if isinstance(body, control.DrainOne):
            return self._drain(body.name)
        if isinstance(body, control.Shutdown):
            self._loop.after(0.0, self._supervisor.shutdown)
            return control.Done("stopping: running chats finish first")
        raise Refused(f"{type(body).__name__} is not a command")

    def _scale(self, instances: int) -> control.Done:
        limit = self._supervisor.state().instances_max
        if not 0 <= instances <= limit:
            raise Refused(
                f"instances: is {instances}; must be 0 to {limit} (fleet.max_instances)"
            )
        before = self._supervisor.wanted
        self._supervisor.scale(instances)
        return control.Done(f"from {before} to {instances} instances")

    def _restart(self, name: str) -> control.Done:
        child = self._named(name)
        self._supervisor.restart(child)
        return control.Done(f"{name} finishes its running chats and is started anew")

    def _drain(self, name: str) -> control.Done:
        child = self._named(name)
        if child.role != "worker":
            raise Refused(f"name: {name} is no instance; only instances can be drained")
        self._supervisor.drain(child)
        return control.Done(f"{name} finishes its running chats and stays stopped")

    def _named(self, name: str) -> Supervised:
        child = self._supervisor.child(name)
        if child is None:
            known = ", ".join(child.name for child in self._supervisor.state().children)
            raise Refused(f"name: there is no {name!r}; there are {known}")
        return child

    # -- streams ------------------------------------------------------------------------------------

    def _logs(self, channel: Channel, call: int, wish: control.Logs) -> Body | None:
        for line in self._supervisor.ledger.last_lines(max(0, min(wish.lines, MAX_LOG_LINES))):
            channel.send(channel.peer.item(call, line))
        if not wish.follow:
            return control.Done("")
        self._following.add((channel, call))
        return None

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
        for channel, call in list(self._watching):
            self._send_state(channel, call)

    def _send_state(self, channel: Channel, call: int) -> None:
        state = control.StateNow(self._supervisor.state())
        channel.send(channel.peer.item(call, state))


def _listen(path: Path) -> socket.socket:
    """A socket with mode 0600 from its first moment (facts: chmod before bind leaves no gap)."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen(MAX_CLIENTS)
    listener.setblocking(False)
    return listener


def is_answered(path: Path) -> bool:
    """Whether a living daemon listens there already."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
