"""Keeps children alive: carries out the orders of each life, and feeds it what happens.

Every child goes through `event`: one step of its life, then the orders, then whoever must know.
"""

import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from arenad import deadman
from arenad.master.blank import Birth
from arenad.master.handover import KeptChild
from arenad.master.life import PROCESS_PHASES, Event, Order, step
from arenad.master.loop import Channel, Loop
from arenad.master.nursery import Nursery
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised, death_reason
from arenad.schema.control import Phase
from arenad.schema.frame import Frame
from arenad.schema.process import Drain, Forked, ForkOrder, ProcessRole, Stop
from arenad.wire import CONTROL_MAX_FRAME_BYTES, EMPTY_BOOKS, Books, Peer

LINKLESS_S = 1.5
"""A child whose link is closed has so long to end by itself."""

TIDY_TRIES = 3
TIDY_AGAIN_S = 1.0
"""What a dead worker left is removed after its successor's birth, at once where there is none, and
again while its browser is still being killed."""

logger = logging.getLogger("arenad.master")


class Keeper:
    """All children by name; the only one who starts, signals and reaps them."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        listeners: Callable[[ProcessRole], Sequence[socket.socket]],
        tell: Callable[[str, str], None],
    ) -> None:
        """`listeners` go to each child of a role; `tell` takes the lines of the story."""
        self.children: dict[str, Supervised] = {}
        self.guests: set[int] = set()
        """Pids of processes of ours that are no children: nobody buries them unasked."""

        self.on_frame: Callable[[Supervised, Frame], None] = lambda _child, _frame: None
        self.on_exit: Callable[[Supervised], None] = lambda _child: None
        self.on_change: Callable[[Supervised], None] = lambda _child: None
        self._loop = loop
        self._settings = settings
        self._listeners = listeners
        self._tell = tell
        self._generations: dict[str, int] = {}
        self._nursery = Nursery(loop, settings.rules, self._on_born, self._on_unborn, self._pids)

    def add(self, name: str, role: ProcessRole) -> None:
        """A new child, to be started now; it counts on from the last generation of its name."""
        self.children[name] = child = Supervised(name, role, self._generations.pop(name, 0))
        self.event(child, Event.START)

    def forget(self, name: str) -> None:
        """Drop a child that is stopped, all but its last generation."""
        self._generations[name] = self.children.pop(name).life.generation

    def renew(
        self, role: ProcessRole, concerns: Callable[[str], bool] = lambda _name: True
    ) -> None:
        """What processes of this role were started with has changed: they are to be replaced.

        `concerns` says whose names are meant. One that is to stay down needs none: whenever it is
        started again, it is new.
        """
        for child in self.children.values():
            child.outdated |= child.role == role and child.life.wanted and concerns(child.name)

    @property
    def generations(self) -> dict[str, int]:
        """The last generation of each name that is not there any more."""
        return dict(self._generations)

    def resume(self, children: Iterable[KeptChild], generations: Mapping[str, int]) -> None:
        """Go on with the children of an earlier program in this process."""
        self._generations.update(generations)
        for kept in children:
            self.children[kept.name] = child = Supervised(kept.name, kept.role)
            child.resume(kept)
            self._set_deadline(child)
            if kept.link is not None:
                end = socket.socket(fileno=kept.link.fd)
                child.channel = self._channel(child, end, kept.link.books, kept.link.unsent)
            if kept.pid:
                child.pidfd = os.pidfd_open(kept.pid)
                self._loop.watch(child.pidfd, lambda _, child=child: self._on_exit(child))
                if kept.link is None:
                    self._on_link_end(child, "closed the link")
            elif child.order is not None and child.life.phase in PROCESS_PHASES:
                order = child.order  # it had failed already, and its end was about to be told
                self._loop.after(0.0, lambda order=order: self._on_unborn(order, "was not born"))

    # -- one step of one life ----------------------------------------------------------------------

    def event(self, child: Supervised, event: Event) -> None:
        """What happened to the child, or is wished for it."""
        before = child.life
        draw = random.random()  # noqa: S311 - jitter, no secret
        child.life, orders = step(before, event, time.monotonic(), self._settings.rules, draw)
        if child.life.deadline_s != before.deadline_s or child.life.phase != before.phase:
            self._set_deadline(child)
        for order in orders:
            self._carry_out(child, order)
        if child.life != before:
            self._say(child, before.phase)
            self.on_change(child)

    def _set_deadline(self, child: Supervised) -> None:
        if child.timer is not None:
            child.timer.cancel()
        child.timer = None
        if child.life.deadline_s is not None:
            child.timer = self._loop.at(
                child.life.deadline_s, lambda: self.event(child, Event.DEADLINE)
            )

    def _carry_out(self, child: Supervised, order: Order) -> None:
        if order is Order.FORK:
            self._fork(child)
        elif order is Order.ALARM:
            retry_s = self._settings.rules.failed_retry_s
            remedy = f"next try in {retry_s:g} s, or by `arenactl reset {child.name}` at once"
            self._tell(child.name, f"failed: it died too often; {remedy}")
            logger.error("%s failed; %s", child.name, remedy)
        elif child.order is not None and self._nursery.call_off(child.order):
            logger.debug("%s was never born", child.name)
        elif order is Order.KILL or child.channel is None:
            child.signal(signal.SIGKILL)
        else:
            child.channel.note(Drain() if order is Order.ASK_DRAIN else Stop())

    def _say(self, child: Supervised, before: Phase) -> None:
        after = child.life.phase
        if after == "backoff":
            wait_s = max(0.0, (child.life.deadline_s or 0.0) - time.monotonic())
            self._tell(child.name, f"will be started again in {wait_s:.1f} s")
        elif after == "ready" != before and child.role != "worker":
            self._tell(child.name, "ready")  # an instance says more of itself
        elif after in {"draining", "stopped"} - {before}:
            self._tell(child.name, after)

    # -- birth -------------------------------------------------------------------------------------

    def _fork(self, child: Supervised) -> None:
        generation = child.life.generation
        child.outdated = False
        uid, gid = self._settings.user
        child.order = order = ForkOrder(
            role=child.role, name=child.name, generation=generation, uid=uid, gid=gid
        )
        child.socket_path = str(self._settings.worker_socket(child.name, generation))
        group, group_fd = "", -1
        try:
            group, group_fd = self._group(child)
            child.switch = deadman.create()
            ours, theirs = socket.socketpair()
        except OSError as error:
            if group_fd >= 0:
                os.close(group_fd)
            reason = f"no link could be made ({error.strerror})"
            self._loop.after(0.0, lambda: self._on_unborn(order, reason))
            return
        child.order = order = msgspec.structs.replace(order, group=group)
        child.channel = self._channel(child, ours)
        self._nursery.fork(
            Birth(order, theirs, child.switch, self._listeners(child.role), group_fd)
        )
        self._tell(child.name, f"starting (generation {generation})")

    def _group(self, child: Supervised) -> tuple[str, int]:
        """The file through which a worker enters its control group, opened with our rights."""
        if child.role != "worker":
            return "", -1
        path = self._settings.groups.make(child.name, child.life.generation)
        return path, os.open(path, os.O_WRONLY | os.O_CLOEXEC) if path else -1

    def _channel(
        self,
        child: Supervised,
        end: socket.socket,
        books: Books = EMPTY_BOOKS,
        unsent: bytes = b"",
    ) -> Channel:
        return Channel(
            self._loop,
            end,
            Peer(CONTROL_MAX_FRAME_BYTES, books),
            lambda frame: self.on_frame(child, frame),
            lambda reason: self._on_link_end(child, reason),
            unsent,
        )

    def _on_born(self, forked: Forked) -> None:
        child = self.children.get(forked.name)
        if child is None or child.order is None or child.order.generation != forked.generation:
            self._nursery.sweep()  # nobody waits for it any more
            return
        if not forked.pid:
            self._on_unborn(child.order, f"could not be forked ({forked.error})")
            return
        try:
            child.pidfd = os.pidfd_open(forked.pid)
        except OSError as error:
            self._on_unborn(child.order, f"could not be watched ({error.strerror})")
            self._nursery.sweep()
            return
        child.pid = forked.pid
        self._loop.watch(child.pidfd, lambda _: self._on_exit(child))
        if child.life.forced:
            child.signal(signal.SIGKILL)  # the order to kill came before there was a pid

    def _on_unborn(self, order: ForkOrder, reason: str) -> None:
        child = self.children.get(order.name)
        if child is not None and child.order == order:
            if child.life.wanted:
                child.last_death = reason
            for fd in (child.pidfd, child.switch):
                self._loop.unwatch(fd)
            child.close_process()
            self.event(child, Event.DIED)
            self._tidy(order.name, order.generation, TIDY_TRIES)

    def _pids(self) -> set[int]:
        return {child.pid for child in self.children.values()} | self.guests

    @property
    def are_births_over(self) -> bool:
        """Whether no child is just being born."""
        return self._nursery.is_idle

    # -- death -------------------------------------------------------------------------------------

    def _on_exit(self, child: Supervised) -> None:
        ending = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG)
        if ending is None:
            return  # not yet (a debugger holds it): epoll will say so again
        if child.channel is not None:
            child.channel.read_rest()
        reason = self._reason(child, ending)
        if child.life.phase not in ("draining", "stopping") or ending.si_status:
            child.last_death = reason
            self._tell(child.name, f"died: {reason}")
        self._loop.unwatch(child.pidfd)
        self._loop.unwatch(child.switch)
        child.close_process()
        self.on_exit(child)
        name, generation, wanted = child.name, child.life.generation, child.life.wanted
        self.event(child, Event.DIED)
        # Whoever takes its place goes first: what follows can take a tenth of a second of disk.
        self._loop.after(0.0, lambda: self._bury(name, generation))
        if child.role == "worker" and wanted:
            self._loop.after(TIDY_AGAIN_S, lambda: self._tidy(name, generation, TIDY_TRIES))
        elif child.role == "worker":
            self._tidy(name, generation, TIDY_TRIES)

    def _reason(self, child: Supervised, ending: os.waitid_result) -> str:
        """Why it died: its limits, what was found or said of it, and how it ended."""
        limit = self._settings.groups.verdict(child.name, child.life.generation)
        is_broken = child.condition == "broken"
        known = child.doom or (child.condition_reason if is_broken else "")
        return "; ".join(filter(None, (limit, known, death_reason(ending))))

    def _bury(self, name: str, generation: int) -> None:
        """End what it left: by its group, where it has one, and as our own by now."""
        self._settings.groups.kill(name, generation)
        self._nursery.sweep()

    def _tidy(self, name: str, generation: int, tries: int) -> None:
        """A browser that is just being killed may still write: then once more a moment later."""
        try:
            self._settings.remove_scratch(name, generation)
            self._settings.groups.remove(name, generation)
        except OSError as error:
            if tries > 1:
                self._loop.after(TIDY_AGAIN_S, lambda: self._tidy(name, generation, tries - 1))
            else:
                logger.warning("cannot remove what %s left: %s", name, error)

    def _on_link_end(self, child: Supervised, reason: str) -> None:
        """The process usually ends with its link; one that does not is of no use any more."""
        channel = child.channel
        if "protocol" in reason:
            logger.error("%s %s", child.name, reason)

        def kill_if_alive() -> None:
            if child.channel is channel:
                logger.error("%s %s but did not end; killing it", child.name, reason)
                child.signal(signal.SIGKILL)

        self._loop.after(LINKLESS_S, kill_if_alive)

    def sweep(self) -> None:
        """Bury what nobody keeps. Known children are reaped by their pidfd."""
        self._nursery.sweep()

    def end_all(self) -> bool:
        """After the way out: end the zygote and every stray; false once nothing is left."""
        return self._nursery.end_all()
