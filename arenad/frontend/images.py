"""OpenAI's images: a prompt in, the images of an answer out. A brain: no I/O.

Shapes follow the OpenAI API reference, "Images". What a page says around its images is told only
where there are none. Errors are those of the chats.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from arenad.conversation import text_of
from arenad.errors import InvalidRequest, RequestError, UpstreamFailed
from arenad.frontend import answers, fields, openai, parts
from arenad.frontend.fields import OBJECT, TEXT, WHOLE, Field
from arenad.frontend.one_line import encode
from arenad.frontend.vocabulary import (
    ANSWERS,
    OURS,
    OURS_REMEDIES,
    SINGLE,
    Ours,
    Shown,
    Side,
    Usage,
    Vocabulary,
    Wish,
    keep_alive,
)
from arenad.schema.chat import Citation, Image, SideFailed, TextDelta, Turn, error_of
from arenad.schema.config import FilesConfig
from arenad.schema.process import Model

_NO_SWITCH = "a page has no such switch; say it in the prompt"

FIELDS: Mapping[str, Field] = {
    "model": Field("honoured", "required; one whose `capabilities` have `image_out`"),
    "prompt": Field("honoured", "as a user's message"),
    "n": ANSWERS,
    "response_format": Field(
        "honoured", "`url`, or `b64_json`: brought by the browser; of a stream only that"
    ),
    "stream": Field("honoured", "an event for each image, once it is whole"),
    "partial_images": Field("ignored", "a page tells of no image before it is whole", kind=WHOLE),
    "size": Field("ignored", _NO_SWITCH, kind=TEXT),
    "quality": Field("ignored", _NO_SWITCH, kind=TEXT),
    "style": Field("ignored", _NO_SWITCH, kind=TEXT),
    "background": Field("ignored", _NO_SWITCH, kind=TEXT),
    "complexity": Field("ignored", _NO_SWITCH, kind=TEXT),
    "frame_count": Field("ignored", _NO_SWITCH, kind=WHOLE),
    "frame_duration_ms": Field("ignored", _NO_SWITCH, kind=WHOLE),
    "svg": Field("ignored", _NO_SWITCH, kind=OBJECT),
    "output_format": Field("ignored", "images stay what the site makes", kind=TEXT),
    "output_compression": Field("ignored", "images stay what the site makes", kind=WHOLE),
    "moderation": Field("ignored", kind=TEXT),
    "safety_identifier": Field("ignored", kind=TEXT),
    "user": Field("ignored", kind=TEXT),
    **OURS,
    "image_format": Field(
        "honoured", "which `url`: `url` the site's, `file` one of ours, as is `data`"
    ),
    "battle_target": SINGLE,
}

MAX_IMAGES = 10
"""Answers of one request, as OpenAI's description has it."""

_FORMATS = "must be url or b64_json"

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be the name of a model that makes images; GET /v1/models tells `capabilities`",
    "prompt": "must be text",
    "n": f"must be a whole number from 1 to {MAX_IMAGES}",
    "response_format": _FORMATS,
    "stream": "must be true or false",
    **OURS_REMEDIES,
}

MAX_SAID_CHARS = 200
"""Of what a page says instead of an image, so much is told."""

MAX_TOLD = 10
"""So many models are named that make images."""

_DATA = re.compile(r"data:image/([a-z0-9.-]+)(?:\+xml)?;base64,")


class _Request(Ours, kw_only=True):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    prompt: str
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_IMAGES)] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None

    def as_bytes(self) -> bool:
        """Whether images are wanted as bytes. Raises `InvalidRequest`."""
        if self.stream and self.response_format == "url":
            told = "is 'url'; the events of a stream bring bytes; choose b64_json, or no stream"
            raise InvalidRequest(f"response_format: {told}", param="response_format")
        return bool(self.stream) or self.response_format == "b64_json"


class NoImage(UpstreamFailed):
    """The answer has none that can be told."""

    code = "no_image"


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    request, ignored = fields.read(body, _Request, FIELDS, _REMEDIES)
    turns = (Turn(role="user", text=request.prompt),)
    parts.check_text("prompt", turns)
    wish = Wish(
        model=request.model,
        turns=turns,
        stream=bool(request.stream),
        include_usage=True,
        ignored=ignored,
        wants_image=True,
        n=request.n or 1,
    )
    as_bytes = request.as_bytes()
    wish = request.applied(wish, files, has_images=False, is_single=True)
    return replace(wish, image_format="data", image_bytes=files.max_bytes) if as_bytes else wish


