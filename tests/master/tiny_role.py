"""A role for tests, small enough to see all of it: it tells its first socket what it finds."""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path


def main(order, switch, sockets):
    """Say what this process is, then wait for the end of the socket."""
    link = sockets[0]
    death_signal = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death_signal))
    fds = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
    found = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "uid": os.getuid(),
        "session": os.getsid(0),
        "death_signal": death_signal.value,
        "fds": [fd for fd in fds if os.path.lexists(f"/proc/self/fd/{fd}")],
        "switch": str(Path(f"/proc/self/fd/{switch}").readlink()),
        "sockets": [switch, *(end.fileno() for end in sockets)],
        "masked": [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "handled": [
            int(each)
            for each in signal.valid_signals()
            if callable(signal.getsignal(each)) or signal.getsignal(each) is None
        ],
        "sigpipe_ignored": signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN,
        "wakeup_fd": signal.set_wakeup_fd(-1),
        "threads": threading.active_count(),
        "tasks": len(list(Path("/proc/self/task").iterdir())),
        "name": order.name,
        "modules": "arenad.master.zygote" in sys.modules,
    }
    link.sendall(json.dumps(found).encode() + b"\n")
    if order.name == "hung":
        os.kill(os.getpid(), signal.SIGSTOP)
    link.recv(1)
    return 5


def tell(end: socket.socket) -> dict:
    """What a tiny role said at the other end."""
    with end.makefile("rb") as lines:
        return json.loads(lines.readline())
