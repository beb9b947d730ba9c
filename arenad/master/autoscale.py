"""The body of autoscaling: takes samples at an interval, and has the supervisor follow the wish.

There is a timer only while `autoscale.enabled` is set.
"""

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from arenad.master import machine, scale
from arenad.master.loop import Loop, Timer
from arenad.master.settings import Settings

SAMPLES_IN_WINDOW = 10
INTERVAL_LIMIT_S = 1.0
"""Frontends tell of their load once a second; looking more often shows nothing new."""

WORTH_TELLING: tuple[scale.Obstacle, ...] = ("processor", "memory", "budget")


class Pool(Protocol):
    """What the autoscaler sees of the supervisor, and has it do."""

    @property
    def wanted(self) -> int:
        """How many instances are wished for now."""
        ...

    def load(self) -> scale.Sample:
        """The pool now, without the machine."""
        ...

    def room(self) -> scale.Room:
        """The limits from outside."""
        ...

    def follow(self, instances: int, why: str) -> None:
        """Have so many instances."""
        ...


class Autoscaler:
    """Feeds the brain and passes its wishes on."""

    def __init__(
        self, loop: Loop, settings: Settings, pool: Pool, tell: Callable[[str, str], None]
    ) -> None:
        """Does nothing before `start`."""
        self._loop = loop
        self._settings = settings
        self._pool = pool
        self._tell = tell
        self._samples: list[scale.Sample] = []
        self.aim = scale.Aim(0)
        self._obstacle: scale.Obstacle = ""
        self._ticks = machine.Ticks(0, 0)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin, if the configuration says so."""
        self.stop()
        if self._settings.config.autoscale.enabled:
            self.aim = scale.Aim(self._pool.wanted)
            self._ticks = machine.ticks()
            self._again()

    def resume(self, aim: scale.Aim) -> None:
        """Go on from a wish that stands, by the rules as they are now."""
        self.start()
        self.aim = aim

    def take(self, instances: int) -> None:
        """So many are wanted now, for another reason than the load."""
        if self.aim.instances != instances:
            self.aim = scale.Aim(instances, time.monotonic())

    def stop(self) -> None:
        """Take no further sample."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hold(self, instances: int) -> str:
        """An operator wants so many: they stand for `autoscale.hold_s`; says so."""
        rules = self._settings.config.autoscale
        now_s = time.monotonic()
        self.aim = scale.Aim(instances, now_s, now_s + rules.hold_s)
        return f"; autoscaling goes on in {rules.hold_s:g} s" if rules.enabled else ""

    def _again(self) -> None:
        window_s = self._settings.config.autoscale.window_s
        interval_s = min(INTERVAL_LIMIT_S, window_s / SAMPLES_IN_WINDOW)
        self._timer = self._loop.after(interval_s, self._look)

    def _look(self) -> None:
        self._again()
        rules = self._settings.config.autoscale
        self._samples = list(scale.window([*self._samples, self._sample()], rules))
        decision = scale.decide(self._samples, self.aim, rules, self._pool.room())
        self._say(decision)
        if decision.instances != self.aim.instances:
            self.aim = scale.Aim(decision.instances, time.monotonic())
            self._pool.follow(decision.instances, decision.why)

    def _sample(self) -> scale.Sample:
        before, self._ticks = self._ticks, machine.ticks()
        return msgspec.structs.replace(
            self._pool.load(),
            cpu_percent=machine.busy_percent(before, self._ticks),
            memory_available_bytes=machine.memory_available_bytes(),
        )

    def _say(self, decision: scale.Decision) -> None:
        """A veto is told once, not at every look."""
        if decision.obstacle != self._obstacle and decision.obstacle in WORTH_TELLING:
            self._tell("fleet", f"autoscaling stays at {decision.instances}: {decision.why}")
        if decision.obstacle != "cooldown":
            self._obstacle = decision.obstacle
