"""images: prompts in, images out, held against the real client's own types."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import ImageGenCompletedEvent, ImagesResponse

from arenad.errors import InvalidRequest, UpstreamFailed
from arenad.frontend import images, openai
from arenad.frontend.vocabulary import Side, Usage, Wish
from arenad.schema.chat import (
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
    failure_of,
)
from arenad.schema.config import FilesConfig
from arenad.schema.process import Model

USAGE = Usage(3, 4)
USAGE_FIELDS = {
    "input_tokens": 3,
    "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
    "output_tokens": 4,
    "total_tokens": 7,
}
FILES = FilesConfig(max_bytes=7)


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "draws", "prompt": "a boat"} | fields)


def test_a_prompt_is_a_users_message() -> None:
    """What a page has no switch for is named, and changes nothing."""
    wish = images.parse(_body(size="256x256", n=1, quality="low"), FILES)
    assert wish == Wish(
        model="draws",
        turns=(Turn(role="user", text="a boat"),),
        stream=False,
        include_usage=True,
        ignored=("quality", "size"),
        battle_target="A",
        prompt_tokens=8,
        wants_image=True,
    )


@pytest.mark.parametrize(
    ("fields", "image_format", "image_bytes"),
    [
        ({}, "url", 0),
        ({"response_format": "url"}, "url", 0),
        ({"response_format": "url", "image_format": "file"}, "file", 7),
        ({"image_format": "data"}, "file", 7),
        ({"response_format": "b64_json"}, "data", 7),
        ({"response_format": "b64_json", "image_format": "url"}, "data", 7),
        ({"stream": True}, "data", 7),
        ({"stream": True, "response_format": "b64_json"}, "data", 7),
    ],
)
def test_an_image_comes_as_it_is_wanted(
    fields: dict[str, Any], image_format: str, image_bytes: int
) -> None:
    """By an address, the site's or ours; or as bytes, which the browser has to bring."""
    wish = images.parse(_body(**fields), FILES)
    assert (wish.image_format, wish.image_bytes) == (image_format, image_bytes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": " "}, "prompt: hold no text; say something"),
        ({"prompt": ["a"]}, "prompt: is ['a']; must be text"),
        (
            {"model": None},
            "model: is None; must be the name of a model that makes images; GET /v1/models tells `capabilities`",
        ),
        ({"response_format": "png"}, "response_format: is 'png'; must be url or b64_json"),
        (
            {"stream": True, "response_format": "url"},
            "response_format: is 'url'; the events of a stream bring bytes; choose b64_json, or no stream",
        ),
        (
            {"battle_target": "both"},
            "battle_target: is 'both'; there is one author here; choose A or B",
        ),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], message: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidRequest) as told:
        images.parse(_body(**fields))
    assert (told.value.message, told.value.param) == (message, message.partition(":")[0])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON, st.sampled_from(["model", "prompt", "stream", "n", "response_format", "size"]))
def test_no_field_raises_anything_else(value: object, name: str) -> None:
    """Any value in any field of an otherwise good body."""
    with suppress(InvalidRequest):
        images.parse(json.dumps({"model": "draws", "prompt": "a boat", name: value}).encode())


MODELS = (Model("echo"), Model("draws", capabilities=("text", "image_out")))


def test_a_model_has_to_make_images() -> None:
    """Those that do are named; one that is not there is found missing elsewhere."""
    images.check_model("draws", MODELS)
    images.check_model("none", MODELS)
    images.check_model("echo", ())
    with pytest.raises(InvalidRequest) as told:
        images.check_model("echo", MODELS)
    assert told.value.message == "model: is 'echo', which makes no images; choose one of draws"
    with pytest.raises(InvalidRequest, match=r"no model here does, .* \(models.capabilities\)"):
        images.check_model("echo", MODELS[:1])


# -- out ------------------------------------------------------------------------------------------


def _writer(**fields: Any) -> images.Writer:
    return images.Writer("1", images.parse(_body(**fields)), 1_700_000_000)


def _frames(written: bytes) -> list[Any]:
    """The events; comments are left out."""
    found: list[Any] = []
    for text in written.decode().removesuffix("\n\n").split("\n\n"):
        if not text.startswith(":"):
            name, told = text.split("\n")
            found.append(frame := json.loads(told.removeprefix("data: ")))
            assert name == f"event: {frame['type']}"
            ImageGenCompletedEvent.model_validate(frame, strict=True)
    return found


def _side(*events: Event) -> Side:
    side = Side(0)
    for event in events:
        side.take(event)
    return side


PNG, JPEG = "data:image/png;base64,AAAA", "data:image/jpeg;base64,BBBB"


