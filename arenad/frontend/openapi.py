"""The OpenAPI document of the endpoint, made of what the endpoint itself goes by.

A vocabulary's request struct and its table of fields give what may be sent, the shapes of answers
what comes back, the classes of errors which statuses there are (OpenAPI Specification 3.1).
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import msgspec

from arenad import errors
from arenad.errors import RequestError
from arenad.frontend import answers, entrance, guard, kept, messages, once
from arenad.frontend.answers import AnthropicError, OpenAIError, Shape
from arenad.frontend.answers_in_events import InputTokenCount, TokenCount
from arenad.frontend.fields import Field
from arenad.frontend.openapi_headers import HEADERS, PARAMETERS
from arenad.frontend.vocabulary import Vocabulary
from arenad.schema.keys import Scope

Json = dict[str, Any]
Errors = tuple[type[RequestError], ...]

JSON, EVENTS = "application/json", "text/event-stream"

_SCHEMAS = "#/components/schemas/"
_ALONE = "Alone"
_NOTHING: tuple[object, ...] = (None, False, "", [], {})
"""Values that ask for nothing: with them a refused field is taken."""

ANYWHERE: Errors = (
    errors.InvalidRequest,
    guard.Forbidden,
    guard.WrongExpectation,
    entrance.HeadTooLarge,
    entrance.HeadTooSlow,
    entrance.TooManyConnections,
    RequestError,
)
WITH_A_KEY: Errors = (errors.Unauthorized, errors.OutOfScope, errors.Overloaded)
WITH_A_BODY: Errors = (guard.TooSlow, guard.TooLarge, guard.WrongType)
OF_A_CHAT: Errors = (
    *(
        kind
        for kind in errors.KINDS.values()
        if kind not in (errors.Refused, errors.Cancelled, errors.Busy)
    ),
    once.KeyReused,
    once.StillRunning,
)
BEFORE_A_REQUEST: Errors = (
    errors.InvalidRequest,
    guard.WrongType,
    entrance.HeadTooLarge,
    entrance.HeadTooSlow,
    entrance.TooManyConnections,
)
"""These may come before it is known whom one speaks to; then they come in OpenAI's words."""

RETRIES = {429, 503, 529}
"""Statuses that may come with `Retry-After`."""


class Route(NamedTuple):
    """One path with its method: what it is for, what it takes, what it answers.

    `content` are the shapes of an answer by media type; none say that it may be anything. `more`
    are those of statuses other than 200 that are no errors.
    """

    title: str
    note: str
    tag: str
    content: Mapping[str, tuple[type[Shape], ...]]
    errors: Errors = ()
    parameters: tuple[str, ...] = ()
    more: Mapping[int, tuple[type[Shape], ...]] = {}
    words: Vocabulary | None = None
    ends: str = ""


PLAIN: Mapping[tuple[str, str], Route] = {
    ("get", "/v1/models"): Route(
        "Models",
        "What may stand in `model`. Anthropic's words for who sends `anthropic-version`.",
        "Models",
        {JSON: (answers.ModelList, answers.AnthropicModelList)},
        parameters=("anthropic-version",),
    ),
    ("get", "/v1/models/{id}"): Route(
        "One model",
        "Anthropic's words for who sends `anthropic-version`.",
        "Models",
        {JSON: (answers.Model, answers.AnthropicModel)},
        (errors.ModelNotFound,),
        ("model", "anthropic-version"),
    ),
    ("get", "/v1/files/{id}/content"): Route(
        "An image of an answer",
        "As long as it is kept (`files.keep_s`). Its name cannot be guessed.",
        "Files",
        {"image/*": ()},
        (kept.FileNotKept,),
        ("file",),
    ),
    ("get", "/healthz"): Route("Does this process serve?", "", "Health", {JSON: (answers.Health,)}),
    ("get", "/health"): Route(
        "Does this process serve?", "As `/healthz`.", "Health", {JSON: (answers.Health,)}
    ),
    ("get", "/readyz"): Route(
        "Could an instance take a chat?",
        "503 while none could; `keys` says what is wrong with the store of keys.",
        "Health",
        {JSON: (answers.Readiness,)},
        more={503: (answers.Readiness,)},
    ),
    ("get", "/openapi.json"): Route(
        "This document", "", "Reference", {JSON: ()}, parameters=("if-none-match",), more={304: ()}
    ),
    ("get", "/docs"): Route("A page to read it", "", "Reference", {"text/html": ()}),
    ("get", "/docs/static/{path}"): Route(
        "A part of that page",
        "",
        "Reference",
        {"text/css": (), "text/javascript": (), "image/svg+xml": ()},
        (guard.NotServed,),
        ("path",),
    ),
}
"""All that is served beside the vocabularies."""


