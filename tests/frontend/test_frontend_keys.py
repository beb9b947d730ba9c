"""keys: who is let in with which key, what it may, and what a client is told; over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from api_scene import CHAT, HELLO
from msgspec.structs import replace
from scripted import DEADLINE_S, Story, Wire, api_serving, as_test, gui_serving, stage

from arenad.frontend import keys as module
from arenad.frontend.api import Api
from arenad.frontend.keys import Keyring
from arenad.log import wall_time_s
from arenad.schema import keys
from arenad.schema.keys import Key, Limits, Scope

SALT = b"s" * keys.SALT_BYTES
MODELS = "GET /v1/models HTTP/1.1"


def made(name: str, number: int, *scopes: Scope, **fields: Any) -> tuple[str, Key]:
    """A key as its owner has it, and as it is kept."""
    text = keys.written(f"{number:016x}", f"{name[0]}" * 43)
    fields = {"limits": Limits(**fields.pop("limits", {})), **fields}
    digest = keys.digest_of(text, SALT)
    record = Key(
        name=name,
        id=f"{number:016x}",
        scopes=scopes,
        salt=SALT,
        digest=digest,
        row=number,
        **fields,
    )
    return text, record


ALICE, KEPT_ALICE = made("alice", 1, "chat", "models")
BOB, KEPT_BOB = made("bob", 2, "models")
ROOT, KEPT_ROOT = made("root", 3, "admin")
OLD, KEPT_OLD = made("old", 4, "chat", "models", expires_at_unix_s=1.0)
SMALL, KEPT_SMALL = made("small", 5, "chat", limits={"requests_per_minute": 2})
POOR, KEPT_POOR = made("poor", 6, "chat", limits={"requests_per_day": 1})
ALL = (KEPT_ALICE, KEPT_BOB, KEPT_OLD, KEPT_SMALL, KEPT_POOR)


class Scene:
    """An endpoint with keys, and a worker that answers everything."""

    def __init__(self, api: Api, address: tuple[str, int]) -> None:
        self.api = api
        self.address = address

    async def ask(self, head: str, body: bytes = b"", **headers: str) -> tuple[int, Any, Any]:
        wire = await Wire.to(self.address)
        wire.send(head, body, Content_Type="application/json", **{"Host": "localhost"} | headers)
        status, told, answer = await wire.answer()
        wire.leave()
        return status, told, json.loads(answer)

    async def chat(self, key: str, n: int = 1, **headers: str) -> tuple[int, Any, Any]:
        body = json.dumps({"model": "echo", "messages": HELLO, "n": n}).encode()
        return await self.ask(CHAT, body, Authorization=f"Bearer {key}", **headers)


@asynccontextmanager
async def endpoint(folder: Path, known: tuple[Key, ...] = ALL, **more: Any) -> AsyncIterator[Scene]:
    async with stage(folder) as made_:
        worker = await made_.worker("w1", slots=64)
        await made_.enlist(worker)

        async def answer() -> None:
            while True:
                await (await worker.asked()).tell("well")

        answering = asyncio.get_running_loop().create_task(answer())
        paths = (str(folder / "counters"),)
        async with api_serving(made_, keys=known, counters=paths, **more) as (api, address):
            yield Scene(api, address)
        answering.cancel()


def served(*known: Key, **more: Any) -> Callable[[Story], Callable[..., None]]:
    @asynccontextmanager
    async def setting(folder: Path) -> AsyncIterator[tuple[Scene]]:
        async with endpoint(folder, known or ALL, **more) as scene:
            yield (scene,)

    return as_test(setting)


@served()
async def test_who_has_no_key_is_told_how_to_send_one(scene: Scene) -> None:
    """In the words of either maker's clients; whoever only looks whether we are there needs none."""
    status, headers, body = await scene.ask(MODELS)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert body["error"]["code"] == "invalid_api_key"
    assert "arenactl keys create" in body["error"]["message"]
    status, _, body = await scene.ask("POST /v1/messages HTTP/1.1", b"{}")
    assert (status, body["error"]["type"]) == (401, "authentication_error")
    for path in ("/healthz", "/health", "/readyz"):
        assert (await scene.ask(f"GET {path} HTTP/1.1", Host="arena.example"))[0] == 200


