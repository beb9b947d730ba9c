"""The OpenAPI document: valid, complete by the routes and the tables, true of what is taken."""

import json
from pathlib import Path
from typing import Any

import documented
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from scripted import play, stage

from arenad import errors
from arenad.errors import InvalidRequest
from arenad.frontend import openapi
from arenad.frontend.api import VOCABULARIES, Api, scope_of, told_of
from arenad.frontend.quota import Allowance, Share
from arenad.frontend.recording import Recording
from arenad.schema.config import ApiConfig, ChatConfig, FilesConfig, QueueConfig
from arenad.schema.process import FrontendSettings

DOCUMENT = documented.DOCUMENT
HELLO = [{"role": "user", "content": "hello"}]
LEAST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": HELLO},
    "/v1/completions": {"model": "m", "prompt": "hello"},
    "/v1/images/generations": {"model": "m", "prompt": "a boat"},
    "/v1/messages": {"model": "m", "messages": HELLO},
    "/v1/responses": {"model": "m", "input": "hello"},
}
"""The least that each takes."""

each_path = pytest.mark.parametrize("path", VOCABULARIES)
each_operation = pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods],
)


def test_it_is_valid() -> None:
    """By the specification's own schema, with references that lead somewhere, and as plain JSON."""
    told = json.loads(json.dumps(DOCUMENT))
    assert told == DOCUMENT
    assert [str(error) for error in OpenAPIV31SpecValidator(told).iter_errors()] == []


