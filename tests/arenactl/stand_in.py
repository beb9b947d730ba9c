"""A protocol peer in the daemon's place: it answers each call from a script, over a real socket."""

import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from arenad.schema.control import ChildState, Done, State, StateNow, Traffic
from arenad.schema.frame import Body, Kind
from arenad.schema.paths import CONTROL_SOCKET
from arenad.wire import Peer

Step = Callable[["StandIn", socket.socket, Peer, int], None]


def item(body: Body) -> Step:
    return lambda _, connection, peer, call: connection.sendall(peer.item(call, body))


def end(body: Body) -> Step:
    return lambda _, connection, peer, call: connection.sendall(peer.end(call, body))


def states(*shown: State) -> list[Step]:
    return [item(StateNow(each)) for each in shown]


def raw(chunk: bytes) -> Step:
    return lambda _, connection, _peer, _call: connection.sendall(chunk)


def hang_up(_: "StandIn", connection: socket.socket, _peer: Peer, _call: int) -> None:
    connection.shutdown(socket.SHUT_RDWR)


NOT_A_FRAME = raw(struct.pack("!I", 3) + b"???")


class StandIn:
    """Serves one connection after the other until left. `heard` is every call it got."""

    def __init__(self, script: dict[type[Body], Iterable[Step]]) -> None:
        self.script = script
        self.heard: list[Body] = []
        self._folder = tempfile.TemporaryDirectory(prefix="arenactl-")
        self.runtime_dir = Path(self._folder.name)
        self.path = self.runtime_dir / CONTROL_SOCKET
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="stand-in")

    def __enter__(self) -> Self:
        self._listening.bind(str(self.path))
        self._listening.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listening.close()
        self._folder.cleanup()
        assert not self._thread.is_alive(), "the client did not hang up"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self._converse(connection, Peer())

    def _converse(self, connection: socket.socket, peer: Peer) -> None:
        try:
            while chunk := connection.recv(65536):
                for frame in peer.receive(chunk):
                    if frame.kind is Kind.CALL and frame.body is not None:
                        self.heard.append(frame.body)
                        for step in self.script[type(frame.body)]:
                            step(self, connection, peer, frame.call)
        except (BrokenPipeError, ConnectionResetError):
            return


def worker(name: str, **changed: object) -> ChildState:
    """A healthy instance, but for what is changed."""
    return child(name, "worker", **{"condition": "ready", "slots": 1, "models": ("m",), **changed})


def child(name: str, role: str, **changed: object) -> ChildState:
    healthy = {
        "phase": "ready",
        "generation": 1,
        "pid": 4201,
        "phase_age_s": 860.0,
        "restarts": 0,
        "last_death": "",
    }
    return ChildState(name=name, role=role, **{**healthy, **changed})


def state(*children: ChildState, **changed: object) -> State:
    """A daemon that is well, but for what is changed."""
    well = {
        "word": "well",
        "verdict": "well: all instances ready",
        "version": "0.1.0",
        "pid": 4200,
        "uptime_s": 11520.0,
        "site": "demo",
        "api_url": "http://127.0.0.1:5102/v1",
        "gui_url": "http://127.0.0.1:5104",
        "instances_wanted": sum(each.role == "worker" for each in children),
        "instances_max": 32,
        "traffic": Traffic(queue_limit=256),
        "story": (),
    }
    return State(children=children, **{**well, **changed})


ACCEPTED = [end(Done("as you say"))]