@served()
async def test_a_key_comes_in_any_of_three_ways(scene: Scene) -> None:
    """From a host of any name: a page of another origin does not know the key."""
    basic = base64.b64encode(f"anybody:{ALICE}".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {ALICE}"},
        {"Authorization": f"bearer  {ALICE} "},
        {"X_Api_Key": ALICE},
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Bearer {ALICE}", "Host": "arena.example"},
    ):
        assert (await scene.ask(MODELS, **headers))[0] == 200


@served()
async def test_a_host_that_is_none_is_refused(scene: Scene) -> None:
    """It would stand in the addresses of kept images; one that is not UTF-8 was a bug of ours."""
    for host in ("\xff.example", 'a"b', "a/b", "[::1", "a:b", ""):
        for head in (MODELS, "GET /healthz HTTP/1.1"):
            status, _, body = await scene.ask(head, Authorization=f"Bearer {ALICE}", Host=host)
            assert (status, body["error"]["code"]) == (400, "invalid_request")
            assert body["error"]["message"].startswith("Host: is ")


@pytest.mark.parametrize(
    "given",
    ["none", "sk-arenad-", ALICE[:-1], f"{ALICE[:-1]}b", f"{ALICE}a", BOB[:26] + ALICE[26:], OLD],
)
def test_what_is_no_key_is_refused(given: str, tmp_path: Path) -> None:
    """Whatever is wrong with it, the secret or the time; it is not told back."""

    @served()
    async def story(scene: Scene) -> None:
        for _ in range(2):
            status, _, body = await scene.chat(given)
            assert (status, body["error"]["code"]) == (401, "invalid_api_key")
            assert given[-20:] not in json.dumps(body)
        for odd in ("Basic %%%", "Basic é"):
            assert (await scene.ask(MODELS, Authorization=odd))[0] == 401

    story(tmp_path=tmp_path)


@served()
async def test_a_key_is_for_what_it_is_for(scene: Scene) -> None:
    """Each path has its scope."""
    status, _, body = await scene.chat(BOB)
    assert (status, body["error"]["code"]) == (403, "insufficient_permissions")
    assert "'bob' is for models" in body["error"]["message"]
    assert (await scene.ask(MODELS, Authorization=f"Bearer {BOB}"))[0] == 200
    assert (await scene.ask(MODELS, Authorization=f"Bearer {SMALL}"))[0] == 403