def document(
    spoken: Mapping[str, Vocabulary], scope_of: Callable[[str], Scope | None], version: str
) -> Json:
    """The whole of it.

    `spoken` are the vocabularies by path, `scope_of` what a key has to be for, by path, too.
    """
    components = _Components()
    paths: dict[str, Json] = {}
    for (method, path), route in routes(spoken).items():
        operation = _operation(path, route, components, scope_of(path))
        paths.setdefault(path, {})[method] = operation
        if method == "get":  # a server of HTTP tells the head of whatever it gives
            paths[path]["head"] = _headed(operation, components)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "arenad",
            "version": version,
            "summary": "A pool of browser sessions on chat pages, as one endpoint.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "where this document was found"}],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "responses": components.responses,
            "headers": {name: _header(says) for name, says in HEADERS.items()},
            "parameters": PARAMETERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "basic": {"type": "http", "scheme": "basic", "description": "any name, and a key"},
            },
        },
    }


_COUNTS = {
    "/v1/messages": ("count_tokens", TokenCount),
    "/v1/responses": ("input_tokens", InputTokenCount),
}


def routes(spoken: Mapping[str, Vocabulary]) -> dict[tuple[str, str], Route]:
    """Every route, by method and path; the vocabularies first."""
    found: dict[tuple[str, str], Route] = {}
    for path, words in spoken.items():
        found["post", path] = Route(
            words.told.title,
            "One answer, whole, or with `stream` as server-sent events.",
            "Answers",
            {JSON: (words.told.whole,), EVENTS: words.told.events},
            (*WITH_A_BODY, *OF_A_CHAT),
            ("idempotency-key",),
            words=words,
            ends=words.told.ends,
        )
        if path in _COUNTS:
            name, count = _COUNTS[path]
            found["post", f"{path}/{name}"] = Route(
                "Count the tokens",
                "An estimate; no instance is asked. Nobody looks whether there is such a model.",
                "Answers",
                {JSON: (count,)},
                WITH_A_BODY,
                words=words,
            )
    return {**found, **PLAIN}


# -- schemas --------------------------------------------------------------------------------------


class _Components:
    """What the paths refer to, each added when it is first named."""

    def __init__(self) -> None:
        self.schemas: dict[str, Json] = {}
        self.responses: dict[str, Json] = {}

    def response(self, status: int, response: Json) -> Json:
        """A reference to it, shared with all that answer the same."""
        name, number = f"Status{status}", 1
        while self.responses.setdefault(name, response) != response:
            number += 1
            name = f"Status{status}-{number}"
        return {"$ref": f"#/components/responses/{name}"}

    def one_of(self, kinds: Iterable[type]) -> Json:
        """A reference to each, as one schema; anything where there are none."""
        named = [self._add(kind, "") for kind in kinds]
        return named[0] if len(named) == 1 else {"anyOf": named} if named else {}

    def request(self, words: Vocabulary) -> Json:
        """A reference to what a vocabulary takes: its struct, with a word on every field."""
        prefix = "".join(filter(str.isalnum, words.told.title.partition("(")[0].title()))
        named = self._add(words.request, prefix, is_asked=True)
        _explain(self.schemas[named["$ref"].removeprefix(_SCHEMAS)], words.fields)
        return named

    def _add(self, kind: type, prefix: str, *, is_asked: bool = False) -> Json:
        """Names of private structs get a prefix: each vocabulary has a `_Request`."""
        (named,), found = msgspec.json.schema_components([kind], ref_template=_SCHEMAS + "{name}")
        found = _loosened(found) if is_asked else found
        for name, schema in found.items():
            public = _public(name, prefix)
            self.schemas[public] = {**_renamed(schema, prefix), "title": public}
        return _renamed(named, prefix)


