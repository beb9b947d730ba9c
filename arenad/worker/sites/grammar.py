"""The arena's line grammar, sans-io: bytes as they come, events out (site-protocol part 2.5).

A line is a position letter, a one-character code, a colon and a JSON value. Direct chats use the
position `a`; lines of `b` are counted, not mixed in.
"""

import codecs

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
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "content_filter": "content_filter",
}


class ArenaLines:
    """One answer. Feed it bytes; ask for its end when the body has ended. Never raises before that."""

    def __init__(self, position: str = "a") -> None:
        """`position` is the side that is read."""
        self.ignored = 0
        self.unreadable = 0
        self._position = position
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial: list[str] = []
        self._partial_chars = 0
        self._reason: FinishReason | None = None
        self._trouble: RequestError | None = None
        self._has_content = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        head, *rest = self._decoder.decode(chunk).split("\n")
        self._partial.append(head)
        self._partial_chars += len(head)
        if not rest:
            self._check_length()
            return []
        lines = ["".join(self._partial), *rest[:-1]]
        self._partial, self._partial_chars = [rest[-1]], len(rest[-1])
        self._check_length()
        return [event for line in lines for event in self._line(line)]

    def _check_length(self) -> None:
        if self._partial_chars > MAX_LINE_CHARS:
            self._partial, self._partial_chars = [], 0
            self._trouble = ProfileOutdated(f"the site sent a line of over {MAX_LINE_CHARS} characters")

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The body has ended: the last events, and how the answer ended."""
        last = "".join([*self._partial, self._decoder.decode(b"", final=True)])
        events = self._line(last)
        self._partial = []
        return events, self._outcome()

    def _outcome(self) -> Finish | RequestError:
        if self._trouble is not None:
            return self._trouble
        if self._reason is not None and (self._has_content or self._reason == "content_filter"):
            return Finish(self._reason)
        if self._has_content:
            return UpstreamFailed("the site's answer was cut off before its end")
        if self.unreadable:
            return ProfileOutdated("the site answered in lines that this profile cannot read")
        return UpstreamFailed("the site answered with nothing")

    def _line(self, line: str) -> list[Event]:
        line = line.strip().removeprefix("data:").lstrip()
        if not line:
            return []
        if line.startswith("{"):
            self._plain_object(line)
            return []
        if line[1:3] and line[2:3] == ":" and line[0] in "ab":
            if line[0] == self._position:
                return self._coded(line[1], line[3:])
            self.ignored += 1
        else:
            self.unreadable += 1
        return []

    def _plain_object(self, line: str) -> None:
        """`{error, message?}` instead of a stream."""
        try:
            body = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeError):
            self.unreadable += 1
            return
        if "error" in body:
            self._fail(f"{body['error']} {body.get('message', '')}")

    def _fail(self, text: str) -> None:
        self._trouble = self._trouble or UpstreamFailed(f"the site reports: {text.strip()[:500]}")

    def _coded(self, code: str, payload: str) -> list[Event]:
        try:
            value = _loads(payload)
        except (msgspec.MsgspecError, UnicodeError):
            self.unreadable += 1
            return []
        events = self._events(code, value)
        self._has_content |= any(not isinstance(event, Heartbeat) for event in events)
        return events

    def _events(self, code: str, value: object) -> list[Event]:
        match code, value:
            case "0", str(text):
                if text == IN_BAND_FAILURE:
                    self._fail("its platform failed")
                    return []
                return [TextDelta(text)] if text else []
            case "g", str(text) | {"text": str(text)}:
                return [ReasoningDelta(text)] if text else []
            case "2", [*items]:
                return [event for item in items if (event := _item(item)) is not None]
            case "c", {"argsTextDelta": str(text)}:
                return _citations(text)
            case "d", {"finishReason": str(reason)}:
                self._reason = _REASONS.get(reason, "stop")
            case "3", text:
                self._fail(str(text))
            case "e", {"message": str(text)} | str(text) if text:
                self._fail(text)
            case _:
                self.ignored += 1
        return []


def _loads(payload: str) -> object:
    """JSON; a lone surrogate, which some pages send, becomes a replacement character."""
    return msgspec.json.decode(payload.encode("utf-8", "replace"))


def _item(item: object) -> Event | None:
    match item:
        case {"type": "image", "image": str(url)}:
            return Image(url)
        case {"type": "heartbeat"}:
            return Heartbeat()
        case _:
            return None


def _citations(text: str) -> list[Event]:
    """The tool call's arguments arrive as JSON text with one source or a list of them."""
    try:
        arguments = msgspec.json.decode(text.encode("utf-8", "replace"))
    except msgspec.MsgspecError:
        return []
    source = arguments.get("source") if isinstance(arguments, dict) else None
    sources = source if isinstance(source, list) else [source]
    return [
        Citation(each["url"], str(each.get("title", "")))
        for each in sources
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]
