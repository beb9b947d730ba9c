"""What all grammars share: one side of an answer as it grows, and the verdict on how it ended."""

import re
from collections.abc import Mapping, Sequence

from arenad import errors
from arenad.errors import RequestError, UpstreamFailed
from arenad.schema.chat import (
    Citation,
    Event,
    Finish,
    FinishReason,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    failure_of,
)
from arenad.worker.sites.grammars.framing import Piece
from arenad.worker.sites.grammars.json_text import Halves, whole

CUT = "the site's answer was cut off before its end"
MAX_SHOWN_CHARS = 500
MAX_STRANGE_CHARS = 2000
MAX_LISTED = 1000
"""So many images and sources of one answer are remembered, to tell each only once."""

MAX_BLANK_CHARS = 1000
"""So much of nothing may stand before a failure."""

_FAILED = re.compile(r"error|failed|failure|other_error")
_CUT_SHORT = re.compile(r"abort(ed)?|cancel(l?ed)?|timed?_?out|interrupted|insufficient_\w+")
_REASONS: tuple[tuple[re.Pattern[str], FinishReason], ...] = (
    (re.compile(r"\w*length|max_\w+|incomplete|model_context_window_exceeded"), "length"),
    (
        re.compile(r"content_filter(ed)?|safety|refusal|recitation|blocklist|prohibited_content"),
        "content_filter",
    ),
)
"""As the makers' own interfaces name them; any other word is a plain end."""


class Grammar:
    """One answer, of one side or two. `feed`, `sent` and `end` never raise, whatever comes.

    `strange` is the beginning of what could not be read: it may be a page that came in place of it.
    `message_ids` are the site's own names of the answers, by their sides.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self.strange = ""
        self.session_id = ""
        self.message_ids: dict[int, str] = {}

    @property
    def message_id(self) -> str:
        """The first of these names."""
        return next(iter(self.message_ids.values()), "")

    @property
    def answers(self) -> "Sequence[Side]":
        """Its sides, in order."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Its own finish sign has been seen, on every side."""
        return False

    @property
    def is_doubtful(self) -> bool:
        """An end was told before there was anything: perhaps that of something else."""
        return False

    @property
    def has_whole_side(self) -> bool:
        """One of two answers is whole already, whatever becomes of the other one."""
        sides = self.answers
        return len(sides) > 1 and any(side.is_whole for side in sides)

    def give_up(self, error: RequestError) -> None:
        """What is not over has failed by this; then `end`."""
        for side in self.answers:
            if not side.is_over:
                side.fail(error)

    def sent(self, text: str) -> None:
        """The page itself said this, on the socket that brings the answer."""

    def asked(self, prompt: str) -> None:
        """The page was asked this; it may be shown where the answer will be."""

    def feed(self, piece: Piece) -> list[Event]:
        """The events that this piece completes."""
        raise NotImplementedError

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """Nothing more will come: the last events, and how the answer ended."""
        raise NotImplementedError

    def _not_read(self, text: str) -> None:
        if len(self.strange) < MAX_STRANGE_CHARS:
            self.strange += whole(text[: MAX_STRANGE_CHARS - len(self.strange)]) + "\n"


