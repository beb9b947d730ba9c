"""Watches that children beat, without being woken by a beat.

Each child winds a switch of its own (`deadman`), and the kernel wakes us when one runs down.
SIGCHLD tells us that a child was stopped, so most hangs by signal are seen before that.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

from arenad import deadman
from arenad.master import kernel
from arenad.master.loop import Loop
from arenad.master.silence import Limits, Opinion, Order, Seen, Silence, look, stopped
from arenad.master.supervised import Supervised

STOPPED_S = 0.5
"""A stopped child has so long to go on: Ctrl-Z and `fg` stop and continue all of us together."""

DUMP_S = 0.2
"""How long a hung child may take to write where it hangs, before it is killed."""

DUMP_SIGNAL = signal.SIGUSR2
"""On this a child's faulthandler writes its stacks to standard error, even if its loop is stuck."""

logger = logging.getLogger("arenad.master")


class Watch:
    """Feeds the brain of `silence` with looks, and carries out its orders."""

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        children: Callable[[], Iterable[Supervised]],
        on_change: Callable[[Supervised, str], None],
    ) -> None:
        """`on_change` hears, with a line for the story, who was marked or speaks again."""
        self._loop = loop
        self.limits = limits
        self._children = children
        self._on_change = on_change

    def begin(self, child: Supervised) -> None:
        """The child has said hello: from now on it beats, and its switch tells when it does not."""
        child.silence = Silence(time.monotonic())
        events = select.EPOLLIN | select.EPOLLET
        self._loop.watch(child.switch, lambda _: self._on_run_down(child), events)

    def heard(self, child: Supervised) -> None:
        """A doubted child said something: if it beats again, it is well at once."""
        if child.silence is not None and child.silence.since is not None:
            seen = _seen(child, 0.0)
            if not seen.has_run_down and seen.state != "T":
                self._judge(child, seen)

    def _on_run_down(self, child: Supervised) -> None:
        if child.silence is not None and child.silence.since is None:
            self._look(child, time.monotonic())

    def on_sigchld(self) -> None:
        """Some child ended, was stopped or goes on: mark those that are stopped."""
        while (news := _stopped()) is not None:
            for child in self._children():
                if child.pid == news.si_pid:
                    silence = child.silence or Silence(time.monotonic())
                    child.silence, opinion = stopped(silence, _seen(child, 0.0), STOPPED_S)
                    self._carry_out(child, opinion)

    def _look(self, child: Supervised, due_s: float) -> None:
        if child.channel is None or child.life.phase == "stopping":
            return  # gone, or on its way with a deadline of its own
        self._judge(child, _seen(child, time.monotonic() - due_s))

    def _judge(self, child: Supervised, seen: Seen) -> None:
        if child.silence is not None and not child.doom:
            child.silence, opinion = look(child.silence, seen, self.limits)
            self._carry_out(child, opinion)

    def _carry_out(self, child: Supervised, opinion: Opinion) -> None:
        if child.looking is not None:
            child.looking.cancel()
        if opinion.order is Order.KILL:
            self._kill(child, opinion.reason)
            return
        if opinion.order is not Order.WAIT:
            self._on_change(child, opinion.reason)
        if (next_s := opinion.next_s) is not None:
            child.looking = self._loop.at(next_s, lambda: self._look(child, next_s))

    def _kill(self, child: Supervised, reason: str) -> None:
        """Say why; a process that runs is first asked where it hangs."""
        logger.error("%s %s; killing it", child.name, reason)
        child.doom = reason
        child.signal(DUMP_SIGNAL)
        pidfd = child.pidfd

        def kill() -> None:
            if child.pidfd == pidfd and child.doom:
                child.signal(signal.SIGKILL)

        self._loop.after(0.0 if reason.endswith("stopped") else DUMP_S, kill)


def _seen(child: Supervised, overslept_s: float) -> Seen:
    state, waited_s = kernel.seen(child.pid)
    has_run_down = deadman.has_run_down(child.switch)
    return Seen(time.monotonic(), state, waited_s, has_run_down, overslept_s)


def _stopped() -> os.waitid_result | None:
    """The next child that was stopped; none when all such news is taken. Nobody is reaped."""
    try:
        return os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return None
