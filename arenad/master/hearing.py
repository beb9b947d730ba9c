"""What children tell the master: who may say what, and whom it concerns."""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from arenad.master import report
from arenad.master.keeper import Keeper
from arenad.master.ledger import Ledger, Tally
from arenad.master.life import Event
from arenad.master.loop import Channel
from arenad.master.pacing import Pacing
from arenad.master.recording import Recording
from arenad.master.recycler import Recycler
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.master.watch import Watch
from arenad.schema import SCHEMA_VERSION
from arenad.schema.control import State
from arenad.schema.frame import Frame, Kind
from arenad.schema.history import Remembered
from arenad.schema.process import (
    Alive,
    Beat,
    Drained,
    FrontendBeat,
    Hello,
    LogLine,
    ModelsAre,
    Ready,
    SessionIs,
)

logger = logging.getLogger("arenad.master")


class Office(Protocol):
    """What hearing sees of the supervisor, and has it do."""

    ledger: Ledger
    tally: Tally
    recording: Recording
    pacing: Pacing
    on_relayed: Callable[[Channel, Frame], None]
    on_log: Callable[[LogLine], None]

    @property
    def leaving(self) -> bool:
        """Whether the way out has begun."""
        ...

    @property
    def wished(self) -> int:
        """How many instances are wished for, on the site and of templates."""
        ...

    def state(self) -> State:
        """Everything that is shown to people."""
        ...

    def tell(self, about: str, text: str) -> None:
        """A line in the story and in the log."""
        ...

    def on_life(self) -> None:
        """An instance is another than before: whoever must know is told, and the plan goes on."""
        ...

    def send_roster(self) -> None:
        """Tell frontends who may be asked."""
        ...

    def on_news(self) -> None:
        """Something that is shown to people is another than before."""
        ...


class Hearing:
    """Takes each word of a child to where it belongs; whoever breaks the rules is ended."""

    def __init__(self, office: Office, settings: Settings, keeper: Keeper, watch: Watch) -> None:
        """Begins to listen with `on_frame`."""
        self._office = office
        self._settings = settings
        self._keeper = keeper
        self._watch = watch
        self._recycler = Recycler(settings, keeper.children, self._recycle)
        self._takers: Mapping[tuple[str, type], Callable[[Supervised, Any], None]] = {
            ("any", Hello): self._on_hello,
            ("any", Ready): self._on_ready,
            ("any", Alive): self._on_alive,
            ("any", LogLine): self._on_line,
            ("any", Drained): self._on_drained,
            ("worker", SessionIs): self._on_condition,
            ("worker", ModelsAre): self._on_models,
            ("worker", Beat): self._on_beat,
            ("frontend", FrontendBeat): self._on_frontend_beat,
            ("recorder", SessionIs): self._on_condition,
            ("recorder", Remembered): office.recording.on_remembered,
        }
        """What a child may tell us, by its role and the message, and who takes it."""

    def on_frame(self, child: Supervised, frame: Frame) -> None:
        """A child said something."""
        self._watch.heard(child)
        kind = type(frame.body)
        take = self._takers.get(("any", kind)) or self._takers.get((child.role, kind))
        if frame.kind is not Kind.CALL or frame.call:
            self._on_call(child, frame)
        elif take is not None:
            take(child, frame.body)
        else:
            self._distrust(child, f"a {child.role} has no business to send {frame.body!r}")

    def _on_call(self, child: Supervised, frame: Frame) -> None:
        """Frontends pass on what their dashboard's viewers command; nobody else calls us."""
        if child.channel is not None and child.role == "frontend":
            self._office.on_relayed(child.channel, frame)
        elif child.role == "recorder" and frame.kind is Kind.END:
            self._office.recording.on_answer(frame)
        else:
            self._distrust(child, f"a {child.role} commands {frame.body!r}")

    def _distrust(self, child: Supervised, reason: str) -> None:
        """A sibling that breaks the rules has a bug: end it loudly."""
        logger.error("%s: %s; killing it", child.name, reason)
        child.signal(signal.SIGKILL)

    # -- of all roles ------------------------------------------------------------------------------

    def _on_hello(self, child: Supervised, hello: Hello) -> None:
        generation = child.life.generation
        ours = (SCHEMA_VERSION, child.role, child.name, generation)
        if (hello.schema_version, hello.role, hello.name, hello.generation) != ours:
            self._distrust(child, f"says hello as {hello!r}; it is not the one we started")
        elif child.channel is not None:
            logger.debug("%s says hello (generation %d)", child.name, generation)
            child.channel.note(self._settings.welcome(child.role, child.name, generation))
            self._watch.begin(child)

    def _on_ready(self, child: Supervised, ready: Ready) -> None:
        child.models = ready.models
        if child.role == "worker" and child.condition is None:
            child.condition = "opening"  # it has not said yet; a ready instance always has one
        self._keeper.event(child, Event.READY)

    def _on_alive(self, child: Supervised, alive: Alive) -> None:
        child.lag_ms = alive.loop_lag_ms

    def _on_line(self, _child: Supervised, line: LogLine) -> None:
        self._office.ledger.log.append(line)
        self._office.recording.logged(line)
        self._office.on_log(line)

    def _on_drained(self, child: Supervised, _drained: Drained) -> None:
        self._keeper.event(child, Event.DRAINED)

    # -- of one role -------------------------------------------------------------------------------

    def _on_condition(self, child: Supervised, news: SessionIs) -> None:
        if child.takes(news):
            told = report.happened(news, child.name, self._settings.gui_url)
            self._office.tell(child.name, told)
            self._office.pacing.heard(child.name, news)
            self._office.on_life()

    def _on_models(self, child: Supervised, news: ModelsAre) -> None:
        child.models = news.models
        self._office.send_roster()
        self._office.on_news()

    def _on_beat(self, child: Supervised, beat: Beat) -> None:
        is_rerouted, child.beat = child.beat.proxy != beat.proxy, beat
        child.lag_ms = beat.loop_lag_ms
        self._look()
        if not self._office.leaving:
            self._recycler.look(child, self._office.wished)
        if is_rerouted:
            self._office.send_roster()
        self._office.on_news()

    def _on_frontend_beat(self, child: Supervised, beat: FrontendBeat) -> None:
        self._office.tally.take(child.name, beat, time.monotonic())
        self._look()
        self._office.on_news()

    def _look(self) -> None:
        """Samples go with a beat that has come anyway."""
        self._office.recording.look(self._office.state, self._office.tally.queue_wait_s)

    def _recycle(self, child: Supervised, why: str) -> None:
        self._office.tell(child.name, f"recycled: {why}; it finishes its chats and is started anew")
        self._keeper.event(child, Event.RESTART)
