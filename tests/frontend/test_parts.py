"""Content parts: what comes in as text, images and files, and everything that does not."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import InvalidRequest
from arenad.frontend import openai, parts
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import Attachment
from arenad.schema.config import FilesConfig

LIMITS = FilesConfig(max_bytes=100, max_count=3, max_total_bytes=150)
FETCHING = FilesConfig(fetch_urls=True)


def _url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _image(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def _file(data: str, **more: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, **more}}


def _wish(*content: object, limits: FilesConfig = LIMITS, role: str = "user") -> Wish:
    first = {"role": "user", "content": "hello"}
    messages = [first, {"role": role, "content": content}]
    return openai.parse(json.dumps({"model": "m", "messages": messages}).encode(), limits)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@given(st.binary(min_size=1, max_size=100), st.booleans())
def test_every_byte_arrives(content: bytes, is_wrapped: bool) -> None:
    """Base64 in one line, or wrapped as mail wraps it."""
    url = _url(content)
    if is_wrapped:
        url = url.replace(",", ",\r\n ") + "\n"
    (file,) = _wish(_image(url, detail="high")).turns[1].attachments
    assert file == Attachment(
        name="image-1.png",
        content_type="image/png",
        content=content,
        param="messages[1].content[0].image_url.url",
    )


def test_parts_in_any_order() -> None:
    """Texts become one, files keep their order and names; base64 alone goes by its name."""
    turn = _wish(
        _text("a"),
        _image(_url(b"1", "image/JPG").replace(",", ", \t\r\n")),
        _text("b"),
        _file(base64.b64encode(b"2").decode(), filename="paper.pdf"),
        _file(_url(b"3", "text/csv"), filename="../x.csv"),
    ).turns[1]
    assert turn.text == "a\n\nb"
    assert [(each.name, each.content_type, each.content) for each in turn.attachments] == [
        ("image-1.jpg", "image/jpeg", b"1"),
        ("paper.pdf", "application/pdf", b"2"),
        ("x.csv", "text/csv", b"3"),
    ]


@pytest.mark.parametrize(
    ("part", "field", "said"),
    [
        (
            _image(_url(b"x" * 101)),
            "image_url.url",
            "is 101 bytes; 100 are taken (files.max_bytes)",
        ),
        (_image("data:image/png;base64,%%%"), "image_url.url", "which is not base64"),
        (_image("data:image/png;base64,YQ"), "image_url.url", "which is not base64"),
        (_image("data:image/png;base64,é"), "image_url.url", "which is not base64"),
        (_image("data:" + "a" * 500_000), "image_url.url", "must be a data URL such as"),
        (
            _image("data:image/png;base64," + "AA " * 300_000),
            "image_url.url",
            "are taken (files.max_bytes)",
        ),
        (_image("data:image/png;base64,"), "image_url.url", "is an empty file; leave it out"),
        (_image("data:image/png,abc"), "image_url.url", "must be in base64"),
        (_image(_url(b"x", "image/tiff")), "image_url.url", "is of type 'image/tiff'; taken are"),
        (_image("/etc/passwd"), "image_url.url", "must be a data URL such as"),
        (_image("file:///etc/passwd"), "image_url.url", "must be a data URL such as"),
        (
            _image("https://a.example/x.png"),
            "image_url.url",
            "have the operator set files.fetch_urls",
        ),
        (_file("YWJj"), "file.file_data", "has no type, and the filename '' tells none"),
        (_file("YWJj", filename="x.odd"), "file.file_data", "the filename 'x.odd' tells none"),
        (_file("Y", filename="a.txt"), "file.file_data", "which is not base64"),
        (
            {"type": "file", "file": {"file_id": "f"}},
            "file.file_id",
            "is 'f', and no files are stored here",
        ),
        (
            {"type": "file", "file": {}},
            "file.file_data",
            "is missing; must be a data",
        ),
        ({"type": "image_url"}, "image_url", "is missing; must be an object with url"),
        (
            {"type": "image_url", "image_url": {"url": 5}},
            "image_url.url",
            "is 5; must be a data URL",
        ),
        (
            {"type": "input_audio"},
            "type",
            "is 'input_audio'; must be text, refusal, image_url or file",
        ),
        ({"text": "x"}, "type", "is missing; must be text, refusal, image_url or file"),
    ],
)
def test_a_bad_part_is_named(part: dict[str, Any], field: str, said: str) -> None:
    """Field, value, remedy; and of a long value only its beginning."""
    with pytest.raises(InvalidRequest) as told:
        _wish(_text("hello"), part)
    assert told.value.param == f"messages[1].content[1].{field}"
    assert told.value.message.startswith(f"{told.value.param}: ")
    assert said in told.value.message
    assert len(told.value.message) < 400


def test_too_many_and_too_much() -> None:
    """Counted over all messages of the request."""
    with pytest.raises(InvalidRequest, match=r"is file 4 of the request; 3 are taken"):
        _wish(*[_image(_url(b"x"))] * 4)
    with pytest.raises(InvalidRequest, match=r"makes 160 bytes of files; 150 are taken"):
        _wish(*[_image(_url(b"x" * 80))] * 2)


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_files_belong_to_users(role: str) -> None:
    """Nobody else can attach anything to a chat page; it is not dropped in silence."""
    with pytest.raises(
        InvalidRequest, match="is not of role user; put it into one that is"
    ) as told:
        _wish(_image(_url(b"x")), role=role)
    assert told.value.param == "messages[1].content[0]"
    assert "x" in _wish(_text("x"), role=role).turns[1].text


def test_fetched_files_stand_where_they_were_put() -> None:
    """Between those that came with the request, in order."""
    wish = _wish(
        _image("http://a.example/1"),
        _image(_url(b"2")),
        _file("https://a.example/3", filename="three.txt"),
        limits=FETCHING,
    )
    assert [each.param for each in wish.remote] == [
        "messages[1].content[0].image_url.url",
        "messages[1].content[2].file.file_data",
    ]
    fetched = [
        Attachment(name=each.name, content_type="text/plain", content=each.url.encode())
        for each in wish.remote
    ]
    turn = parts.placed(wish.turns, wish.remote, fetched)[1]
    assert [(each.name, each.content) for each in turn.attachments] == [
        ("file-1.txt", b"http://a.example/1"),
        ("image-2.png", b"2"),
        ("three.txt", b"https://a.example/3"),
    ]


def test_an_attachment_keeps_its_content_to_itself() -> None:
    """Logs and tracebacks show what it is, never what is in it."""
    assert repr(_wish(_image(_url(b"secret"))).turns[1].attachments[0]) == (
        "Attachment(name='image-1.png', 6 bytes)"
    )


def test_how_images_are_told() -> None:
    """By the request, else by the configuration; bytes are only brought where they are wanted."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    for asked, config, told in (
        (None, "url", ("url", 0)),
        (None, "file", ("file", 100)),
        ("data", "url", ("data", 100)),
        ("url", "file", ("url", 0)),
    ):
        limits = FilesConfig(max_bytes=100, image_format=config)
        wish = openai.parse(json.dumps({**body, "image_format": asked}).encode(), limits)
        assert (wish.image_format, wish.image_bytes) == told
    with pytest.raises(
        InvalidRequest, match="image_format: is 'png'; must be one of url, data, file"
    ):
        openai.parse(json.dumps({**body, "image_format": "png"}).encode())
