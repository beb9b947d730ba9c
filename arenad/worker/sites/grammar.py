"""The arena's line grammar, sans-io: bytes as they come, events out (site-protocol part 2.5).

A line is a position letter, a one-character code, a colon and a JSON value. Direct chats use the
position `a`; lines of `b` are counted, not mixed in.
"""

import codecs
import json
import re
from typing import cast

import msgspec

from arenad.errors import ProfileOutdated, RequestError, UpstreamFailed
from arenad.schema.chat import (
    Citation,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Image,
    ReasoningDelta,
    TextDelta,
)

MAX_LINE_CHARS = 10 * 1024 * 1024
IN_BAND_FAILURE = "hasArenaError"
CUT = "the site's answer was cut off before its end"
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "content_filter": "content_filter",
}

_CODED = re.compile(r"([ab])(.):(.*)", re.DOTALL)
_REFERENCE = re.compile(r"[0-9]+:")
"""A line of the page's framework, without a position; old clients saw them between the others."""


class ArenaLines:
    """One answer. Feed it bytes; ask for its end when the body has ended. `feed` never raises."""

    def __init__(self, position: str = "a") -> None:
        """`position` is the side that is read."""
        self.ignored = 0
        self.unreadable = 0
        self._position = position
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial: list[str] = []
        self._partial_chars = 0
        self._half = {"0": "", "g": ""}
        self._reason: FinishReason | None = None
        self._trouble: RequestError | None = None
        self._has_content = False
        self._is_cut = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        head, *rest = self._decoder.decode(chunk).split("\n")
        self._hold(head)
        events: list[Event] = []
        for text in rest:
            events += self._line(self._held())
            self._hold(text)
        return events

    def _hold(self, text: str) -> None:
        """Keep a part of a line that has not ended; what is too long is counted, not kept."""
        self._partial_chars += len(text)
        if self._partial_chars <= MAX_LINE_CHARS:
            self._partial.append(text)
        else:
            self._partial.clear()
            self._fail(ProfileOutdated(f"the site sent a line of over {MAX_LINE_CHARS} characters"))

    def _held(self) -> str:
        line = "".join(self._partial)
        self._partial, self._partial_chars = [], 0
        return line

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The body has ended: the last events, and how the answer ended."""
        self._hold(self._decoder.decode(b"", final=True))
        last, unreadable = self._held(), self.unreadable
        events = self._line(last)
        if self.unreadable > unreadable and _CODED.match(_bare(last)):
            self.unreadable, self._is_cut = unreadable, True
        for code, half in self._half.items():
            if half:
                events.append(_delta(code, _whole(half)))
        return events, self._outcome()

    def _outcome(self) -> Finish | RequestError:
        if self._trouble is not None:
            return self._trouble
        if self._reason is not None and (self._has_content or self._reason == "content_filter"):
            return Finish(self._reason)
        if self._has_content or self._is_cut:
            return UpstreamFailed(CUT)
        if self.unreadable:
            return ProfileOutdated("the site answered in lines that this profile cannot read")
        return UpstreamFailed("the site answered with nothing")

    def _line(self, line: str) -> list[Event]:
        line = _bare(line)
        if not line:
            return []
        if line.startswith("{"):
            self._plain_object(line)
        elif coded := _CODED.fullmatch(line):
            if coded[1] == self._position:
                return self._coded(coded[2], coded[3])
            self.ignored += 1
        elif _REFERENCE.match(line):
            self.ignored += 1
        else:
            self.unreadable += 1
        return []

    def _plain_object(self, line: str) -> None:
        """`{error, message?}` instead of a stream."""
        body = _json(line)
        if error := _field(body, "error"):
            self._fail_as_told(f"{error} {_field(body, 'message') or ''}")
        else:
            self.unreadable += 1

    def _fail(self, error: RequestError) -> None:
        self._trouble = self._trouble or error

    def _fail_as_told(self, text: str) -> None:
        self._fail(UpstreamFailed(f"the site reports: {_whole(text).strip()[:500]}"))

    def _coded(self, code: str, payload: str) -> list[Event]:
        value = _json(payload)
        if value is _UNREADABLE:
            self.unreadable += 1
            return []
        events = self._events(code, value)
        self._has_content |= any(not isinstance(event, Heartbeat) for event in events)
        return events

    def _events(self, code: str, value: object) -> list[Event]:
        match code, value:
            case "0", str(text) if text != IN_BAND_FAILURE:
                return self._text(code, text)
            case "g", str(text) | {"text": str(text)}:
                return self._text(code, text)
            case "2", list():
                return _items(cast("list[object]", value))
            case "c", {"argsTextDelta": str(text)}:
                return _citations(text)
            case _:
                self._control(code, value)
                return []

    def _control(self, code: str, value: object) -> None:
        """Lines that bring no content: the end, and what went wrong."""
        match code, value:
            case "d", {"finishReason": "error"}:
                self._fail_as_told("the model failed")
            case "d", {"finishReason": str(reason)}:
                self._reason = _REASONS.get(reason, "stop")
            case "0", str():
                self._fail_as_told("its platform failed")
            case "3", text:
                self._fail_as_told(str(text))
            case "e", {"message": str(text)} | str(text) if text:
                self._fail_as_told(text)
            case _:
                self.ignored += 1

    def _text(self, code: str, text: str) -> list[Event]:
        """A server that cuts by UTF-16 units sends an emoji's halves in two lines: join them."""
        text = self._half[code] + text
        self._half[code] = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        whole = _whole(text.removesuffix(self._half[code]))
        return [_delta(code, whole)] if whole else []


_UNREADABLE = object()


def _bare(line: str) -> str:
    return line.strip().removeprefix("data:").lstrip()


def _json(text: str) -> object:
    """The value, or `_UNREADABLE`. Only a plain string may have halves of UTF-16 pairs in it."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        value: object = json.loads(text)  # it takes lone surrogates, which some pages send
        if isinstance(value, str):
            return value
        return json.loads(_whole(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return _UNREADABLE


def _whole(text: str) -> str:
    """Pairs joined; half a pair becomes a replacement character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _delta(code: str, text: str) -> Event:
    return TextDelta(text) if code == "0" else ReasoningDelta(text)


def _items(items: list[object]) -> list[Event]:
    events: list[Event] = []
    for item in items:
        match item:
            case {"type": "image", "image": str(url)} if url:
                events.append(Image(url))
            case {"type": "heartbeat"}:
                events.append(Heartbeat())
            case _:
                pass
    return events


def _citations(text: str) -> list[Event]:
    """The tool call's arguments arrive as JSON text with one source or a list of them."""
    source = _field(_json(text), "source")
    sources = cast("list[object]", source) if isinstance(source, list) else [source]
    return [citation for source in sources if (citation := _citation(source)) is not None]


def _citation(source: object) -> Citation | None:
    url, title = _field(source, "url"), _field(source, "title")
    if not isinstance(url, str) or not url:
        return None
    return Citation(url, title if isinstance(title, str) else "")


def _field(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