class Signs:
    """Failures that a site writes as if they were answers: known by how the text begins."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """`kinds`: the beginning of a text, and the kind of error that it is."""
        self._kinds = kinds
        self._held: str | None = "" if kinds else None

    def read(self, text: str) -> tuple[str, RequestError | None]:
        """What may be passed on. Held back is what may still become such a text, no longer."""
        if self._held is None:
            return text, None
        self._held += text
        begun = self._held.lstrip()
        if not begun and len(self._held) > MAX_BLANK_CHARS:
            return self.rest(), None
        for sign, kind in self._kinds.items():
            if begun.startswith(sign):
                return "", error_of_kind(kind, f"the site answers: {begun[:MAX_SHOWN_CHARS]}")
        if any(sign.startswith(begun) for sign in self._kinds):
            return "", None
        return self.rest(), None

    def rest(self) -> str:
        """What was held back, and nothing from now on."""
        held, self._held = self._held or "", None
        return held


class Side:
    """One side of an answer: its events, and what is known about its end."""

    def __init__(self, number: int = 0, signs: Mapping[str, str] | None = None) -> None:
        """`signs`: see `Signs`."""
        self.number = number
        self.reason: FinishReason | None = None
        self.trouble: RequestError | None = None
        self.has_content = False
        self._signs = signs or {}
        self._watch = Signs(self._signs)
        self._halves, self._reasoning_halves = Halves(), Halves()
        self._listed: set[str] = set()

    def text(self, piece: str) -> list[Event]:
        """A piece of its text."""
        if self.trouble is not None:
            return []  # what follows the beginning of a failure is the rest of its text
        text, trouble = self._watch.read(self._halves.join(piece))
        if trouble is not None:
            self.fail(trouble)
        return self._delta(text)

    def reasoning(self, piece: str) -> list[Event]:
        """A piece of its reasoning."""
        text = self._reasoning_halves.join(piece)
        self.has_content |= bool(text)
        return [ReasoningDelta(text, self.number)] if text else []

    def image(self, url: str) -> list[Event]:
        """An image, unless it was there before."""
        return [Image(whole(url), self.number)] if self._is_new(url) else []

    def citation(self, url: str, title: str) -> list[Event]:
        """A source, unless it was there before."""
        is_new = self._is_new(f"{url} {title}")
        return [Citation(whole(url), whole(title), self.number)] if is_new else []

    def _is_new(self, name: str) -> bool:
        if name in self._listed or len(self._listed) >= MAX_LISTED:
            return False
        self._listed.add(name)
        self.has_content = True
        return True

    def _delta(self, text: str) -> list[Event]:
        self.has_content |= bool(text)
        return [TextDelta(text, self.number)] if text else []

    def finish(self, word: str) -> None:
        """Its end was told, with this reason; a reason that means failure is one.

        Of several the first one stands that says more than that it has ended.
        """
        said = word.lower().replace("-", "_")
        if _FAILED.fullmatch(said):
            self.fail(UpstreamFailed("the site reports: the model failed"))
        elif self.reason is None and _CUT_SHORT.fullmatch(said):
            self.fail(UpstreamFailed(f"{CUT}: {said}"))
        elif self.reason in (None, "stop"):
            self.reason = _reason_of(said)

    def fail(self, error: RequestError) -> None:
        """It has failed; the first failure is the one that is told."""
        self.trouble = self.trouble or error

    def fail_as_told(self, text: str) -> None:
        """The site says itself that it failed."""
        self.fail(error_as_told(text, self._signs))

    @property
    def is_over(self) -> bool:
        """Its end or its failure was told."""
        return self.reason is not None or self.trouble is not None

    @property
    def is_whole(self) -> bool:
        """Its end was told, and no failure."""
        return self.reason is not None and self.trouble is None

    def rest(self) -> list[Event]:
        """The last events, at the end."""
        events = self.text(self._halves.rest())
        if self.trouble is None:
            events += self._delta(self._watch.rest())
        return events + self.reasoning(self._reasoning_halves.rest())

    def outcome(self, nothing: RequestError, *, needs_finish: bool) -> Finish | RequestError:
        """How it ended. `nothing` is the error when there is no answer.

        `needs_finish`: without a finish sign it is cut; else the end of the body is the end.
        """
        if self.trouble is not None:
            return self.trouble
        reason = self.reason or (None if needs_finish else "stop")
        if reason is not None and (self.has_content or reason == "content_filter"):
            return Finish(reason, self.number)
        if self.has_content:
            return UpstreamFailed(CUT)
        return nothing


def _reason_of(word: str) -> FinishReason:
    for words, reason in _REASONS:
        if words.fullmatch(word):
            return reason
    return "stop"


def error_of_kind(kind: str, message: str) -> RequestError:
    """The error that a profile names by its kind; the site's own failure if it names none."""
    return errors.KINDS.get(kind, UpstreamFailed)(message)


def error_as_told(text: str, signs: Mapping[str, str]) -> RequestError:
    """What the site says itself of a failure; a sign anywhere in it names its kind."""
    said = whole(text).strip()
    kind = next((kind for sign, kind in signs.items() if sign in said), "")
    return error_of_kind(kind, f"the site reports: {said[:MAX_SHOWN_CHARS]}")


def verdict(outcomes: Sequence[Finish | RequestError]) -> tuple[list[Event], Finish | RequestError]:
    """Of all sides together: failed only if each is; the first one that is whole is the last word.

    Before that the events tell how the others ended: no side's failure takes the other's answer.
    """
    last = next((each for each in outcomes if isinstance(each, Finish)), None)
    if last is None:
        return [], _failure_of_all([each for each in outcomes if not isinstance(each, Finish)])
    events: list[Event] = []
    for number, each in enumerate(outcomes):
        if isinstance(each, RequestError):
            events.append(SideFailed(failure_of(each), number))
        elif each is not last:
            events.append(each)
    return events, last


def _failure_of_all(errors: Sequence[RequestError]) -> RequestError:
    """The first side's, by its name where there are two."""
    error = errors[0]
    if len(errors) == 1:
        return error
    return type(error)(f"side A: {error.message}", retry_after_s=error.retry_after_s)
