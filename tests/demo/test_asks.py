"""Messages over real HTTP: modes, dated variants, conversations, and every fault of an answer."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from arena_client import (
    STREAM,
    body,
    chain,
    create,
    follow,
    lines,
    raw,
    said,
    stats_become,
    switch,
    tally,
    told,
    two_sided,
    uuid7,
)
from serving import arena

from arenad.demo import faults, scenes
from arenad.demo.models import SOURCES

Story = Callable[[aiohttp.ClientSession], Coroutine[Any, Any, None]]


def _tell(story: Story, **demo: Any) -> None:
    async def told_to_the_end() -> None:
        async with arena(**demo) as client:
            await story(client)

    asyncio.run(told_to_the_end())


# -- modes ------------------------------------------------------------------------------------------


def test_side_by_side_speaks_with_two_voices() -> None:
    """Lines of both sides come as they are ready; each side has its start and its end."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = two_sided("side-by-side", "one two three", "demo-echo", "demo-slow-start")
        got = await lines(create(client, wish))
        assert said(got, "a") == said(got, "b") == "one two three"
        assert ("af", {"messageId": wish["modelAMessageId"]}) in got
        assert ("bf", {"messageId": wish["modelBMessageId"]}) in got
        codes = [code for code, _ in got]
        # The quick side has ended before the slow one has begun to speak.
        assert codes.index("ad") < codes.index("b0") < codes.index("bd")

    _tell(story)


def test_a_battle_is_anonymous_until_a_vote() -> None:
    """The site chooses both, for the whole chat; only a vote reveals them, and it is counted."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = two_sided("battle", "hello [[demo:split=5]]")
        got = await lines(create(client, wish))
        assert {code[0] for code, _ in got} == {"a", "b"}
        more = two_sided("battle", "more", id=wish["id"])
        await lines(follow(client, more))
        async with client.get(f"/api/evaluation/{wish['id']}") as response:
            past = await response.json()
        assert past["mode"] == "battle"
        assert {each["modelId"] for each in past["messages"]} == {None}
        assert (await tally(client)).get("votes", 0) == 0
        cast = {"evaluationSessionId": wish["id"], "vote": "tie"}
        async with client.post("/api/vote", json=cast) as response:
            models = [each["modelId"] for each in (await response.json())["messages"]]
        assert models[1:3] == models[4:6]
        assert models[1] != models[2]
        assert (await tally(client))["votes"] == 1

    _tell(story)


def test_a_direct_battle_is_skipped() -> None:
    """Two answers where one was asked for; no next turn before the skip, which keeps one."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = body("demo-echo", "hi [[demo:direct-battle]]")
        got = await lines(create(client, wish))
        assert said(got, "a") == "hi"
        second = dict(got)["bf"]["messageId"]
        more = body("demo-echo", "more", wish["id"])
        assert (await told(follow(client, more)))[0] == 409
        choice = {
            "messageAId": wish["modelAMessageId"],
            "messageBId": second,
            "modelAMessageId": wish["modelAMessageId"],
        }
        skip = f"{STREAM}/skip-direct-battle/{wish['id']}"
        async with client.post(skip, data=json.dumps(choice)) as response:
            assert await response.json() == {"success": True}
        assert said(await lines(follow(client, body("demo-echo", "on", wish["id"])))) == "on"
        async with client.get(f"/api/evaluation/{wish['id']}") as response:
            assert second not in await response.text()
        assert (await tally(client))["skips"] == 1

    _tell(story)