def check_model(name: str, models: Sequence[Model]) -> None:
    """Raises `InvalidRequest` for a model that is there, and makes no images."""
    makers = [each.id for each in models if "image_out" in each.capabilities]
    if name in makers or all(each.id != name for each in models):
        return
    remedy = (
        f"choose one of {', '.join(makers[:MAX_TOLD])}"
        if makers
        else "no model here does, as far as the site and its profile tell (models.capabilities)"
    )
    raise InvalidRequest(f"model: is {name!r}, which makes no images; {remedy}", param="model")


# -- out ------------------------------------------------------------------------------------------


class Writer:
    """Writes the images of an answer. The last one waits for the answer's end, and its counts."""

    def __init__(self, _request_id: str, wish: Wish, created_unix_s: int) -> None:
        """None has come; the request's id stands in the headers alone."""
        self._as_bytes = wish.image_format == "data"
        self._created_unix_s = created_unix_s
        self._said = [""] * wish.n
        self._drawn: set[int] = set()
        self._last: Image | None = None

    def first(self) -> bytes:
        """Nothing: a stream begins with its first image."""
        return b""

    def event(self, event: Shown) -> bytes:
        """The image before, or a comment. Raises what a side failed with."""
        match event:
            case Image(side=side):
                before, self._last = self._last, event
                self._drawn.add(side)
                return self._completed(before, Usage(0, 0)) if before else keep_alive(event)
            case TextDelta(side=side) | Citation(side=side):
                if len(self._said[side]) <= MAX_SAID_CHARS:
                    self._said[side] += text_of(event)[: MAX_SAID_CHARS + 1]
            case SideFailed(failure):
                raise error_of(failure)
            case _:
                pass
        return keep_alive(event)

    def _completed(self, image: Image, usage: Usage) -> bytes:
        """The event of an image. What nobody knows of it is `auto`."""
        kind = "image_generation.completed"
        told = {
            "type": kind,
            **dict.fromkeys(("size", "quality", "background"), "auto"),
            **_content(image),
            "created_at": self._created_unix_s,
            "usage": _usage(usage),
        }
        return b"event: " + kind.encode() + b"\ndata: " + encode(told) + b"\n\n"

    def end(self, usage: Usage) -> bytes:
        """The last image. Raises `NoImage`."""
        for side, said in enumerate(self._said):
            if side not in self._drawn:
                raise _none(said)
        if self._last is None:
            raise NoImage("the answer has no image")
        return self._completed(self._last, usage)

    def failed(self, error: RequestError) -> bytes:
        """The error in mid-stream."""
        return b"data: " + openai.refusal(error).body + b"\n\n"

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """All images as one object. Raises what a side failed with, and `NoImage`."""
        told: list[dict[str, object]] = []
        for side in sides:
            if side.failure is not None:
                raise error_of(side.failure)
            if not side.images:
                raise _none("".join(side.texts))
            told += (self._object(image) for image in side.images)
        body = {"created": self._created_unix_s, "data": told, "usage": _usage(usage)}
        return encode(body)

    def _object(self, image: Image) -> dict[str, object]:
        if not self._as_bytes:
            return {"url": image.url}
        return {"b64_json": _content(image)["b64_json"]}


def _content(image: Image) -> dict[str, object]:
    """The bytes of an image and their type. Raises `NoImage` for what the browser did not bring."""
    found = _DATA.match(image.url)
    if found is None:
        told = "the browser cannot bring an image of the answer, or it is larger than"
        raise NoImage(f"{told} files.max_bytes; ask for response_format url, without stream")
    return {"b64_json": image.url[found.end() :], "output_format": found[1]}


def _none(said: str) -> NoImage:
    shown = " ".join(said.split())
    short = shown[:MAX_SAID_CHARS] + ("…" if len(shown) > MAX_SAID_CHARS else "")
    return NoImage(
        f"the answer has no image, and says: {short}" if short else "the answer has no image"
    )


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"text_tokens": usage.prompt_tokens, "image_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "total_tokens": sum(usage),
    }


IMAGES = Vocabulary(parse, Writer, openai.refusal, FIELDS, _Request, answers.IMAGES)
