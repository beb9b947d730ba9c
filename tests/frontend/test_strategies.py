"""The strategies against each other, in made-up time: what must hold, whatever the numbers."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from arenad.schema.config import Balancing
from bench.strategies import FAILING, POOLS, Outcome, arrivals, broken_orders, simulate

REQUESTS = 1500
STRATEGIES: tuple[Balancing, ...] = get_args(Balancing)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of made-up failures are no news."""
    logger = logging.getLogger("arenad")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[Balancing, Outcome]]:
    """Every pool with every strategy."""
    return {
        name: {each: simulate(pool, each, REQUESTS, seed=2) for each in STRATEGIES}
        for name, pool in POOLS.items()
    }


def test_every_request_is_answered_once(found: dict[str, dict[Balancing, Outcome]]) -> None:
    """By whatever strategy, and no instance is more than wholly busy."""
    for outcomes in found.values():
        for outcome in outcomes.values():
            assert len(outcome.waits_s) == sum(outcome.asked.values()) == REQUESTS
            assert max(outcome.busy.values()) <= 1.0


def test_the_orderings_hold(found: dict[str, dict[Balancing, Outcome]]) -> None:
    """Who measures begins sooner on uneven instances; turn by turn drowns the slow ones."""
    assert broken_orders(found) == []
    swapped = {
        name: {
            "least_busy": outcomes["round_robin"],
            "round_robin": outcomes["response_time"],
            "response_time": outcomes["least_busy"],
        }
        for name, outcomes in found.items()
    }
    assert broken_orders(swapped)


def test_where_all_are_alike_it_is_one(found: dict[str, dict[Balancing, Outcome]]) -> None:
    """The mean waits differ by less than they would by chance alone between two seeds."""
    means_s = [sum(each.waits_s) / REQUESTS for each in found["alike"].values()]
    assert max(means_s) - min(means_s) < 0.05 * min(means_s)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_breaker_spares_requests_a_second_try(strategy: Balancing) -> None:
    """One of 8 fails at once: nearly all of them were late by it, and few are with a breaker."""
    without, with_ = (simulate(FAILING, strategy, REQUESTS, 3, failures) for failures in (0, 3))
    assert len(without.waits_s) == len(with_.waits_s) == REQUESTS
    assert with_.retried * 5 < without.retried


def test_a_seed_is_a_run() -> None:
    """The same numbers again, the same requests for all, and no trace in other draws."""
    pool = POOLS["uneven, 0.5 to 4"]
    before = random.getstate()
    first, second = (simulate(pool, "least_busy", 200, seed=5) for _ in range(2))
    assert random.getstate() == before
    assert first == second
    assert first != simulate(pool, "least_busy", 200, seed=6)
    assert arrivals(pool, 9, 1) == arrivals(pool, 9, 1)


def test_what_is_documented_is_what_there_is() -> None:
    """Each strategy has its words, and the figures are those of the results."""
    text = (ROOT / "docs/api.md").read_text()
    assert [name for name in STRATEGIES if f"`{name}`" not in text] == []
    results = (ROOT / "bench/results/strategies.md").read_text()
    for figure in ("1.39", "1.66", "1.73", "4.78", "10.8", "22.2"):
        assert figure in results