def test_a_stop_ends_both_sides() -> None:
    """Named by the message that both answer."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = two_sided("side-by-side", "x", "demo-slow-start", "demo-slow-start")
        async with create(client, wish) as response:
            await response.content.readline()
            path = f"{STREAM}/stop/{wish['id']}/messages/{wish['userMessageId']}"
            async with client.post(path, data='{"stoppedAt":"now"}') as stop:
                assert await stop.json() == {"stopped": True}
            rest = await response.read()
        assert b"ad:" in rest
        assert b"bd:" in rest
        await stats_become(client, running=0, stopped=1)

    _tell(story)


def test_a_stealth_model_speaks_in_battles_alone() -> None:
    """Chosen by name it is refused with 400, and words that say so."""

    async def story(client: aiohttp.ClientSession) -> None:
        status, text, _ = await told(create(client, body("demo-stealth", "x")))
        assert status == 400
        assert "battle" in text

    _tell(story)


# -- models that do more than talk ------------------------------------------------------------------


def test_search_cites_and_reasoning_reasons() -> None:
    """Citations in `ac`, thoughts in `ag`."""

    async def story(client: aiohttp.ClientSession) -> None:
        got = await lines(create(client, body("demo-search", "x", modality="search")))
        cited = [
            json.loads(value["argsTextDelta"])["source"] for code, value in got if code == "ac"
        ]
        assert [(each["title"], each["url"]) for each in cited] == list(SOURCES)
        got = await lines(create(client, body("demo-reasoning", "x")))
        assert "".join(value for code, value in got if code == "ag").startswith("The user wrote")

    _tell(story)


# -- dated variants ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2025-07", "2025-08", "2025-09"])
def test_older_variants_take_the_chain(name: str) -> None:
    """Below their own prefix, with the whole talk in each body; a body of today is refused."""

    async def story(client: aiohttp.ClientSession) -> None:
        stream = "/nextjs-api/stream" if name == "2025-09" else "/api/stream"
        spoken = {"stream": stream, "headers": {"X-Demo-Variant": name}}
        session = str(uuid4())
        turns = [("user", "My name is Grace."), ("assistant", "Hello."), ("user", "Who am I?")]
        wish = body("demo-eliza", "", session, userMessage=...)
        wish["messages"] = chain(session, *turns, ("assistant", ""))
        wish["recaptchaV3Token"] = "unused"
        assert "Grace" in said(await lines(create(client, wish, **spoken)))
        assert (await told(create(client, body("demo-echo", "x"), **spoken)))[0] == 400
        other = "/api/stream" if name == "2025-09" else "/nextjs-api/stream"
        there = spoken | {"stream": other}
        assert (await told(create(client, wish, **there)))[0] == 404

    _tell(story)


@pytest.mark.parametrize("name", ["2025-11", "2026"])
def test_newer_variants_take_the_turn(name: str) -> None:
    """No chain, true times in ids, and the edge's headers on each answer."""

    async def story(client: aiohttp.ClientSession) -> None:
        spoken = {"headers": {"X-Demo-Variant": name}}
        wish = body("demo-echo", "x")
        async with create(client, wish, **spoken) as response:
            assert response.headers["ratelimit"].startswith("limit=")
            assert response.headers["ratelimit-policy"].endswith(";w=300")
        old = body("demo-echo", "", userMessage=..., messages=chain(uuid7(), ("user", "x")))
        assert (await told(create(client, old, **spoken)))[0] == 400
        status, text, _ = await told(create(client, body("demo-echo", "x", str(uuid4())), **spoken))
        assert status == 400
        assert "version 7" in text
        late = body("demo-echo", "x", uuid7(-2 * 3600_000))
        status, text, _ = await told(create(client, late, **spoken))
        assert status == 400
        assert "spoofed" in text

    _tell(story)


def test_the_server_remembers_the_talk() -> None:
    """In form 2 a follow-up brings one turn, and each side of two hears its own talk."""

    async def story(client: aiohttp.ClientSession) -> None:
        first = two_sided("side-by-side", "My name is Ada.", "demo-eliza", "demo-echo")
        await lines(create(client, first))
        more = first | {"userMessageId": uuid7(), "modelAMessageId": uuid7()}
        more |= {"modelBMessageId": uuid7(), "userMessage": {"content": "What is my name?"}}
        del more["mode"]
        got = await lines(follow(client, more))
        assert "Ada" in said(got, "a")
        assert said(got, "b") == "What is my name?"

    _tell(story)


# -- faults of a message ----------------------------------------------------------------------------