def _loosened(found: dict[str, Json]) -> dict[str, Json]:
    """The same, but a tag has to be there only where it chooses one of several structs.

    Schemas always want it, msgspec does not: a struct that stands alone, too, gets a twin for that.
    """
    chosen = set(_chosen(found))
    told, twins = dict(found), dict[str, Json]()
    for name, schema in found.items():
        fields: dict[str, Json] = schema.get("properties", {})
        tag = next(iter(fields), "")
        if tag and len(fields[tag].get("enum", ())) == 1:
            loose = {**schema, "required": [each for each in schema["required"] if each != tag]}
            (twins if f"{_SCHEMAS}{name}" in chosen else told)[name] = loose
    told = {name: _with_twins(schema, twins.keys()) for name, schema in told.items()}
    text = msgspec.json.encode(told).decode()
    stands = {f"{name}{_ALONE}": schema for name, schema in twins.items()}
    return told | {name: each for name, each in stands.items() if f'"{_SCHEMAS}{name}"' in text}


def _chosen(value: Any) -> Iterator[str]:
    """What tags choose among."""
    if isinstance(value, dict):
        told = cast("Json", value)
        yield from told.get("discriminator", {}).get("mapping", {}).values()
        for each in told.values():
            yield from _chosen(each)
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _chosen(each)


def _with_twins(value: Any, twins: Container[str]) -> Any:
    """The same, with twins where no tag chooses."""
    if isinstance(value, list):
        return [_with_twins(each, twins) for each in cast("list[Any]", value)]
    if not isinstance(value, dict) or "discriminator" in value:
        return cast("Any", value)
    told = cast("Json", value)
    if str(told.get("$ref")).removeprefix(_SCHEMAS) in twins:
        return {"$ref": f"{told['$ref']}{_ALONE}"}
    return {name: _with_twins(each, twins) for name, each in told.items()}


def _public(name: str, prefix: str) -> str:
    return f"{prefix}{name.strip('_')}" if name.startswith("_") else name


def _renamed(value: Any, prefix: str) -> Any:
    """The same, with the public names of what it refers to."""
    if isinstance(value, dict):
        return {key: _renamed(each, prefix) for key, each in cast("Json", value).items()}
    if isinstance(value, list):
        return [_renamed(each, prefix) for each in cast("list[Any]", value)]
    if isinstance(value, str) and value.startswith(_SCHEMAS):
        return _SCHEMAS + _public(value.removeprefix(_SCHEMAS), prefix)
    return value


def _explain(schema: Json, fields: Mapping[str, Field]) -> None:
    """Have every documented field in it, in the order of the table, with what becomes of it."""
    used: Json = schema["properties"]
    schema["description"] = (
        "Fields that nobody knows change nothing, and are named in `x-arenad-ignored`."
    )
    schema["properties"] = {
        name: {**_values(field, used.get(name, {})), "description": _rule(field)}
        for name, field in fields.items()
    }


def _values(field: Field, used: Json) -> Json:
    """What a field may be: an ignored one of its kind, a refused one what asks for nothing."""
    if field.rule == "ignored" and field.kind is not None:
        return {"anyOf": [msgspec.json.schema(field.kind.type), {"type": "null"}]}
    if field.rule != "refused":
        return used
    plain = [] if field.plain is None else [field.plain]
    return {"enum": [*_NOTHING, *plain]}


def _rule(field: Field) -> str:
    """What becomes of it, as a line to read."""
    return f"{field.rule}: {field.note}" if field.note else field.rule


# -- operations -----------------------------------------------------------------------------------


def _operation(path: str, route: Route, components: _Components, scope: Scope | None) -> Json:
    asked: Errors = (*ANYWHERE, *(WITH_A_KEY if scope else ()))
    needs = f"Takes a key for `{scope}` once there are keys." if scope else "Takes no key."
    told: Json = {
        "operationId": _identifier(path),
        "summary": route.title,
        "description": " ".join(filter(None, (route.note, needs))),
        "tags": [route.tag],
        "security": [{"bearer": []}, {"x-api-key": []}, {"basic": []}, {}] if scope else [],
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"}
            for name in (*route.parameters, "x-request-id", "x-client-request-id")
        ],
    }
    if route.words is not None:
        body = {JSON: {"schema": components.request(route.words)}}
        told["requestBody"] = {"required": True, "content": body}
    told["responses"] = _responses(route, asked + route.errors, components)
    return told


