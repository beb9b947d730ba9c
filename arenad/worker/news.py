"""Which measurements are worth a word to the master, whom each word wakes: a brain."""

from arenad.schema.process import Beat

TOLD_AGAIN_S = 60.0
"""A measurement that moves by little is told so often; ages are looked at then, too."""

MEMORY_SHARE = 0.1
DESCRIPTORS_SHARE = 0.1
CPU_PERCENT = 10.0
LAG_MS = 100.0
BURNING_PERCENT = 5.0
"""Without a chat an instance uses far less; each reading of one that does not is of interest."""


class News:
    """The beat that was told last, and whether another reading has confirmed what it said."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        self._told: Beat | None = None
        self._told_s = 0.0
        self._is_confirmed = False

    def take(self, beat: Beat, now_s: float) -> bool:
        """Whether to tell this one, at this time; if so it counts as told.

        What was done is news at once, what it costs when it moved by so much that somebody might
        act. One measurement may be a peak, so the one after it is told, too, and then no more.
        """
        told = self._told
        moved = told is None or _has_moved(told, beat)
        confirms = told is not None and beat.readings != told.readings and not moved
        is_due = now_s - self._told_s >= TOLD_AGAIN_S
        if not (moved or is_due or (confirms and not self._is_confirmed)):
            return False
        self._told, self._told_s, self._is_confirmed = beat, now_s, confirms
        return True


def _has_moved(told: Beat, beat: Beat) -> bool:
    is_burning = not beat.busy and beat.cpu_percent > BURNING_PERCENT
    return (
        _done(told) != _done(beat)
        or (is_burning and beat.readings != told.readings)
        or abs(beat.memory_bytes - told.memory_bytes) > MEMORY_SHARE * told.memory_bytes
        or abs(beat.descriptors - told.descriptors) > DESCRIPTORS_SHARE * told.descriptors
        or abs(beat.cpu_percent - told.cpu_percent) > CPU_PERCENT
        or abs(beat.loop_lag_ms - told.loop_lag_ms) > LAG_MS
    )


def _done(beat: Beat) -> tuple[int, int, int, int, str]:
    return beat.busy, beat.answered, beat.failed, beat.sessions, beat.proxy
