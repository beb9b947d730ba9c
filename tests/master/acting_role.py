"""A role for tests that acts as the variable ACTS of its role says, word for word."""

import contextlib
import os
import signal
import time

from arenad import deadman
from arenad.schema import SCHEMA_VERSION
from arenad.schema.control import Scale
from arenad.schema.frame import Kind
from arenad.schema.process import (
    Alive,
    Beat,
    Drain,
    Drained,
    Hello,
    LogLine,
    Ready,
    SessionIs,
    Stop,
)
from arenad.wire import Peer

BEAT_S = 0.4
WOUND_S = 1.0


def main(order, switch, sockets):
    """Act, then serve until told to stop."""
    link, peer = sockets[0], Peer()
    deadman.wind(switch, WOUND_S)
    me = (order.role, order.name, order.generation, os.getpid())
    said = {
        "hello": lambda: peer.note(Hello(SCHEMA_VERSION, *me)),
        "old-hello": lambda: peer.note(Hello(SCHEMA_VERSION + 1, *me)),
        "ready": lambda: peer.note(Ready()),
        "well": lambda: peer.note(SessionIs("ready", "signed in")),
        "broken": lambda: peer.note(SessionIs("broken", "the page is gone")),
        "say": lambda: peer.note(LogLine(1.0, "info", order.name, "said by a child")),
        "rerouted": lambda: peer.note(Beat(0, 0, 0, 0, 0, 0.0, 0.0, proxy="lisbon")),
        "command": lambda: peer.call(Scale(9))[1],
        "garbage": lambda: b"\xff" * 9,
    }
    done = {
        "hang-up": lambda: (link.close(), time.sleep(3600)),
        "orphan": leave_an_orphan,
        "deaf": lambda: time.sleep(3600),
        "busy": burn,
        "enter": lambda: os.write(order.group_fd, b"0"),
        "hoard": lambda: bytearray(b"x") * 2**28,
    }
    for act in os.environ[f"ACTS_{order.role}"].split():
        if act == "die":
            return 3
        if act in said:
            link.sendall(said[act]())
        else:
            done[act]()
    return serve(link, switch, peer)


def serve(link, switch, peer):
    link.settimeout(BEAT_S)
    while chunk := receive(link, switch, peer):
        for frame in peer.receive(chunk):
            assert frame.kind is Kind.CALL
            if isinstance(frame.body, Drain):
                link.sendall(peer.note(Drained()))
            if isinstance(frame.body, Stop):
                return 0
    return 0


def receive(link, switch, peer):
    """What the master says next; until then, beat, and say so as one who was late."""
    while True:
        deadman.wind(switch, WOUND_S)
        link.sendall(peer.note(Alive(0.0)))
        with contextlib.suppress(TimeoutError):
            return link.recv(65536)


def burn():
    while True:
        pass


def leave_an_orphan():
    """A stopped process in a session of its own, as a stopped browser would be."""
    if os.fork() == 0:
        os.setsid()
        os.closerange(3, 1000)
        if os.fork() == 0:
            time.sleep(3600)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