def _identifier(path: str) -> str:
    """A name for who writes programs of the document."""
    return "_".join(filter(None, path.removeprefix("/v1").replace(".", "/").split("/"))).translate(
        str.maketrans("", "", "{}")
    )


def _responses(route: Route, raised: Errors, components: _Components) -> Json:
    """By status, in their order. A status may be that of an answer and of errors alike."""
    answered = {int(HTTPStatus.OK): "The answer.", **dict.fromkeys(route.more, "An answer, too.")}
    refusals = _refusals(route, raised)
    responses: Json = {}
    for status in sorted({*answered, *refusals}):
        said = [answered[status]] if status in answered else []
        kinds = [*route.more.get(status, ())]
        if status in refusals:
            codes, shapes = refusals[status]
            said.append(", ".join(f"`{code}`" for code in codes))
            kinds += shapes
        response: Json = {"description": " ".join(said), "headers": _headers(status, route)}
        content = _content(route, components) if status == HTTPStatus.OK else {}
        if kinds:
            content = {JSON: {"schema": components.one_of(kinds)}}
        whole = response | ({"content": content} if content else {})
        responses[str(status)] = components.response(status, whole)
    return responses


def _refusals(route: Route, raised: Errors) -> dict[int, tuple[list[str], list[type[Shape]]]]:
    """Codes and shapes of errors by status."""
    found: dict[int, tuple[list[str], list[type[Shape]]]] = {}
    words = route.words
    if "anthropic-version" in route.parameters:  # in either's words
        words = messages.MESSAGES
    for kind in raised:
        error = kind("")
        ways: list[tuple[int, type[Shape]]] = []
        if kind in BEFORE_A_REQUEST or route.words is None:
            ways.append((kind.http_status, OpenAIError))
        if words is not None:
            ways.append((words.refusal(error).status, words.told.error))
        for status, shape in ways:
            codes, shapes = found.setdefault(status, ([], []))
            codes += [] if kind.code in codes else [kind.code]
            shapes += [] if shape in shapes else [shape]
    return found


def _content(route: Route, components: _Components) -> Json:
    content: Json = {}
    for media, kinds in route.content.items():
        schema = components.one_of(kinds)
        if media == EVENTS:  # a plain `schema` would be read as that of a whole stream, or an event
            content[media] = {"x-event-schema": schema, "x-ends-with": route.ends}
        else:
            content[media] = {"schema": schema} if schema else {}
    return content


def _headers(status: int, route: Route) -> Json:
    """Those that such an answer may have."""
    names = ["x-request-id", "request-id", "openai-processing-ms"]
    if route.words is not None:
        names += _of_words(status, route.words, is_chat=EVENTS in route.content)
    if status in RETRIES:
        names += ["Retry-After", "x-should-retry"]
    if status == errors.Unauthorized.http_status:
        names.append("WWW-Authenticate")
    if "if-none-match" in route.parameters and status in (200, 304):
        names.append("ETag")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _of_words(status: int, words: Vocabulary, *, is_chat: bool) -> list[str]:
    """What a vocabulary's answers have; those of a count come from no instance."""
    names = ["x-arenad-attempts", "x-arenad-instance"] if is_chat else []
    if status == HTTPStatus.OK:
        names += ["x-arenad-usage", "x-arenad-ignored"]
    if is_chat and status == HTTPStatus.OK:
        names += ["x-arenad-conversation", "x-arenad-session", "x-arenad-message"]
        names.append("idempotent-replayed")
    if is_chat and status in (HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS):
        left = "anthropic-ratelimit-" if words.told.error is AnthropicError else "x-ratelimit-"
        names += [name for name in HEADERS if name.startswith(left)]
    return names


def _header(says: str) -> Json:
    return {"description": says, "schema": {"type": "string"}}


def _headed(operation: Json, components: _Components) -> Json:
    """The same without bodies."""
    responses: Json = {}
    for status, named in operation["responses"].items():
        whole = components.responses[named["$ref"].rpartition("/")[2]]
        bare = {name: part for name, part in whole.items() if name != "content"}
        responses[status] = components.response(int(status), bare)
    name = f"{operation['operationId']}_head"
    return operation | {"operationId": name, "responses": responses}
