"""How many requests an address may make in a window of time. No I/O and no clock."""

from collections import OrderedDict
from typing import NamedTuple

ADDRESSES_LIMIT = 10_000
"""Addresses that are remembered; the one seen longest ago is forgotten first."""


class Standing(NamedTuple):
    """Where an address stands: what its headers say."""

    limit: int
    remaining: int
    reset_s: int
    window_s: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        """The headers that the site's edge sends."""
        told = f"limit={self.limit}, remaining={self.remaining}, reset={self.reset_s}"
        return {"ratelimit": told, "ratelimit-policy": f"{self.limit};w={self.window_s}"}


class Windows:
    """Fixed windows: each address has one that begins with its first request."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, address: str, limit: int, window_s: int, now_s: float) -> Standing:
        """Count a request of `address` at a time; a refused one costs nothing."""
        began_s, used = self._windows.pop(address, (now_s, 0))
        if now_s - began_s >= window_s:
            began_s, used = now_s, 0
        allowed = used < limit
        used += allowed
        self._windows[address] = (began_s, used)
        while len(self._windows) > ADDRESSES_LIMIT:
            self._windows.popitem(last=False)
        # Whole seconds, rounded up: who waits so long is surely in the next window.
        reset_s = int(began_s + window_s - now_s) + 1
        return Standing(limit, max(0, limit - used), reset_s, window_s, allowed)
