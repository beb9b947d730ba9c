"""Battles and two models side by side through the whole daemon, as the `openai` package has them."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from chats import client, said, streamed
from daemon import Daemon, running, until

ECHO, INSTANT = "demo-echo", "demo-echo-instant"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One instance against the built-in demo arena."""
    with running(1) as daemon:
        yield daemon


class Choice:
    """What came of one side."""

    def __init__(self) -> None:
        self.text = ""
        self.reason: str | None = None
        self.error: dict[str, Any] | None = None


async def ask(daemon: Daemon, model: str, text: str, **more: Any) -> list[Choice]:
    """The choices of a streamed answer, by their index."""
    choices: dict[int, Choice] = {}
    async with client(daemon.api_url) as each:
        stream = await each.chat.completions.create(
            model=model, messages=said(text), stream=True, extra_body=more
        )
        async for chunk in stream:
            for choice in chunk.choices:
                made = choices.setdefault(choice.index, Choice())
                made.text += choice.delta.content or ""
                made.reason = choice.finish_reason or made.reason
                made.error = (choice.model_extra or {}).get("error") or made.error
    return [choices[index] for index in sorted(choices)]


async def ask_whole(daemon: Daemon, model: str, text: str, **more: Any) -> list[Choice]:
    """The same of an answer that came in one piece."""
    choices: list[Choice] = []
    async with client(daemon.api_url) as each:
        answer = await each.chat.completions.create(
            model=model, messages=said(text), extra_body=more
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        for choice in answer.choices:
            assert choice.index == len(choices)
            choices.append(made := Choice())
            made.text, made.reason = choice.message.content or "", choice.finish_reason
            made.error = (choice.model_extra or {}).get("error")
    return choices


def of_demo(daemon: Daemon, path: str) -> dict[str, int]:
    """What the arena itself counts."""
    with urllib.request.urlopen(f"{daemon.demo_url}{path}", timeout=5) as answer:
        return json.load(answer)


@pytest.mark.parametrize("way", [ask, ask_whole])
def test_both_sides_are_choices(daemon: Daemon, way: Any) -> None:
    """Two named models to the letter; a battle with an answer on each side, and no vote."""
    pair = asyncio.run(way(daemon, f"{ECHO},{INSTANT}", "one two"))
    assert [(each.text, each.reason) for each in pair] == [("one two", "stop")] * 2
    battle = asyncio.run(way(daemon, "battle", "Hello, who are you?"))
    assert [each.reason for each in battle] == ["stop"] * 2
    assert all(each.text for each in battle)
    assert not of_demo(daemon, "/demo/tally").get("votes")


@pytest.mark.parametrize("way", [ask, ask_whole])
def test_one_side_alone_is_the_only_choice(daemon: Daemon, way: Any) -> None:
    """By a field of the request."""
    for target, model in (("A", f"{INSTANT},{ECHO}"), ("B", f"demo-eliza,{INSTANT}")):
        (choice,) = asyncio.run(way(daemon, model, "one two", battle_target=target))
        assert (choice.text, choice.reason) == ("one two", "stop")
    (choice,) = asyncio.run(way(daemon, "battle", "Hello!", battle_target="B"))
    assert choice.text
    both = asyncio.run(way(daemon, "battle", "Hello!", battle_target="both"))
    assert len(both) == 2


def test_the_operator_chooses_for_battles(daemon: Daemon) -> None:
    """With a reload, at once; who names a target in the request still has it."""
    config = json.loads(daemon.config_path.read_text())
    pid = daemon.child("w1")["pid"]
    for target, count in (("A", 1), ("both", 2)):
        config["site"] = {"battle_target": target}
        daemon.config_path.write_text(json.dumps(config))
        assert daemon.ctl("reload", "--wait").returncode == 0
        assert len(asyncio.run(ask(daemon, "battle", "Hello!"))) == count
        assert len(asyncio.run(ask(daemon, f"{ECHO},{INSTANT}", "hi"))) == 2
    assert daemon.child("w1")["pid"] == pid


@pytest.mark.parametrize("way", [ask, ask_whole])
def test_a_failed_side_is_told_beside_a_whole_one(daemon: Daemon, way: Any) -> None:
    """Never as a stop; alone it is an error."""
    fault = "one two [[demo:one-side]]"
    good, bad = asyncio.run(way(daemon, f"{ECHO},{INSTANT}", fault))
    assert (good.text, good.reason, good.error) == ("one two", "stop", None)
    assert (bad.text, bad.reason) == ("", "error")
    assert bad.error is not None
    assert bad.error["code"] == "upstream_error"
    assert "overloaded" in bad.error["message"]
    with pytest.raises(openai.APIError, match="overloaded"):
        asyncio.run(way(daemon, f"{ECHO},{INSTANT}", fault, battle_target="B"))


def test_unknown_members_are_named(daemon: Daemon) -> None:
    """404, with the one that is not there; the list has the battle, and says what can be done."""

    async def look() -> None:
        async with client(daemon.api_url) as each:
            listed = {model.id: model.model_extra async for model in each.models.list()}
            assert listed["battle"] == {"capabilities": ["text"], "modes": ["battle"]}
            assert (listed[ECHO] or {})["modes"] == ["direct", "side_by_side"]
            with pytest.raises(openai.NotFoundError, match="there is no 'gpt-none'") as caught:
                await each.chat.completions.create(model=f"{ECHO},gpt-none", messages=said("hi"))
            assert (caught.value.code, caught.value.param) == ("model_not_found", "model")

    asyncio.run(look())


def test_leaving_a_battle_stops_the_page(daemon: Daemon) -> None:
    """In mid-stream; the same instance performs the next chat, with no restart."""

    async def leave() -> None:
        async with client(daemon.api_url) as each:
            text = "word " * 1000
            asking = each.chat.completions.create(
                model=f"{ECHO},demo-reasoning", messages=said(text), stream=True
            )
            async with await asking as stream:
                indexes = set[int]()
                async for chunk in stream:
                    indexes.add(chunk.choices[0].index)
                    if indexes == {0, 1}:
                        return

    stopped = of_demo(daemon, "/demo/stats")["stopped"]
    asyncio.run(leave())
    until(lambda: of_demo(daemon, "/demo/stats")["stopped"] > stopped, "the site stops")
    assert of_demo(daemon, "/demo/stats")["running"] == 0
    assert asyncio.run(streamed(daemon.api_url, ECHO, "next")) == "next"
    assert daemon.child("w1")["restarts"] == 0
