"""A pool of instances in simulated time, fed from a recorded load, and scaled by the real brain.

It starts instances with a delay, serves one request at a time on each, queues the rest, drains
before it stops: all that the scaling brain can see of a real pool, in steps of one second.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from arenad.master.scale import Aim, Room, Sample, decide, window
from arenad.schema.config import AutoscaleConfig

START_S = 3
SERVICE_S = 4
ROOM = Room(max_instances=32, affordable=1_000_000, instance_bytes=300 * 1024 * 1024)


class Moment(NamedTuple):
    """What was seen and decided in one second."""

    at_s: int
    arrivals: int
    busy: int
    queued: int
    ready: int
    wanted: int
    queue_wait_s: float


class Pool:
    """The instances, and who waits for them."""

    def __init__(self, instances: int, service_s: int = SERVICE_S, start_s: int = START_S) -> None:
        self.service_s = service_s
        self.start_s = start_s
        self.ready = instances
        self.starting: list[int] = []
        self.ends: list[int] = []
        self.waiting: deque[int] = deque()
        self.waits: list[int] = []

    def follow(self, wanted: int, at_s: int) -> None:
        """Start what is missing; of the surplus, what starts goes first; the busy finish."""
        missing = wanted - self.ready - len(self.starting)
        self.starting += [at_s + self.start_s] * max(0, missing)
        while self.starting and self.ready + len(self.starting) > wanted:
            self.starting.pop()
        self.ready = min(self.ready, max(wanted, 0))

    def step(self, at_s: int, arrivals: int) -> None:
        self.ready += sum(due <= at_s for due in self.starting)
        self.starting = [due for due in self.starting if due > at_s]
        self.ends = [end for end in self.ends if end > at_s]
        self.waiting.extend([at_s] * arrivals)
        while self.waiting and len(self.ends) < self.ready:
            self.waits.append(at_s - self.waiting.popleft())
            self.ends.append(at_s + self.service_s)

    def sample(self, at_s: int, cpu_percent: float, memory_bytes: int) -> Sample:
        wait_s = float(at_s - self.waiting[0]) if self.waiting else 0.0
        return Sample(
            at_s, self.ready, len(self.starting), len(self.ends), len(self.waiting),
            1, wait_s, cpu_percent, memory_bytes,
        )  # fmt: skip


def simulate(
    arrivals: Sequence[int],
    rules: AutoscaleConfig,
    room: Room = ROOM,
    *,
    cpu_percent: Sequence[float] = (),
    memory_bytes: int = 2**50,
) -> tuple[list[Moment], Pool]:
    """Every second of it; one number of arrivals for each."""
    pool, aim = Pool(rules.min), Aim(rules.min)
    samples: list[Sample] = []
    moments: list[Moment] = []
    for at_s, count in enumerate(arrivals):
        pool.step(at_s, count)
        cpu = cpu_percent[at_s] if cpu_percent else 10.0
        samples = list(window([*samples, pool.sample(at_s, cpu, memory_bytes)], rules))
        wish = decide(samples, aim, rules, room)
        if wish.instances != aim.instances:
            aim = Aim(wish.instances, at_s)
            pool.follow(wish.instances, at_s)
        now = samples[-1]
        wait_s = now.queue_wait_s or 0.0
        moments.append(Moment(at_s, count, now.busy, now.queued, pool.ready, aim.instances, wait_s))
    return moments, pool


# -- load shapes: arrivals in each second -----------------------------------------------------------


def steady(rate: float, seconds: int) -> list[int]:
    """So many a second, evenly."""
    return [int((at + 1) * rate) - int(at * rate) for at in range(seconds)]


STEP = steady(0.25, 120) + steady(2.0, 480)
RAMP = [count for tenth in range(1, 31) for count in steady(tenth / 10, 30)] + steady(3.0, 120)
BURST = steady(0.2, 120) + [20] * 3 + steady(0.2, 900)
FLAPPING = (steady(2.0, 20) + steady(0.1, 20)) * 30
NIGHT = (
    steady(2.0, 600) + steady(1.0, 300) + steady(0.2, 300) + steady(0.0, 3600)
    + steady(0.2, 120) + steady(1.0, 300) + steady(2.0, 600)
)  # fmt: skip
SHAPES = {"step": STEP, "ramp": RAMP, "burst": BURST, "flapping": FLAPPING, "night": NIGHT}
