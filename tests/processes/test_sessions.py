"""Conversations and sessions of a whole daemon, over its own endpoint and its own command."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any, NamedTuple

from chats import client
from daemon import Daemon, running, until

MODEL = "demo-echo-instant"


class Said(NamedTuple):
    """An answer's text, and how its conversation went."""

    text: str
    course: str
    session: str


class Talk:
    """A conversation, sent whole each time, as clients do."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._messages: list[Any] = []

    def say(self, text: str) -> Said:
        """Say it and keep the answer; each time on a new connection, so at any frontend."""
        said = asyncio.run(self._say(text))
        self._messages.append({"role": "assistant", "content": said.text})
        return said

    async def _say(self, text: str) -> Said:
        self._messages.append({"role": "user", "content": text})
        async with client(self._daemon.api_url) as each:
            raw = await each.chat.completions.with_raw_response.create(
                model=MODEL, messages=self._messages
            )
        text = raw.parse().choices[0].message.content or ""
        headers = raw.headers
        return Said(text, headers["x-arenad-conversation"], headers["x-arenad-session"])


def test_conversations_go_on_until_their_session_ends() -> None:
    """At any of two frontends, in one of two instances; after a renewal with all that was said."""
    with running(2, frontend={"processes": 2}) as daemon:
        talks = [Talk(daemon) for _ in range(3)]
        first = [talk.say(f"one {number}") for number, talk in enumerate(talks)]
        assert [said.course for said in first] == ["new"] * 3
        for _ in range(4):
            for talk, begin in zip(talks, first, strict=True):
                assert talk.say("on") == Said("on", "continued", begin.session)
        known = {said.session for said in first}
        until(lambda: {each["session_id"] for each in _workers(daemon)} <= known, "the ids")
        for name in ("w1", "w2"):
            assert daemon.ctl("renew", name).returncode == 0
        until(lambda: [each["sessions"] for each in _workers(daemon)] == [2, 2], "fresh sessions")
        said = talks[0].say("two")
        assert (said.course, said.session != first[0].session) == ("folded", True)
        assert said.text.endswith("User:\ntwo\n\nAssistant:")
        assert talks[0].say("three") == Said("three", "continued", said.session)


def _workers(daemon: Daemon) -> list[dict[str, Any]]:
    return [child for child in daemon.state()["children"] if child["role"] == "worker"]


def test_a_login_outlives_its_instance_until_it_is_forgotten() -> None:
    """The site knows the visitor after a restart, and no more once the operator says so."""
    with running(1, session={"save": True}) as daemon:
        file = daemon.state_dir / "logins" / "w1.json"
        until(file.exists, "a kept session")
        visitor = _visitor(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.stat().st_uid == file.parent.stat().st_uid == daemon.state_dir.stat().st_uid
        assert daemon.ctl("restart", "w1", "--wait").returncode == 0
        assert Talk(daemon).say("hi").text == "hi"
        assert _visitor(file) == visitor
        assert daemon.ctl("forget-session", "w1").returncode == 0
        until(lambda: file.exists() and _visitor(file) != visitor, "another visitor")
        assert daemon.ctl("forget-session", "../w1").returncode == 1
        assert visitor not in daemon.log()


def _visitor(file: Path) -> str:
    cookies = {each["name"]: each["value"] for each in json.loads(file.read_bytes())["cookies"]}
    return str(cookies["provisional_user_id"])
