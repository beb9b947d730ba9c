"""The three strategies of `queue.strategy` against each other, on instances that are not alike.

    make strategies BENCH_ARGS='--requests 20000 --seed 1'

Simulated by events: the seats, the queue, the choice, the measured speeds and the breakers are
arenad's own; only their clock, their links and the instances are made up. Each strategy is given
the same requests at the same times. Ends with 1 if an ordering that must hold does not.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import selectors
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args
from unittest import mock

from arenad import link
from arenad.errors import UpstreamFailed
from arenad.frontend.balance import key_of
from arenad.frontend.breaker import outcome_of
from arenad.frontend.pool import Pool
from arenad.frontend.queue import Ticket
from arenad.frontend.seats import Seats
from arenad.schema.config import Balancing, BreakerConfig, QueueConfig
from arenad.schema.process import Model, Roster, Seat
from bench.report import RESULTS, Report, Row, spread

MODEL = "any"
BEGINS_S, LASTS_S = 1.0, 4.0
"""Until an answer begins, and from there to its end, in the mean, at an instance of pace 1."""

LOAD = 0.7
"""The share of all that the pool could answer that is asked of it."""

FAILS_AFTER_S = 0.1


class Instance(NamedTuple):
    """How much slower than others, also from half-time on, and whether it fails at once.

    Several answers under way share it, as it was when each began.
    """

    pace: float
    later_pace: float = 0.0
    fails: bool = False
    slots: int = 1

    def pace_at(self, share: float) -> float:
        """At this share of the run."""
        return self.later_pace if self.later_pace and share >= 0.5 else self.pace


UNEVEN = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 4.0, 4.0)
POOLS: Mapping[str, tuple[Instance, ...]] = {
    "alike": tuple(Instance(1.0) for _ in range(8)),
    "uneven, 0.5 to 4": tuple(map(Instance, UNEVEN)),
    "one of 8 is 12 times slower": (*(Instance(1.0) for _ in range(7)), Instance(12.0)),
    "fast and slow change places": (
        *(Instance(0.5, 3.0) for _ in range(4)),
        *(Instance(3.0, 0.5) for _ in range(4)),
    ),
    "uneven, 4 slots each": tuple(Instance(pace, slots=4) for pace in UNEVEN),
}
FAILING = (*(Instance(1.0) for _ in range(7)), Instance(1.0, fails=True))


class Arrival(NamedTuple):
    """A request: when it comes, and how much more than others it takes to begin and to end."""

    at_s: float
    begins: float
    lasts: float


class Outcome(NamedTuple):
    """One run. `waits_s` are until the answer began; `busy` is each instance's share of time."""

    waits_s: list[float]
    asked: dict[str, int]
    busy: dict[str, float]
    retried: int


def arrivals(pool: tuple[Instance, ...], requests: int, seed: int) -> list[Arrival]:
    """The same for every strategy: a Poisson process at `LOAD`, sizes that are exponential."""
    draw = random.Random(seed)
    able = [each for each in pool if not each.fails]
    paces = [[each.pace_at(share) for share in (0.0, 1.0)] for each in able]
    rates = [sum(1 / pace[half] for pace in paces) / (BEGINS_S + LASTS_S) for half in (0, 1)]
    made, at_s = list[Arrival](), 0.0
    for _ in range(requests):
        at_s += draw.expovariate(min(rates) * LOAD)
        made.append(Arrival(at_s, draw.uniform(0.5, 1.5), draw.expovariate(1.0)))
    return made


# -- made-up time, and links to nobody -------------------------------------------------------------


class _Clock(selectors.SelectSelector):
    """A selector that never waits: it moves the clock on by what it should have waited."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nobody will ever wake: the simulation hangs")
        self.now_s += 0.0 if ready else (timeout or 0.0)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


class _NoLink:
    """What the pool wants of a link."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def note(self, body: object) -> None:
        """Nobody is told."""

    def close(self) -> None:
        """Nothing is open."""


async def _connected(*_: object) -> _NoLink:
    return _NoLink()


@contextlib.contextmanager
def _made_up(seed: int) -> Iterator[None]:
    """Links to nobody, and ties that are drawn from the seed."""
    before = random.getstate()
    random.seed(seed)
    with mock.patch.object(link, "connect", cast("Any", _connected)):
        yield
    random.setstate(before)


# -- a run -----------------------------------------------------------------------------------------


