"""Which measurements are worth a word to the master, whom each word wakes: a brain."""

from arenad.schema.process import Beat

TOLD_AGAIN_S = 60.0
"""A measurement that moves by little is told so often; ages are looked at then, too."""

MEMORY_SHARE = 0.1
CPU_PERCENT = 10.0
LAG_MS = 100.0
BURNING_PERCENT = 5.0
"""Without a chat an instance uses far less; each reading of one that does not is of interest."""


def is_news(told: Beat | None, beat: Beat, age_s: float) -> bool:
    """Whether to tell the new one, when the last was told so long ago.

    What was done is news at once, what it costs when it moved by so much that somebody might act.
    """
    if told is None or age_s >= TOLD_AGAIN_S:
        return True
    if _done(told) != _done(beat):
        return True
    if beat.readings != told.readings and not beat.busy and beat.cpu_percent > BURNING_PERCENT:
        return True
    return (
        abs(beat.memory_bytes - told.memory_bytes) > MEMORY_SHARE * told.memory_bytes
        or abs(beat.cpu_percent - told.cpu_percent) > CPU_PERCENT
        or abs(beat.loop_lag_ms - told.loop_lag_ms) > LAG_MS
    )


def _done(beat: Beat) -> tuple[int, int, int, int]:
    return beat.busy, beat.answered, beat.failed, beat.sessions
