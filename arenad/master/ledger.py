"""What the master remembers, all of it bounded: the story, the log, the traffic."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from arenad.schema.control import Happening, Traffic
from arenad.schema.process import FrontendBeat, LogLine

STORY_LIMIT = 500
CHILD_STORY_LIMIT = 100
STORIES_LIMIT = 256
LOG_LIMIT = 2000
RATE_WINDOW_S = 10.0


class Ledger:
    """Bounded histories; the oldest entries make room."""

    def __init__(self) -> None:
        """All empty."""
        self.story: deque[Happening] = deque(maxlen=STORY_LIMIT)
        self._stories: dict[str, deque[Happening]] = {}
        self.log: deque[LogLine] = deque(maxlen=LOG_LIMIT)

    @property
    def stories(self) -> dict[str, tuple[Happening, ...]]:
        """Each child's story; the one whose last news is oldest comes first."""
        return {about: tuple(own) for about, own in self._stories.items()}

    def resume(
        self,
        story: Iterable[Happening],
        stories: Mapping[str, Iterable[Happening]],
        log: Iterable[LogLine],
    ) -> None:
        """Go on from what an earlier ledger remembered."""
        self.story.extend(story)
        self._stories = {about: deque(own, CHILD_STORY_LIMIT) for about, own in stories.items()}
        self.log.extend(log)

    def tell(self, at_unix_s: float, about: str, text: str) -> None:
        """Add a line to the daemon's story, and to that of whom it is about."""
        happening = Happening(at_unix_s=at_unix_s, about=about, text=text)
        self.story.append(happening)
        own = self._stories.pop(about, None)
        if own is None:
            own = deque[Happening](maxlen=CHILD_STORY_LIMIT)
        self._stories[about] = own  # the last one, so the first is whose last news is oldest
        own.append(happening)
        if len(self._stories) > STORIES_LIMIT:
            del self._stories[next(iter(self._stories))]

    def story_of(self, about: str) -> tuple[Happening, ...]:
        """What is remembered of one child, oldest first; it outlives the child."""
        return tuple(self._stories.get(about, ()))

    def last_lines(self, count: int) -> Iterator[LogLine]:
        """The last `count` log records, oldest first."""
        lines = list(self.log)
        return iter(lines[len(lines) - min(count, len(lines)) :])


class Tally:
    """Traffic over all frontends, past ones included: each beat adds what is new in it."""

    def __init__(self) -> None:
        """No traffic yet."""
        self.past = FrontendBeat(0, 0, 0, 0, 0, 0, 0, {})
        self.now: dict[str, FrontendBeat] = {}
        self._accepted: deque[tuple[float, int]] = deque([(-RATE_WINDOW_S, 0)])

    def resume(self, past: FrontendBeat, now: Mapping[str, FrontendBeat]) -> None:
        """Go on counting from there."""
        self.past, self.now = past, dict(now)
        self._accepted = deque([(-RATE_WINDOW_S, self._sum("accepted"))])

    def take(self, name: str, beat: FrontendBeat, now_s: float) -> None:
        """A frontend's counters as they stand."""
        self.now[name] = beat
        self._accepted.append((now_s, self._sum("accepted")))
        while len(self._accepted) > 1 and now_s - self._accepted[1][0] >= RATE_WINDOW_S:
            self._accepted.popleft()

    def end(self, name: str) -> None:
        """A frontend is gone: its counters stay in the sums, its queue does not."""
        beat = self.now.pop(name, None)
        if beat is not None:
            past = {field: getattr(self.past, field) + getattr(beat, field) for field in _COUNTERS}
            self.past = msgspec.structs.replace(self.past, **past)

    def _sum(self, field: str) -> int:
        return sum(getattr(beat, field) for beat in (self.past, *self.now.values()))

    def busy(self, instance: str) -> int:
        """Requests that all frontends have at this instance."""
        return sum(beat.busy.get(instance, 0) for beat in self.now.values())

    def asked_last(self, instance: str) -> str:
        """Why frontends ask others before this instance; empty while none does."""
        whys = {beat.asked_last.get(instance, "") for beat in self.now.values()}
        return "; ".join(sorted(whys - {""}))

    @property
    def queue_wait_s(self) -> float:
        """The longest that anybody waits in any frontend's queue."""
        return max((beat.queue_wait_s for beat in self.now.values()), default=0.0)

    def traffic(self, queue_limit: int, now_s: float) -> Traffic:
        """The sums, and the rate of accepted requests over the last seconds."""
        before = [sum_ for at_s, sum_ in self._accepted if now_s - at_s >= RATE_WINDOW_S]
        waiting: Counter[str] = Counter()
        for beat in self.now.values():
            waiting.update(beat.waiting)
        grown = self._accepted[-1][1] - (before[-1] if before else self._accepted[0][1])
        return Traffic(
            queued=self._sum("queued"),
            queue_limit=queue_limit * max(1, len(self.now)),
            running=self._sum("running"),
            requests_per_s=grown / RATE_WINDOW_S,
            waiting=dict(waiting),
            **{field: self._sum(field) for field in _COUNTERS},
        )


_COUNTERS = ("accepted", "answered", "failed", "retried", "cancelled")
