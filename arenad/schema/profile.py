"""A site's profile: what an instance has to know of a page, as data.

A *place* is a selector or a list of them, of which the first that is there counts; `worker/find.js`
reads them, `docs/profiles.md` shows them. `{model}` in a place stands for the wanted model's name.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, field
from msgspec.structs import fields, replace

from arenad.schema import path
from arenad.schema.base import MediaType, Record
from arenad.schema.chat import Mode, Strategy
from arenad.schema.path import Paths

Selector = Annotated[str, Meta(min_length=1, max_length=2000)]
Places = Annotated[
    Selector | tuple[Selector, ...],
    Meta(description="a selector, or a list of selectors of which the first that is there counts"),
]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z",
        description="a name of small letters, digits, - . and _",
    ),
]
SiteUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^\s/]+\S*)?\Z",
        description="an address that begins with http:// or https://, or empty",
    ),
]
Key = Annotated[
    str,
    Meta(
        pattern=r"^(((Alt|Control|Meta|Shift)\+)*"
        r"(Enter|Escape|Tab|Backspace|Arrow(Left|Up|Right|Down)))?\Z",
        description="a key such as Enter, Escape, Tab, ArrowDown or Control+Enter",
    ),
]
ChatPath = Annotated[
    str,
    Meta(
        pattern=r"^(/[^\s{}]*\{session\}[^\s{}]*)?\Z",
        description="a path of the site with {session} in it, such as /c/{session}, or empty",
    ),
]
Keys = Annotated[str | tuple[str, ...], Meta(description="a text, or a list of texts")]
Within = Annotated[float, Meta(gt=0, le=600)]
Capability = Literal["text", "image_in", "image_out", "search"]
Kind = Literal["page", "openai-http", "echo"]
Meaning = Literal[
    "needs_login", "needs_human", "resting", "expired", "chat_full", "content_rejected"
]


class Landmarks(Record):
    """The things on the page. What is empty is not looked for; a profile must name `prompt`.

    `ready_to_send` shows when a page that drops early prompts takes the next one. `attach` takes
    files: an input of that kind, hidden or not, or what opens the dialog for it. `uploaded` shows
    once for each file that the page has taken, `uploading` while it is not ready with one,
    `upload_failed` when it will not be.
    `…_b` are those of the second of two models; its option is found as the first one's is where it
    has none.
    """

    prompt: Places = ()
    send: Places = ()
    stop: Places = ()
    new_chat: Places = ()
    ready_to_send: Places = ()
    model_picker: Places = ()
    model_option: Places = ()
    model_chosen: Places = ()
    attach: Places = ()
    uploaded: Places = ()
    uploading: Places = ()
    upload_failed: Places = ()
    model_picker_b: Places = ()
    model_option_b: Places = ()
    model_chosen_b: Places = ()


class Step(Record):
    """One thing to do, exactly one of these; a place may be a landmark's name.

    `press_if` presses what shows already, `wait` and `gone` wait for something to show or to leave,
    `write` types into what has the focus, or in place of what `into` holds; `open` goes to a path
    of the site. `or_key` is pressed where that which `press` names does not show. With `when`, the
    step is left out unless that shows already. Steps of `attach` alone bring files: `choose` in an
    input or by what opens its dialog, `paste` or `drop` onto an element.
    """

    press: Places = ()
    press_if: Places = ()
    wait: Places = ()
    gone: Places = ()
    key: Key = ""
    write: str = ""
    open: str = ""
    choose: Places = ()
    paste: Places = ()
    drop: Places = ()
    or_key: Key = ""
    into: Places = ()
    when: Places = ()
    within_s: Within = 10.0


Transport = Literal["fetch", "eventsource", "websocket", "dom", "any"]
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
    "expired",
    "chat_full",
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
    signs: dict[str, SignKind] = field(default_factory=dict)
    session: Paths = ()
    message: Paths = ()
    same: Paths = ()
    dom: DomRules | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError`, naming the field."""
        if self.transport not in ("dom", "any"):
            self._check_request()
        elif self.dom is None and self.transport == "dom":
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
    """Where the models' names stand; without any rule the profile's name is the one model.

    `anchor` is the key of a JSON list in the page's HTML, escaped or not; or several keys by which
    it has gone, of which `*` finds entries without any. `json_path` is an address of the site,
    whose JSON holds them at `json_list`, a path to their list or to each. `options` are elements,
    `names` is the list itself. `id_field` and `owner_field` are fields of an entry. `aliases` are
    further names, each for one of the site's; `capabilities` are told here where the page does not.
    """

    anchor: Keys = ""
    json_path: str = ""
    json_list: str = ""
    options: Places = ()
    names: tuple[str, ...] = ()
    id_field: str = "publicName"
    owner_field: str = "organization"
    aliases: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, tuple[Capability, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if self.json_list:
            _check_paths(self, "", ("json_list",))


class Sign(Record):
    """What shows that no chat can be had now, and what that means.

    One of: an element; a text that can be read on the page or in its title, counted only while no
    prompt is there; a pattern of the page's address.
    """

    means: Meaning
    selector: Places = ()
    text: str = ""
    url: str = ""


class ConversationRules(Record):
    """How a conversation goes on: in the site's own chat that holds it, or folded into a new one.

    `path` is where a chat is to be found by the site's own name of it, which it also tells; with
    `shows`, what is there once an older chat has been opened, up to `held` of them are gone on
    with. `system` is what becomes of instructions: a part of the folded text, the beginning of the
    first message, or an error.
    """

    strategy: Strategy = "fold"
    path: ChatPath = ""
    shows: Places = ()
    held: Annotated[int, Meta(ge=1, le=64)] = 8
    system: Literal["fold", "first", "refuse"] = "fold"

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if self.shows and not self.path:
            raise ValueError("path: is missing; shows needs the address of an older chat")


class Limits(Record):
    """What the site takes at most; 0 is unlimited, and so is an empty list of types.

    `files` and `file_bytes` hold for one message and for each of its files; `upload_s` is how long
    the page may take for all of them.
    """

    prompt_chars: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    files: Annotated[int, Meta(ge=0, le=1000)] = 0
    file_bytes: Annotated[int, Meta(ge=0, le=2**31)] = 0
    file_types: tuple[MediaType, ...] = ()
    upload_s: Within = 60.0


class ModeRules(Record):
    """What of a profile is different in another mode. What is empty is as in a direct chat."""

    start_path: str = ""
    landmarks: Landmarks = field(default_factory=Landmarks)
    opening: tuple[Step, ...] = ()
    choose_model: tuple[Step, ...] = ()
    choose_model_b: tuple[Step, ...] = ()
    attach: tuple[Step, ...] = ()
    send: tuple[Step, ...] = ()
    new_chat: tuple[Step, ...] = ()
    stop: tuple[Step, ...] = ()
    stream: StreamRules | None = None


class Modes(Record):
    """The modes that a site has beside direct chats; two answers come in each of them."""

    side_by_side: ModeRules | None = None
    battle: ModeRules | None = None


class Profile(Record):
    """One site, in direct chats; `in_mode` gives it as it is in another mode.

    Of a `kind` without a page only the fields in `API_FIELDS` count.

    `version` is raised whenever the site made a change necessary. `dismiss` are dialogs of the
    site's own that are agreed to when they show. Steps that are empty follow from the landmarks.
    """

    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    name: Name
    landmarks: Landmarks
    stream: StreamRules
    kind: Kind = "page"
    about: str = ""
    extends: str = ""
    url: SiteUrl = ""
    start_path: str = "/"
    dismiss: tuple[Selector, ...] = ()
    opening: tuple[Step, ...] = ()
    choose_model: tuple[Step, ...] = ()
    attach: tuple[Step, ...] = ()
    choose_model_b: tuple[Step, ...] = ()
    send: tuple[Step, ...] = ()
    new_chat: tuple[Step, ...] = ()
    stop: tuple[Step, ...] = ()
    modes: Modes = field(default_factory=Modes)
    models: ModelRules = field(default_factory=ModelRules)
    signs: dict[str, Sign] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    conversation: ConversationRules = field(default_factory=ConversationRules)

    def modes_offered(self) -> dict[Mode, ModeRules]:
        """What is different in each mode that the site has; in direct chats nothing is."""
        given: dict[Mode, ModeRules | None] = {
            "direct": ModeRules(),
            "side_by_side": self.modes.side_by_side,
            "battle": self.modes.battle,
        }
        return {mode: rules for mode, rules in given.items() if rules is not None}

    def in_mode(self, mode: Mode) -> "Profile":
        """The same site in a mode that it has. Raises `KeyError`."""
        rules = self.modes_offered()[mode]
        own = _given(rules)
        own["landmarks"] = replace(self.landmarks, **_given(rules.landmarks))
        return replace(self, **own)


def _given(record: Record) -> dict[str, Any]:
    """The fields that are not empty."""
    named = ((each.name, getattr(record, each.name)) for each in fields(type(record)))
    return {name: value for name, value in named if value}


API_FIELDS = ("version", "name", "kind", "about", "extends", "url", "models", "limits")
API_MODEL_FIELDS = ("names", "aliases", "capabilities")
"""What may be said of a site that has no page, and of its models."""
