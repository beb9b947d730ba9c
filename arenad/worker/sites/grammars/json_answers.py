"""Answers in JSON (or protocol buffers), read by the paths of a profile, whatever frames them."""

from typing import cast

from arenad.errors import ProfileOutdated, RequestError, Resting, UpstreamFailed
from arenad.schema.chat import Event, Finish, Heartbeat
from arenad.schema.path import Paths, parse_all
from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites.grammars import gradio, json_text, walk
from arenad.worker.sites.grammars.answer import (
    CUT,
    Grammar,
    Side,
    error_as_told,
    verdict,
)
from arenad.worker.sites.grammars.framing import MAX_MESSAGE_CHARS, Framing, Message, Piece
from arenad.worker.sites.grammars.growing import CLOSERS, Growing, Seldom
from arenad.worker.sites.grammars.json_text import UNREADABLE, Halves
from arenad.worker.sites.grammars.markdown import Fences, standing, to_markdown, without
from arenad.worker.sites.grammars.protobuf import Fields
from arenad.worker.sites.grammars.walk import Received

SHOWN_CHARS = 200
DONE = "[DONE]"
"""What ends a stream of many sites; nobody has to name it, and none has to send it."""
URL_KEYS = ("url", "href", "link", "uri")
TITLE_KEYS = ("title", "name", "text")


class JsonAnswers(Grammar):
    """One answer, or two side by side, in one stream of values."""

    def __init__(
        self, rules: StreamRules, framing: Framing, sides: tuple[AnswerRules, ...]
    ) -> None:
        """`sides` say where each answer stands."""
        super().__init__()
        self.values = 0
        self.unreadable = 0
        self._rules = rules
        self._framing = framing
        self._is_binary = rules.grammar in ("protobuf", "connect-protobuf")
        self._is_shared = rules.transport != "fetch"
        self._sides = [_JsonSide(side, Side(n, rules.signs)) for n, side in enumerate(sides)]
        self._paths = {
            name: parse_all(getattr(rules, name))
            for name in ("error", "session", "message", "same")
        }
        self._done = rules.done or DONE
        self._same = ""
        self._is_done = False
        self._is_cut = False
        self._has_early_end = False
        self._first = ""

    @property
    def answers(self) -> list[Side]:
        """Its sides, in order."""
        return [side.answer for side in self._sides]

    @property
    def is_over(self) -> bool:
        """The end was told: for all at once, or by every side."""
        return self._is_done or all(side.answer.is_over for side in self._sides)

    @property
    def is_doubtful(self) -> bool:
        """Its finish sign came first; on a shared connection it may be another thing's."""
        has_content = any(side.answer.has_content for side in self._sides)
        return self._has_early_end and not has_content and not self.is_over

    def sent(self, text: str) -> None:
        """What the page itself sent on the socket: an id that it chose may stand in it."""
        for message in self._framing.feed(text):
            if (value := self._value(message)) is not UNREADABLE and not self._same:
                self._same = walk.first(Received(value, message.event), self._paths["same"])

    def asked(self, prompt: str) -> None:
        """The page was asked this, which is no answer where wholes come."""
        for side in self._sides:
            side.asked = prompt.strip()

    def feed(self, piece: Piece) -> list[Event]:
        """The events that this piece completes."""
        return self._events(self._framing.feed(piece))

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """Nothing more will come: the last events, and how the answer ended."""
        unreadable = self.unreadable
        events = self._events(self._framing.end())
        if self.unreadable > unreadable and self.values:
            self._is_cut = True
        for side in self._sides:
            events += side.rest()
        finishes, outcome = verdict([self._outcome(side) for side in self._sides])
        return events + finishes, outcome

    def _events(self, messages: list[Message]) -> list[Event]:
        events: list[Event] = []
        is_alive = False
        for message in messages:
            if message.payload == self._done:
                self._is_done = True
                continue
            value = self._value(message)
            if value is UNREADABLE:
                self._not_read(_text(message.payload))
            else:
                is_alive = True
                events += self._read(Received(value, message.event))
        return events if events or not is_alive or self._is_shared else [Heartbeat()]

    def _value(self, message: Message) -> object:
        payload = message.payload
        if message.event == "cut":
            return UNREADABLE
        if self._is_binary and message.event not in ("end", "trailers"):
            fields = Fields(payload if isinstance(payload, bytes) else payload.encode())
            return fields if fields.is_message else UNREADABLE
        if message.event == "trailers":
            return _trailers(payload)
        return json_text.decode(_text(payload))

    def _not_read(self, text: str) -> None:
        self.unreadable += 1
        super()._not_read(text)

    def _read(self, received: Received) -> list[Event]:
        if not self._belongs(received):
            return []
        self.values += 1
        self._first = self._first or _shown(received.value)
        self.session_id = self.session_id or walk.first(received, self._paths["session"])
        if name := walk.first(received, self._paths["message"]):
            self.message_ids.setdefault(0, name)
        for error in walk.found(received, self._paths["error"]):
            if said := _said(error):
                self._give_up_as_told(said)
        return [event for side in self._sides for event in self._of_side(side, received)]

    def _of_side(self, side: "_JsonSide", received: Received) -> list[Event]:
        events = side.read(received)
        for word in side.finish_words(received):
            if self._is_shared and not side.has_begun:
                self._has_early_end = True
            else:
                side.answer.finish(word)
        return events

    def _belongs(self, received: Received) -> bool:
        """Another answer on the same socket has another id."""
        if not self._paths["same"] or not (name := walk.first(received, self._paths["same"])):
            return True
        self._same = self._same or name
        return name == self._same

    def _give_up_as_told(self, text: str) -> None:
        self.give_up(error_as_told(text, self._rules.signs))

    def _outcome(self, side: "_JsonSide") -> Finish | RequestError:
        if self._framing.too_long:
            limit = f"{MAX_MESSAGE_CHARS} characters"
            return ProfileOutdated(f"the site sent a message of over {limit}")
        if side.is_rewritten:
            return UpstreamFailed(
                f"the site rewrote its answer after {side.passed_chars} characters of it had been "
                "passed on (answer.mode: last reads such an answer at its end)"
            )
        needs_finish = self._is_cut or (not self._is_done and self._has_sign(side.rules))
        return side.answer.outcome(self._nothing(side), needs_finish=needs_finish)

    def _has_sign(self, side: AnswerRules) -> bool:
        """Whether such an answer ends with a sign; else the end of the body counts."""
        return bool(self._rules.done or side.finish)

    def _nothing(self, side: "_JsonSide") -> RequestError:
        """Why there is no answer: cut, empty, or somewhere else than the profile says."""
        if self._is_cut:
            return UpstreamFailed(CUT)
        if not self.values:
            if self.unreadable:
                return ProfileOutdated(
                    f"the site answered in what is no {self._rules.grammar}: "
                    f"{self.strange[:SHOWN_CHARS]!r}"
                )
            return UpstreamFailed("the site answered with nothing")
        if self.is_over or self._has_early_end:
            return UpstreamFailed("the site answered with nothing")
        where = side.rules.text or side.rules.image
        return ProfileOutdated(
            f"none of {self.values} values has anything at answer.text ({_written(where)}); "
            f"the first one is {self._first}"
        )


