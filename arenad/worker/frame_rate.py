"""How often a page is drawn, by what goes on with it: a brain."""

from typing import Literal, NamedTuple

Doing = Literal["acting", "watching", "streaming", "resting"]
"""What a page is used for: acts on it, an answer that is read in it, one from the network, nothing.

Acting is also to open it, and to wait for what it shows next.
"""


class Pace(NamedTuple):
    """Frames in a second; and for how long after this began, or an act, there are others.

    `share` of the time is the most that drawing may take: a page of a megabyte takes a second.
    """

    hz: float
    settle_s: float = 0.0
    settling_hz: float = 0.0
    share: float = 0.25


PACES: dict[Doing, Pace] = {
    # As the browser does by itself, but for acts in a row: a frame between two of them delays the
    # next one, and what a page does at a frame is waited for as soon as no further act comes.
    "acting": Pace(60.0, settle_s=0.03, settling_hz=20.0, share=1.0),
    "watching": Pace(30.0, share=0.5),  # `answer.js` looks at what is drawn each 50 ms
    "streaming": Pace(0.5),  # a piece that comes during a frame waits for its end
    "resting": Pace(1 / 60, settle_s=1.0, settling_hz=60.0),
}

VIEWED_HZ = 10.0
"""While a person looks: as many pictures as a screencast shows."""


def interval_s(doing: Doing, since_s: float, took_s: float, *, is_viewed: bool) -> float:
    """From a frame, which took so long, to the next.

    It began `since_s` after what is done now, or the last act; before that if negative. A page that
    was slow in drawing what has to settle is so drawn once more: later, as its `share` wants it.
    """
    pace = PACES[doing]
    hz = pace.settling_hz if max(0.0, since_s) < pace.settle_s else pace.hz
    return max(1 / max(hz, VIEWED_HZ if is_viewed else 0.0), took_s / pace.share)
