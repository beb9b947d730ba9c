"""One supervised child as the master knows it: its life, its process, its last news."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from arenad.master.handover import KeptChild, KeptLink
from arenad.master.life import Life
from arenad.master.loop import Channel, Timer
from arenad.master.silence import Silence
from arenad.schema.control import ChildState
from arenad.schema.process import Beat, Condition, ForkOrder, Model, ProcessRole, Seat, SessionIs

KEPT = tuple(name for name in KeptChild.__struct_fields__ if name != "link")
"""What is handed over as it is."""


class Supervised:
    """Mutable, and changed by the supervisor alone."""

    def __init__(self, name: str, role: ProcessRole, generation: int = 0) -> None:
        """No process yet; `generation` is the last one that an earlier child of the name had."""
        self.name = name
        self.role: ProcessRole = role
        self.life = Life(generation=generation)
        self.held = False
        self.spare = False
        self.outdated = False
        self.timer: Timer | None = None
        self.last_death = ""
        self.models: tuple[Model, ...] = ()
        self.socket_path = ""
        self.first_generation = generation + 1
        self.forget_process()

    def forget_process(self) -> None:
        """What belongs to one process only."""
        self.pid = 0
        self.pidfd = -1
        self.switch = -1
        self.order: ForkOrder | None = None
        self.channel: Channel | None = None
        self.condition: Condition | None = None
        self.condition_reason = ""
        self.rest_until_s: float | None = None
        self.beat = Beat(0, 0, 0, 0, 0, 0.0, 0.0)
        self.lag_ms = 0.0
        self.silence: Silence | None = None
        self.looking: Timer | None = None
        self.doom = ""

    def kept(self, watching: Sequence[int], following: Sequence[int]) -> KeptChild:
        """What goes on when another program takes the master's place, and the calls it has open."""
        link = None
        if self.channel is not None and self.channel.open:
            books, unsent = self.channel.peer.books, self.channel.unsent
            link = KeptLink(self.channel.fd, books, unsent, tuple(watching), tuple(following))
        return KeptChild(link=link, **{name: getattr(self, name) for name in KEPT})

    def resume(self, kept: KeptChild) -> None:
        """Go on as that child, but for what is opened anew."""
        for name in KEPT:
            setattr(self, name, getattr(kept, name))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal through the pidfd, which can never hit another process."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def close_process(self) -> None:
        """Close what was open to a process that has ended, and forget it."""
        if self.channel is not None:
            self.channel.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
        if self.switch >= 0:
            os.close(self.switch)
        self.forget_process()

    @property
    def is_coming(self) -> bool:
        """Whether it can be expected to be ready before long: a broken one is being replaced."""
        is_up = self.life.phase == "ready" and self.condition != "broken" and not self.is_silent
        return self.life.wanted and not is_up and self.life.phase != "failed"

    @property
    def is_silent(self) -> bool:
        """Whether its beats are late, so that nobody is to be sent to it."""
        return self.silence is not None and self.silence.is_marked

    @property
    def serves(self) -> bool:
        """Whether this worker can take requests, or this other process does its work."""
        is_well = self.role != "worker" or self.condition == "ready"
        return self.life.phase == "ready" and is_well

    def takes(self, news: SessionIs) -> bool:
        """Take its condition; whether that is worth a line: another one, or the same prolonged."""
        before, self.condition = self.condition, news.condition
        self.condition_reason = news.reason
        rest_s = news.resting_s
        self.rest_until_s = None if rest_s is None else time.monotonic() + rest_s
        return before != news.condition or rest_s is not None

    def seat(self, slots: int) -> Seat | None:
        """This instance's place in the roster; none unless it can be asked at all."""
        if self.role != "worker" or self.life.phase != "ready" or self.condition is None:
            return None
        if self.is_silent:
            return None
        return Seat(
            name=self.name,
            generation=self.life.generation,
            socket_path=self.socket_path,
            slots=slots,
            condition=self.condition,
            models=self.models,
            reason="" if self.condition == "ready" else self.condition_reason,
            resting_s=self._resting_s(),
            proxy=self.beat.proxy,
        )

    def _resting_s(self) -> float | None:
        """What is left of a rest."""
        if self.rest_until_s is None:
            return None
        return max(0.0, self.rest_until_s - time.monotonic())

    def state(self, slots: int, busy: int, asked_last: str = "") -> ChildState:
        """For people."""
        now_s = time.monotonic()
        is_silent = self.is_silent and self.life.phase == "ready"
        waits = self.life.phase in ("backoff", "failed") and self.life.deadline_s is not None
        return ChildState(
            name=self.name,
            role=self.role,
            phase=self.life.phase,
            generation=self.life.generation,
            pid=self.pid,
            phase_age_s=now_s - self.life.since_s,
            restarts=max(0, self.life.generation - self.first_generation),
            last_death=self.last_death,
            next_try_s=max(0.0, (self.life.deadline_s or 0.0) - now_s) if waits else None,
            condition="broken" if is_silent else self.condition,
            condition_reason="gives no beat" if is_silent else self.condition_reason,
            slots=slots if self.role == "worker" else 0,
            busy=busy,
            answered=self.beat.answered,
            failed=self.beat.failed,
            memory_bytes=self.beat.memory_bytes,
            processes=self.beat.processes,
            cpu_percent=self.beat.cpu_percent,
            loop_lag_ms=self.lag_ms,
            models=tuple(model.id for model in self.models),
            spare=self.spare,
            outdated=self.outdated,
            descriptors=self.beat.descriptors,
            sessions=self.beat.sessions,
            session_id=self.beat.session_id,
            message_id=self.beat.message_id,
            proxy=self.beat.proxy,
            asked_last=asked_last,
        )


def death_reason(ending: os.waitid_result) -> str:
    """How a process ended, in words."""
    if ending.si_code == os.CLD_EXITED:
        return f"exit code {ending.si_status}"
    try:
        name = signal.Signals(ending.si_status).name
    except ValueError:
        name = f"signal {ending.si_status}"
    return f"killed by {name}" + (" (core dumped)" if ending.si_code == os.CLD_DUMPED else "")
