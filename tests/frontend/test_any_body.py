"""What the vocabularies make of any body: a wish, or an `InvalidRequest` that a client can read."""

import json
from typing import Any

import bodies
import documented
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arenad.errors import InvalidRequest
from arenad.frontend.api import VOCABULARIES
from arenad.frontend.vocabulary import Wish
from arenad.schema.config import FilesConfig

FILES = FilesConfig(fetch_urls=True)

each_path = pytest.mark.parametrize("path", VOCABULARIES)


def judged(path: str, body: bytes) -> Wish | None:
    """The wish, or none; whatever else is raised is a fault, and so is an error of no use."""
    words = VOCABULARIES[path]
    try:
        return words.parse(body, FILES)
    except InvalidRequest as error:
        refused = error
    told = words.refusal(refused)
    assert 400 <= told.status < 500
    schema = documented.refusal_of(path, told.status)
    assert not documented.faults_in(schema, msgspec.json.decode(told.body))
    assert len(refused.message) < 2000
    return None


@each_path
@given(body=st.binary(max_size=200))
@example(body=b'{"model": "\\ud800"}')
@example(body=b'{"model": ' + b"1" * 5000 + b"}")
@example(body=b"[" * 100_000)
@example(body=b'{"a":' * 100_000)
@example(body=b"\xef\xbb\xbf{}")
def test_any_bytes(path: str, body: bytes) -> None:
    """Most are no JSON."""
    judged(path, body)


@each_path
@given(drawn=st.data())
def test_any_body_of_the_document(path: str, drawn: st.DataObject) -> None:
    """Those that it describes; what is taken is answerable in that vocabulary, whole."""
    body = drawn.draw(bodies.of(documented.taken(path)))
    wish = judged(path, json.dumps(body).encode())
    if wish is not None:
        assert wish.model == body["model"]
        assert any(turn.text.strip() for turn in wish.turns)
        writer = VOCABULARIES[path].writer("1", wish, 0)
        writer.first()


@each_path
@given(drawn=st.data())
def test_any_body_with_something_wrong(path: str, drawn: st.DataObject) -> None:
    """Another value in any place, or none, or twice."""
    body = drawn.draw(bodies.of(documented.taken(path)))
    for _ in range(drawn.draw(st.integers(1, 3))):
        body = drawn.draw(bodies.wrong(body))
    taken = judged(path, json.dumps(body).encode())
    if taken is not None:
        assert documented.faults_in(documented.taken(path), body) == []


@each_path
@given(drawn=st.data())
def test_any_body_with_a_byte_wrong(path: str, drawn: st.DataObject) -> None:
    """Cut, flipped, put in: also within an escape or a character."""
    ascii_only = drawn.draw(st.booleans())
    whole = json.dumps(drawn.draw(bodies.of(documented.taken(path))), ensure_ascii=ascii_only)
    raw = bytearray(whole.encode("utf-8", "surrogatepass"))
    at = drawn.draw(st.integers(0, len(raw) - 1))
    match drawn.draw(st.sampled_from(["cut", "flip", "put in"])):
        case "cut":
            del raw[at:]
        case "flip":
            raw[at] = drawn.draw(st.integers(0, 255))
        case _:
            raw[at:at] = drawn.draw(st.binary(min_size=1, max_size=4))
    judged(path, bytes(raw))


def test_what_is_wrong_is_wrong() -> None:
    """The bodies are of many kinds: some are taken, and of those with something wrong some are not."""
    verdicts: dict[str, set[bool]] = {}

    @given(drawn=st.data())
    def look(drawn: st.DataObject) -> None:
        for path in VOCABULARIES:
            body: Any = drawn.draw(bodies.of(documented.taken(path)))
            taken = judged(path, json.dumps(body).encode()) is not None
            verdicts.setdefault(path, set()).add(taken)

    look()
    assert verdicts == {path: {True, False} for path in VOCABULARIES}
