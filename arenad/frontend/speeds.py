"""How fast things go, as measured here: a brain. Every time is passed in, in seconds."""

from collections.abc import Collection

from arenad.frontend.balance import SeatKey

NEWEST = 0.2
"""What the newest measurement counts in a moving mean; the rest is what was before."""

UNKNOWN_TURN_S = 5.0
"""What is told of the next free slot while no request has ended yet."""


class Speeds:
    """Moving means: how long a request keeps its slot, and how soon an instance's answers begin."""

    def __init__(self) -> None:
        """Nothing is measured."""
        self._kept_s: float | None = None
        self._begins: dict[SeatKey, tuple[float, float]] = {}

    def kept(self, for_s: float) -> None:
        """A request has given its slot back after so long."""
        self._kept_s = _mean(self._kept_s, for_s)

    def turn_s(self, ahead: int, busy: int) -> float:
        """When a slot is free for one with so many ahead, while `busy` requests have slots.

        At least a second. These end at a rate of `busy` in the time that one keeps its slot
        (Little's law), so a lull before counts for nothing.
        """
        if self._kept_s is None:
            return UNKNOWN_TURN_S
        return max(1.0, (ahead + 1) * self._kept_s / max(1, busy))

    def began(self, key: SeatKey, after_s: float, now_s: float) -> None:
        """An answer of this instance began so long after it was asked."""
        before_s, _ = self._begins.get(key, (None, 0.0))
        self._begins[key] = _mean(before_s, after_s), now_s

    def begins(self, key: SeatKey, now_s: float) -> tuple[float, float] | None:
        """After how long its answers begin, and how old the last measurement of it is."""
        if (known := self._begins.get(key)) is None:
            return None
        begins_s, at_s = known
        return begins_s, now_s - at_s

    def keep(self, keys: Collection[SeatKey]) -> None:
        """Forget all other instances."""
        self._begins = {key: known for key, known in self._begins.items() if key in keys}


def _mean(before_s: float | None, newest_s: float) -> float:
    return newest_s if before_s is None else before_s + NEWEST * (newest_s - before_s)
