"""The master's side of the recorder: what it is told, and what it is asked on behalf of operators.

Nothing here opens a file or waits. Lines are sent a moment after the first of them, samples with
the beat that brought them, and no timer runs while there is nothing to say.
"""

import logging
import os
import time
from collections.abc import Callable

from arenad.errors import Refused
from arenad.log import wall_time_s
from arenad.master.loop import Loop, Timer
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.outbox import BATCH, Outbox
from arenad.schema.chat import failure_of
from arenad.schema.control import State
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.history import (
    Entry,
    GetHistory,
    InstanceSample,
    Remember,
    Remembered,
    StoryLine,
    TrafficSample,
)
from arenad.schema.process import LogLine

GATHER_S = 1.0
ANSWER_S = 5.0
MAX_ASKED = 16

Answer = Callable[[Body], None]

logger = logging.getLogger("arenad.master")


class Recording:
    """Feeds the recorder while it is there, keeps a bounded part while it is not."""

    def __init__(self, loop: Loop, settings: Settings) -> None:
        """Nobody records yet."""
        self._loop = loop
        self._settings = settings
        self._outbox = Outbox(os.urandom(8).hex())
        self._recorder: Supervised | None = None
        self._generation = 0
        self._timer: Timer | None = None
        self._next_sample_s = 0.0
        self._asked: dict[int, tuple[Answer, Timer]] = {}

    # -- what is remembered ------------------------------------------------------------------------

    def told(self, at_unix_s: float, about: str, text: str) -> None:
        """A line of the story."""
        self._put(StoryLine(at_unix_s, about, text))

    def logged(self, line: LogLine) -> None:
        """A log record; those of level debug are not for keeping."""
        if line.level != "debug":
            self._put(line)

    def look(self, state: Callable[[], State], queue_wait_s: float) -> None:
        """A beat has come: take the samples that go with it, if it is time for some."""
        now_s = time.monotonic()
        if not self._settings.records or now_s < self._next_sample_s:
            return
        self._next_sample_s = now_s + self._settings.config.history.sample_s
        for sample in _samples(state(), queue_wait_s):
            self._outbox.put(sample)
        self._send()

    def _put(self, entry: Entry) -> None:
        if self._settings.records:
            self._outbox.put(entry)
            self._send_later()

    def _send_later(self) -> None:
        """A moment after the first line, with all that has come by then."""
        is_waited_for = self._timer is not None or self._outbox.is_under_way
        if not is_waited_for and self._outbox.unsent and self._is_there():
            self._timer = self._loop.after(GATHER_S, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        recorder = self._recorder
        if recorder is None or recorder.channel is None or not self._is_there():
            return
        if (batch := self._outbox.batch()) is not None:
            recorder.channel.note(batch)

    def _is_there(self) -> bool:
        recorder = self._recorder
        return recorder is not None and recorder.life.phase == "ready"

    def on_remembered(self, _recorder: Supervised, news: Remembered) -> None:
        """A batch is on disk."""
        self._outbox.remembered(news)
        if self._outbox.unsent >= BATCH:
            self._send()
        else:
            self._send_later()

    # -- its life ----------------------------------------------------------------------------------

    @property
    def kept(self) -> Remember:
        """What is not on disk yet, for a program that goes on in our place."""
        return self._outbox.kept

    def resume(self, kept: Remember | None) -> None:
        """Go on with what an earlier program in this process has left."""
        if kept is not None:
            self._outbox.resume(kept)

    def follow(self, child: Supervised) -> None:
        """A child took a step of its life; that of the recorder is ours too."""
        if child.role != "recorder":
            return
        self._recorder = child
        if child.channel is None:
            self._give_up("the recorder died before it answered; ask again in a moment")
        elif child.life.phase == "ready" and child.life.generation != self._generation:
            self._generation = child.life.generation
            self._outbox.rewind()
            self._send()

    def finish(self, child: Supervised) -> None:
        """The recorder, the last of all, is about to be asked to stop: give it all there is."""
        if child.role != "recorder":
            return
        self._settings.recorder_socket.unlink(missing_ok=True)
        if child.channel is not None and self._is_there():
            for batch in self._outbox.rest():
                child.channel.note(batch)
        elif len(self._outbox) and child.life.phase not in ("draining", "stopping"):
            logger.warning("%d lines of the history are lost: nobody records", len(self._outbox))

    # -- what operators ask ------------------------------------------------------------------------

    def ask(self, wish: GetHistory, answer: Answer) -> None:
        """Pass a question on; `answer` is called later, once. Raises `Refused`."""
        recorder = self._recorder
        if not self._settings.records:
            fault = self._settings.history_fault or "history.enabled is false"
            raise Refused(f"there is no history: {fault}")
        if recorder is None or recorder.channel is None or not self._is_there():
            phase = "not there" if recorder is None else recorder.life.phase
            raise Refused(f"the recorder is {phase}; `arenactl status` says more")
        if len(self._asked) >= MAX_ASKED:
            raise Refused(f"{MAX_ASKED} questions wait for the recorder; ask again in a moment")
        call, packed = recorder.channel.peer.call(wish)
        timer = self._loop.after(ANSWER_S, lambda: self._be_late(recorder, call))
        self._asked[call] = (answer, timer)
        recorder.channel.send(packed)

    def on_answer(self, frame: Frame) -> None:
        """The recorder answers."""
        if frame.kind is Kind.END and frame.body is not None and frame.call in self._asked:
            answer, timer = self._asked.pop(frame.call)
            timer.cancel()
            answer(frame.body)

    def _be_late(self, recorder: Supervised, call: int) -> None:
        answer, _ = self._asked.pop(call)
        if recorder.channel is not None:
            recorder.channel.send(recorder.channel.peer.cancel(call))
        answer(failure_of(Refused(f"the recorder gave no answer within {ANSWER_S:g} s")))

    def _give_up(self, reason: str) -> None:
        asked, self._asked = self._asked, {}
        for answer, timer in asked.values():
            timer.cancel()
            answer(failure_of(Refused(reason)))


def _samples(state: State, queue_wait_s: float) -> list[Entry]:
    """A row for each instance that runs, and one for the traffic."""
    now_unix_s = wall_time_s()
    running = [child for child in state.children if child.role == "worker" and child.pid]
    samples: list[Entry] = [
        InstanceSample(
            now_unix_s,
            instance=child.name,
            generation=child.generation,
            condition=child.condition or "opening",
            busy=child.busy,
            answered=child.answered,
            failed=child.failed,
            memory_bytes=child.memory_bytes,
            processes=child.processes,
            cpu_percent=child.cpu_percent,
            loop_lag_ms=child.loop_lag_ms,
        )
        for child in running
    ]
    traffic = state.traffic
    ready = sum(child.phase == "ready" and child.condition == "ready" for child in running)
    return [
        *samples,
        TrafficSample(
            now_unix_s,
            ready=ready,
            wanted=state.instances_wanted + sum(state.templates.values()),
            running=traffic.running,
            queued=traffic.queued,
            queue_wait_s=queue_wait_s,
            accepted=traffic.accepted,
            answered=traffic.answered,
            failed=traffic.failed,
            retried=traffic.retried,
            cancelled=traffic.cancelled,
        ),
    ]