class GradioAnswers(JsonAnswers):
    """Gradio's queue: edits become wholes, and the event that brings the text ends the answer."""

    def __init__(
        self, rules: StreamRules, framing: Framing, sides: tuple[AnswerRules, ...]
    ) -> None:
        """`sides` as above."""
        super().__init__(rules, framing, sides)
        self._queue = gradio.GradioQueue()
        self._with_text: set[str] = set()

    def _has_sign(self, side: AnswerRules) -> bool:
        del side  # an event's completion is the sign, for every side
        return True

    def _read(self, received: Received) -> list[Event]:
        value = self._queue.whole(received.value)
        if error := gradio.failure(value):
            if error == gradio.QUEUE_FULL:
                self.give_up(Resting("the site's queue is full"))
            else:
                self._give_up_as_told(error)
        received = Received(value, received.event)
        events = super()._read(received)
        event = gradio.event_of(value)
        if any(side.has_text(received) for side in self._sides):
            self._with_text.add(event)
        if gradio.is_completed(value) and event in self._with_text:
            for side in self._sides:
                side.answer.finish("stop")
        return events


class _JsonSide:
    """What one side's paths find."""

    def __init__(self, rules: AnswerRules, answer: Side) -> None:
        self.rules = rules
        self.answer = answer
        self.asked = ""
        self._text = parse_all(rules.text)
        self._reasoning = parse_all(rules.reasoning)
        self._image = parse_all(rules.image)
        self._citation = parse_all(rules.citation)
        self._finish = parse_all(rules.finish)
        self._html = ""
        self._fences: Fences = []
        self._seldom = Seldom()
        self._halves = Halves()
        self._growing: Growing | None = None
        if rules.mode != "append" or rules.is_html:
            self._growing = Growing(
                rules.cursor,
                CLOSERS if rules.is_html else "",
                is_last_only=rules.mode == "last",
            )

    def has_text(self, received: Received) -> bool:
        """Whether any text stands there."""
        return any(walk.texts(received, self._text))

    def read(self, received: Received) -> list[Event]:
        """The events in one value."""
        events: list[Event] = []
        for piece in walk.texts(received, self._reasoning):
            events += self.answer.reasoning(piece)
        if pieces := walk.texts(received, self._text):
            new = self._new("".join(pieces))
            events += [Heartbeat()] if new is None else self.answer.text(new)
        for url in _urls(walk.found(received, self._image)):
            events += self.answer.image(url[0])
        for url, title in _urls(walk.found(received, self._citation)):
            events += self.answer.citation(url, title)
        return events

    def finish_words(self, received: Received) -> list[str]:
        """What tells its end in this value."""
        values = walk.found(received, self._finish)
        return [word for each in values if each is not False and (word := walk.word(each))]

    @property
    def has_begun(self) -> bool:
        """Whether there is anything of it, passed on or not."""
        return self.answer.has_content or (self._growing is not None and self._growing.has_any)

    def _new(self, text: str) -> str | None:
        """What this piece adds; none where it is not read yet."""
        if self._growing is None:
            return text
        if not self.rules.is_html:
            return self._grown(self._growing, text)
        is_piece = self.rules.mode == "append"
        self._html = self._html + text if is_piece else without(self.rules.cursor, text)
        if not self._seldom.is_due(len(self._html)):
            return None
        return self._grown(self._growing, to_markdown(standing(self._html), self._fences))

    def _grown(self, growing: Growing, whole: str) -> str:
        """What is new in this whole."""
        text = _without_half(whole)
        if self.asked and not self.passed_chars and text.strip() == self.asked:
            growing.hold(text)  # the page shows the prompt as it shows the answer, or an echo
            return ""
        return growing.grow(text)

    def rest(self) -> list[Event]:
        """The last events."""
        events: list[Event] = []
        if self._growing is not None:
            if self._html:
                events += self.answer.text(
                    self._grown(self._growing, to_markdown(self._html, self._fences))
                )
            events += self.answer.text(self._growing.rest())
        return events + self.answer.rest()

    @property
    def is_rewritten(self) -> bool:
        """What was passed on does not stand any more."""
        return self._growing is not None and self._growing.is_rewritten

    @property
    def passed_chars(self) -> int:
        """How much was passed on."""
        return self._growing.passed_chars if self._growing else 0


