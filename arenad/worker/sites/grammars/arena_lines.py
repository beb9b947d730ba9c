"""The arena's line grammar, sans-io: bytes as they come, events out (site-protocol part 2.5).

A line is a position letter, a one-character code, a colon and a JSON value; the codes are those of
the AI SDK's data streams, which have no position. Direct chats use the position `a`; a side that is
not read is counted, not mixed in.
"""

import re
from collections.abc import Mapping
from typing import cast

from arenad.errors import ProfileOutdated, RequestError, UpstreamFailed
from arenad.schema.chat import Event, Finish, Heartbeat
from arenad.worker.sites.grammars import json_text
from arenad.worker.sites.grammars.answer import CUT, Grammar, Side, error_as_told, verdict
from arenad.worker.sites.grammars.framing import MAX_MESSAGE_CHARS, Lines, Piece
from arenad.worker.sites.grammars.json_text import UNREADABLE, field

IN_BAND_FAILURE = "hasArenaError"

_CODED = re.compile(r"([ab])(.):(.*)", re.DOTALL)
_BARE = re.compile(r"()([0-9a-z]):(.*)", re.DOTALL)
_REFERENCE = re.compile(r"[0-9]+:")
"""A line of the page's framework, without a position; old clients saw them between the others."""


class ArenaLines(Grammar):
    """One answer. Feed it bytes; ask for its end when the body has ended. `feed` never raises."""

    def __init__(self, sides: str = "a", signs: Mapping[str, str] | None = None) -> None:
        """`sides` are the positions that are read, in order: `a`, `b`, `ab`; none: bare codes."""
        super().__init__()
        self.ignored = 0
        self.unreadable = 0
        self._lines = Lines()
        self._coded_line = _CODED if sides else _BARE
        self._sides = {name: Side(number, signs) for number, name in enumerate(sides or [""])}
        self._signs = signs
        self._is_cut = False

    @property
    def answers(self) -> list[Side]:
        """Its sides, in order."""
        return list(self._sides.values())

    @property
    def is_over(self) -> bool:
        """Every side has told its end."""
        return all(side.is_over for side in self._sides.values())

    def feed(self, piece: Piece) -> list[Event]:
        """The events that these bytes complete."""
        return [event for line in self._lines.feed(piece) for event in self._line(line)]

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The body has ended: the last events, and how the answer ended."""
        last, unreadable = self._lines.end(), self.unreadable
        events = self._line(last)
        if self.unreadable > unreadable and self._coded_line.match(_bare(last)):
            self.unreadable, self._is_cut = unreadable, True
        for side in self._sides.values():
            events += side.rest()
        finishes, outcome = verdict([self._outcome(side) for side in self._sides.values()])
        return events + finishes, outcome

    def _outcome(self, side: Side) -> Finish | RequestError:
        if self._lines.too_long:
            limit = f"{MAX_MESSAGE_CHARS} characters"
            return ProfileOutdated(f"the site sent a line of over {limit}")
        if self._is_cut:
            nothing: RequestError = UpstreamFailed(CUT)
        elif self.unreadable:
            nothing = ProfileOutdated("the site answered in lines that this profile cannot read")
        else:
            nothing = UpstreamFailed("the site answered with nothing")
        return side.outcome(nothing, needs_finish=True)

    def _line(self, line: str) -> list[Event]:
        line = _bare(line)
        if not line:
            return []
        if line.startswith("{"):
            self._plain_object(line)
        elif coded := self._coded_line.fullmatch(line):
            position, code, payload = coded.groups()
            if position in self._sides:
                return self._coded(self._sides[position], code, payload)
            self.ignored += 1
        elif _REFERENCE.match(line):
            self.ignored += 1
        else:
            self._not_read(line)
        return []

    def _not_read(self, text: str) -> None:
        self.unreadable += 1
        super()._not_read(text)

    def _plain_object(self, line: str) -> None:
        """`{error, message?}` instead of a stream, or of what is still missing of it."""
        body = json_text.decode(line)
        if error := field(body, "error"):
            said = f"{error} {field(body, 'message') or ''}"
            self.give_up(error_as_told(said, self._signs or {}))
        else:
            self._not_read(line)

    def _coded(self, side: Side, code: str, payload: str) -> list[Event]:
        value = json_text.decode(payload)
        if value is UNREADABLE:
            self._not_read(payload)
            return []
        match code, value:
            case "0", str(text) if text != IN_BAND_FAILURE:
                return side.text(text)
            case "g", str(text) | {"text": str(text)}:
                return side.reasoning(text)
            case "2", list():
                return _items(side, cast("list[object]", value))
            case "c", {"argsTextDelta": str(text)}:
                return _citations(side, text)
            case _:
                self._control(side, code, value)
                return []

    def _control(self, side: Side, code: str, value: object) -> None:
        """Lines that bring no content: the end, and what went wrong."""
        match code, value:
            case "d", {"finishReason": str(reason)}:
                side.finish(reason)
            case "0", str():
                side.fail_as_told("its platform failed")
            case "3", text:
                side.fail_as_told(str(text))
            case "e", {"message": str(text)} | str(text) if text:
                side.fail_as_told(text)
            case "f", {"messageId": str(name)}:
                self.message_ids.setdefault(side.number, json_text.whole(name))
                self.ignored += 1
            case _:
                self.ignored += 1


def _bare(line: str) -> str:
    return line.strip().removeprefix("data:").lstrip()


def _items(side: Side, items: list[object]) -> list[Event]:
    events: list[Event] = []
    for item in items:
        match item:
            case {"type": "image", "image": str(url)} if url:
                events += side.image(url)
            case {"type": "heartbeat"}:
                events.append(Heartbeat())
            case _:
                pass
    return events


def _citations(side: Side, text: str) -> list[Event]:
    """The tool call's arguments arrive as JSON text with one source or a list of them."""
    source = field(json_text.decode(text), "source")
    sources = cast("list[object]", source) if isinstance(source, list) else [source]
    events: list[Event] = []
    for each in sources:
        url, title = field(each, "url"), field(each, "title")
        if isinstance(url, str) and url:
            events += side.citation(url, title if isinstance(title, str) else "")
    return events
