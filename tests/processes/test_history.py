"""What is remembered of real chats, and that nothing waits for whoever remembers it."""

import asyncio
import json
import os
import signal
from typing import Any

from chats import all_streamed, streamed
from daemon import Daemon, running, until

TEXT = "a text that must not be remembered"


def history(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """What arenactl shows; nothing while the recorder is away."""
    answer = daemon.ctl("history", *words, "--json")
    return [] if answer.returncode else [json.loads(line) for line in answer.stdout.splitlines()]


def test_a_chat_is_remembered_without_its_text() -> None:
    """Who, when, how long and how it ended; neither what was asked nor what was answered."""
    with running(1, history={"sample_s": 0.5}) as daemon:
        assert asyncio.run(streamed(daemon.api_url, "demo-echo", TEXT)) == TEXT
        (found,) = until(lambda: history(daemon), "the request is there")
        assert (found["model"], found["instance"], found["outcome"]) == (
            "demo-echo",
            "w1",
            "answered",
        )
        assert (found["frontend"], found["streams"], found["asked"]) == ("frontend-1", True, 1)
        assert found["chars"] == len(TEXT)
        assert 0 < found["first_event_s"] <= found["duration_s"]
        until(lambda: history(daemon, "samples", "--instance", "w1"), "a sample of it")
        until(lambda: history(daemon, "samples"), "a sample of the traffic")
        story = [each["text"] for each in history(daemon, "story", "--instance", "w1")]
        assert story[0] == "starting (generation 1)"
        files = b"".join(path.read_bytes() for path in daemon.state_dir.iterdir())
        assert b"demo-echo" in files
        assert TEXT.encode() not in files
        state = daemon.state_dir
    assert not (state / "history.db-wal").exists()  # it ended in order


def test_chats_do_not_miss_a_recorder() -> None:
    """Killed, stopped, killed again while they run: all whole, and all remembered."""
    texts = [" ".join(f"w{place}-{number}" for number in range(25)) for place in range(6)]

    async def hurt(daemon: Daemon) -> None:
        asking = asyncio.ensure_future(all_streamed(daemon.api_url, "demo-echo", texts))
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL):
            before = await asyncio.to_thread(ready, daemon, 0)
            os.kill(before, number)
            await asyncio.to_thread(ready, daemon, before)
        assert await asking == texts

    def ready(daemon: Daemon, before: int) -> int:
        def another() -> int:
            child = daemon.child("recorder")
            return child["pid"] if child["phase"] == "ready" and child["pid"] != before else 0

        return until(another, "a recorder is there")

    with running(2) as daemon:
        asyncio.run(hurt(daemon))
        until(lambda: len(history(daemon)) == len(texts), "all are remembered")
        assert {each["outcome"] for each in history(daemon)} == {"answered"}
        assert len({each["request_id"] for each in history(daemon)}) == len(texts)
        assert daemon.state()["word"] == "well"
