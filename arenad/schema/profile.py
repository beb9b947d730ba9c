"""A site's profile: what an instance has to know of a page, as data."""

import re
from typing import Literal

import msgspec

from arenad.schema import path
from arenad.schema.base import Record
from arenad.schema.path import Paths


class Landmarks(Record):
    """CSS selectors of the things on the page. `{model}` stands for the wanted model's name."""

    prompt: str
    send: str
    stop: str
    new_chat: str
    model_picker: str
    model_option: str
    model_chosen: str


Transport = Literal["fetch", "eventsource", "websocket", "dom"]
GrammarName = Literal[
    "arena-lines",
    "ai-lines",
    "sse",
    "json-lines",
    "json-frames",
    "json",
    "socket-io",
    "gradio",
    "protobuf",
    "connect-json",
    "connect-protobuf",
    "text",
]
SignKind = Literal[
    "upstream",
    "resting",
    "content_rejected",
    "needs_login",
    "needs_human",
    "invalid_request",
]
WITHOUT_PATHS = ("arena-lines", "ai-lines", "sse", "gradio", "text")
"""Grammars that know by themselves where the text is (`sse`: in chunks of OpenAI's form)."""


class AnswerRules(Record):
    """Where the answer stands in each value that a JSON grammar reads; see `schema.path`.

    `mode`: the text comes as pieces, as the whole so far each time, or only its last whole counts.
    `cursor` is what the site writes behind a text that still grows. `is_html`: turn into Markdown.
    """

    text: Paths = ()
    mode: Literal["append", "replace", "last"] = "append"
    cursor: str = ""
    is_html: bool = False
    reasoning: Paths = ()
    image: Paths = ()
    citation: Paths = ()
    finish: Paths = ()


class DomRules(Record):
    """The answer in the page itself: the last element of this kind that was not there before.

    It ends when an element `end` more than before is there; without one, when the landmark `stop`
    was there and is gone; where no such sign shows, when nothing has changed for `settle_s`.
    """

    element: str
    end: str = ""
    skip: tuple[str, ...] = ()
    settle_s: float = 3.0

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if not self.element.strip():
            raise ValueError("element: is empty; it must be the CSS selector of an answer")
        if not 0 < self.settle_s <= MAX_SETTLE_S:
            raise ValueError(
                f"settle_s: is {self.settle_s:g}; must be above 0, at most {MAX_SETTLE_S:g}"
            )


MAX_SETTLE_S = 120.0


class StreamRules(Record):
    """Which of the page's own requests or sockets carries the answer, and in which grammar.

    `follow`: the answer may come in several such requests, one after another. `same`: only values
    that agree there with the first one belong to the answer. `signs`: how a failure begins that the
    site writes as an answer, and its kind. `answer_b` is the second of two answers side by side.
    """

    transport: Transport = "fetch"
    url_pattern: str = ""
    method: str = "POST"
    grammar: GrammarName = "arena-lines"
    follow: bool = False
    answer: AnswerRules | None = None
    answer_b: AnswerRules | None = None
    done: str = ""
    error: Paths = ()
    signs: dict[str, SignKind] = msgspec.field(default_factory=dict)
    session: Paths = ()
    message: Paths = ()
    same: Paths = ()
    dom: DomRules | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError`, naming the field."""
        if self.transport != "dom":
            self._check_request()
        elif self.dom is None:
            raise ValueError("dom: is missing; transport dom reads the element that it names")
        if "" in self.signs:
            raise ValueError("signs: has an empty text, with which every answer begins")

    def _check_request(self) -> None:
        if not self.url_pattern:
            raise ValueError(f"url_pattern: is missing; transport {self.transport} needs it")
        try:
            re.compile(self.url_pattern)
        except re.error as error:
            shown = f"is {self.url_pattern!r}"
            raise ValueError(f"url_pattern: {shown}; no regular expression: {error}") from error
        if self.answer is None and self.grammar not in WITHOUT_PATHS:
            raise ValueError(f"answer: is missing; grammar {self.grammar} needs answer.text")
        _check_paths(self, "", ("error", "session", "message", "same"))
        for name in ("answer", "answer_b"):
            if (answer := getattr(self, name)) is not None:
                _check_answer(answer, f"{name}.")


def _check_answer(answer: AnswerRules, where: str) -> None:
    _check_paths(answer, where, ("text", "reasoning", "image", "citation", "finish"))
    if not answer.text and not answer.image:
        raise ValueError(f"{where}text: is missing; it says where the answer's text stands")


def _check_paths(rules: Record, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            path.parse_all(getattr(rules, name))
        except ValueError as error:
            raise ValueError(f"{where}{name}: {error}") from error


class ModelRules(Record):
    """Where the page's HTML names its models: a JSON list behind this key, escaped or not."""

    anchor: str


class Profile(Record):
    """One site. `dismiss` are dialogs of the site's own that are agreed to when they show."""

    version: int
    name: str
    start_path: str
    landmarks: Landmarks
    stream: StreamRules
    models: ModelRules
    dismiss: tuple[str, ...] = ()
