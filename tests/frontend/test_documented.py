"""The tables of fields: documented, complete by the real clients' own types, and true."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsBase
from msgspec import inspect
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase
from openai.types.image_generate_params import ImageGenerateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from arenad.errors import InvalidRequest
from arenad.frontend import completions, images, messages, openai, responses
from arenad.frontend.api import VOCABULARIES
from arenad.frontend.fields import LIST, OBJECT, SWITCH, TEXT, WHOLE, Field, table
from arenad.schema.config import Config, FilesConfig

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "hello"}]
LEAST: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": HELLO},
    "/v1/completions": {"model": "m", "prompt": "hello"},
    "/v1/images/generations": {"model": "m", "prompt": "a boat"},
    "/v1/messages": {"model": "m", "messages": HELLO},
    "/v1/responses": {"model": "m", "input": "hello"},
}
"""The least that each takes."""

THEIRS = {
    "/v1/chat/completions": [ChatParams],
    "/v1/completions": [CompletionCreateParamsBase],
    "/v1/images/generations": [ImageGenerateParamsBase],
    "/v1/messages": [MessageCreateParamsBase, MessageCountTokensParams],
    "/v1/responses": [ResponseCreateParamsBase],
}
USED = {
    "/v1/chat/completions": openai._Request,
    "/v1/completions": completions._Request,
    "/v1/images/generations": images._Request,
    "/v1/messages": messages._Request,
    "/v1/responses": responses._Request,
}
REMEDIES = {
    "/v1/chat/completions": openai._REMEDIES,
    "/v1/completions": completions._REMEDIES,
    "/v1/images/generations": images._REMEDIES,
    "/v1/messages": messages._REMEDIES,
    "/v1/responses": responses._REMEDIES,
}
ROWS = [
    (path, name, field)
    for path, words in VOCABULARIES.items()
    for name, field in words.fields.items()
]


@pytest.mark.parametrize("path", VOCABULARIES)
def test_the_documentation_shows_the_table(path: str) -> None:
    """Row by row; `scripts/draw` writes it anew."""
    text = (ROOT / "docs/api.md").read_text()
    found = re.search(
        f"<!-- fields: {re.escape(path)} -->\n\n(.*?)\n\n<!-- /fields -->", text, re.DOTALL
    )
    assert found
    assert found[1] == table(VOCABULARIES[path].fields)


@pytest.mark.parametrize("path", VOCABULARIES)
def test_every_field_of_the_real_client_has_a_row(path: str) -> None:
    """A client of a newer date may know more: then the table has to."""
    named = {"stream"}.union(*(each.__annotations__ for each in THEIRS[path]))
    assert named - VOCABULARIES[path].fields.keys() == set()


@pytest.mark.parametrize("path", VOCABULARIES)
def test_what_is_honoured_is_what_is_read(path: str) -> None:
    """No row promises what no code does."""
    rules = {"honoured", "emulated"}
    honoured = {name for name, row in VOCABULARIES[path].fields.items() if row.rule in rules}
    assert honoured == set(USED[path].__struct_fields__)


def _names(kind: Any) -> Iterator[str]:
    """Of all fields of a type, and of those within it."""
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield field.encode_name
            yield from _names(field.type)
    parts = [getattr(kind, name, ()) for name in ("types", "item_type", "value_type")]
    for each in (*(parts[0] or ()), *filter(None, parts[1:])):
        yield from _names(each)


@pytest.mark.parametrize("path", VOCABULARIES)
def test_every_field_has_a_remedy(path: str) -> None:
    """By its name, wherever it stands."""
    remedies = REMEDIES[path]
    named = {*_names(inspect.type_info(USED[path]))}
    assert len(named) > 5
    assert {each for each in named if each not in remedies} == set()


SAMPLES: Mapping[object, Any] = {TEXT: "a", SWITCH: True, WHOLE: 1, OBJECT: {"a": 1}, LIST: ["a"]}
CHOICES = {"function_call"}
"""Text or an object."""


@pytest.mark.parametrize(
    ("path", "name", "field"), [row for row in ROWS if row[2].rule == "ignored"], ids=str
)
def test_what_is_ignored_is_named(path: str, name: str, field: Field) -> None:
    """If it is of its kind, which nearly all have; null is of any."""
    assert (field.kind is None) == (name in CHOICES)
    for value in (None, SAMPLES.get(field.kind, 0.5)):
        body = msgspec.json.encode(LEAST[path] | {name: value})
        assert VOCABULARIES[path].parse(body, FilesConfig()).ignored == (name,)
    for wrong in ({} if field.kind in (LIST, None) else ["some"], 2.5):
        if field.kind is not None:
            body = msgspec.json.encode(LEAST[path] | {name: wrong})
            with pytest.raises(InvalidRequest) as told:
                VOCABULARIES[path].parse(body, FilesConfig())
            assert told.value.message == f"{name}: is {wrong}; {field.kind.remedy}"
            assert told.value.param == name


@pytest.mark.parametrize(
    ("path", "name", "field"), [row for row in ROWS if row[2].rule == "refused"], ids=str
)
def test_what_is_refused_says_what_to_do(path: str, name: str, field: Field) -> None:
    """By the note of its row; but not what asks for nothing."""
    with pytest.raises(InvalidRequest) as told:
        VOCABULARIES[path].parse(msgspec.json.encode(LEAST[path] | {name: ["some"]}), FilesConfig())
    assert told.value.message == f"{name}: is ['some']; {field.note}"
    for nothing in (None, [], field.plain):
        body = msgspec.json.encode(LEAST[path] | {name: nothing})
        assert VOCABULARIES[path].parse(body, FilesConfig()).ignored == (name,)


@pytest.mark.parametrize(
    ("path", "image_format"),
    [
        ("/v1/chat/completions", "data"),
        ("/v1/completions", "file"),
        ("/v1/images/generations", "file"),
        ("/v1/messages", "file"),
        ("/v1/responses", "file"),
    ],
)
def test_bytes_of_images_have_a_place(path: str, image_format: str) -> None:
    """Beside the text, or at an address of ours; whether the client or the operator wants them."""
    files = FilesConfig(image_format="data")
    asked = LEAST[path] | {"image_format": "data"}
    for body, rules in ((asked, FilesConfig()), (LEAST[path], files)):
        wish = VOCABULARIES[path].parse(msgspec.json.encode(body), rules)
        assert (wish.image_format, wish.image_bytes) == (image_format, rules.max_bytes)


def test_each_client_is_told_how_to_come_here() -> None:
    """Those that `make conformance` tries, with the addresses that hold by default."""
    text = (ROOT / "docs/clients.md").read_text()
    catalog = (ROOT / "bench/conformance/catalog.py").read_text()
    names = re.findall(r'Client\(\s*"(.+?)"', catalog)
    headings = " ".join(re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert len(names) > 5
    assert [name for name in names if re.split(r"'| \(", name)[0] not in headings] == []
    addresses = set(re.findall(r"http://[\d.:]+", text))
    assert addresses == {f"http://{Config().api.listen}"}


def test_every_header_of_our_own_is_documented() -> None:
    """Those that the code writes are those that the documentation tells of."""
    ours = re.compile(r"x-arenad-[a-z]+")
    sources = "".join(path.read_text() for path in (ROOT / "arenad/frontend").glob("*.py"))
    written = {*ours.findall(sources), "x-arenad-session", "x-arenad-message"}
    assert written == set(ours.findall((ROOT / "docs/api.md").read_text()))
