"""Where children are born and what they leave is buried: the zygote, and all that can befall it.

An order is the blank's, if there is one, and else the zygote's; it waits here while there is none.
A zygote that died is started again, at once the first time and ever later while it goes on dying;
one that hangs on an order is killed. Whatever process becomes ours and is nobody's child (a browser
whose worker died) is killed and reaped.
"""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from arenad.master import kernel, life
from arenad.master.blank import Birth, Blanks
from arenad.master.loop import Loop, Timer
from arenad.master.zygote import Zygote
from arenad.schema.process import Forked, ForkOrder

FORK_TIMEOUT_S = 20.0
"""For one order, the zygote's own start included (a second, many on a busy machine)."""

SWEEP_AFTER_S = 0.05
"""Whoever takes a dead one's place goes first; what it left is killed so much later."""

logger = logging.getLogger("arenad.master")


class Nursery:
    """Owns the zygote; tells of each order exactly once that the child was born, or was not."""

    def __init__(
        self,
        loop: Loop,
        rules: life.Rules,
        on_born: Callable[[Forked], None],
        on_unborn: Callable[[ForkOrder, str], None],
        known: Callable[[], set[int]],
    ) -> None:
        """`known` are the pids that are somebody's child. Neither callback is made from `fork`."""
        self._loop = loop
        self._rules = rules
        self._on_born = on_born
        self._on_unborn = on_unborn
        self._known = known
        self._waiting: deque[Birth] = deque()
        self._zygote: Zygote | None = None
        self._zygote_since_s = 0.0
        self._zygote_deaths = 0
        self._deadline: Timer | None = None
        self._sweeps_later = False
        self._next_sweep: Timer | None = None
        self._blanks = Blanks(loop, self._wait)
        self._newborn: set[int] = set()
        self._start_zygote()

    # -- birth -------------------------------------------------------------------------------------

    def fork(self, birth: Birth) -> None:
        """Have the child made as soon as there is somebody to make it."""
        order = birth.order
        self._blanks.rest(order)
        if not (pid := self._blanks.become(birth)):
            self._wait(birth)
            return
        birth.close()
        self._newborn.add(pid)
        forked = Forked(name=order.name, generation=order.generation, pid=pid)
        self._loop.after(0.0, lambda: self._tell_born(forked))

    def _tell_born(self, forked: Forked) -> None:
        self._on_born(forked)
        self._newborn.discard(forked.pid)

    def _wait(self, birth: Birth) -> None:
        self._waiting.append(birth)
        self._send_waiting()

    @property
    def is_idle(self) -> bool:
        """Whether no birth is ordered or under way."""
        zygote = self._zygote
        is_idle = not self._waiting and not self._newborn
        return is_idle and (zygote is None or not zygote.pending)

    def call_off(self, order: ForkOrder) -> bool:
        """Withdraw an order that no zygote has seen; false when it is too late for that."""
        for birth in self._waiting:
            if birth.order == order:
                self._waiting.remove(birth)
                birth.close()
                self._fail(order, "there was no zygote to fork it")
                return True
        return False

    def _fail(self, order: ForkOrder, reason: str) -> None:
        if not order.name:
            self._blanks.unborn()
        else:
            self._loop.after(0.0, lambda: self._on_unborn(order, reason))

    def _send_waiting(self) -> None:
        while self._zygote is not None and self._waiting:
            birth = self._waiting.popleft()
            try:
                self._zygote.fork(birth.order, birth.fds)
            except OSError as error:
                self._fail(birth.order, f"the zygote takes no order ({error.strerror})")
            finally:
                birth.close()
        self._await_answer()

    def _await_answer(self) -> None:
        """The oldest order has its deadline; no order, no deadline."""
        zygote = self._zygote
        if zygote is None or not zygote.pending:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif self._deadline is None:
            self._deadline = self._loop.after(FORK_TIMEOUT_S, self._on_hang)

    def _on_hang(self) -> None:
        self._deadline = None
        if self._zygote is not None:
            logger.error("the zygote made no child for %g s; killing it", FORK_TIMEOUT_S)
            self._zygote.kill()

    def _on_forked(self, forked: Forked) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._await_answer()
        if forked.name:
            self._on_born(forked)
        else:
            self._blanks.born(forked.pid)
        if self._sweeps_later:
            self.sweep()

    # -- the zygote's own life ---------------------------------------------------------------------

    def _start_zygote(self) -> None:
        self._zygote_since_s = time.monotonic()
        try:
            self._zygote = zygote = Zygote(self._on_forked)
        except OSError as error:
            logger.error("no zygote could be started (%s)", error.strerror)  # noqa: TRY400 - said whole
            self._start_zygote_later()
            return
        self._loop.watch(zygote.end.fileno(), lambda _: self._on_answer(zygote))
        self._loop.watch(zygote.pidfd, lambda _: self._on_zygote_exit(zygote))
        self._send_waiting()

    def _start_zygote_later(self) -> None:
        lived_s = time.monotonic() - self._zygote_since_s
        is_settled = lived_s >= self._rules.deaths_window_s
        self._zygote_deaths = 1 if is_settled else self._zygote_deaths + 1
        delay_s = life.backoff_limit_s(self._zygote_deaths, self._rules)
        logger.error("the next zygote is started in %.1f s", delay_s)
        self._loop.after(delay_s, self._start_zygote)

    def _on_answer(self, zygote: Zygote) -> None:
        zygote.read()

    def _on_zygote_exit(self, zygote: Zygote) -> None:
        """Running children do not notice. Its last answers count, its open orders have failed."""
        if os.waitid(os.P_PIDFD, zygote.pidfd, os.WEXITED | os.WNOHANG) is None:
            return
        while zygote.read():
            pass
        logger.error("the zygote died")
        self._loop.unwatch(zygote.end.fileno())
        self._loop.unwatch(zygote.pidfd)
        zygote.close()
        self._zygote = None
        self._await_answer()
        for order in zygote.pending:
            self._fail(order, "the zygote died")
        self._start_zygote_later()
        self.sweep()

    # -- burial ------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Kill and reap soon what was adopted from a dead child: stopped browsers too."""
        if self._next_sweep is None:
            self._next_sweep = self._loop.after(SWEEP_AFTER_S, self._sweep)

    def _sweep(self) -> None:
        """All children that nobody knows.

        Each death may give us that process's own children, and SIGCHLD brings us back here. While
        the zygote is forking, an unknown child may be one that is just being born: its answer does.
        """
        self._next_sweep = None
        zygote = self._zygote
        self._sweeps_later = zygote is not None and bool(zygote.pending)
        if not self._sweeps_later:
            own = (zygote.pid,) if zygote is not None else ()
            _bury({*self._known(), *own, *self._newborn, self._blanks.pid})

    def end_all(self) -> bool:
        """At the very end: kill and reap every process there is; false once there is none."""
        return _bury(set())


def _bury(known: set[int]) -> bool:
    """Kill and reap all children but these; true when there was one."""
    strays = [pid for pid in kernel.child_pids() if pid not in known]
    for pid in strays:
        with suppress(PermissionError):  # a set-user-id sandbox of a browser ends with the browser
            os.kill(pid, signal.SIGKILL)
            logger.debug("killed the stray process %d", pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    return bool(strays)
