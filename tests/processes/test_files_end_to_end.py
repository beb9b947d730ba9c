"""Files in and images out, from the OpenAI client to the page and back."""

import asyncio
import base64
import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

import openai
import pytest
from chats import client
from daemon import Daemon, running
from openai.types.chat import ChatCompletionMessageParam

from arenad.demo.drawing import picture

PICTURE = picture("rings")
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def one() -> Iterator[Daemon]:
    """One instance behind two frontends."""
    with running(1, frontend={"processes": 2}) as daemon:
        yield daemon


def _data(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _with_files(text: str) -> list[ChatCompletionMessageParam]:
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": _data(PICTURE), "detail": "high"}},
                {
                    "type": "file",
                    "file": {"filename": "paper.pdf", "file_data": _data(PDF, "application/pdf")},
                },
            ],
        }
    ]


def _message(daemon: Daemon, messages: list[ChatCompletionMessageParam], **more: Any) -> Any:
    async def ask() -> Any:
        async with client(daemon.api_url) as each:
            answer = await each.chat.completions.create(messages=messages, **more)
            return answer.choices[0].message

    return asyncio.run(ask())


def _images(message: Any) -> list[str]:
    return [each["image_url"]["url"] for each in message.model_extra.get("images", [])]


def _get(url: str) -> tuple[str, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()


def test_files_arrive_to_the_byte(one: Daemon) -> None:
    """What the site says that it received; nothing of it is left on disk."""
    said = _message(one, _with_files("look"), model="demo-files").content
    told = [json.loads(line) for line in said.splitlines()]
    assert [(each["name"], each["type"], each["sha256"]) for each in told] == [
        ("image-1.png", "image/png", hashlib.sha256(PICTURE).hexdigest()),
        ("paper.pdf", "application/pdf", hashlib.sha256(PDF).hexdigest()),
    ]
    assert list((one.runtime / "workers").rglob("upload-*")) == []


def test_a_conversation_with_files_goes_on(one: Daemon) -> None:
    """In the site's own chat, with the new turn's files alone."""
    first = _with_files("look")
    said = _message(one, first, model="demo-files").content
    more: list[ChatCompletionMessageParam] = [
        *first,
        {"role": "assistant", "content": said},
        *_with_files("look again"),
    ]
    told = _message(one, more, model="demo-files").content.splitlines()
    assert [json.loads(line)["name"] for line in told] == ["image-3.png", "paper.pdf"]


def test_bad_files_are_the_clients_fault(one: Daemon) -> None:
    """Before a page is touched, or by the page's own list of what models take."""
    messages = _with_files("look")
    with pytest.raises(openai.BadRequestError) as told:
        _message(one, messages, model="demo-echo")
    assert "demo-echo, which takes no files" in str(told.value)
    parts = cast("list[Any]", messages[0].get("content"))
    parts[1]["image_url"]["url"] = "https://example.org/x.png"
    with pytest.raises(openai.BadRequestError) as told:
        _message(one, messages, model="demo-files")
    assert told.value.param == "messages[0].content[1].image_url.url"
    assert "files.fetch_urls" in str(told.value)


def test_images_by_the_sites_address(one: Daemon) -> None:
    """As Markdown, and in the field that other clients read."""
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "a boat"}]
    message = _message(one, asked, model="demo-image")
    (url,) = _images(message)
    assert message.content == f"![image]({url})"
    assert url.startswith(f"{one.demo_url}/demo/storage/")


def test_images_as_data(one: Daemon) -> None:
    """Beside the text, which clients send back with the next message; streamed, too."""

    async def ask() -> tuple[str, list[str]]:
        async with client(one.api_url) as each:
            stream = await each.chat.completions.create(
                model="demo-image",
                messages=[{"role": "user", "content": "a boat"}],
                stream=True,
                extra_body={"image_format": "data"},
            )
            text, urls = "", list[str]()
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
                urls += _images(chunk.choices[0].delta)
            return text, urls

    assert asyncio.run(ask()) == ("", [_data(picture("a boat"))])


def test_images_kept_for_a_while(one: Daemon) -> None:
    """Served by whichever frontend is asked, to the byte, as an image and as nothing else."""
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "a ship"}]
    more = {"model": "demo-image", "extra_body": {"image_format": "file"}}
    message = _message(one, asked, **more)
    (url,) = _images(message)
    assert message.content == f"![image]({url})"
    assert re.fullmatch(rf"{one.api_url}/v1/files/file-[0-9a-f]{{32}}/content", url)
    for _ in range(8):
        assert _get(url) == ("image/png", picture("a ship"))
    with pytest.raises(urllib.error.HTTPError) as told:
        _get(url.replace("/file-", "/file-0"))
    with told.value:
        assert told.value.code == 404
    assert {path.stat().st_mode & 0o777 for path in (one.runtime / "files").iterdir()} == {0o600}


@pytest.mark.parametrize("more", [{}, {"image_format": "file"}])
def test_images_that_are_asked_for(one: Daemon, more: dict[str, str]) -> None:
    """By the words for images alone: an address, the site's or ours, behind which stands the image."""

    async def ask() -> list[str]:
        async with client(one.api_url) as each:
            answer = await each.images.generate(
                model="demo-image", prompt="a canoe", extra_body=more
            )
            return [image.url or "" for image in answer.data or ()]

    (url,) = asyncio.run(ask())
    assert url.startswith(f"{one.api_url}/v1/files/" if more else f"{one.demo_url}/demo/storage/")
    assert _get(url) == ("image/png", picture("a canoe"))


def test_images_that_are_asked_for_as_bytes(one: Daemon) -> None:
    """To the byte, whole and streamed, all that one answer has."""
    prompt = "a canoe [[demo:two-images]]"

    async def ask() -> list[str | None]:
        async with client(one.api_url) as each:
            answer = await each.images.generate(
                model="demo-image", prompt=prompt, response_format="b64_json"
            )
            stream = await each.images.generate(model="demo-image", prompt=prompt, stream=True)
            return [
                *(image.b64_json for image in answer.data or ()),
                *[event.b64_json async for event in stream],
            ]

    told = [base64.b64decode(each or "") for each in asyncio.run(ask())]
    assert told == [picture("a canoe"), picture("a canoe\n1")] * 2


def test_models_that_draw_nothing_are_told(one: Daemon) -> None:
    """With those that do, before a page is asked."""

    async def ask() -> None:
        async with client(one.api_url) as each:
            await each.images.generate(model="demo-echo", prompt="a canoe")

    with pytest.raises(openai.BadRequestError, match="makes no images; choose one of demo-image"):
        asyncio.run(ask())


def test_nothing_is_kept_beyond_the_daemon() -> None:
    """Neither of images nor of uploads."""
    with running(1, files={"image_format": "file"}) as daemon:
        asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "a raft"}]
        (url,) = _images(_message(daemon, asked, model="demo-image"))
        assert _get(url) == ("image/png", picture("a raft"))
        daemon.stop()
        assert list((daemon.runtime / "files").iterdir()) == []
