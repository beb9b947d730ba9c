"""reference: the document and its page over real sockets, and real answers held to the document."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import documented
import pytest
from api_scene import HELLO, Scene, served
from scripted import api_serving, as_test, play, stage

from arenad.errors import Resting, UpstreamFailed
from arenad.frontend import pages
from arenad.frontend.reference import PARTS
from arenad.schema.chat import Began, Heartbeat, Image, ReasoningDelta, TextDelta
from arenad.schema.keys import Key

PACKED = {"Content-Type": "application/json"}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "echo", "messages": HELLO, "seed": 1},
    "/v1/completions": {"model": "echo", "prompt": "hello", "seed": 1},
    "/v1/messages": {
        "model": "echo",
        "messages": HELLO,
        "thinking": {"type": "enabled"},
        "top_k": 1,
    },
    "/v1/responses": {"model": "echo", "input": "hello", "top_p": 1},
}
SAID = (
    Began("new", "s", "m"),
    Heartbeat(),
    ReasoningDelta("hm"),
    TextDelta("a"),
    Image("http://a/"),
)


@asynccontextmanager
async def http_to(at: Scene) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{at.address[0]}:{at.address[1]}") as session:
        yield session


async def faults_of(response: aiohttp.ClientResponse, path: str) -> list[str]:
    """What is wrong with an answer by the document."""
    headers = {name.lower(): text for name, text in response.headers.items()}
    body = await response.read()
    return documented.faults_of(response.method, path, response.status, headers, body)


# -- the document and its page --------------------------------------------------------------------


@served()
async def test_the_document_is_served(at: Scene) -> None:
    """As it is made; a client that has it is told so, whatever else it has."""
    async with http_to(at) as http, http.get("/openapi.json") as first:
        assert await first.json() == documented.DOCUMENT
        assert await faults_of(first, "/openapi.json") == []
        tag = first.headers["ETag"]
        for known, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200)):
            async with http.get("/openapi.json", headers={"If-None-Match": known}) as again:
                assert (again.status, again.headers["ETag"]) == (status, tag)
                assert bool(await again.read()) is (status == 200)
                assert await faults_of(again, "/openapi.json") == []


@served()
async def test_the_page_is_served_and_nothing_of_the_dashboard(at: Scene) -> None:
    """Each of its parts under the policy of all our pages."""
    async with http_to(at) as http:
        paths = ["/docs", *(f"/docs/static/{name}" for name in sorted(PARTS))]
        for path in paths:
            async with http.get(path) as response:
                assert response.status == 200
                for name, text in pages.HEADERS.items():
                    assert response.headers[name] == text
        for missing in ("dashboard.html", "js/main.js", "%2e%2e/arenad.yaml", ""):
            async with http.get(f"/docs/static/{missing}") as response:
                assert response.status == 404
                assert (await response.json())["error"]["code"] == "not_found"


KEY = Key(name="bob", id="0" * 16, scopes=("chat",))


@asynccontextmanager
async def behind_keys(folder: Path) -> AsyncIterator[tuple[Scene]]:
    async with stage(folder) as made:
        worker = await made.worker("w1")
        async with api_serving(made, keys=(KEY,)) as (api, address):
            yield (Scene(made, worker, api, address),)


@as_test(behind_keys)
async def test_no_key_is_asked_for(at: Scene) -> None:
    """To read it and its page; to ask for an answer, one is, and the error is told of."""
    async with http_to(at) as http:
        for path in ("/openapi.json", "/docs", "/docs/static/js/reference.js"):
            async with http.get(path) as response:
                assert response.status == 200
        for path, body in ASKED.items():
            async with http.post(path, json=body) as response:
                assert response.status == 401
                assert await faults_of(response, path) == []


# -- real answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKED)
@served()
async def test_an_answer_is_as_it_says(at: Scene, *, path: str, stream: bool) -> None:
    """With its headers, whole and as a stream."""
    async with http_to(at) as http:
        body = ASKED[path] | {"stream": stream}
        asking = asyncio.ensure_future(http.post(path, json=body))
        ask = await at.worker.asked()
        await ask.say(*SAID)
        ask.finish()
        async with await asking as response:
            assert response.status == 200
            assert {"x-arenad-ignored", "x-arenad-session"} <= {*map(str.lower, response.headers)}
            assert await faults_of(response, path) == []


@pytest.mark.parametrize("path", ASKED)
@served()
async def test_a_failure_is_as_it_says(at: Scene, *, path: str) -> None:
    """Before the answer begins, and in the middle of it."""
    async with http_to(at) as http:
        for stream, said, error in (
            (False, (), Resting("no", retry_after_s=99)),
            (True, (TextDelta("a"),), UpstreamFailed("no")),
        ):
            asking = asyncio.ensure_future(http.post(path, json=ASKED[path] | {"stream": stream}))
            ask = await at.worker.asked()
            await ask.say(*said)
            ask.fail(error)
            async with await asking as response:
                assert response.status == (200 if stream else 429)
                assert await faults_of(response, path) == []


COUNTS = {
    "/v1/messages/count_tokens": {"input_tokens": 7},
    "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": 7},
}


@pytest.mark.parametrize("path", [*ASKED, *COUNTS])
@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {"data": b"{", "headers": {"Content-Type": "application/json"}}),
        (404, {"json": {"model": "nobody"}}),
        (413, {"data": None, "headers": {"Content-Type": "application/json"}}),
        (415, {"data": b"a=b", "headers": {"Content-Type": "text/plain"}}),
        (415, {"data": b"{}", "headers": PACKED | {"Content-Encoding": "zstd"}}),
        (415, {"data": b"{}", "headers": PACKED | {"Content-Encoding": "odd"}}),
        (403, {"json": {}, "headers": {"Origin": "http://evil.example"}}),
        (403, {"json": {}, "headers": {"Host": "evil.example"}}),
        (400, {"json": {"priority": "none"}}),
    ],
)
@served()
async def test_a_refusal_is_as_it_says(
    at: Scene, *, path: str, status: int, sent: dict[str, Any]
) -> None:
    """Whatever was wrong; but counting looks for no model."""
    place = path.rpartition("/")[0] if path in COUNTS else path
    given = {**sent, "json": ASKED[place] | sent["json"]} if "json" in sent else {**sent}
    if status == 413:
        given["data"] = io.BytesIO(b" " * 2_000_000)
    async with http_to(at) as http, http.post(path, **given) as response:
        body = json.loads(await response.read())
        if status == 404 and path != place:
            assert body == COUNTS[path]
        else:
            assert response.status == status
        assert await faults_of(response, path) == []


@pytest.mark.parametrize("version", [{}, {"anthropic-version": "2023-06-01"}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/v1/models", "/v1/models", 200),
        ("/v1/models/{id}", "/v1/models/echo", 200),
        ("/v1/models/{id}", "/v1/models/no/body", 404),
        ("/v1/files/{id}/content", "/v1/files/x/content", 404),
        ("/healthz", "/healthz", 200),
        ("/health", "/health", 200),
        ("/readyz", "/readyz", 200),
        ("/docs", "/docs", 200),
        ("/docs/static/{path}", "/docs/static/css/base.css", 200),
        ("/docs/static/{path}", "/docs/static/x", 404),
    ],
)
@served()
async def test_the_rest_is_as_it_says(
    at: Scene, *, method: str, path: str, asked: str, status: int, version: dict[str, str]
) -> None:
    """What is only looked at, in both makers' words."""
    async with http_to(at) as http, http.request(method, asked, headers=version) as response:
        assert response.status == status
        assert await faults_of(response, path) == []


@served()
async def test_not_ready_is_as_it_says(at: Scene) -> None:
    """Which is an answer, and no error."""
    at.api.is_closing = True
    async with http_to(at) as http, http.get("/readyz") as response:
        assert response.status == 503
        assert await faults_of(response, "/readyz") == []


def test_a_kept_image_is_as_it_says(tmp_path: Path) -> None:
    """With the headers that keep it from being a page of ours."""

    async def story() -> None:
        async with stage(tmp_path) as made, api_serving(made, files_dir=str(tmp_path)) as it:
            api, (host, port) = it
            name = await api.kept.keep(b"<svg/>", "image/svg+xml")
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://{host}:{port}/v1/files/{name}/content") as response,
            ):
                assert response.status == 200
                assert await faults_of(response, "/v1/files/{id}/content") == []

    play(story())