def test_all_images_of_an_answer_are_told() -> None:
    """By address or as bytes; what is said beside them is not."""
    side = _side(TextDelta("here"), Image("http://a/"), Image("http://b/"), Finish("stop"))
    body = json.loads(_writer().whole([side], USAGE))
    assert body == {
        "created": 1_700_000_000,
        "data": [{"url": "http://a/"}, {"url": "http://b/"}],
        "usage": USAGE_FIELDS,
    }
    side = _side(Image(PNG), Finish("stop"))
    body = json.loads(_writer(response_format="b64_json").whole([side], USAGE))
    assert body["data"] == [{"b64_json": "AAAA"}]
    ImagesResponse.model_validate(body, strict=True)


def test_each_image_of_a_stream_is_an_event() -> None:
    """The last one tells the counts of all."""
    writer = _writer(stream=True)
    events = (Heartbeat(), TextDelta("here"), Image(PNG), Image(JPEG), Finish("stop"))
    written = writer.first() + b"".join(map(writer.event, events)) + writer.end(USAGE)
    one, other = _frames(written)
    assert (one["b64_json"], one["output_format"]) == ("AAAA", "png")
    assert (other["b64_json"], other["output_format"]) == ("BBBB", "jpeg")
    assert (one["usage"]["total_tokens"], other["usage"]) == (0, USAGE_FIELDS)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((), "the answer has no image"),
        ((ReasoningDelta("hm"),), "the answer has no image"),
        ((TextDelta("I cannot\n"), TextDelta("draw")), "…, and says: I cannot draw"),
        ((Citation("http://a/", "A"),), "…, and says: [A](http://a/)"),
        ((TextDelta("a" * 150), TextDelta("b" * 150)), f"…, and says: {'a' * 150 + 'b' * 50}…"),
    ],
)
def test_an_answer_without_an_image_is_an_error(events: tuple[Event, ...], told: str) -> None:
    """Which says, shortly, what came instead."""
    told = told.replace("…,", "the answer has no image,", 1)
    with pytest.raises(images.NoImage) as whole:
        _writer().whole([_side(*events)], USAGE)
    assert (whole.value.http_status, whole.value.code) == (502, "no_image")
    assert whole.value.message == told
    writer = _writer(stream=True)
    for event in events:
        assert writer.event(event) == b": the site is at work\n\n"
    with pytest.raises(images.NoImage) as streamed:
        writer.end(USAGE)
    assert streamed.value.message == told


@pytest.mark.parametrize("url", ["http://a/", "data:image/svg+xml,<svg/>", "data:,"])
def test_bytes_that_nobody_has_are_an_error(url: str) -> None:
    """Which says how the image may be had."""
    with pytest.raises(images.NoImage, match=r"files.max_bytes; ask for response_format url"):
        _writer(response_format="b64_json").whole([_side(Image(url))], USAGE)
    writer = _writer(stream=True)
    writer.event(Image(url))
    with pytest.raises(images.NoImage):
        writer.end(USAGE)
    body = json.loads(_writer().whole([_side(Image(url))], USAGE))
    assert body["data"] == [{"url": url}]


def test_each_of_several_answers_needs_an_image() -> None:
    """All of them are told together; one without is an error that quotes it."""
    drawn, said = _side(Image("http://a/")), _side(TextDelta("I will not"))
    body = json.loads(_writer(n=2).whole([drawn, drawn], USAGE))
    assert body["data"] == [{"url": "http://a/"}] * 2
    with pytest.raises(images.NoImage, match="I will not"):
        _writer(n=2).whole([drawn, said], USAGE)
    writer = _writer(n=2, stream=True)
    events = (Image(PNG), Image(JPEG, 1), Finish("stop"), Finish("stop", 1))
    written = b"".join(map(writer.event, events)) + writer.end(USAGE)
    assert [each["b64_json"] for each in _frames(written)] == ["AAAA", "BBBB"]
    writer = _writer(n=2, stream=True)
    for event in (Image(PNG, 1), Image(PNG, 1), TextDelta("I will not"), Finish("stop")):
        writer.event(event)
    with pytest.raises(images.NoImage, match="I will not"):
        writer.end(USAGE)
    with pytest.raises(InvalidRequest, match="n: is 11; must be a whole number from 1 to 10"):
        images.parse(_body(n=11))


def test_a_side_that_failed_is_an_error() -> None:
    """Before the stream and in it."""
    failed = SideFailed(failure_of(UpstreamFailed("no")))
    with pytest.raises(UpstreamFailed, match="no"):
        _writer().whole([_side(Image(PNG)), _side(failed)], USAGE)
    with pytest.raises(UpstreamFailed, match="no"):
        _writer(stream=True).event(failed)
    error = UpstreamFailed("no")
    assert _writer().failed(error) == b"data: " + openai.refusal(error).body + b"\n\n"