class Run:
    """A pool, and what became of it."""

    def __init__(
        self, pool: tuple[Instance, ...], strategy: Balancing, rules: BreakerConfig
    ) -> None:
        """Nothing has come."""
        self._pool = {f"w{number}": each for number, each in enumerate(pool, start=1)}
        self._queue = QueueConfig(limit=1_000_000, strategy=strategy)
        self._rules = rules
        self._asked: Counter[str] = Counter()
        self._busy_s: Counter[str] = Counter()
        self._waits_s: list[float] = []
        self._running: Counter[str] = Counter()
        self._retried = 0

    def outcome(self, requests: list[Arrival], seed: int) -> Outcome:
        """Let all of them come, and end."""
        with _made_up(seed), asyncio.Runner(loop_factory=_Loop) as runner:
            took_s = runner.run(self._all(requests))
        busy = {name: self._busy_s[name] / took_s / each.slots for name, each in self._pool.items()}
        asked = {name: self._asked[name] for name in self._pool}
        return Outcome(self._waits_s, asked, busy, self._retried)

    async def _all(self, requests: list[Arrival]) -> float:
        loop = asyncio.get_running_loop()
        pool = Pool()
        seats = Seats(pool, self._queue)
        seats.breakers.adjust(self._rules)
        seats.on_roster(Roster(tuple(map(_seat, self._pool, self._pool.values())), 0))
        while not pool.is_ready():  # noqa: ASYNC110 - a few turns of a made-up clock
            await asyncio.sleep(0)
        last_s = requests[-1].at_s
        async with asyncio.TaskGroup() as group:
            for number, each in enumerate(requests, start=1):
                await asyncio.sleep(max(0.0, each.at_s - loop.time()))
                group.create_task(self._one(seats, 10 * number, each, each.at_s / last_s))
        took_s = loop.time()
        seats.close()
        await pool.close()
        return took_s

    async def _one(self, seats: Seats, number: int, request: Arrival, share: float) -> None:
        """Ask until one answers, each instance once, as `dispatch` does."""
        loop = asyncio.get_running_loop()
        began_s, tried = loop.time(), dict[tuple[str, int], None]()
        while True:
            ticket = Ticket(number + len(tried), MODEL, tuple(tried), returns=bool(tried))
            waiting, failure = seats.join(ticket), None
            try:
                seat = await waiting
                seated_s, instance = loop.time(), self._pool[seat.name]
                self._asked[seat.name] += 1
                if instance.fails:
                    await asyncio.sleep(FAILS_AFTER_S)
                    failure = UpstreamFailed("it always does")
                    tried[key_of(seat)] = None
                    self._retried += 1
                    continue
                self._running[seat.name] += 1
                pace = instance.pace_at(share) * self._running[seat.name]
                await asyncio.sleep(pace * BEGINS_S * request.begins)
                seats.began(seat, ticket.number)
                self._waits_s.append(loop.time() - began_s)
                await asyncio.sleep(pace * LASTS_S * request.lasts)
                self._busy_s[seat.name] += loop.time() - seated_s
                self._running[seat.name] -= 1
                return
            finally:
                outcome = outcome_of(failure) if failure else "answered"
                seats.leave(ticket, is_asked=True, outcome=outcome)


def _seat(name: str, instance: Instance) -> Seat:
    return Seat(
        name=name,
        generation=1,
        socket_path="",
        slots=instance.slots,
        condition="ready",
        models=(Model(id=MODEL),),
    )


def simulate(
    pool: tuple[Instance, ...], strategy: Balancing, requests: int, seed: int, failures: int = 3
) -> Outcome:
    """One strategy over one pool; `failures` is `breaker.failures`."""
    rules = BreakerConfig(failures=failures)
    return Run(pool, strategy, rules).outcome(arrivals(pool, requests, seed), seed)


# -- what is to be seen ----------------------------------------------------------------------------


def figures(found: Outcome) -> dict[str, Any]:
    """What a strategy has made of a pool."""
    busy = [100 * share for share in found.busy.values()]
    return {
        "s mean": mean_s(found),
        "p99": spread(found.waits_s).p99,
        "busy %": f"{min(busy):.0f} to {max(busy):.0f}",
    }


def mean_s(found: Outcome) -> float:
    """Until an answer began, in the mean."""
    return sum(found.waits_s) / len(found.waits_s)


def broken_orders(found: Mapping[str, Mapping[Balancing, Outcome]]) -> list[str]:
    """Those of the orderings that must hold that do not, in words."""
    uneven, shared = found["uneven, 0.5 to 4"], found["uneven, 4 slots each"]
    late_s = {name: spread(each.waits_s).p99 for name, each in shared.items()}
    orders = {
        "where one slot is all, response_time begins sooner than least_busy": mean_s(
            uneven["response_time"]
        )
        < mean_s(uneven["least_busy"]),
        "with several slots, least_busy has the shorter p99 than round_robin": late_s["least_busy"]
        < late_s["round_robin"],
        "response_time asks the slowest less than round_robin": shared["response_time"].asked["w8"]
        < shared["round_robin"].asked["w8"],
    }
    return [words for words, holds in orders.items() if not holds]


def main() -> None:
    """Read the arguments, simulate, write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the report")
    wish = parser.parse_args()
    logging.getLogger("arenad").setLevel(logging.ERROR)
    strategies: tuple[Balancing, ...] = get_args(Balancing)
    told = {"requests": str(wish.requests), "seed": str(wish.seed)}
    report = Report("strategies", strategies, told)
    found: dict[str, dict[Balancing, Outcome]] = {}
    for name, pool in POOLS.items():
        found[name] = {each: simulate(pool, each, wish.requests, wish.seed) for each in strategies}
        cells = {str(each): figures(outcome) for each, outcome in found[name].items()}
        report.add(Row(name, "", cells, NOTES.get(name, "")))
    for failures in (0, 3):
        runs = {
            each: simulate(FAILING, each, wish.requests, wish.seed, failures) for each in strategies
        }
        cells = {
            str(each): {
                "s mean": mean_s(run),
                "asked again %": 100 * run.retried / wish.requests,
            }
            for each, run in runs.items()
        }
        words = f"`breaker.failures` {failures}" if failures else "without a breaker"
        report.add(Row(f"one of 8 fails at once, {words}", "", cells))
    report.write(wish.results)
    print(f"\n{report.as_table()}")
    broken = broken_orders(found)
    for words in broken:
        print(f"does not hold: {words}")
    sys.exit(1 if broken else 0)


NOTES = {
    "alike": f"Time until an answer begins, at {LOAD:.0%} of what the pool can answer. An instance "
    "begins after 1 s and ends after 5 s in the mean, times its pace; one slot each.",
    "uneven, 0.5 to 4": f"Paces {', '.join(f'{pace:g}' for pace in UNEVEN)}.",
    "uneven, 4 slots each": "Answers that run together share their instance.",
}


if __name__ == "__main__":
    main()
