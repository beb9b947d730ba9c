"""`arenactl upgrade`: become the installed program in place, with the same pid and all children.

First the new program is asked, in a process of its own, whether it can go on from what we would
leave it; so a broken installation changes nothing. Then, between two births, execve(2): descriptors
that are named in the handover stay open, signals wait, children notice nothing.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable

from arenad.errors import Refused
from arenad.master import handover
from arenad.master.handover import Handover
from arenad.master.loop import Loop, Timer
from arenad.master.supervisor import Supervisor

REHEARSAL_TIMEOUT_S = 30.0
"""How long the new program may take to say whether it can take over."""

BIRTHS_TIMEOUT_S = 20.0
BIRTHS_AGAIN_S = 0.01
"""A child that is just being born belongs to nobody: its birth is waited for, not for ever."""

MAX_SAID_BYTES = 2000
LEAVING = "the daemon is stopping; nothing new is begun"
SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Answer = Callable[[str, str], None]
"""Takes what happens now, or else the reason why nothing does."""

logger = logging.getLogger("arenad.master")


class Upgrader:
    """One upgrade at a time."""

    def __init__(self, loop: Loop, supervisor: Supervisor, collect: Callable[[], Handover]) -> None:
        """`collect` gives what is to be left at that moment."""
        self.environment: dict[str, str] = {}
        """What the new program has to find in its environment."""

        self.hold_back: Callable[[], None] = lambda: None
        """Has signals that came, and were not acted on yet, come again."""

        self._loop = loop
        self._supervisor = supervisor
        self._collect = collect
        self._is_under_way = False

    def begin(self, answer: Answer) -> None:
        """Rehearse, then answer, then go. Raises `Refused` while one is under way."""
        if self._is_under_way:
            raise Refused("an upgrade is under way already")
        try:
            rehearsal = _Rehearsal(self._collect())
        except OSError as error:
            raise Refused(f"the new program cannot be asked: {error}") from error
        self._is_under_way = True
        self._supervisor.guests.add(rehearsal.pid)
        deadline = self._loop.after(REHEARSAL_TIMEOUT_S, rehearsal.kill)
        self._loop.watch(rehearsal.pidfd, lambda _: self._on_end(rehearsal, deadline, answer))

    def _on_end(self, rehearsal: "_Rehearsal", deadline: Timer, answer: Answer) -> None:
        if not rehearsal.has_ended():
            return
        deadline.cancel()
        self._loop.unwatch(rehearsal.pidfd)
        self._supervisor.guests.discard(rehearsal.pid)
        fault = rehearsal.close()
        if fault:
            self._is_under_way = False
            logger.error("the upgrade is not begun: %s", fault)
            answer("", f"nothing was changed: {fault}")
            return
        if self._supervisor.leaving:
            self._give_up(LEAVING)
            answer("", LEAVING)
            return
        answer("the new program takes over; its processes replace the others one after another", "")
        self._go_when_born(BIRTHS_TIMEOUT_S)

    def _go_when_born(self, left_s: float) -> None:
        if self._supervisor.leaving:
            self._give_up(LEAVING)
        elif self._supervisor.are_births_over:
            self._loop.after(0.0, self._go)
        elif left_s > 0:
            self._loop.after(BIRTHS_AGAIN_S, lambda: self._go_when_born(left_s - BIRTHS_AGAIN_S))
        else:
            self._give_up(f"children are still being born after {BIRTHS_TIMEOUT_S:g} s")

    def _give_up(self, reason: str) -> None:
        self._is_under_way = False
        logger.error("the upgrade is given up, the old program goes on: %s", reason)

    def _go(self) -> None:
        """Never returns, unless it cannot be done."""
        if self._supervisor.leaving or not self._supervisor.are_births_over:
            self._go_when_born(BIRTHS_TIMEOUT_S)
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # held back over the change
        self.hold_back()
        fds: list[int] = []
        fd = -1
        try:
            left = self._collect()
            fds = handover.descriptors(left)
            fd = handover.write(left)
            environment = {**os.environ, **self.environment, handover.VARIABLE: str(fd)}
            for each in (*fds, fd):
                os.set_inheritable(each, True)
            logger.info("the new program takes over")
            os.execve(sys.executable, sys.orig_argv, environment)
        except OSError as error:
            for each in fds:
                os.set_inheritable(each, False)
            if fd >= 0:
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._give_up(str(error))


class _Rehearsal:
    """The new program in a process of its own, looking at what it would be left."""

    def __init__(self, left: Handover) -> None:
        """Raises OSError when it cannot be started."""
        self._said = os.memfd_create("arenad-rehearsal")
        left_fd = handover.write(left)
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:], "--check-handover"],
                {**os.environ, handover.VARIABLE: "3"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, self._said, 1),
                    (os.POSIX_SPAWN_DUP2, self._said, 2),
                    (os.POSIX_SPAWN_DUP2, left_fd, 3),
                ],
                setsid=True,
                setsigmask=(),
            )
        except OSError:
            os.close(self._said)
            raise
        finally:
            os.close(left_fd)
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            os.close(self._said)
            raise  # the process is nobody's child now, and swept
        self._status: os.waitid_result | None = None

    def kill(self) -> None:
        """It takes too long."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Reap it, if it has."""
        self._status = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        return self._status is not None

    def close(self) -> str:
        """Why it cannot take over, in its own words; empty when it can."""
        said = os.pread(self._said, MAX_SAID_BYTES, 0).decode(errors="replace").strip()
        os.close(self._said)
        os.close(self.pidfd)
        if self._status is not None and self._status.si_code == os.CLD_EXITED:
            return (said or f"exit code {self._status.si_status}") if self._status.si_status else ""
        return f"the new program did not answer within {REHEARSAL_TIMEOUT_S:g} s. {said}".strip()
