"""Forks every role: a process that holds the imports the roles share, with no loop and no thread.

The master, still small, forks the zygote; only the zygote imports the roles. With the collector off
during the imports and frozen before each fork, children share those pages. A role is forked twice:
the intermediate exits, so that the kernel gives the role to the master (a subreaper), which can
then wait for it. The order is told with the role's switch and sockets over one SOCK_SEQPACKET pair.
"""

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

from arenad import log
from arenad.master import kernel
from arenad.schema.process import Forked, ForkOrder

MAX_ORDER_BYTES = 16 * 1024
MAX_FDS = 8
PIPE_BYTES = 64 * 1024
LATE_IMPORTS = (
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16_le",
    "stringprep",
)
"""What libraries import at their first use: too late for a child that has dropped its rights and
may be unable to read the folder of the interpreter."""

ROLES = {
    "frontend": "arenad.frontend.run",
    "worker": "arenad.worker.run",
    "demo": "arenad.demo.run",
    "recorder": "arenad.recorder.run",
}

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

_encode = msgspec.msgpack.Encoder().encode
_order_of = msgspec.msgpack.Decoder(ForkOrder).decode
_forked_of = msgspec.msgpack.Decoder(Forked).decode

logger = logging.getLogger("arenad.zygote")


class Zygote:
    """The master's end: orders in turn, answers in turn."""

    def __init__(self, on_forked: Callable[[Forked], None]) -> None:
        """Fork the zygote at once. Answers to `fork` arrive at `read`, through `on_forked`."""
        self.pending: deque[ForkOrder] = deque()
        self._on_forked = on_forked
        self.end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.setblocking(False)
        try:
            self.pid = _fork_zygote(theirs)
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            self.end.close()
            raise
        finally:
            theirs.close()

    def fork(self, order: ForkOrder, fds: Sequence[int]) -> None:
        """Ask for a child with these. Raises OSError when the zygote takes no order."""
        send(self.end, order, fds)
        self.pending.append(order)

    def read(self) -> bool:
        """Take one answer; false when there is none (its end is learnt by pidfd)."""
        try:
            packed = self.end.recv(MAX_ORDER_BYTES)
        except OSError:
            return False
        if packed:
            self.pending.popleft()
            self._on_forked(_forked_of(packed))
        return bool(packed)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Close the master's end; a zygote that lives reads EOF and leaves."""
        self.end.close()
        os.close(self.pidfd)


def send(end: socket.socket, order: ForkOrder, fds: Sequence[int]) -> None:
    """Order a zygote to make a child, or a blank to become one. Raises OSError."""
    socket.send_fds(end, [_encode(order)], fds)


def _fork_zygote(end: socket.socket) -> int:
    master_pid = os.getpid()
    if pid := _fork_blocked():
        return pid
    try:
        _scrub((end.fileno(),))
        log.setup("zygote", "info", lambda _: None)
        os.setsid()  # a Ctrl-C at the terminal is the master's alone to answer
        if kernel.die_with(master_pid):
            _serve(end, master_pid)
    except BaseException:  # the boundary of the process: the master sees only that it died
        logger.exception("the zygote ends with a bug")
    finally:
        os._exit(0)


def apart(work: Callable[[], bytes], timeout_s: float) -> bytes:
    """What `work` gives, done in a process of its own that is gone afterwards, with all it took.

    Empty when that process failed. Raises OSError when there could be none, `TimeoutError`.
    """
    told, tell = os.pipe()
    master_pid = os.getpid()
    try:
        pid = _fork_blocked()
    except OSError:
        os.close(told)
        raise
    finally:
        if os.getpid() == master_pid:
            os.close(tell)
    if pid == 0:
        _work_apart(work, tell, master_pid)
    try:
        return _read_all(told, time.monotonic() + timeout_s)
    finally:
        os.close(told)
        os.kill(pid, signal.SIGKILL)  # it has said all, or has had its time
        os.waitpid(pid, 0)


def _work_apart(work: Callable[[], bytes], tell: int, master_pid: int) -> NoReturn:
    try:
        _scrub((tell,))
        if kernel.die_with(master_pid):
            with open(tell, "wb", closefd=False) as pipe:  # its end is the end of this process
                pipe.write(work())
    except BaseException:  # the boundary of the process: the master sees only that it failed
        logger.exception("a process apart ends with a bug")
    finally:
        os._exit(0)


