"""The body of the master: what operators want, the plan for it, the way out.

It decides which child is to begin or end; the keeper below it sees to each single life, and
`hearing` to what children tell.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from arenad.errors import Refused
from arenad.log import wall_time_s
from arenad.master import change, fleet, report, usage
from arenad.master.autoscale import Autoscaler
from arenad.master.handover import KeptCrew, KeptLedger, KeptTally
from arenad.master.hearing import Hearing
from arenad.master.keeper import Keeper
from arenad.master.ledger import Ledger, Tally
from arenad.master.life import Event
from arenad.master.loop import Channel, Loop
from arenad.master.pacing import Pacing
from arenad.master.planner import Planner
from arenad.master.recording import Recording
from arenad.master.scale import Room, Sample
from arenad.master.settings import Settings
from arenad.master.silence import Limits
from arenad.master.supervised import Supervised
from arenad.master.watch import Watch
from arenad.master.wishes import Wishes
from arenad.schema.control import Change, Effect, State
from arenad.schema.frame import Frame
from arenad.schema.keys import NO_LIMITS, Key, KeysAre
from arenad.schema.process import LogLine, ProcessRole, Roster, template_of

STORY_IN_STATE = 20

Streams = tuple[Sequence[int], Sequence[int]]
"""The open calls on one link: those that watch the state, and those that follow the log."""

RENEWED: Mapping[Effect, tuple[ProcessRole, ...]] = {
    "new frontends": ("frontend",),
    "new instances": ("worker",),
    "new arena": ("demo",),
    "new arena and instances": ("demo", "worker"),
}
"""The roles whose processes are replaced, by what a change asks for."""

REPLACED_BY_UPGRADE: tuple[ProcessRole, ...] = ("recorder", "frontend", "worker")
"""The arena goes on: it is a site, and whoever chats there would be cut off."""

logger = logging.getLogger("arenad.master")


class Supervisor:
    """All children, and the plan for them."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        listeners: Callable[[ProcessRole], Sequence[socket.socket]],
        on_change: Callable[[], None],
    ) -> None:
        """`listeners` go to each child of a role; `on_change` is called after any change."""
        self.ledger = Ledger()
        self.tally = Tally()
        self.recording = Recording(loop, settings)
        self.on_relayed: Callable[[Channel, Frame], None] = lambda _channel, _frame: None
        self.on_log: Callable[[LogLine], None] = lambda _line: None
        self.on_leaving: Callable[[], None] = lambda: None
        self._loop = loop
        self._settings = settings
        self._on_change = on_change
        self._born_s = time.monotonic()
        self._enlisted: frozenset[str] = frozenset()
        self._keeper = keeper = Keeper(loop, settings, listeners, self.tell)
        self._children = keeper.children
        self.wishes = Wishes(settings, self._readings, self.tell)
        self.pacing = Pacing(settings, self.tell)
        self._planner = Planner(keeper, settings, lambda: self.wishes.of_each, self._end)
        self._planner.before_end = self.recording.finish
        self._watch = Watch(loop, self._limits(), self._children.values, self._on_silence)
        self._autoscaler = Autoscaler(loop, settings, self, self.tell)
        keeper.on_frame = Hearing(self, settings, keeper, self._watch).on_frame
        keeper.on_exit = lambda child: self.tally.end(child.name)
        keeper.on_change = self._on_step

    # -- what operators want -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin: recorder, the demo arena if it is the target, the frontends, the instances."""
        if groups := self._settings.groups.sentence:
            self.tell("fleet", groups)
        if fault := self._settings.history_fault:
            self.tell("recorder", f"there is no history: {fault}")
        if fault := self._settings.login_fault:
            self.tell("fleet", f"no login is kept: {fault}")
        self.wishes.want(self.wanted)
        self._planner.follow()
        self._autoscaler.start()

    def renew(self, changes: Sequence[Change]) -> None:
        """The settings have changed: tell children what they can take, replace who cannot."""
        for each in changes:
            for role in RENEWED.get(each.effect, ()):
                self._keeper.renew(role, partial(change.concerns, each.field))
        self._watch.limits = self._limits()
        self._tell_settings({child.role for child in self._children.values()})
        fields = {each.field for each in changes}
        self.wishes.follow(fields)
        if any(field.startswith("autoscale.") for field in fields):
            self._autoscaler.resume(self._autoscaler.aim)
        self._autoscaler.take(self.wanted)
        self.send_roster()
        self._planner.follow()
        self._on_change()

    def _tell_settings(self, roles: Collection[str]) -> None:
        for child in self._children.values():
            if child.role in roles and child.channel is not None:
                welcome = self._settings.welcome(child.role, child.name, child.life.generation)
                child.channel.note(welcome)

    # -- another program takes our place -----------------------------------------------------------

    def kept(self, streams: Callable[[Channel | None], Streams]) -> KeptCrew:
        """What it goes on with; `streams` are the calls that a frontend has open."""
        children = self._children.values()
        return KeptCrew(
            born_s=self._born_s,
            wanted=self.wanted,
            others=self.wishes.others,
            pacing=self.pacing.standings,
            aim=self._autoscaler.aim,
            enlisted=self._enlisted,
            generations=self._keeper.generations,
            children=tuple(each.kept(*streams(each.channel)) for each in children),
            tally=KeptTally(self.tally.past, self.tally.now),
            outbox=self.recording.kept,
            ledger=KeptLedger(
                tuple(self.ledger.story), self.ledger.stories, tuple(self.ledger.log)
            ),
        )

    def resume(self, crew: KeptCrew) -> None:
        """Go on in the place of an earlier program, then replace all that it started."""
        self._born_s, self._enlisted = crew.born_s, crew.enlisted
        self.wishes.resume(crew.wanted, crew.others)
        self.pacing.standings |= crew.pacing
        self.tally.resume(crew.tally.past, crew.tally.now)
        self.ledger.resume(crew.ledger.story, crew.ledger.stories, crew.ledger.log)
        self.recording.resume(crew.outbox)
        self._keeper.resume(crew.children, crew.generations)
        for child in self._children.values():
            if child.channel is not None:
                self._watch.begin(child)
            self.recording.follow(child)
        for role in REPLACED_BY_UPGRADE:
            self._keeper.renew(role)
        self._autoscaler.resume(crew.aim)
        self.tell("fleet", f"arenad {self._settings.version} has taken over in place")
        if groups := self._settings.groups.sentence:
            self.tell("fleet", groups)
        self.on_sigchld()
        self.on_life()

    @property
    def are_births_over(self) -> bool:
        """Whether no child is just being born, so that each one is ours or nobody's."""
        return self._keeper.are_births_over

    @property
    def guests(self) -> set[int]:
        """Pids of processes of ours that are no children."""
        return self._keeper.guests

    # -- what operators ask for --------------------------------------------------------------------

    @property
    def wanted(self) -> int:
        """How many instances are wished for on the site itself."""
        return self.wishes.first

    @property
    def wished(self) -> int:
        """How many instances are wished for, on the site and of templates."""
        return self.wishes.total

    def scale(self, instances: int) -> str:
        """An operator wants so many instances, drained ones included again; says what follows.

        Raises `Refused` when the memory budget does not afford them.
        """
        if instances > self.wanted and (why := self.wishes.refusal(instances)):
            raise Refused(why)
        self._take_back("")
        note = self._autoscaler.hold(instances)
        self.follow(instances, f"an operator wants {instances} instances")
        return note

    def follow(self, instances: int, why: str) -> None:
        """Have so many instances: spares enter the roster at once, then the plan is followed."""
        self.wishes.first = instances
        self._follow(why)

    def scale_template(self, template: str, instances: int) -> None:
        """An operator wants so many of a template. Raises `Refused`."""
        self.wishes.want_of(template, instances)
        self._take_back(template)
        self._follow(f"an operator wants {instances} instances of {template}")

    def _take_back(self, template: str) -> None:
        """What an operator drained of this template, or of none, is to be there again."""
        for child in self._children.values():
            child.held &= template_of(child.name) != template

    def _follow(self, why: str) -> None:
        self.tell("fleet", why)
        self.send_roster()
        self._planner.follow()
        self._on_change()

    def _limits(self) -> Limits:
        health = self._settings.config.health
        return Limits(health.silent_s, health.hung_s)

    # -- what the number of instances rests on -----------------------------------------------------

    def load(self) -> Sample:
        """The pool now."""
        workers = [child for child in self._children.values() if child.role == "worker"]
        now_s = time.monotonic()
        return Sample(
            at_s=now_s,
            ready=sum(child.serves for child in workers),
            starting=sum(child.is_coming for child in workers),
            busy=sum(self.tally.busy(child.name) for child in workers),
            queued=self.tally.traffic(0, now_s).queued,
            slots=self._settings.slots(),
            queue_wait_s=self.tally.queue_wait_s,
        )

    def room(self) -> Room:
        """How many instances there may be."""
        return self.wishes.room()

    def _readings(self) -> dict[str, int]:
        workers = (child for child in self._children.values() if child.role == "worker")
        return {child.name: child.beat.memory_bytes for child in workers}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all children."""
        return tuple(self._children)

    @property
    def children(self) -> tuple[Supervised, ...]:
        """All children."""
        return tuple(self._children.values())

    def child(self, name: str) -> Supervised | None:
        """The child of this name."""
        return self._children.get(name)

    def restart(self, child: Supervised) -> None:
        """Drain and start anew."""
        child.held = False
        child.last_death = ""
        self.tell(child.name, "an operator asks for a restart")
        if child.role == "frontend" and child.life.phase == "ready":
            child.outdated = True  # a successor comes first, so that nobody has to wait
            self._planner.follow()
            self._on_change()
        else:
            self._keeper.event(child, Event.RESTART)

    def forget_login(self, name: str) -> bool:
        """Remove the login that is kept for this name; whether there was one."""
        return self._settings.forget_login(name)

    def keys(self, use_of: str = "") -> KeysAre:
        """All keys, without their hashes, what one has used, what is wrong with their store."""
        store = self._settings.keys
        shown = (replace(key, salt=b"", digest=b"") for key in store.keys)
        by_name = tuple(sorted(shown, key=lambda key: key.name))
        now_unix_s, files = wall_time_s(), self._settings.counters
        uses = (
            usage.use_of(files, key, time.monotonic(), now_unix_s)
            for key in by_name
            if key.name == use_of and key.limits != NO_LIMITS
        )
        return KeysAre(by_name, now_unix_s, store.trouble(), next(uses, None))

    def add_key(self, key: Key, lasts_s: float) -> None:
        """One key more, which frontends are told at once. Raises `Refused`."""
        now_unix_s = wall_time_s()
        expires_at_unix_s = now_unix_s + lasts_s if lasts_s else 0.0
        key = replace(key, made_at_unix_s=now_unix_s, expires_at_unix_s=expires_at_unix_s)
        self._settings.open_keys().add(key)
        self._tell_settings({"frontend"})
        self.tell("keys", f"{key.name} is made, for {', '.join(key.scopes)}")

    def revoke_key(self, name: str) -> None:
        """One key less, which frontends are told at once. Raises `Refused`."""
        self._settings.open_keys().revoke(name)
        self._tell_settings({"frontend"})
        self.tell("keys", f"{name} is revoked")

    def drain(self, child: Supervised) -> None:
        """Drain and keep down."""
        child.held = True
        self.tell(child.name, "an operator drains it")
        self._keeper.event(child, Event.DRAIN)

    def reset(self, children: Sequence[Supervised]) -> None:
        """Forget past deaths, and start at once what waits because of them."""
        for child in children:
            child.last_death = ""
            self.tell(child.name, "an operator resets it: its deaths are forgotten")
            self._keeper.event(child, Event.RESET)

    def shutdown(self) -> None:
        """Frontends finish what they have, then the others stop; a second call hurries."""
        if self._planner.leaving:
            logger.warning("asked again to stop: cutting off what still runs")
            for child in list(self._children.values()):
                self._keeper.event(child, Event.STOP)
            return
        self._autoscaler.stop()
        drain_s = self._settings.config.fleet.drain_timeout_s
        logger.info("stopping: running chats have up to %g s to finish", drain_s)
        self.on_leaving()
        self._planner.leave()
        self._on_change()

    def state(self) -> State:
        """Everything that is shown to people."""
        config = self._settings.config
        slots, tally = self._settings.slots, self.tally
        children = tuple(
            child.state(slots(child.name), tally.busy(child.name), tally.asked_last(child.name))
            for child in self._children.values()
        )
        word, sentence = report.verdict(children, self.wished, leaving=self.leaving)
        if not self.leaving:
            sentence += report.history_trouble(children, self._settings.history_fault)
        return State(
            word=word,
            verdict=sentence,
            version=self._settings.version,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._born_s,
            site=self._settings.site_name,
            api_url=f"http://{config.api.listen}/v1",
            gui_url=self._settings.gui_url,
            instances_wanted=self.wanted,
            instances_max=self.wishes.most,
            templates=self.wishes.others,
            paces=self.pacing.state(self._children.values()),
            children=children,
            traffic=self.tally.traffic(config.queue.limit, time.monotonic()),
            story=tuple(self.ledger.story)[-STORY_IN_STATE:],
        )

    def tell(self, about: str, text: str) -> None:
        """A line in the story and in the log."""
        now_unix_s = wall_time_s()
        self.ledger.tell(now_unix_s, about, text)
        self.recording.told(now_unix_s, about, text)
        logger.info("%s: %s", about, text)

    @property
    def leaving(self) -> bool:
        """Whether the way out has begun."""
        return self._planner.leaving

    def _end(self) -> None:
        self._loop.running = False

    # -- who must know -----------------------------------------------------------------------------

    def _on_step(self, child: Supervised) -> None:
        self.recording.follow(child)
        self.on_life()

    def on_life(self) -> None:
        """A child took a step: tell whoever must know, and go on with what waited for it."""
        self.send_roster()
        if self.leaving:
            self._planner.leave()
        else:
            self._planner.follow()
        self._on_change()

    def on_news(self) -> None:
        """Something that is shown to people is another than before."""
        self._on_change()

    def _on_silence(self, child: Supervised, line: str) -> None:
        """A child fell silent, or speaks again: frontends hear of it first."""
        self.send_roster()
        self.tell(child.name, line)
        self._on_change()

    def send_roster(self) -> None:
        """Tell frontends who may be asked."""
        workers = [child for child in self._children.values() if child.role == "worker"]
        slots = self._settings.slots
        seats = [seat for child in workers if (seat := child.seat(slots(child.name)))]
        able = {seat.name: seat.condition == "ready" for seat in seats}
        self._enlisted = fleet.enlist(able, self._enlisted, self.wanted)
        for child in workers:
            was_spare = child.spare
            child.spare = able.get(child.name, False) and child.name not in self._enlisted
            if was_spare and child.name in self._enlisted and not self.leaving:
                self.tell(child.name, "a spare no more: it takes requests now")
        listed = tuple(seat for seat in seats if seat.name in self._enlisted)
        aside = tuple(seat for seat in seats if seat.name not in self._enlisted)
        coming = sum(child.is_coming for child in workers)
        roster = Roster(listed, coming, self.pacing.paces(), aside)
        for child in self._children.values():
            if child.role == "frontend" and child.channel is not None:
                child.channel.note(roster)

    def on_sigchld(self) -> None:
        """Some child ended: bury it, if it was nobody's. Or it was stopped: that is a hang."""
        self._watch.on_sigchld()
        self._keeper.sweep()

    def end_all(self) -> bool:
        """After the way out: end the zygote and every stray; false once nothing is left."""
        return self._keeper.end_all()