def _without_half(text: str) -> str:
    """A whole that ends in half a pair will have the other half next time."""
    return json_text.whole(text[:-1] if "\ud800" <= text[-1:] <= "\udbff" else text)


def _text(payload: Piece) -> str:
    return payload if isinstance(payload, str) else payload.decode("utf-8", "replace")


def _shown(value: object) -> str:
    text = repr(value.raw) if isinstance(value, Fields) else json_text.encode(value)
    return text[:SHOWN_CHARS]


def _written(paths: Paths) -> str:
    return paths if isinstance(paths, str) else " or ".join(paths)


def _said(error: object) -> str:
    """An error as the site words it; what stands there and means none is nothing."""
    if not error:
        return ""
    if isinstance(error, dict):
        fields = cast("dict[str, object]", error)
        for name in ("message", "detail", "error", "msg", "code"):
            if isinstance(text := fields.get(name), str) and text:
                return text
        return json_text.encode(fields)
    return walk.word(error)


def _urls(values: list[object]) -> list[tuple[str, str]]:
    """Address and title of each source or image, which is an address or an object with one."""
    listed: list[tuple[str, str]] = []
    for value in values:
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            url, title = _one_of(fields, URL_KEYS), _one_of(fields, TITLE_KEYS)
        else:
            url, title = (walk.word(value) if isinstance(value, str | Fields) else ""), ""
        if url:
            listed.append((url, title))
    return listed


def _one_of(fields: dict[str, object], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := fields.get(key), str) and value), "")


def _trailers(payload: Piece) -> object:
    """The trailers of gRPC-web, as an object: `grpc-status`, `grpc-message`."""
    pairs = (line.partition(":") for line in _text(payload).splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