def test_the_validator_says_no() -> None:
    """Of a path without its parameter."""
    (parameters,) = [
        {**told["get"], "parameters": []}
        for path, told in DOCUMENT["paths"].items()
        if path == "/v1/models/{id}"
    ]
    broken = {**DOCUMENT, "paths": {"/v1/models/{id}": {"get": parameters}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_every_route_is_told_of_and_no_other(tmp_path: Path) -> None:
    """Of the application that is served, by method and path."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            settings = FrontendSettings(
                api=ApiConfig(),
                queue=QueueConfig(),
                chat=ChatConfig(),
                gui_address="",
                files_dir="",
            )
            api = Api(scene.dispatch, settings, Recording("", "frontend-1"))
            served = {
                (route.method.lower(), route.resource.canonical)
                for route in api.app().router.routes()
                if route.resource
            }
            told = {
                (method, path) for path in DOCUMENT["paths"] for method in DOCUMENT["paths"][path]
            }
            assert served == told
            await api.close()

    play(story())


@each_path
def test_every_documented_field_stands_in_it(path: str) -> None:
    """In the order of the table, with its rule."""
    words = VOCABULARIES[path]
    properties = documented.found(documented.taken(path))["properties"]
    assert list(properties) == list(words.fields)
    for name, field in words.fields.items():
        assert properties[name]["description"].startswith(field.rule)
        assert field.note in properties[name]["description"]


@each_path
def test_every_error_of_a_chat_has_its_status(path: str) -> None:
    """With its code, where it says what may be answered; but not those that reach no client."""
    responses = documented.operation("post", path)["responses"]
    unseen = (errors.Refused, errors.Cancelled, errors.Busy)
    for kind in errors.KINDS.values():
        if kind not in unseen:
            status = VOCABULARIES[path].refusal(kind("")).status
            assert f"`{kind.code}`" in documented.found(responses[str(status)])["description"]


@each_operation
def test_what_asks_for_a_key_says_so(method: str, path: str) -> None:
    """With the scope; all others take none."""
    told = documented.operation(method, path)
    scope = scope_of(path)
    assert bool(told["security"]) is (scope is not None)
    assert (f"a key for `{scope}`" if scope else "Takes no key") in told["description"]
    assert ("401" in told["responses"]) is (scope is not None)


@each_operation
def test_every_header_is_defined(method: str, path: str) -> None:
    """And the request's id stands in each answer."""
    for named in documented.operation(method, path)["responses"].values():
        headers = documented.found(named)["headers"]
        assert headers.keys() <= DOCUMENT["components"]["headers"].keys()
        assert "x-request-id" in headers


@each_path
def test_what_a_key_has_left_is_told_of(path: str) -> None:
    """In the words of the path's clients, and not in the others'."""
    responses = documented.operation("post", path)["responses"]
    left = Allowance(Share(2, 1, 1.0), Share(2, 1, 1.0))
    for status in ("200", "429"):
        headers = documented.found(responses[status])["headers"]
        told = {name for name in headers if "ratelimit" in name}
        assert told == told_of(left, path).keys()


def test_names_are_told_apart() -> None:
    """Two structs of one name would be one schema; private names are not for readers."""
    kinds: list[type] = []
    for words in VOCABULARIES.values():
        kinds += [words.request, words.told.whole, *words.told.events, words.told.error]
    for route in openapi.routes(VOCABULARIES).values():
        kinds += [
            kind for shapes in (*route.content.values(), *route.more.values()) for kind in shapes
        ]
    _, found = msgspec.json.schema_components(list(dict.fromkeys(kinds)))
    assert len(found) > 50
    twice = [name for name in found if "." in name]  # msgspec itself tells them apart so
    assert [name for name in twice if not name.rpartition(".")[2].startswith("_")] == []
    assert not [name for name in DOCUMENT["components"]["schemas"] if name.startswith("_")]
    ids = [told["operationId"] for path in DOCUMENT["paths"].values() for told in path.values()]
    assert len(ids) == len(set(ids))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({name for words in VOCABULARIES.values() for name in words.fields})
WORDS = st.sampled_from(
    [
        "text",
        "image_url",
        "user",
        "auto",
        "A",
        "fold",
        "high",
        [],
        {},
        "",
        0,
        False,
        {"type": "text"},
    ]
)


@each_path
@given(more=st.dictionaries(st.sampled_from(NAMES), JSON | WORDS, max_size=4))
@example(more={"stop": ["a"] * 17})
@example(more={"max_tokens": 0, "max_output_tokens": 0})
@example(more={"messages": [{"role": "user", "content": [{"type": "text"}]}]})
@example(more={"n": 1.0, "max_tokens": 2.0})
@example(more={"response_format": {"type": "text"}, "modalities": ["text"]})
def test_what_is_taken_is_what_it_says(path: str, more: dict[str, Any]) -> None:
    """A body that is refused by the schema is refused by us, so that none is taken untold."""
    body = LEAST[path] | more
    try:
        VOCABULARIES[path].parse(json.dumps(body).encode(), FilesConfig())
    except InvalidRequest:
        return
    assert documented.faults_in(documented.taken(path), body) == []


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"tools": [{"function": {"name": "f"}}]}),
        ("/v1/messages", {"output_format": {"schema": {}}}),
        ("/v1/messages", {"system": [{"text": "be brief"}]}),
        ("/v1/responses", {"tools": [{"name": "f"}]}),
    ],
)
def test_a_type_that_nothing_depends_on_may_be_left_out(path: str, more: dict[str, Any]) -> None:
    """By us, and so by the document; where it chooses one of several it has to be there."""
    body = LEAST[path] | more
    assert VOCABULARIES[path].parse(json.dumps(body).encode(), FilesConfig())
    assert documented.faults_in(documented.taken(path), body) == []
    said = {"role": "user", "content": [{"text": "hello"}]}
    body = LEAST[path] | {"input" if path == "/v1/responses" else "messages": [said]}
    assert documented.faults_in(documented.taken(path), body)


@each_path
def test_what_is_refused_is_no_part_of_it(path: str) -> None:
    """Each refused field with a value that asks for something; and with one that does not."""
    schema = documented.taken(path)
    assert documented.faults_in(schema, LEAST[path]) == []
    for name, field in VOCABULARIES[path].fields.items():
        if field.rule == "refused":
            assert documented.faults_in(schema, LEAST[path] | {name: ["some"]})
            assert documented.faults_in(schema, LEAST[path] | {name: field.plain}) == []


def test_a_second_vocabulary_of_another_name_has_schemas_of_its_own() -> None:
    """The document follows from the vocabularies that it is given."""
    words = VOCABULARIES["/v1/completions"]
    other = words._replace(told=words.told._replace(title="Others (new)"))
    told = openapi.document({"/v1/others": other}, scope_of, "2")
    named = told["paths"]["/v1/others"]["post"]["requestBody"]["content"][openapi.JSON]["schema"]
    assert named == {"$ref": "#/components/schemas/OthersRequest"}
    assert told["info"]["version"] == "2"
