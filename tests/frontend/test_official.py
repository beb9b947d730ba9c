"""Every answer that the vocabularies can write, held to their makers' own descriptions, and ours."""

import json
from typing import Any

import documented
import msgspec
import official
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import KINDS, UpstreamFailed
from arenad.frontend.api import VOCABULARIES
from arenad.frontend.vocabulary import Shown, Side, ToolCall, Usage, Vocabulary
from arenad.schema.chat import (
    Began,
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    TextDelta,
)
from arenad.schema.config import FilesConfig

PROMPTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "hello"},
    "/v1/images/generations": {"prompt": "a boat"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hello"}]},
}
FORGOTTEN = "/v1/messages", "too_long"
"""Anthropic's page "Errors" has the type `request_too_large`, and the description has it not."""

URLS = st.sampled_from(["http://127.0.0.1/a", "data:image/png;base64,AAAA"])
ARGUMENTS = st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps)
EVENTS: st.SearchStrategy[Shown] = st.one_of(
    st.builds(TextDelta, st.text()),
    st.builds(ReasoningDelta, st.text()),
    st.builds(Image, URLS),
    st.builds(Citation, URLS, st.text()),
    st.builds(ToolCall, st.from_regex(r"\A[0-9a-f]{32}\Z"), st.text(min_size=1), ARGUMENTS),
    st.just(Heartbeat()),
    st.just(Began("new")),
)
FINISHES = st.builds(Finish, st.sampled_from(["stop", "length", "content_filter"]))


DRAWN = Image("data:image/png;base64,AAAA")
"""What the answer of each model that makes images has."""


def fitting(path: str, events: list[Shown]) -> list[Shown]:
    """The events, as they may come at this place: of images in bytes, and not without any."""
    if not path.startswith("/v1/images/"):
        return events
    return [DRAWN if isinstance(each, Image) else each for each in events] + [DRAWN]


each_path = pytest.mark.parametrize("path", VOCABULARIES)


def writer_of(path: str, **more: Any) -> Any:
    words: Vocabulary = VOCABULARIES[path]
    body = msgspec.json.encode({"model": "m", **PROMPTS[path], **more})
    return words.writer("1", words.parse(body, FilesConfig()), 1_790_000_000)


def place_of(path: str) -> official.Place:
    place = official.place_of(path)
    assert place
    return place


def begun(path: str, writer: Any) -> bytes:
    """All of an answer but its end."""
    events = [*fitting(path, [TextDelta("a")]), Finish("stop")]
    return b"".join(map(writer.event, events))


@each_path
@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": True}}])
@given(events=st.lists(EVENTS), finish=FINISHES)
def test_each_stream_is_valid(
    path: str, more: dict[str, Any], events: list[Shown], finish: Finish
) -> None:
    """Whatever comes of a page, in each event, and how the stream ends."""
    writer = writer_of(path, stream=True, **more)
    told = map(writer.event, [*fitting(path, events), finish])
    frames = [writer.first(), *told, writer.end(Usage(1, 2))]
    count, faults = official.faults_of_stream(place_of(path), b"".join(frames))
    assert not faults
    assert count > 0
    assert not documented.faults_of_events(documented.events_of(path), b"".join(frames))


ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}


@pytest.mark.parametrize(
    "choice", ["none", "auto", "required", {"type": "function", "name": "f"}, ALLOWED]
)
def test_a_response_tells_its_tools(choice: Any) -> None:
    """As it was given them, with the choice."""
    path = "/v1/responses"
    tools = [{"type": "function", "name": "f", "strict": True}]
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    said = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": False}
    said |= {"max_output_tokens": 9, "text": {"format": form}}
    writer = writer_of(path, **said)
    whole = writer.whole([Side(0, calls=[ToolCall("1", "f", "{}")], reason="stop")], Usage(1, 2))
    assert not official.faults_of(place_of(path), 200, whole)
    assert not documented.faults_in(documented.whole_of(path), json.loads(whole))
    told = json.loads(whole)
    [tool] = told["tools"]
    assert tool == {"description": "", "parameters": None} | tools[0]
    assert {name: told[name] for name in said} == said | {"tools": [tool]}


@each_path
@given(events=st.lists(EVENTS), finish=FINISHES)
def test_each_whole_answer_is_valid(path: str, events: list[Shown], finish: Finish) -> None:
    """The same, as one object."""
    side = Side(0)
    for event in [*fitting(path, events), finish]:
        side.take(event)
    whole = writer_of(path).whole([side], Usage(1, 2))
    assert not official.faults_of(place_of(path), 200, whole)
    assert not documented.faults_in(documented.whole_of(path), msgspec.json.decode(whole))


@each_path
@pytest.mark.parametrize("kind", KINDS)
def test_each_error_is_valid(path: str, kind: str) -> None:
    """Instead of an answer, and in the middle of one."""
    error = KINDS[kind]("no", param="model")
    refusal = VOCABULARIES[path].refusal(error)
    is_described = (path, kind) != FORGOTTEN
    assert not official.faults_of(place_of(path), refusal.status, refusal.body) or not is_described
    body = msgspec.json.decode(refusal.body)
    if kind not in {"refused", "cancelled"}:  # these reach no client of the endpoint
        assert not documented.faults_in(documented.refusal_of(path, refusal.status), body)
    writer = writer_of(path, stream=True)
    frames = writer.first() + begun(path, writer) + writer.failed(error)
    assert not official.faults_of_stream(place_of(path), frames)[1] or not is_described
    assert not documented.faults_of_events(documented.events_of(path), frames)


@each_path
def test_the_judge_says_no(path: str) -> None:
    """Of a stream without its end, of one that goes on behind an error, of an empty object."""
    place = place_of(path)
    writer = writer_of(path, stream=True)
    unended = writer.first() + begun(path, writer)
    assert official.faults_of_stream(place, unended)[1]
    failed = writer.failed(UpstreamFailed("no"))
    assert official.faults_of_stream(place, unended + failed + writer.end(Usage(1, 2)))[1]
    assert official.faults_of(place, 200, b"{}")
    assert official.faults_of(place, 400, b"{}")
    side = Side(0, images=[DRAWN])
    more = msgspec.json.decode(writer_of(path).whole([side], Usage(1, 2))) | {"more": 1}
    assert documented.faults_in(documented.whole_of(path), more)
    assert documented.faults_in(documented.events_of(path), {})
    assert documented.faults_in(documented.refusal_of(path, 400), {})
    with pytest.raises(ValueError, match="within an event"):
        official.faults_of_stream(place, unended[:-1])