REFUSED = {
    "400-private": (400, "battle mode"),
    "401": (401, "LOGIN_GATE"),
    "401-expired": (401, "LOGIN_GATE"),
    "401-foreign": (401, "does not have access to evaluation session"),
    "403-score": (403, "recaptcha validation failed"),
    "403-check": (403, "confirm that you are a person"),
    "403-terms": (403, "agree to the terms"),
    "404": (404, "not found"),
    "405": (405, "method not allowed"),
    "413": (413, "too large"),
    "422": (422, "rejected"),
    "429": (429, "rate limit"),
    "429-prompt": (429, "prompt failed"),
    "500": (500, "internal error"),
    "502-html": (502, "<h1>502"),
    "html": (200, "<!doctype html>"),
    "error-object": (200, '{"error":"internal error"'),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("way", ["marker", "header", "all"])
def test_a_refusal_is_switched_on_three_ways(name: str, way: str) -> None:
    """In the prompt, in a header, or for all; a refused message makes no chat."""

    async def story(client: aiohttp.ClientSession) -> None:
        prompt, headers = "x", {}
        if way == "marker":
            prompt = f"x [[demo:{name}]]"
        elif way == "header":
            headers = {faults.HEADER: name}
        else:
            async with client.put("/demo/faults", json={"faults": {name: True}}) as response:
                assert response.status == 200
        wish = body("demo-echo", prompt)
        status, text, _ = await told(create(client, wish, headers=headers))
        assert (status, REFUSED[name][1] in text) == (REFUSED[name][0], True), text
        async with client.get(f"/api/evaluation/{wish['id']}") as response:
            assert response.status == 404

    _tell(story)


def test_every_fault_of_a_message_is_tried_here() -> None:
    """A new row of the table needs its story."""
    asks = {each.name for each in faults.FAULTS.values() if each.stage == "ask"}
    assert asks == set(REFUSED) | {"full", "empty"}
    streams = {each.name for each in faults.FAULTS.values() if each.stage == "stream"}
    tried = {name.partition("=")[0] for name in STREAMED}
    assert streams == tried | {"cut", "direct-battle", "one-side", "two-images"}


def test_a_wait_is_told_in_a_header() -> None:
    """429 with seconds has Retry-After, without it has none."""

    async def story(client: aiohttp.ClientSession) -> None:
        _, _, headers = await told(create(client, body("demo-echo", "x [[demo:429=7]]")))
        assert headers["Retry-After"] == "7"
        _, _, headers = await told(create(client, body("demo-echo", "x [[demo:429]]")))
        assert "Retry-After" not in headers

    _tell(story)


def test_a_full_chat_takes_no_more() -> None:
    """After so many messages the chat has reached its token limit; a new one has not."""

    async def story(client: aiohttp.ClientSession) -> None:
        await switch(client, "full=2")
        wish = body("demo-echo", "one")
        await lines(create(client, wish))
        await lines(follow(client, body("demo-echo", "two", wish["id"])))
        status, text, _ = await told(follow(client, body("demo-echo", "three", wish["id"])))
        assert (status, "token limit" in text) == (400, True)
        await lines(create(client, body("demo-echo", "anew")))

    _tell(story)


def test_empty_is_a_stream_without_a_line() -> None:
    """The chat is there, and its answer has failed."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = body("demo-echo", "x [[demo:empty]]")
        assert await raw(create(client, wish)) == b""
        async with client.get(f"/api/evaluation/{wish['id']}") as response:
            assert (await response.json())["messages"][-1]["status"] == "failed"

    _tell(story)


def test_a_gate_is_no_fault_of_a_prompt() -> None:
    """By then the message is through the gate; and an unknown fault is told."""

    async def story(client: aiohttp.ClientSession) -> None:
        for marker, part in (("challenge", "cannot be asked for"), ("smoke", "there are moved")):
            status, text, _ = await told(create(client, body("demo-echo", f"x [[demo:{marker}]]")))
            assert (status, part in text) == (400, True)

    _tell(story)


def test_a_fault_for_a_number_of_messages() -> None:
    """`times` counts messages; then nothing goes wrong any more."""

    async def story(client: aiohttp.ClientSession) -> None:
        await switch(client, "500", times=2)
        got = [(await told(create(client, body("demo-echo", "x"))))[0] for _ in range(3)]
        assert got == [500, 500, 200]

    _tell(story)


# -- faults of a stream -----------------------------------------------------------------------------

STREAMED = {
    "slow-start=0.05": 'a0:"one "\na0:"two"\nad:{"finishReason":"stop"',
    "heartbeats=0.5": 'a2:[{"type":"heartbeat"}]\na0:"one "',
    "stall=0.05": 'a0:"one "\na0:"two"\nad:',
    "split=1": 'a0:"one "\na0:"two"\nad:',
    "data-prefix": 'data: a0:"one "\ndata: a0:"two"\ndata: ad:',
    "crlf": 'a0:"one "\r\na0:"two"\r\nad:',
    "unknown-lines": '12:["$","p",null]\na0:"one "',
    "step-lines": 'a0:"one "\nae:{"finishReason":"unknown","isContinued":true}\naf:',
    "half-pairs": 'a0:"one "\na0:"\\ud83d"\na0:"\\ude00"\na0:"two"',
    "long-line=500": 'a8:"' + "a" * 500 + '"\na0:"one "',
    "early-finish": '"completionTokens":1}}\na0:"two"\n',
    "no-finish": 'a0:"one "\na0:"two"\n',
    "filtered": 'a0:"one "\nad:{"finishReason":"content-filter"',
    "model-error": 'a0:"one "\na3:"' + scenes.MODEL_ERROR.replace('"', '\\"') + '"\nad:',
    "platform-error": 'a0:"one "\nae:{"message":"' + scenes.PLATFORM_ERROR + '"}\nad:',
    "arena-error": 'a0:"one "\na0:"hasArenaError"\nad:',
}


@pytest.mark.parametrize("fault", STREAMED)
def test_a_stream_has_its_fault(fault: str) -> None:
    """The very bytes, and the prompt without its marker."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = body("demo-echo", f"one two [[demo:{fault}]]")
        got = (await raw(create(client, wish))).decode()
        assert STREAMED[fault] in got, got
        assert "demo:" not in got
        if fault == "no-finish":
            assert "ad:" not in got
        if fault == "early-finish":
            assert got.count("ad:") == 1

    _tell(story)


@pytest.mark.parametrize("size_bytes", [1, 55, 70])
def test_a_cut_breaks_the_connection(size_bytes: int) -> None:
    """After so many bytes, without the end of the body; the site counts it as answered."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = body("demo-echo", f"one two three [[demo:cut={size_bytes}]]")
        async with create(client, wish) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert len(await raw(create(client, wish | _new_ids()))) == size_bytes
        await stats_become(client, running=0, finished=2, left=0)

    _tell(story)


def _new_ids() -> dict[str, str]:
    return {"id": uuid7(), "userMessageId": uuid7(), "modelAMessageId": uuid7()}


def test_one_of_two_sides_fails() -> None:
    """Side B has an error and its own end; side A is whole."""

    async def story(client: aiohttp.ClientSession) -> None:
        prompt = "one two [[demo:one-side]]"
        got = await lines(
            create(client, two_sided("side-by-side", prompt, "demo-echo", "demo-echo"))
        )
        assert said(got, "a") == "one two"
        assert [code for code, _ in got if code[0] == "b"] == ["bf", "b3", "bd"]

    _tell(story)


def test_a_retry_is_refused_too() -> None:
    """The verb of a regeneration meets the same refusals."""

    async def story(client: aiohttp.ClientSession) -> None:
        wish = body("demo-echo", "x")
        await lines(create(client, wish))
        path = (
            f"{STREAM}/retry-evaluation-session-message/{wish['id']}"
            f"/messages/{wish['modelAMessageId']}"
        )
        headers = {faults.HEADER: "429=3"}
        async with client.put(path, data="{}", headers=headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "3")
        assert said(await lines(client.put(path, data="{}"))) == "x"

    _tell(story)


def test_a_battle_takes_whoever_is_able() -> None:
    """Of image models there is one, so it fights itself; none of them takes files."""

    async def story(client: aiohttp.ClientSession) -> None:
        got = await lines(create(client, two_sided("battle", "x", modality="image")))
        assert [code for code, _ in got].count("a2") == [code for code, _ in got].count("b2") == 2
        file = {"name": "a", "contentType": "a/b", "url": "data:a/b;base64,QUJD"}
        asked = {"content": "x", "experimental_attachments": [file]}
        got = await lines(create(client, two_sided("battle", "", userMessage=asked)))
        assert json.loads(said(got, "a")) == json.loads(said(got, "b"))
        wish = two_sided("battle", "", userMessage=asked, modality="image")
        status, text, _ = await told(create(client, wish))
        assert (status, "no image model takes files" in text) == (400, True)

    _tell(story)
