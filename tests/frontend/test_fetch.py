"""Files by address: real servers on loopback, which is private, so it has to be allowed first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from scripted import play

from arenad.errors import InvalidRequest
from arenad.frontend import fetch
from arenad.frontend.parts import Remote
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import Attachment, Turn
from arenad.schema.config import FilesConfig

ALLOWED = FilesConfig(fetch_urls=True, fetch_private=True, max_bytes=1000, fetch_timeout_s=5.0)
PARAM = "messages[0].content[0].image_url.url"


def _wish(url: str) -> Wish:
    turns = (Turn(role="user", text="look"),)
    return Wish("m", turns, False, False, (), remote=(Remote(url, "", PARAM, 0, 0),))


async def _refused(url: str, limits: FilesConfig) -> str:
    with pytest.raises(InvalidRequest) as told:
        await fetch.filled(_wish(url), limits)
    assert told.value.param == PARAM
    assert told.value.message.startswith(f"{PARAM}: ")
    return told.value.message


REDIRECTS = {"/round": "/round", "/once": "/a%20b.png", "/script": "file:///etc/passwd"}
BODIES = {
    "/a b.png": (b"image", "image/png"),
    "/large": (b"x" * 1001, "image/png"),
    "/page": (b"<html>", "text/html"),
    "/empty": (b"", "image/png"),
}


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A site of all kinds of answers, and what it was asked."""
    asked: list[web.Request] = []
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if where := REDIRECTS.get(request.path):
            raise web.HTTPFound(where, headers={"Set-Cookie": "track=me"})
        if request.path not in BODIES:
            raise web.HTTPNotFound
        content, kind = BODIES[request.path]
        return web.Response(body=content, content_type=kind)

    async def endless(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "image/png"})
        await stream.prepare(request)
        while not over.is_set():
            await stream.write(b"x" * 100)
        return stream

    async def slow(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/endless", endless), web.get("/slow", slow)])
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        over.set()
        await runner.cleanup()


def test_a_file_is_fetched() -> None:
    """Also after a redirect, which leaves no cookie: type from the answer, name from the address."""

    async def story() -> None:
        async with _serving() as (address, asked):
            for path, name in (("/a%20b.png", "a b.png"), ("/once", "once.png")):
                wish = await fetch.filled(_wish(address + path), ALLOWED)
                assert wish.remote == ()
                assert wish.turns[0].attachments == (
                    Attachment(name=name, content_type="image/png", content=b"image", param=PARAM),
                )
            assert [request.path for request in asked] == ["/a b.png", "/once", "/a b.png"]
            assert not any("Cookie" in request.headers for request in asked)

    play(story())


def test_what_cannot_be_had_is_told() -> None:
    """Each as the client's fault, by its field, with what was found there."""

    async def story() -> None:
        async with _serving() as (address, _):
            for path, said in {
                "/nothing": "was answered with 404",
                "/large": "is 1001 bytes; 1000 are taken",
                "/endless": "1000 are taken (files.max_bytes)",
                "/page": "is of type 'text/html'; taken are",
                "/empty": "is empty there",
                "/round": "leads on more than 3 times",
                "/script": "it leads to file address",
            }.items():
                assert said in await _refused(address + path, _image_only())
            short = FilesConfig(fetch_private=True, fetch_timeout_s=0.1)
            assert "was not here within 0.1 s" in await _refused(f"{address}/slow", short)
            assert "cannot be fetched" in await _refused("http://127.0.0.1:1/", ALLOWED)

    play(story())


def _image_only() -> FilesConfig:
    return FilesConfig(fetch_private=True, max_bytes=1000, types=("image/*",))


def test_all_files_together_are_bounded() -> None:
    """What came with the request counts with what is fetched."""

    async def story() -> None:
        async with _serving() as (address, _):
            held = Attachment(name="a", content_type="image/png", content=b"x" * 98)
            turn = Turn(role="user", text="look", attachments=(held,))
            wish = _wish(f"{address}/a%20b.png")
            full = Wish("m", (turn,), False, False, (), remote=wish.remote)
            limits = FilesConfig(fetch_private=True, max_total_bytes=100)
            with pytest.raises(InvalidRequest, match="makes 103 bytes of files; 100 are taken"):
                await fetch.filled(full, limits)

    play(story())


PRIVATE = (
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "\uff11\uff12\uff17.0.0.1",  # fullwidth digits
    "\u2460\u2461\u2466.0.0.1",  # circled ones
    "127\u30020\u30020\u30021",  # ideographic full stops
    "\u24dbocalhost",
)
"""Addresses of this machine, as an address of a file may be written."""


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("64:ff9b:1::7f00:1", False),
        ("::127.0.0.1", False),
        ("fec0::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2606:4700::1111", True),
    ],
)
def test_what_an_address_is(address: str, public: bool) -> None:
    """IPv6 of translators and of local networks, which Python takes for global."""
    assert fetch.is_public(address) is public


def test_private_addresses_are_not_asked() -> None:
    """By number or by name, in odd spellings: no connection is made."""

    async def story() -> None:
        async with _serving() as (address, asked):
            port = address.rpartition(":")[2]
            public = FilesConfig(fetch_urls=True)
            for host in PRIVATE:
                told = await _refused(f"http://{host}:{port}/a%20b.png", public)
                assert "an address that is not public (files.fetch_private)" in told, host
            for host in ("127.1", "2130706433", "0x7f.1"):
                await _refused(f"http://{host}:{port}/a%20b.png", public)
            assert asked == []

    play(story())


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.\uff12", "127\u30020.0\u30022"])
def test_a_redirect_is_looked_at_as_the_first_address(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """A public host that leads on to a private one, in whatever spelling, leads nowhere."""
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")

    async def story() -> None:
        async with _serving() as (address, asked):
            monkeypatch.setitem(
                REDIRECTS, "/inward", address.replace("127.0.0.1", host) + "/a b.png"
            )
            told = await _refused(f"{address}/inward", FilesConfig(fetch_urls=True))
            assert "an address that is not public (files.fetch_private)" in told
            assert [request.path for request in asked] == ["/inward"]

    play(story())


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("nonsense", False),
    ],
)
def test_which_addresses_are_public(address: str, is_public: bool) -> None:
    """Also an IPv4 address within an IPv6 one counts for what it is."""
    assert fetch.is_public(address) is is_public


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_no_spelling_makes_an_address_public(address: IPv4Address) -> None:
    """Mapped, translated or tunnelled."""
    number = f"{int(address):08x}"
    tail = f"{number[:4]}:{number[4:]}"
    for text in (str(address), f"::ffff:{address}", f"64:ff9b::{tail}", f"2002:{tail}::"):
        assert not fetch.is_public(text)
