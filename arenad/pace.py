"""How fast a site may be asked, and what its refusals make of that: a brain.

A refusal halves what is allowed, down to a sixteenth of the configured pace; calm adds a tenth of
that pace a minute. What is allowed is a function of the time since the last halving, so nobody
has to wake for it, and every process sees the same.
"""

from msgspec.structs import replace

from arenad.schema.process import Pace

SLOWEST_SHARE = 1 / 16
REGAINED_SHARE_PER_MINUTE = 0.1
ONE_REFUSAL_S = 10.0
"""Chats that were under way together are refused together: within this time that is one refusal."""


def allowed_per_minute(pace: Pace, now_s: float) -> float:
    """Requests a minute that may be sent now; 0 is no limit."""
    if pace.slowed_per_minute is None:
        return pace.per_minute
    calm_minutes = max(0.0, now_s - pace.slowed_at_s) / 60
    regained = REGAINED_SHARE_PER_MINUTE * pace.per_minute * calm_minutes
    slowest = SLOWEST_SHARE * pace.per_minute
    return min(pace.per_minute, max(slowest, pace.slowed_per_minute) + regained)


def slowed(pace: Pace, now_s: float) -> Pace:
    """After a refusal; the same pace if it belongs to the last one, or there is no limit."""
    is_same = pace.slowed_per_minute is not None and now_s - pace.slowed_at_s < ONE_REFUSAL_S
    if is_same or not pace.per_minute:
        return pace
    half = max(SLOWEST_SHARE * pace.per_minute, allowed_per_minute(pace, now_s) / 2)
    return replace(pace, slowed_per_minute=half, slowed_at_s=now_s)


def gap_s(pace: Pace, now_s: float, draw: float) -> float:
    """The time from one request to the next; `draw`, from 0 up to 1, lengthens the spacing."""
    per_minute = allowed_per_minute(pace, now_s)
    spacing_s = pace.spacing_s * (1 + draw * pace.jitter_percent / 100)
    return max(60 / per_minute if per_minute else 0.0, spacing_s)
