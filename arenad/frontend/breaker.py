"""Which instances, and which ways to a site, are asked last because they failed: a brain.

A circuit breaker (Nygard, "Release It!") for each. Closed, it counts failures in a row. Open, what
it is about is asked last: not while another instance could take the request, busy or not; where
there is none it is asked as ever, so a breaker never makes a pool refuse. Half-open, after a while,
one request tries it: an answer closes it, a failure opens it for twice as long, up to a bound.

What the site says (a refusal, a wall, an ended session) is none of its business: an instance that
met that says so itself, and is out of the roster. Every time is passed in, in seconds.
"""

from collections.abc import Collection, Hashable, Iterator
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from arenad.errors import RequestError
from arenad.schema.config import BreakerConfig
from arenad.schema.process import Seat, template_of

MOST_DOUBLINGS = 20

Outcome = Literal["", "answered", "failed", "unreachable"]
"""What a request's end says of the instance and its way; one that a client left says nothing."""

_SPEAKS_AGAINST: dict[str, Outcome] = {
    "upstream": "failed",
    "timeout": "failed",
    "lost": "failed",
    "internal": "failed",
    "away": "unreachable",
}
"""Errors by their kind. The others are about the request, or are what the site said."""


class Way(NamedTuple):
    """How instances reach their site: through which proxy, empty for none, and which template's."""

    proxy: str
    template: str


Key = str | Way
"""An instance, by its name: a fresh process has the profile, login and way of the one before."""


class Circuit(msgspec.Struct, frozen=True):
    """One breaker. `trips` is how often in a row it has opened; 0 is closed.

    `witnesses` are those in a row whose failure counts: requests at an instance, instances on a
    way. Open until `until_s`; then `trial` is the request that tries it, 0 for none. `generation`
    is the instance's, `changed_s` when a failure or a try was last noted.
    """

    witnesses: frozenset[Hashable] = frozenset()
    trips: int = 0
    until_s: float = 0.0
    trial: int = 0
    generation: int = 0
    changed_s: float = 0.0
    why: str = ""

    def is_open(self, now_s: float) -> bool:
        """Whether others are asked first."""
        return self.trips > 0 and (now_s < self.until_s or self.trial > 0)

    def is_half_open(self, now_s: float) -> bool:
        """Whether the next request is to try it, or one does."""
        return self.trips > 0 and now_s >= self.until_s


class Change(NamedTuple):
    """A breaker that opened, closed or is tried, in words."""

    text: str
    is_warning: bool


def outcome_of(error: RequestError) -> Outcome:
    """What an error says of the instance that gave it."""
    return _SPEAKS_AGAINST.get(error.kind, "")


def pause_s(trips: int, rules: BreakerConfig) -> float:
    """How long a breaker stays open that has opened so often in a row."""
    doublings = min(trips - 1, MOST_DOUBLINGS)
    return min(max(rules.open_limit_s, rules.open_s), rules.open_s * 2.0**doublings)