@served()
async def test_a_key_is_verified_once(scene: Scene, *, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come with it at once; a wrong one that is sent again is known, too."""
    looked: list[str] = []

    def digest_of(key: str, salt: bytes) -> bytes:
        looked.append(key)
        return keys.digest_of(key, salt)

    monkeypatch.setattr(module, "digest_of", digest_of)
    wrong = f"{ALICE[:-1]}b"
    for key in (ALICE, wrong):
        got = await asyncio.gather(
            *(scene.ask(MODELS, Authorization=f"Bearer {key}") for _ in range(16))
        )
        assert {status for status, _, _ in got} == {200 if key == ALICE else 401}
    assert looked == [ALICE, wrong]


@served()
async def test_too_many_wrong_keys_stop_no_right_one(
    scene: Scene, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever floods with them is told to wait; a key that has been verified goes on."""
    monkeypatch.setattr(module, "MAX_CHECKS", 2)
    assert (await scene.ask(MODELS, Authorization=f"Bearer {ALICE}"))[0] == 200
    wrong = [f"{ALICE[:-2]}{number:02d}" for number in range(8)]
    asked = [scene.ask(MODELS, Authorization=f"Bearer {key}") for key in (*wrong, ALICE)]
    statuses = [status for status, _, _ in await asyncio.gather(*asked)]
    assert statuses[-1] == 200
    assert set(statuses[:-1]) == {401, 429}


@served()
async def test_a_revoked_key_is_refused_at_once(scene: Scene) -> None:
    """The master's word is enough; with the last key gone this machine needs none again."""
    assert (await scene.chat(ALICE))[0] == 200
    scene.api.adjust(replace(scene.api.settings, keys=(KEPT_BOB,)))
    assert (await scene.chat(ALICE))[0] == 401
    scene.api.adjust(replace(scene.api.settings, keys=()))
    assert (await scene.chat("none"))[0] == 200
    assert (await scene.chat("none", Host="arena.example"))[0] == 403


@served(keys_fault="keys.json is damaged")
async def test_known_keys_outlive_their_store(scene: Scene) -> None:
    """A fault beside keys is one for operators alone."""
    assert (await scene.chat(ALICE))[0] == 200


def test_while_the_keys_are_not_known_nobody_is_let_in(tmp_path: Path) -> None:
    """It is not as if there were none."""

    @asynccontextmanager
    async def setting(folder: Path) -> AsyncIterator[tuple[Scene]]:
        async with endpoint(folder, (), keys_fault="keys.json is damaged") as scene:
            yield (scene,)

    @as_test(setting)
    async def story(scene: Scene) -> None:
        status, _, body = await scene.chat(ALICE)
        assert status == 503
        assert "keys.json is damaged" in body["error"]["message"]

    story(tmp_path=tmp_path)


@served()
async def test_limits_are_told_and_held(scene: Scene) -> None:
    """On each answer, and on the refusal; 64 at once get as many through as there are."""
    status, headers, _ = await scene.chat(SMALL)
    assert (status, headers["x-ratelimit-remaining-requests"]) == (200, "1")
    got = await asyncio.gather(*(scene.chat(SMALL) for _ in range(64)))
    assert sorted(status for status, _, _ in got) == [200] + 63 * [429]
    status, headers, body = await scene.chat(SMALL)
    assert body["error"]["type"] == "requests"
    assert body["error"]["code"] == "rate_limit_exceeded"
    after_s = int(headers["retry-after"])
    assert 1 <= after_s <= 61
    assert f"ask again in {after_s} s" in body["error"]["message"]
    assert "x-should-retry" not in headers  # OpenAI's clients wait for as long
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert (await scene.chat(ALICE))[0] == 200


@served()
async def test_anthropics_clients_are_told_in_their_words(scene: Scene) -> None:
    """What is left, and a date at which all of it is there again; not by OpenAI's names."""
    body = json.dumps({"model": "echo", "max_tokens": 9, "messages": HELLO}).encode()

    async def message() -> tuple[int, Any, Any]:
        return await scene.ask("POST /v1/messages HTTP/1.1", body, X_Api_Key=SMALL)

    before = wall_time_s()
    status, headers, _ = await message()
    assert (status, headers["anthropic-ratelimit-requests-limit"]) == (200, "2")
    assert headers["anthropic-ratelimit-requests-remaining"] == "1"
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert 59 <= reset.timestamp() - before <= 61 + DEADLINE_S
    assert not any(name.startswith("x-ratelimit") for name in headers)
    await message()
    status, headers, _ = await message()
    assert (status, headers["anthropic-ratelimit-requests-remaining"]) == (429, "0")


@served()
async def test_each_answer_counts(scene: Scene) -> None:
    """A request for several uses as much as so many requests, and does not get more by it."""
    status, headers, _ = await scene.chat(SMALL, n=3)
    assert (status, headers["x-should-retry"], "retry-after" in headers) == (429, "false", False)
    status, headers, body = await scene.chat(SMALL, n=2)
    assert (status, headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert [each["message"]["content"] for each in body["choices"]] == ["well"] * 2
    assert (await scene.chat(SMALL))[0] == 429


@served()
async def test_clients_raise_what_they_are_told(scene: Scene) -> None:
    """OpenAI's and Anthropic's own; a budget of the day is not waited for."""
    base = f"http://{scene.address[0]}:{scene.address[1]}"
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=POOR, http_client=http) as theirs:
        await theirs.chat.completions.create(model="echo", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as refused:
            await theirs.chat.completions.create(model="echo", messages=HELLO)
        assert refused.value.code == "insufficient_quota"
        assert refused.value.response.headers["x-should-retry"] == "false"
    http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(base_url=base, api_key=POOR, http_client=http) as theirs:
        with pytest.raises(anthropic.RateLimitError) as denied:
            await theirs.messages.create(model="echo", messages=HELLO, max_tokens=9)
        assert "rate_limit_error" in str(denied.value.body)


@served()
async def test_the_name_travels_and_the_key_does_not(
    scene: Scene, *, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log of a refusal."""
    caplog.set_level("DEBUG")
    await scene.chat(SMALL)
    await scene.chat(BOB)
    assert " of bob: 403 " in caplog.text
    assert BOB[-20:] not in caplog.text
    assert SMALL[-20:] not in caplog.text


@served()
async def test_ready_tells_what_is_wrong_with_the_store(scene: Scene) -> None:
    """Chats go on, so it is ready all the same."""
    assert (await scene.ask("GET /readyz HTTP/1.1"))[::2] == (200, {"status": "ready"})

    async def fault() -> str:
        return "keys.json is held locked"

    scene.api.store_fault = fault
    scene.api.counters.fault = "keys.counters: no space"
    status, _, body = await scene.ask("GET /readyz HTTP/1.1")
    assert (status, body["status"]) == (200, "ready")
    assert body["keys"] == "keys.json is held locked; keys.counters: no space"


@pytest.mark.parametrize("there", [False, True])
def test_the_dashboard_asks_for_a_key_of_its_own(there: bool, tmp_path: Path) -> None:
    """As soon as there is one for it, and as browsers are asked; until then this machine is let in."""

    @asynccontextmanager
    async def setting(_: Path) -> AsyncIterator[tuple[tuple[str, int]]]:
        ring = Keyring()
        ring.take((KEPT_ALICE, KEPT_ROOT) if there else (KEPT_ALICE,), "")
        async with gui_serving(keys=ring) as (_, _, _, address):
            yield (address,)
        await ring.close()

    @as_test(setting)
    async def story(address: tuple[str, int]) -> None:
        async def status(**headers: str) -> int:
            wire = await Wire.to(address)
            wire.send("GET /gui/dashboard HTTP/1.1", **{"Host": "localhost"} | headers)
            got, told, _ = await wire.answer()
            assert got != 401 or told["www-authenticate"].startswith("Basic ")
            return got

        basic = base64.b64encode(f"me:{ROOT}".encode()).decode()
        assert await status() == (401 if there else 200)
        assert await status(Authorization=f"Basic {basic}") == 200
        if there:
            assert await status(Authorization=f"Bearer {ALICE}") == 403
            assert await status(Authorization=f"Basic {basic}", Host="arena.example") == 200

    story(tmp_path=tmp_path)


@served()
async def test_an_expiry_is_looked_at_each_time(scene: Scene) -> None:
    """A key that was verified ends all the same."""
    soon = replace(KEPT_ALICE, expires_at_unix_s=wall_time_s() + 3600)
    scene.api.adjust(replace(scene.api.settings, keys=(soon,)))
    assert (await scene.chat(ALICE))[0] == 200
    scene.api.adjust(replace(scene.api.settings, keys=(replace(soon, expires_at_unix_s=1.0),)))
    status, _, body = await scene.chat(ALICE)
    assert status == 401
    assert "'alice' has expired" in body["error"]["message"]
