"""How much a page's network may bring, and when it is held back for more: a brain.

What a browser is about to tell us is in its own memory, where nothing bounds it, and a site on a
fast line fills that quicker than anybody empties it. No answer is written so fast: whoever keeps to
the pace is never held back. Whoever does not is let in for moments, so short that little is on its
way when nobody reads any more. They grow while little comes in them; then it is free again.
"""

PACE_BYTES_S = 8 * 1024 * 1024
"""What comes slower, counted as the browser tells it (in base64, in JSON), is let through."""

BURST_BYTES = 512 * 1024
"""So much may come at once."""

QUIET_S = 0.1
"""What was on its way has come when for so long nothing has."""

FIRST_S = 0.001
FREE_S = 0.1
"""The first moment that it is let in, and one that ends all of this where little has come in it."""

LITTLE_BYTES = 128 * 1024
NEVER_S = float("inf")


class Inflow:
    """Told what comes, and asked at times of its own whether the network is to be held back."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.is_held = False
        self.look_at_s = NEVER_S
        """When `look` is due, by the clock of whoever tells the time."""

        self._level_bytes = 0.0
        self._told_s = 0.0
        self._since_s = 0.0
        self._moment_s = 0.0
        self._came_bytes = 0

    def came(self, count: int, now_s: float) -> None:
        """So many bytes."""
        gone_bytes = (now_s - self._told_s) * PACE_BYTES_S
        self._level_bytes = max(0.0, self._level_bytes - gone_bytes) + count
        self._told_s = self._since_s = now_s
        self._came_bytes += count
        if self._level_bytes > BURST_BYTES and not self.is_held:
            self._hold(now_s)

    def look(self, now_s: float) -> None:
        """A moment, or what was to be waited for, may be over."""
        if now_s < self.look_at_s:
            return
        if not self.is_held:
            self._hold(now_s)
        elif now_s < (over_s := self._since_s + self._rest_s()):
            self.look_at_s = over_s
        else:
            self._let_in(now_s)

    def _rest_s(self) -> float:
        return max(QUIET_S, self._level_bytes / PACE_BYTES_S)

    def _hold(self, now_s: float) -> None:
        self.is_held, self._since_s = True, now_s
        self.look_at_s = now_s + self._rest_s()

    def _let_in(self, now_s: float) -> None:
        """For a moment, or for good."""
        if self._moment_s and self._came_bytes < LITTLE_BYTES:
            self._moment_s *= 2
        else:
            self._moment_s = FIRST_S
        self.is_held, self._came_bytes = False, 0
        self.look_at_s = now_s + self._moment_s
        if self._moment_s > FREE_S:
            self._moment_s, self.look_at_s = 0.0, NEVER_S
