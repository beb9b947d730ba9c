"""guard: who is answered, who is refused, and in which words; over real connections."""

import asyncio
import gzip
import json
import sys
import unittest.mock
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from scripted import Wire, play, serving, until

from arenad.errors import Overloaded
from arenad.frontend import guard

LIMIT = 1000


async def _ok(request: web.Request) -> web.Response:
    return web.Response(body=await guard.body(request, LIMIT))


async def _act(request: web.Request) -> web.Response:
    guard.check_origin(request)
    return web.Response()


async def _bug(_request: web.Request) -> web.Response:
    raise ValueError("a secret")


async def _late_bug(request: web.Request) -> web.Response:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise ValueError("a secret")


async def _busy(_request: web.Request) -> web.Response:
    raise Overloaded("later", retry_after_s=0.2)


def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-request-id"] = guard.request_id(request)


def _on_wire(story: Callable[[Wire], Awaitable[None]]) -> None:
    async def played() -> None:
        app = guard.application(_stamp)
        app.add_routes(
            [
                web.post("/", _ok),
                web.get("/", _ok),
                web.post("/act", _act),
                web.get("/bug", _bug),
                web.get("/late", _late_bug),
                web.get("/busy", _busy),
            ]
        )
        async with serving(app) as address:
            wire = await Wire.to(address)
            await story(wire)

    play(played())


def _answered(head: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    answers: list[tuple[int, dict[str, str], bytes]] = []

    async def story(wire: Wire) -> None:
        wire.send(head, body, **headers)
        answers.append(await wire.answer())

    _on_wire(story)
    return answers[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:5104", 200),
        ("127.8.9.10:1", 200),
        ("localhost:5104", 200),
        ("LOCALHOST", 200),
        ("localhost.", 200),
        ("arena.localhost", 200),
        ("[::1]", 200),
        ("[::1]:5104", 200),
        ("evil.example", 403),
        ("evil.example:5104", 403),
        ("localhost.evil.example", 403),
        ("evil.example@127.0.0.1", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.0.2.7", 403),
        ("[2001:db8::1]", 403),
        ("[::1", 403),
        ("0x7f.1", 403),
        ("", 403),
    ],
)
def test_the_host_has_to_be_this_machine(host: str, status: int) -> None:
    """A foreign name that points here is a page's attempt to read what is not its own."""
    got, _, body = _answered("GET / HTTP/1.1", Host=host)
    assert got == status
    if status != 200:
        assert json.loads(body)["error"]["code"] == "forbidden"


@pytest.mark.parametrize("head", ["GET / HTTP/1.1", "GET / HTTP/1.0"])
def test_a_host_has_to_be_named(head: str) -> None:
    """RFC 9112, 3.2: no Host is a bad request."""
    status, _, body = _answered(head)
    assert status == 400
    assert b"Host" in body


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:5104"}, 200),
        ({"Origin": "HTTP://127.0.0.1:5104"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "https://127.0.0.1:5104"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_actions_are_same_origin(origin: dict[str, str], status: int) -> None:
    """Programs send no Origin; pages send their own, whatever it is."""
    assert _answered("POST /act HTTP/1.1", Host="127.0.0.1:5104", **origin)[0] == status


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        ("GET /nowhere HTTP/1.1", 404, "not_found"),
        ("GET /%0anowhere HTTP/1.1", 404, "not_found"),
        ("DELETE / HTTP/1.1", 405, "method_not_allowed"),
        ("OPTIONS / HTTP/1.1", 405, "method_not_allowed"),
        ("GET /bug HTTP/1.1", 500, "internal_error"),
        ("GET /busy HTTP/1.1", 429, "overloaded"),
    ],
)
def test_every_error_is_an_object(head: str, status: int, code: str) -> None:
    """Routing, refusals and bugs alike; none tells what is inside."""
    got, headers, body = _answered(head, Host="localhost")
    error = json.loads(body)["error"]
    assert (got, error["code"], headers["content-type"]) == (status, code, "application/json")
    assert set(error) == {"message", "type", "param", "code"}
    assert b"secret" not in body
    assert headers["server"] == "arenad"
    assert ("retry-after" in headers) is (status == 429)
    assert headers.get("allow") == ("GET,HEAD,POST" if status == 405 else None)


def test_a_bug_in_mid_answer_is_no_end() -> None:
    """What was begun is cut, so that nobody takes a half for a whole."""

    async def story(wire: Wire) -> None:
        wire.send("GET /late HTTP/1.1", Host="localhost")
        with pytest.raises(asyncio.IncompleteReadError):
            await wire.answer()

    _on_wire(story)


def test_head_has_the_headers_alone() -> None:
    """HEAD is GET without the body, in errors too."""

    async def story(wire: Wire) -> None:
        wire.send("HEAD / HTTP/1.1", Host="localhost")
        assert (await wire.head())[0] == 200
        wire.send("HEAD /nowhere HTTP/1.1", Host="localhost")
        assert (await wire.head())[0] == 404
        wire.send("GET / HTTP/1.1", Host="localhost")
        assert (await wire.answer())[0] == 200

    _on_wire(story)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"X_Client_Request_Id": "mine-1.2_3"}, "mine-1.2_3"),
        ({"X_Request_Id": "mine"}, "mine"),
        ({"X_Request_Id": "no spaces"}, None),
        ({"X_Request_Id": "x" * 129}, None),
        ({}, None),
    ],
)
def test_a_sane_request_id_is_kept(headers: dict[str, str], kept: str | None) -> None:
    """Any other gets a new one."""
    given = _answered("GET / HTTP/1.1", Host="localhost", **headers)[1]["x-request-id"]
    assert given == kept if kept else len(given) == 32