class Breakers:
    """Those of one frontend, which counts only what it sees itself."""

    def __init__(self, rules: BreakerConfig) -> None:
        """All are closed."""
        self._rules = rules
        self._circuits: dict[Key, Circuit] = {}

    def adjust(self, rules: BreakerConfig) -> None:
        """Other rules from now on; what is switched off is forgotten, no pause stays longer."""
        self._rules = rules
        self._circuits = {
            key: replace(
                each, until_s=min(each.until_s, each.changed_s + pause_s(each.trips, rules))
            )
            for key, each in self._circuits.items()
            if self._limit(key)
        }

    def keep(self, seats: Collection[Seat], now_s: float) -> None:
        """These are there now. Who left is remembered for a while: it may be about to come back.

        A fresh process may do better than the one that failed: the first time it is tried at once.
        """
        there = {key for seat in seats for key in _keys_of(seat)}
        keep_s = max(self._rules.open_limit_s, self._rules.open_s)
        for key, circuit in list(self._circuits.items()):
            if key not in there and now_s - max(circuit.changed_s, circuit.until_s) > keep_s:
                del self._circuits[key]
        for seat in seats:
            circuit = self._circuits.get(seat.name)
            if circuit and circuit.trips and circuit.generation != seat.generation:
                until_s = now_s if circuit.trips == 1 else circuit.until_s
                self._circuits[seat.name] = replace(
                    circuit, until_s=until_s, generation=seat.generation
                )

    def is_open(self, seat: Seat, now_s: float) -> bool:
        """Whether this instance, or its way, is to be asked last."""
        return any(circuit.is_open(now_s) for _, circuit in self._of(seat))

    def next_s(self, now_s: float) -> float | None:
        """In how long the next one may be tried; None when that is not a matter of time."""
        return min(
            (each.until_s - now_s for each in self._circuits.values() if now_s < each.until_s),
            default=None,
        )

    def told(self, seats: Collection[Seat], now_s: float) -> dict[str, str]:
        """For people, by instance: what it is asked last for."""
        return {
            seat.name: "; ".join(whys)
            for seat in seats
            if (whys := [_told(circuit, now_s) for _, circuit in self._of(seat) if circuit.trips])
        }

    def begins(self, seat: Seat, number: int, now_s: float) -> list[Change]:
        """This request is about to be sent there."""
        changes: list[Change] = []
        for key, circuit in self._of(seat):
            if circuit.is_half_open(now_s) and not circuit.trial:
                self._circuits[key] = replace(circuit, trial=number, changed_s=now_s)
                changes.append(Change(f"{_named(key)} is tried by one request", is_warning=False))
        return changes

    def ended(self, seat: Seat, number: int, outcome: Outcome, now_s: float) -> list[Change]:
        """The request that was sent there has ended so."""
        changes: list[Change] = []
        if outcome == "answered":
            for key, circuit in self._of(seat):
                del self._circuits[key]
                if circuit.trips:
                    changes.append(Change(f"{_named(key)} answers again", is_warning=False))
        elif outcome:
            key = seat.name if outcome == "failed" else _way_of(seat)
            changes += self._failed(key, seat, number, now_s)
        for key, circuit in self._of(seat):
            if circuit.trial == number:
                self._circuits[key] = replace(circuit, trial=0)
        return changes

    def _failed(self, key: Key, seat: Seat, number: int, now_s: float) -> list[Change]:
        """Opens while it is closed once enough have failed, and again where its trial has failed.

        What else fails then was sent before it opened, or because nobody else was there: that makes
        no pause longer, or an outage of all would leave the last to be tried alone for long.
        """
        before, limit = self._circuits.get(key, Circuit()), self._limit(key)
        if not limit or (before.trips and before.trial != number):
            return []
        is_way = isinstance(key, Way)
        failed = replace(
            before,
            witnesses=before.witnesses | {seat.name if is_way else number},
            changed_s=now_s,
            generation=0 if is_way else seat.generation,
        )
        self._circuits[key] = failed
        if not before.trips and len(failed.witnesses) < limit:
            return []
        trips = before.trips + 1
        for_s = pause_s(trips, self._rules)
        why = before.why or _why(key, len(failed.witnesses))
        self._circuits[key] = replace(
            failed, witnesses=frozenset(), trips=trips, until_s=now_s + for_s, trial=0, why=why
        )
        told = "it was tried, and failed" if before.trips else why
        return [Change(f"{_named(key)} is asked last for {for_s:g} s: {told}", is_warning=True)]

    def _of(self, seat: Seat) -> Iterator[tuple[Key, Circuit]]:
        """Those that are about this instance."""
        for key in _keys_of(seat):
            if (circuit := self._circuits.get(key)) is not None:
                yield key, circuit

    def _limit(self, key: Key) -> int:
        return self._rules.egress_failures if isinstance(key, Way) else self._rules.failures


def _keys_of(seat: Seat) -> tuple[Key, Key]:
    return seat.name, _way_of(seat)


def _way_of(seat: Seat) -> Way:
    return Way(seat.proxy, template_of(seat.name))


def _named(key: Key) -> str:
    if not isinstance(key, Way):
        return key
    site = f"the site of {key.template}" if key.template else "the site"
    return f"the proxy {key.proxy} to {site}" if key.proxy else f"the direct way to {site}"


def _why(key: Key, count: int) -> str:
    if isinstance(key, Way):
        return f"{count} instances in a row did not get through"
    return f"{count} requests in a row failed there"


def _told(circuit: Circuit, now_s: float) -> str:
    return f"{'asked last' if circuit.is_open(now_s) else 'to be tried again'}: {circuit.why}"
