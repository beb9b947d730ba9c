"""Instances without a browser: an OpenAI-compatible upstream behind the whole daemon."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest
from chats import client, said, streamed, whole
from daemon import Daemon, running, until
from openai_upstream import Threaded, Upstream

KEY = "sk-THE-KEY-OF-THE-UPSTREAM"


@pytest.fixture(scope="module")
def threaded() -> Iterator[Threaded]:
    """An upstream that wants a key, in a thread."""
    threaded = Threaded(KEY)
    threaded.upstream.models = (
        "echo",
        "whole",
        "slow",
        "429",
        "500",
        "code-context_length_exceeded",
    )
    with threaded.running():
        yield threaded


@pytest.fixture(scope="module")
def upstream(threaded: Threaded) -> Upstream:
    """What it was asked."""
    return threaded.upstream


@pytest.fixture(scope="module")
def daemon(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Two instances, and no browser to be found."""
    key = tmp_path_factory.mktemp("keys") / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    site = {"profile": "openai-http", "url": upstream.url, "key_from": f"file:{key}"}
    with running(2, site=site, browser={"path": "/nonexistent"}) as daemon:
        yield daemon
        assert KEY not in daemon.log()


def _conditions(daemon: Daemon) -> set[str]:
    return {str(worker["condition"]) for worker in daemon.children("worker")}


def test_chats_are_answered(daemon: Daemon, upstream: Upstream) -> None:
    """Streamed and whole, by an upstream that streams and one that does not."""
    text = "Grüße 漢字 🙂\n\n```py\nx = 1\n```"
    assert asyncio.run(streamed(daemon.api_url, "echo", text)) == text
    assert asyncio.run(whole(daemon.api_url, "echo", text)) == text
    assert upstream.asked[-1]["messages"] == [{"role": "user", "content": text}]


def test_a_systems_turn_stays_one(daemon: Daemon, upstream: Upstream) -> None:
    """The upstream takes conversations; nothing is folded."""

    async def ask() -> None:
        async with client(daemon.api_url) as each:
            await each.chat.completions.create(
                model="echo",
                messages=[
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "one"},
                    {"role": "assistant", "content": "two"},
                    {"role": "user", "content": "three"},
                ],
            )

    asyncio.run(ask())
    roles = [each["role"] for each in upstream.asked[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_an_error_is_the_clients_own(daemon: Daemon) -> None:
    """What the upstream says of a request reaches who made it, and nobody else is asked."""
    with pytest.raises(openai.BadRequestError, match="as coded") as raised:
        asyncio.run(whole(daemon.api_url, "code-context_length_exceeded", "x"))
    assert raised.value.code == "context_length_exceeded"
    with pytest.raises(openai.APIStatusError, match="refused as 500") as failed:
        asyncio.run(whole(daemon.api_url, "500", "x"))
    assert failed.value.status_code == 502


def test_who_leaves_reaches_the_upstream(daemon: Daemon, upstream: Upstream) -> None:
    """A stream that is closed by its client is closed at the upstream; the seat is free again."""

    async def leave() -> None:
        async with client(daemon.api_url) as each:
            stream = await each.chat.completions.create(
                model="slow", messages=said("one two"), stream=True
            )
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            await stream.close()

    asyncio.run(leave())
    assert upstream.left.acquire(timeout=20)
    assert asyncio.run(streamed(daemon.api_url, "echo", "next")) == "next"


def test_an_upstream_goes_and_comes_back(daemon: Daemon, threaded: Threaded) -> None:
    """Instances live on and say why; clients are told 502; then all is well without a restart."""
    pids = [worker["pid"] for worker in daemon.children("worker")]
    threaded.stop()
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as raised:
            asyncio.run(whole(daemon.api_url, "echo", "x"))
        assert raised.value.status_code == 502
    until(lambda: _conditions(daemon) == {"away"}, "both to see it")
    assert "the upstream is not there" in daemon.state()["verdict"]
    with pytest.raises(openai.APIStatusError, match="cannot reach the site") as raised:
        asyncio.run(whole(daemon.api_url, "echo", "x"))
    assert raised.value.code == "upstream_unreachable"
    threaded.start()
    until(lambda: _conditions(daemon) == {"ready"}, "its return")
    assert asyncio.run(whole(daemon.api_url, "echo", "x")) == "x"
    assert [worker["pid"] for worker in daemon.children("worker")] == pids


def test_a_refusal_rests_the_instances(daemon: Daemon) -> None:
    """429 is passed on with its seconds, and nobody asks meanwhile."""
    with pytest.raises(openai.RateLimitError) as raised:
        asyncio.run(whole(daemon.api_url, "429", "x"))
    assert raised.value.response.headers["Retry-After"] == "2"
    until(lambda: _conditions(daemon) == {"resting"}, "both to rest")
    until(lambda: _conditions(daemon) == {"ready"}, "the end of the rest")


def test_the_key_is_shown_nowhere(daemon: Daemon) -> None:
    """Not in the status, the story, the log; nor in the command line of any process."""
    shown = json.dumps(daemon.state()) + daemon.log() + daemon.ctl("logs", "-n", "1000").stdout
    shown += "".join(" ".join(process.cmdline()) for process in daemon.processes())
    assert KEY not in shown
