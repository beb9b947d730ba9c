"""Everything is replaced under load, by reloads and by an upgrade, and no client is the poorer."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from chats import client, said, streamed
from daemon import Daemon, running


@pytest.fixture(scope="module")
def two() -> Iterator[Daemon]:
    """Two instances that are replaced again and again."""
    with running(2, fleet={"drain_timeout_s": 60}, queue={"wait_s": 90}) as daemon:
        yield daemon


def _edit(daemon: Daemon, section: str, **fields: Any) -> None:
    config = json.loads(daemon.config_path.read_text())
    config.setdefault(section, {}).update(fields)
    daemon.config_path.write_text(json.dumps(config))


class Talk:
    """A client that asks without a pause, over connections that it keeps."""

    def __init__(self, url: str) -> None:
        self.answered = 0
        self._url = url
        self._is_over = asyncio.Event()

    async def go_on(self) -> None:
        async with client(self._url) as each:
            while not self._is_over.is_set():
                await self._ask(each, f"question {self.answered}")

    async def _ask(self, each: openai.AsyncOpenAI, text: str) -> None:
        answer = await each.chat.completions.create(model="demo-echo-instant", messages=said(text))
        assert answer.choices[0].message.content == text
        self.answered += 1

    def end(self) -> None:
        self._is_over.set()


async def _under_load(daemon: Daemon, *commands: tuple[str, ...]) -> int:
    """Give the commands while clients ask; gives how many answers they got."""
    talks = [Talk(daemon.api_url) for _ in range(2)]
    going = [asyncio.create_task(talk.go_on()) for talk in talks]
    text = " ".join(f"word{number}" for number in range(120))  # twenty words a second
    long = asyncio.create_task(streamed(daemon.api_url, "demo-echo", text))
    for command in commands:
        done = await asyncio.to_thread(daemon.ctl, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert await long == text
    for talk in talks:
        talk.end()
    await asyncio.gather(*going)
    return sum(talk.answered for talk in talks)


def test_reloads_lose_nothing(two: Daemon) -> None:
    """Frontends and instances are replaced while they stream and answer."""
    before = {child["name"]: child["pid"] for child in two.state()["children"]}
    _edit(two, "api", max_body_bytes=1_000_000)
    _edit(two, "browser", args=["--lang=de"])
    assert asyncio.run(_under_load(two, ("reload", "--wait"))) > 2
    after = {child["name"]: child["pid"] for child in two.state()["children"]}
    staying = {before["demo"], before["recorder"]}
    assert not set(after.values()) & set(before.values()) - staying
    assert two.state()["traffic"]["failed"] == 0


def test_upgrades_lose_nothing(two: Daemon) -> None:
    """The master starts anew under the same pid, twice, the second time amid the first's changes."""
    failed = two.state()["traffic"]["failed"]
    assert asyncio.run(_under_load(two, ("upgrade",), ("upgrade", "--wait"))) > 2
    assert two.state()["pid"] == two.process.pid
    assert two.log().count("has taken over in place") == 2
    assert two.state()["traffic"]["failed"] == failed
