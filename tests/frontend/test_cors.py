"""cors: which pages of other origins are served, over real sockets."""

from typing import Any

import pytest
from api_scene import CHAT, chat
from scripted import Wire, api_serving, play, stage

from arenad.frontend import cors
from arenad.frontend.openapi_headers import HEADERS
from arenad.schema.config import ApiConfig

PAGE = "https://chat.example"
ONLY = ApiConfig(cors_origins=(PAGE,))


def asked(folder: Any, limits: ApiConfig, head: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer to a request without a body."""
    got = []

    async def story() -> None:
        async with stage(folder) as scene, api_serving(scene, limits=limits) as (_, address):
            wire = await Wire.to(address)
            wire.send(head, Host="localhost", **headers)
            got.append(await wire.head())

    play(story())
    return got[0]


@pytest.mark.parametrize("origins", [(PAGE,), ("*",)])
def test_a_preflight(origins: tuple[str, ...], tmp_path) -> None:
    """The page's browser learns what it may send, and that it may."""
    status, headers = asked(
        tmp_path,
        ApiConfig(cors_origins=origins),
        "OPTIONS /v1/chat/completions HTTP/1.1",
        Origin=PAGE,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization, content-type, x-stainless-os",
    )
    assert status == 204
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
    wanted = "authorization, content-type, x-stainless-os"
    assert headers["access-control-allow-headers"] == wanted
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("limits", "origin"), [(ONLY, "https://evil.example"), (ONLY, "null"), (ApiConfig(), PAGE)]
)
def test_others_are_not_let_in(limits: ApiConfig, origin: str, tmp_path) -> None:
    """Neither by the preflight nor, where a browser sends none, by the request."""
    head = "OPTIONS /v1/chat/completions HTTP/1.1"
    asks = {"Origin": origin, "Access_Control_Request_Method": "POST"}
    status, headers = asked(tmp_path, limits, head, **asks)
    assert (status, headers["allow"]) == (405, "POST")
    assert "access-control-allow-origin" not in headers
    assert asked(tmp_path, limits, CHAT, Origin=origin)[0] == 403


def test_a_page_is_answered(tmp_path) -> None:
    """It may read the answer, its headers, and what went wrong."""

    async def story() -> None:
        async with stage(tmp_path) as scene, api_serving(scene, limits=ONLY) as (_, address):
            (worker,) = await scene.staff("w1")
            wire = await Wire.to(address)
            chat(wire, origin=PAGE)
            await (await worker.asked()).tell("a")
            status, headers, _ = await wire.answer()
            assert status == 200
            assert headers["access-control-allow-origin"] == PAGE
            assert "x-request-id" in headers["access-control-expose-headers"]
            chat(wire, origin=PAGE, n=7)
            status, headers, _ = await wire.answer()
            assert (status, headers["access-control-allow-origin"]) == (400, PAGE)

    play(story())


def test_origins_are_told_apart_whole() -> None:
    """No part of one is enough, and the case of letters says nothing."""
    assert cors.allows((PAGE,), PAGE.upper())
    for other in (f"{PAGE}.evil.example", f"{PAGE}:444", "http://chat.example", "", "*"):
        assert not cors.allows((PAGE,), other)
    assert cors.headers((), {"Origin": PAGE}) == {}
    assert cors.headers((PAGE,), {}) == {"Vary": "Origin"}


def test_a_page_may_read_what_the_document_tells() -> None:
    """Each header of ours, but for those that browsers always show or never do."""
    told = {name.lower() for name in HEADERS} - {"etag", "www-authenticate"}
    assert told <= set(cors.EXPOSED.split(", "))
