"""Watches that children beat: one timer each, and a word of the kernel when one is stopped.

SIGCHLD tells us that a child was stopped, so most hangs by signal are seen before a beat is late.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable

from arenad.master import kernel
from arenad.master.loop import Loop
from arenad.master.silence import Limits, Opinion, Order, Seen, Silence, look
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
        """The child has said hello: from now on it beats."""
        now_s = time.monotonic()
        child.silence = Silence(now_s)
        self._look_at(child, now_s + self.limits.silent_s)

    def heard(self, child: Supervised) -> None:
        """The child said something; anything is a sign of life."""
        before = child.silence
        if before is None:
            return
        now_s = time.monotonic()
        child.silence = Silence(now_s)
        if before.marked is not None:
            self._on_change(child, f"beats again after {now_s - before.heard_s:.1f} s")

    def on_sigchld(self) -> None:
        """Some child ended, was stopped or goes on: mark those that are stopped."""
        while (news := _stopped()) is not None:
            for child in self._children():
                if child.pid == news.si_pid:
                    self._on_stopped(child)

    def _on_stopped(self, child: Supervised) -> None:
        now_s = time.monotonic()
        silence = child.silence or Silence(now_s)
        if silence.marked is None:
            child.silence = Silence(silence.heard_s, _seen(child, 0.0))
            self._on_change(child, "its process was stopped")
        self._look_at(child, now_s + STOPPED_S)

    def _look_at(self, child: Supervised, when_s: float) -> None:
        """Look again then, instead of whenever was meant before."""
        if child.looking is not None:
            child.looking.cancel()
        child.looking = self._loop.at(when_s, lambda: self._look(child, when_s))

    def _look(self, child: Supervised, due_s: float) -> None:
        if child.channel is None or child.life.phase == "stopping":
            return  # gone, or on its way with a deadline of its own
        child.channel.read_rest()  # beats that came while we were busy count
        if child.silence is None or child.doom:
            return
        seen = _seen(child, time.monotonic() - due_s)
        child.silence, opinion = look(child.silence, seen, self.limits)
        self._carry_out(child, opinion)

    def _carry_out(self, child: Supervised, opinion: Opinion) -> None:
        if opinion.order is Order.KILL:
            self._kill(child, opinion.reason)
            return
        if opinion.order is Order.MARK:
            self._on_change(child, opinion.reason)
        elif opinion.order is Order.CLEAR:
            self._on_change(child, "goes on")
        self._look_at(child, opinion.next_s)

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
    return Seen(time.monotonic(), state, waited_s, overslept_s)


def _stopped() -> os.waitid_result | None:
    """The next child that was stopped; none when all such news is taken. Nobody is reaped."""
    try:
        return os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG)
    except ChildProcessError:
        return None