def _read_all(pipe: int, deadline_s: float) -> bytes:
    chunks: list[bytes] = []
    while True:
        left_s = max(0.0, deadline_s - time.monotonic())
        if not select.select([pipe], [], [], left_s)[0]:
            raise TimeoutError
        chunk = os.read(pipe, PIPE_BYTES)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _fork_blocked() -> int:
    """Fork; signals are blocked in the child until `_scrub`, lest they wake the master."""
    master_pid = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return os.fork()
    finally:
        if os.getpid() == master_pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _scrub(keep: Sequence[int]) -> None:
    """Undo what a fork inherits: signal settings and every descriptor that nobody named.

    SIGPIPE stays ignored, as in every Python: a peer that vanished must be an error, not an end.
    """
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = max(low, fd + 1)
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _serve(end: socket.socket, master_pid: int) -> None:
    setproctitle("arenad: zygote")
    gc.disable()
    for module in (*LATE_IMPORTS, *ROLES.values()):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    while True:
        packed, fds, flags, _ = socket.recv_fds(end, MAX_ORDER_BYTES, MAX_FDS)
        if not packed:
            return
        order = _order_of(packed)
        try:
            if flags & socket.MSG_CTRUNC:
                raise OSError("its sockets did not get through")  # noqa: TRY301 - one way to fail
            pid, error = _fork_role(order, fds, end, master_pid), ""
        except OSError as failure:
            pid, error = 0, failure.strerror or str(failure)
        for fd in fds:
            os.close(fd)
        forked = Forked(name=order.name, generation=order.generation, pid=pid, error=error)
        end.send(_encode(forked))


def _fork_role(order: ForkOrder, fds: list[int], end: socket.socket, master_pid: int) -> int:
    """Fork twice; gives the pid of the role, which is by then a child of the master."""
    told, tell = os.pipe()
    adopted, release = os.pipe()
    try:
        intermediate = os.fork()
        if intermediate == 0:
            foreign = (end.fileno(), told, tell, release)
            _bear(tell, lambda: _become(order, fds, adopted, foreign, master_pid))
        os.close(tell)
        tell = -1
        os.waitpid(intermediate, 0)
        pid = int.from_bytes(os.read(told, 4), "big")
    finally:  # closing `release` tells the role that its intermediate is gone: it is the master's
        for fd in (told, tell, adopted, release):
            if fd >= 0:
                os.close(fd)
    if not pid:
        raise OSError("the fork failed")
    return pid


def _bear(tell: int, become: Callable[[], None]) -> NoReturn:
    """In the intermediate: fork the role, tell its pid, be gone."""
    try:
        pid = os.fork()
        if pid == 0:
            become()
        os.write(tell, pid.to_bytes(4, "big"))
    finally:
        os._exit(0)


def _become(
    order: ForkOrder, fds: list[int], adopted: int, foreign: Sequence[int], master_pid: int
) -> None:
    """In the role's process: wait for the adoption, drop rights, live. Never returns."""
    exit_code = 1
    try:
        for fd in foreign:
            os.close(fd)
        select.select([adopted], [], [])
        _scrub(fds)
        os.setsid()
        if order.uid != os.getuid():
            os.setgroups([])
            os.setgid(order.gid)
            os.setuid(order.uid)
        _title(order)
        if kernel.die_with(master_pid):
            exit_code = _begin(order, fds)
    except BaseException:  # the boundary of the process: the master sees only its exit code
        logger.exception("%s could not begin its life", order.name)
    finally:
        with contextlib.suppress(Exception):  # a broken stderr must not hide the exit code
            sys.stderr.flush()
        os._exit(exit_code)


def _begin(order: ForkOrder, fds: list[int]) -> int:
    """Live as the order says; gives the exit code. A blank first waits to be told who it is."""
    if not order.name:
        with socket.socket(fileno=fds[0]) as end:
            packed, fds, flags, _ = socket.recv_fds(end, MAX_ORDER_BYTES, MAX_FDS)
        if not packed:
            return 0  # nobody was lost as long as the master needed it
        if flags & socket.MSG_CTRUNC:
            raise OSError("its sockets did not get through")
        order = _order_of(packed)
        _title(order)
    for fd in fds:
        os.set_inheritable(fd, False)  # what came over a socket would be a browser's too
    if order.group:
        order = msgspec.structs.replace(order, group_fd=fds.pop())
    module = sys.modules[ROLES[order.role]]
    return module.main(order, fds[0], [socket.socket(fileno=fd) for fd in fds[1:]])


def _title(order: ForkOrder) -> None:
    if not order.name:
        said = "blank"
    elif order.name.startswith(order.role):
        said = order.name
    else:
        said = f"{order.role} {order.name}"
    setproctitle(f"arenad: {said}")
