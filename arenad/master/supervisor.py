"""The body of the master: carries out what the brains order, and feeds them what happens.

Every child goes through `_event`: one step of its life, then the orders, then whoever must know.
"""

import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from arenad.log import wall_time_s
from arenad.master import fleet, kernel, report
from arenad.master.ledger import Ledger, Tally
from arenad.master.life import Event, Order, Rules, step
from arenad.master.loop import Channel, Loop
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised, death_reason
from arenad.master.zygote import Zygote
from arenad.schema import SCHEMA_VERSION
from arenad.schema.control import State
from arenad.schema.frame import Frame, Kind
from arenad.schema.process import (
    Beat,
    Drain,
    Drained,
    Forked,
    ForkOrder,
    FrontendBeat,
    Hello,
    LogLine,
    ProcessRole,
    Ready,
    Roster,
    SessionIs,
    Stop,
)
from arenad.wire import Peer

STORY_IN_STATE = 20
LINKLESS_S = 1.0
"""A child whose link is closed has so long to end by itself."""

ZYGOTE_RETRY_S = 1.0

logger = logging.getLogger("arenad.master")


class Supervisor:
    """All children, and the plan for them."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        listeners: Mapping[ProcessRole, Sequence[socket.socket]],
        on_change: Callable[[], None],
    ) -> None:
        """`listeners` are handed to each child of the role; `on_change` is called after any change."""
        self.wanted = settings.config.fleet.instances
        self.ledger = Ledger()
        self.tally = Tally()
        self.leaving = False
        self.on_relayed: Callable[[Channel, Frame], None] = lambda _channel, _frame: None
        self.on_log: Callable[[LogLine], None] = lambda _line: None
        self._loop = loop
        self._settings = settings
        self._listeners = listeners
        self._on_change = on_change
        self._children: dict[str, Supervised] = {}
        self._born_s = time.monotonic()
        self._rules = _rules(settings)
        self._zygote = self._new_zygote()

    # -- what operators want ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: the demo arena if it is the target, the frontends, the instances."""
        config = self._settings.config
        if self._settings.runs_demo:
            self._add("demo", "demo")
        for number in range(1, config.frontend.processes + 1):
            self._add(f"frontend-{number}", "frontend")
        self._follow_plan()

    def scale(self, instances: int) -> None:
        """Have so many instances, drained ones included again."""
        self.wanted = instances
        for child in self._children.values():
            child.held = False
        self.tell("fleet", f"an operator wants {instances} instances")
        self._follow_plan()
        self._on_change()

    def child(self, name: str) -> Supervised | None:
        """The child of this name."""
        return self._children.get(name)

    def restart(self, child: Supervised) -> None:
        """Drain and start anew."""
        child.held = False
        self.tell(child.name, "an operator asks for a restart")
        self._event(child, Event.RESTART)

    def drain(self, child: Supervised) -> None:
        """Drain and keep down."""
        child.held = True
        self.tell(child.name, "an operator drains it")
        self._event(child, Event.DRAIN)

    def shutdown(self) -> None:
        """Frontends finish what they have, then workers stop, then the rest; a second call hurries."""
        if self.leaving:
            logger.warning("asked again to stop: cutting off what still runs")
            for child in list(self._children.values()):
                self._event(child, Event.STOP)
            return
        self.leaving = True
        drain_s = self._settings.config.fleet.drain_timeout_s
        logger.info("stopping: running chats have up to %g s to finish", drain_s)
        self._leave_step()
        self._on_change()

    def state(self) -> State:
        """Everything that is shown to people."""
        config = self._settings.config
        slots = self._settings.slots
        children = tuple(
            child.state(slots, self.tally.busy(child.name)) for child in self._children.values()
        )
        word, sentence = report.verdict(children, self.wanted, leaving=self.leaving)
        return State(
            word=word,
            verdict=sentence,
            version=self._settings.version,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._born_s,
            site=self._settings.site_name,
            api_url=f"http://{config.api.listen}/v1",
            gui_url=f"http://{config.gui.listen}/gui/dashboard",
            instances_wanted=self.wanted,
            instances_max=config.fleet.max_instances,
            children=children,
            traffic=self.tally.traffic(config.queue.limit, time.monotonic()),
            story=tuple(self.ledger.story)[-STORY_IN_STATE:],
        )

    def tell(self, about: str, text: str) -> None:
        """A line in the story and in the log."""
        self.ledger.tell(wall_time_s(), about, text)
        logger.info("%s: %s", about, text)

    # -- the plan -----------------------------------------------------------------------------------

    def _add(self, name: str, role: ProcessRole) -> None:
        self._children[name] = child = Supervised(name, role)
        self._event(child, Event.START)

    def _follow_plan(self) -> None:
        if self.leaving:
            return
        members = {
            name: fleet.Member(child.life.phase, child.life.wanted, child.held)
            for name, child in self._children.items()
            if child.role == "worker"
        }
        plan = fleet.plan(members, self.wanted, self._settings.config.fleet.start_parallel)
        for name in plan.forget:
            del self._children[name]
        for name in plan.drain:
            self._event(self._children[name], Event.DRAIN)
        for name in plan.start:
            if name in self._children:
                self._event(self._children[name], Event.START)
            else:
                self._add(name, "worker")

    def _leave_step(self) -> None:
        """The next step of the way out: whoever is asked by others stops after them."""
        for role, event in (
            ("frontend", Event.DRAIN),
            ("worker", Event.STOP),
            ("demo", Event.STOP),
        ):
            staying = [
                child
                for child in self._children.values()
                if child.role == role and child.life.phase != "stopped"
            ]
            for child in staying:
                if child.life.wanted:
                    self._event(child, event)
            if any(child.life.phase != "stopped" for child in staying):
                return
        self._loop.running = False

    # -- one step of one life -----------------------------------------------------------------------

    def _event(self, child: Supervised, event: Event) -> None:
        before = child.life
        draw = random.random()  # noqa: S311 - jitter, no secret
        child.life, orders = step(before, event, time.monotonic(), self._rules, draw)
        if child.life.deadline_s != before.deadline_s or child.life.phase != before.phase:
            self._set_deadline(child)
        for order in orders:
            self._carry_out(child, order)
        if child.life != before:
            self._after_change(child, before.phase)

    def _set_deadline(self, child: Supervised) -> None:
        if child.timer is not None:
            child.timer.cancel()
        child.timer = None
        if child.life.deadline_s is not None:
            child.timer = self._loop.at(
                child.life.deadline_s, lambda: self._event(child, Event.DEADLINE)
            )

    def _carry_out(self, child: Supervised, order: Order) -> None:
        if order is Order.FORK:
            self._fork(child)
        elif order is Order.ALARM:
            self.tell(child.name, f"failed: it died too often; last: {child.last_death}")
            logger.error("%s failed; `arenactl restart %s` tries at once", child.name, child.name)
        elif order is Order.KILL or child.channel is None:
            child.signal(signal.SIGKILL)
        else:
            child.channel.note(Drain() if order is Order.ASK_DRAIN else Stop())

    def _after_change(self, child: Supervised, before: str) -> None:
        after = child.life.phase
        if after != before and after in ("draining", "backoff", "stopped"):
            wait_s = max(0.0, (child.life.deadline_s or 0.0) - time.monotonic())
            texts = {"draining": "draining", "stopped": "stopped"}
            texts["backoff"] = f"will be started again in {wait_s:.1f} s"
            self.tell(child.name, texts[after])
        self._send_roster()
        if self.leaving:
            self._leave_step()
        elif child.role == "worker":
            self._follow_plan()
        self._on_change()

    def _send_roster(self) -> None:
        workers = [child for child in self._children.values() if child.role == "worker"]
        seats = [seat for child in workers if (seat := child.seat(self._settings.slots))]
        coming = sum(child.life.wanted for child in workers) - len(seats)
        roster = Roster(tuple(seats), max(0, coming))
        for child in self._children.values():
            if child.role == "frontend" and child.channel is not None:
                child.channel.note(roster)

    # -- birth --------------------------------------------------------------------------------------

    def _new_zygote(self) -> Zygote:
        zygote = Zygote(self._on_forked)
        self._loop.watch(zygote.end.fileno(), zygote.read)
        self._loop.watch(zygote.pidfd, lambda _: self._on_zygote_exit())
        return zygote

    def _fork(self, child: Supervised) -> None:
        ours, theirs = socket.socketpair()
        child.channel = Channel(
            self._loop,
            ours,
            Peer(),
            lambda frame: self._on_frame(child, frame),
            lambda reason: self._on_link_end(child, reason),
        )
        child.socket_path = str(self._settings.worker_socket(child.name, child.life.generation))
        uid, gid = self._settings.user
        order = ForkOrder(
            role=child.role, name=child.name, generation=child.life.generation, uid=uid, gid=gid
        )
        try:
            self._zygote.fork(order, [theirs, *self._listeners.get(child.role, ())])
        except OSError as error:
            reason = f"no zygote ({error.strerror})"
            self._loop.after(0.0, lambda: self._not_born(child, reason))
        finally:
            theirs.close()
        self.tell(child.name, f"starting (generation {child.life.generation})")

    def _on_forked(self, forked: Forked) -> None:
        child = self._children.get(forked.name)
        if child is None or child.life.generation != forked.generation:
            return  # its exit, or the sweep, will find it
        try:
            if not forked.pid:
                raise OSError(0, forked.error)
            child.pidfd = os.pidfd_open(forked.pid)
        except OSError as error:
            self._not_born(child, f"could not be forked ({error.strerror})")
            return
        child.pid = forked.pid
        self._loop.watch(child.pidfd, lambda _: self._on_exit(child))

    def _not_born(self, child: Supervised, reason: str) -> None:
        child.last_death = reason
        child.close_process()
        self._event(child, Event.DIED)

    # -- death --------------------------------------------------------------------------------------

    def on_sigchld(self) -> None:
        """Reap what nobody supervises: adopted orphans. Known children are reaped by their pidfd."""
        self._sweep()

    def _on_exit(self, child: Supervised) -> None:
        info = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG)
        if info is None:
            return
        reason = death_reason(info)
        if child.condition == "broken":
            reason = f"{child.condition_reason}; {reason}"
        if child.life.phase not in ("draining", "stopping") or info.si_status:
            child.last_death = reason
            child.deaths += 1
            self.tell(child.name, f"died: {reason}")
        self._loop.unwatch(child.pidfd)
        child.close_process()
        self.tally.end(child.name)
        self._sweep()
        if child.role == "worker":
            self._settings.remove_scratch(child.name, child.life.generation)
        self._event(child, Event.DIED)

    def _on_link_end(self, child: Supervised, reason: str) -> None:
        """The process usually ends with its link; one that does not is of no use any more."""
        pid = child.pid
        logger.debug("%s %s", child.name, reason)

        def kill_if_alive() -> None:
            if pid and child.pid == pid:
                logger.error("%s %s but did not end; killing it", child.name, reason)
                child.signal(signal.SIGKILL)

        self._loop.after(LINKLESS_S, kill_if_alive)

    def _on_zygote_exit(self) -> None:
        """Running children do not notice; those on their way are tried again by their backoff."""
        logger.error("the zygote died; starting another")
        os.waitid(os.P_PIDFD, self._zygote.pidfd, os.WEXITED | os.WNOHANG)
        self._loop.unwatch(self._zygote.end.fileno())
        self._loop.unwatch(self._zygote.pidfd)
        lost = list(self._zygote.pending)
        self._zygote.close()
        self._zygote = self._new_zygote()
        for order in lost:
            child = self._children.get(order.name)
            if child is not None and child.life.generation == order.generation:
                self._not_born(child, "the zygote died")

    def _sweep(self) -> None:
        """Kill and reap every process that was adopted from a dead child: stopped browsers too.

        Each death may give us that process's own children, so SIGCHLD brings us back here. While the
        zygote is forking, an unknown child may be one that is just being born: wait for its answer.
        """
        if self._zygote.pending:
            self._loop.after(0.01, self._sweep)
            return
        known = {child.pid for child in self._children.values()} | {self._zygote.pid}
        for pid in kernel.child_pids():
            if pid not in known:
                os.kill(pid, signal.SIGKILL)
                logger.debug("killed the stray process %d", pid)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)

    def has_strays(self) -> bool:
        """Whether anything besides the zygote is left at the end."""
        self._sweep()
        return any(pid != self._zygote.pid for pid in kernel.child_pids())

    def close(self) -> None:
        """Let the zygote go; nothing else is left."""
        self._zygote.close()

    # -- news ---------------------------------------------------------------------------------------

    def _on_frame(self, child: Supervised, frame: Frame) -> None:
        if frame.kind is not Kind.CALL or frame.call:
            if child.channel is not None:
                self.on_relayed(child.channel, frame)
            return
        body = frame.body
        if isinstance(body, Hello):
            self._on_hello(child, body)
        elif isinstance(body, Ready):
            child.models = body.models
            self._event(child, Event.READY)
        elif isinstance(body, SessionIs):
            self._on_condition(child, body)
        elif isinstance(body, Beat):
            child.beat = body
            self._on_change()
        elif isinstance(body, FrontendBeat):
            self.tally.take(child.name, body, time.monotonic())
            self._on_change()
        elif isinstance(body, LogLine):
            self.ledger.log.append(body)
            self.on_log(body)
        elif isinstance(body, Drained):
            self._event(child, Event.DRAINED)

    def _on_hello(self, child: Supervised, hello: Hello) -> None:
        expected = (SCHEMA_VERSION, child.role, child.life.generation)
        if (hello.schema_version, hello.role, hello.generation) != expected:
            logger.error("%s says hello as %r; it is not the one we started", child.name, hello)
            child.signal(signal.SIGKILL)
        elif child.channel is not None:
            child.channel.note(self._settings.welcome(child.role, child.name, hello.generation))

    def _on_condition(self, child: Supervised, news: SessionIs) -> None:
        before, child.condition = child.condition, news.condition
        child.condition_reason = news.reason
        if before != news.condition:
            self.tell(child.name, f"{news.condition}: {news.reason}")
            self._send_roster()
            self._on_change()


def _rules(settings: Settings) -> Rules:
    life = settings.config.life
    return Rules(
        start_timeout_s=life.start_timeout_s,
        drain_timeout_s=settings.config.fleet.drain_timeout_s,
        stop_timeout_s=life.stop_timeout_s,
        backoff_first_s=life.backoff_first_s,
        backoff_limit_s=life.backoff_limit_s,
        deaths=life.deaths,
        deaths_window_s=life.deaths_window_s,
        failed_retry_s=life.failed_retry_s,
    )