def test_a_body_arrives_whole() -> None:
    """Plain, in chunks, compressed: the same bytes."""
    body = b"x" * LIMIT
    assert _answered("POST / HTTP/1.1", body, Host="localhost")[2] == body
    packed = gzip.compress(body)
    got = _answered("POST / HTTP/1.1", packed, Host="localhost", Content_Encoding="gzip")
    assert got[2] == body


def test_a_body_is_held_by_its_reader_alone() -> None:
    """Else each would last as long as the answer, which may be minutes."""
    holders = list[int]()

    async def read(request: web.Request) -> web.Response:
        body = await guard.body(request, LIMIT)
        holders.append(sys.getrefcount(body))
        return web.Response()

    async def story() -> None:
        app = guard.application(_stamp)
        app.add_routes([web.post("/", read)])
        async with serving(app) as address:
            wire = await Wire.to(address)
            wire.send("POST / HTTP/1.1", b"x" * LIMIT, Host="localhost")
            assert (await wire.answer())[0] == 200

    play(story())
    assert holders == [2]  # the variable, and the question itself


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"x" * (LIMIT + 1), {}),
        (b"x", {"Content_Length": "999999999"}),
        (
            b"%x\r\n%s\r\n0\r\n\r\n" % (LIMIT + 1, b"x" * (LIMIT + 1)),
            {"Transfer_Encoding": "chunked"},
        ),
        (gzip.compress(b"x" * (LIMIT + 1)), {"Content_Encoding": "gzip"}),
    ],
)
def test_a_large_body_is_refused(body: bytes, headers: dict[str, str]) -> None:
    """By what it declares, by what arrives, and by what it unpacks to."""
    if "Transfer_Encoding" in headers:
        headers = {**headers, "Content_Length": ""}
        headers.pop("Content_Length")

    async def story(wire: Wire) -> None:
        if "Transfer_Encoding" in headers:
            wire.send("POST / HTTP/1.1", Host="localhost", **headers)
            wire.writer.write(body)
        else:
            wire.send("POST / HTTP/1.1", body, Host="localhost", **headers)
        status, _, answer = await wire.answer()
        assert status == 413
        assert (
            json.loads(answer)["error"]["message"]
            == f"the body is larger than {LIMIT} bytes; send less"
        )

    _on_wire(story)


def test_a_body_that_cannot_be_unpacked() -> None:
    """What claims to be compressed and is not."""
    got = _answered("POST / HTTP/1.1", b"oops", Host="localhost", Content_Encoding="gzip")
    assert got[0] == 400


def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever declares a body has a deadline to send it."""
    monkeypatch.setattr(guard.body, "__defaults__", (0.01,))
    status, _, body = _answered("POST / HTTP/1.1", b"x", Host="localhost", Content_Length="10")
    assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")


def test_an_own_address_is_this_machine() -> None:
    """Who listens on a network's address is asked by it; no name, only the number itself."""

    async def story() -> None:
        request = None

        async def keep(got: web.Request) -> web.Response:
            nonlocal request
            request = got
            return web.Response()

        app = guard.application(_stamp)
        app.add_routes([web.get("/", keep)])
        async with serving(app) as address:
            wire = await Wire.to(address)
            wire.send("GET / HTTP/1.1", Host="localhost")
            await until(lambda: request)
            assert request is not None
            assert guard._own_address(request) == "127.0.0.1"
            await wire.answer()

    play(story())


@pytest.mark.parametrize(
    ("peer", "own", "is_let_in"),
    [
        (("127.0.0.1", 4711), ("127.0.0.1", 5102), True),
        (("::1", 4711, 0, 0), ("::1", 5102, 0, 0), True),
        (("192.0.2.7", 4711), ("192.0.2.7", 5102), True),
        (("192.0.2.9", 4711), ("192.0.2.7", 5102), False),
        (("192.0.2.9", 4711), ("127.0.0.1", 5102), False),
        (None, None, False),
    ],
)
def test_without_keys_only_this_machine_is_let_in(
    peer: object, own: object, is_let_in: bool
) -> None:
    """Whatever it says in `Host`: what counts is where the connection comes from."""
    ends = {"peername": peer, "sockname": own}
    transport = unittest.mock.Mock(get_extra_info=ends.get)
    request = make_mocked_request("GET", "/", {"Host": "localhost"}, transport=transport)
    if is_let_in:
        guard.check_local(request)
        return
    with pytest.raises(guard.Forbidden, match="arenactl keys create"):
        guard.check_local(request)
