"""Hostile requests, and what may be answered to each: never a 500, never a wrong 200."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from bench.hostile.good import SAID, body_of, wish
from bench.hostile.talk import Heard, Wire, head, post, wire

CHAT = "/v1/chat/completions"
HEAD_TIMEOUT_S = BODY_TIMEOUT_S = 3.0
"""What the daemon is told of them, for who is slow on purpose."""

MAX_BODY_BYTES, MAX_HEADER_BYTES = 1024 * 1024, 16 * 1024
HUNG_UP = 0
"""No answer: for who left, or sent what deserves none."""


class Scene(NamedTuple):
    """Where it is tried, with which key, and by which draws."""

    url: str
    key: str
    draw: random.Random


Trick = Callable[[Scene, Wire], Awaitable[Heard | None]]
"""Does it over an open connection; gives the answer, none where the client did not wait for one."""


async def _bad_json(scene: Scene, at: Wire) -> Heard:
    broken = scene.draw.choice(
        (b"{", b"", b"[1, 2]", b'"text"', b'{"model": \xff}', b"nul\0l", b"{}")
    )
    at.send(post(scene.draw.choice([*SAID]), broken, scene.key))
    return await at.hear()


async def _deep(scene: Scene, at: Wire) -> Heard:
    levels = scene.draw.choice((100, 5000, 200_000))
    at.send(post(CHAT, b"[" * levels + b"]" * levels, scene.key))
    return await at.hear()


async def _wrong_fields(scene: Scene, at: Wire) -> Heard:
    body = scene.draw.choice(
        (
            {"model": "demo-echo"},
            {"model": 7, "messages": []},
            {"model": "demo-echo", "messages": [{"role": "king", "content": "x"}]},
            {"model": "demo-echo", "messages": [{"role": "user", "content": [{"type": "?"}]}]},
            {"model": "demo-echo", "messages": [{"role": "user", "content": "x"}], "n": -1},
            {"model": "demo-echo", "messages": [{"role": "user", "content": "x"}] * 20_000},
        )
    )
    at.send(post(CHAT, body, scene.key))
    return await at.hear()


async def _no_model(scene: Scene, at: Wire) -> Heard:
    body = {"model": "x" * 5000, "messages": [{"role": "user", "content": "x"}]}
    at.send(post(CHAT, body, scene.key))
    return await at.hear()


async def _huge_head(scene: Scene, at: Wire) -> Heard:
    size = scene.draw.choice((MAX_HEADER_BYTES + 1, 100_000, 900_000))
    at.send(post(CHAT, {}, scene.key, X_Long="x" * size))
    return await at.hear()


async def _many_headers(_: Scene, at: Wire) -> Heard:
    at.send(b"GET /v1/models HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n")
    return await at.hear()


async def _slow_head(scene: Scene, at: Wire) -> Heard:
    """A byte now and then (slow loris)."""
    sent = head(CHAT, 10, scene.key)
    heard = asyncio.ensure_future(at.hear())
    for byte in sent[: scene.draw.randrange(8, 40)]:
        at.send(bytes([byte]))
        done, _ = await asyncio.wait({heard}, timeout=0.3)
        if done:
            break
    return await heard


async def _slow_body(scene: Scene, at: Wire) -> Heard:
    at.send(head(CHAT, 5000, scene.key) + b'{"model": "demo')
    return await at.hear()


async def _cut_body(scene: Scene, at: Wire) -> None:
    at.send(head(CHAT, 5000, scene.key) + b'{"model": "demo')
    await asyncio.sleep(scene.draw.uniform(0, 0.2))
    at.leave()


async def _cut_head(scene: Scene, at: Wire) -> None:
    at.send(head(CHAT, 10, scene.key)[: scene.draw.randrange(60)])
    await asyncio.sleep(scene.draw.uniform(0, 0.1))
    at.leave()


async def _too_large(scene: Scene, at: Wire) -> Heard:
    """Said before, or only seen: a body in pieces says no length."""
    if scene.draw.random() < 0.5:
        at.send(head(CHAT, MAX_BODY_BYTES + 1, scene.key) + b"{" * 1000)
    else:
        at.send(head(CHAT, 0, scene.key, Content_Length="", Transfer_Encoding="chunked"))
        piece = b" " * 65536
        for _ in range(MAX_BODY_BYTES // len(piece) + 2):
            at.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    return await at.hear()


async def _bad_pieces(scene: Scene, at: Wire) -> Heard:
    """A length that is none, or both ways to say a length (request smuggling, RFC 9112, 6.1)."""
    both = {"Content_Length": scene.draw.choice(("", "5")), "Transfer_Encoding": "chunked"}
    at.send(head(CHAT, 0, scene.key, **both) + b"zz\r\n{}\r\n0\r\n\r\n")
    return await at.hear()


async def _wrong_key(scene: Scene, at: Wire) -> Heard:
    at.send(post(CHAT, body_of(wish(scene.draw)), "" if scene.draw.random() < 0.3 else _off(scene)))
    return await at.hear()


def _off(scene: Scene) -> str:
    """Right in its first part, or not at all."""
    last = "A" if scene.key[-1] != "A" else "B"
    return scene.draw.choice((scene.key[:-1] + last, "sk-none", scene.key[::-1], "x" * 4000))


async def _wrong_method(scene: Scene, at: Wire) -> Heard:
    method, path = scene.draw.choice((("GET", CHAT), ("DELETE", "/v1/models"), ("PUT", CHAT)))
    at.send(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_auth(scene)}\r\n".encode())
    return await at.hear()


async def _wrong_path(scene: Scene, at: Wire) -> Heard:
    path = scene.draw.choice(("/v1/chat", "/../../etc/passwd", "/v1/files/../x/content", "/%00"))
    at.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_auth(scene)}\r\n".encode())
    return await at.hear()


def _auth(scene: Scene) -> str:
    return f"Authorization: Bearer {scene.key}\r\nConnection: close\r\n"


async def _wrong_type(scene: Scene, at: Wire) -> Heard:
    at.send(post(CHAT, body_of(wish(scene.draw)), scene.key, Content_Type="text/plain"))
    return await at.hear()


async def _no_http(scene: Scene, at: Wire) -> Heard:
    words = (b"\x16\x03\x01\x00\xa5\x01\x00", b"SSH-2.0-x\r\n\r\n", bytes(2000), b"\r\n" * 500)
    at.send(scene.draw.choice(words) + b"\r\n\r\n")
    return await at.hear()


async def _hang_up(scene: Scene, at: Wire) -> None:
    """Connected, and gone."""
    await asyncio.sleep(scene.draw.uniform(0, 0.02))
    at.leave()


async def _leave(scene: Scene, at: Wire) -> None:
    """While it is queued, waits for its first word, or is in the middle of it."""
    each = wish(scene.draw)._replace(model="demo-long", prompt="200000 1")
    at.send(post(each.path, body_of(each), scene.key))
    await asyncio.sleep(scene.draw.uniform(0, 0.8))
    at.leave()


async def _read_slowly(scene: Scene, at: Wire) -> None:
    """A megabyte that is taken in small bites, and left before its end."""
    body = body_of(
        wish(scene.draw)._replace(path=CHAT, model="demo-long", prompt="1000000 1", streams=True)
    )
    at.send(post(CHAT, body, scene.key))
    for _ in range(10):
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(1.0):
                await at.reader.read(512)
        except TimeoutError:
            continue
    at.leave()


class Kind(NamedTuple):
    """A kind of trouble: how it is made, what may be answered, how often among all."""

    trick: Trick
    statuses: frozenset[int]
    weight: int


def _kind(trick: Trick, *statuses: int, weight: int = 10) -> Kind:
    return Kind(trick, frozenset(statuses), weight)


KINDS: Mapping[str, Kind] = {
    "bad JSON": _kind(_bad_json, 400),
    "deep nesting": _kind(_deep, 400),
    "wrong fields": _kind(_wrong_fields, 400),
    "no such model": _kind(_no_model, 404),
    "huge header": _kind(_huge_head, 431, HUNG_UP),
    "5000 headers": _kind(_many_headers, 400, 431, HUNG_UP),
    "slow head": _kind(_slow_head, 408, 400, HUNG_UP, weight=4),
    "slow body": _kind(_slow_body, 408, weight=4),
    "cut body": _kind(_cut_body),
    "cut head": _kind(_cut_head),
    "too large": _kind(_too_large, 413, HUNG_UP),
    "bad pieces": _kind(_bad_pieces, 400, HUNG_UP),
    "wrong key": _kind(_wrong_key, 401),
    "wrong method": _kind(_wrong_method, 405),
    "wrong path": _kind(_wrong_path, 404, 400),
    "wrong type": _kind(_wrong_type, 415),
    "no HTTP": _kind(_no_http, 400, 408, HUNG_UP),
    "hung up": _kind(_hang_up),
    "left early": _kind(_leave, weight=6),
    "slow reader": _kind(_read_slowly, weight=2),
}


async def attempt(scene: Scene, name: str) -> str:
    """One of this kind; what is wrong with what was answered, empty if nothing is."""
    kind = KINDS[name]
    async with wire(scene.url) as at:
        heard = await kind.trick(scene, at)
    if heard is None or heard.status in kind.statuses:
        return ""
    return f"{name}: answered {heard.status}: {heard.body[:200]!r}"


def drawn(draw: random.Random) -> str:
    """A kind, by its weight."""
    names = [*KINDS]
    return draw.choices(names, [KINDS[name].weight for name in names])[0]
