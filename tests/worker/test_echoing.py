"""The echo: a site that is none, and many chats at a time in one worker."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_browser import ENOUGH_S, tell

from arenad import link
from arenad.errors import ModelNotFound, TimedOut
from arenad.schema.chat import Chat, Event, Finish, TextDelta, Turn
from arenad.worker import session
from arenad.worker.echoing import EchoSite
from arenad.worker.serve import ChatServer


def _chat(text: str, model: str = "echo", total_s: float = ENOUGH_S) -> Chat:
    return Chat("r1", model, (Turn(role="user", text=text),), ENOUGH_S, ENOUGH_S, total_s)


async def _said(chat: Chat) -> tuple[list[Event], Finish]:
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    return events, await EchoSite().chat(chat, emit)


@given(st.text(max_size=200))
def test_all_that_was_said_comes_back(text: str) -> None:
    """Each word as a piece of its own, and nothing of what is between them is lost."""
    events, finish = asyncio.run(_said(_chat(text)))
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(pieces) == text
    assert len(pieces) == len(events) >= len(text.split())
    assert finish == Finish("stop")


def test_other_models_and_late_ends_are_errors() -> None:
    """As with a site that is one."""
    with pytest.raises(ModelNotFound, match="'gpt-5'"):
        asyncio.run(_said(_chat("a", "gpt-5")))
    with pytest.raises(TimedOut, match=r"longer than 0\.05 s"):
        asyncio.run(_said(_chat("word " * 100, "echo-20ms", 0.05)))


def test_chats_are_held_side_by_side(tmp_path: Path) -> None:
    """One that has begun does not keep the next one waiting, while there is a slot."""

    async def story() -> None:
        async def on_session(event: session.Event, why: str, rest_s: float | None) -> None:
            pass

        server = ChatServer(EchoSite(2), 2, on_session)
        path = str(tmp_path / "w.sock")
        listening = await asyncio.get_running_loop().create_unix_server(server.link, path)
        frontend = await link.connect(path, "w1", ENOUGH_S)
        slow = frontend.stream(_chat("word " * 1000, "echo-20ms"))
        assert await slow.receive(ENOUGH_S) == TextDelta("word")
        quick = frontend.stream(_chat("hi"))
        assert await quick.receive(ENOUGH_S) == TextDelta("hi")
        assert await quick.receive(ENOUGH_S) == Finish("stop")
        assert not slow.ended
        slow.cancel()
        await server.idle.wait()
        frontend.close()
        listening.close()
        await server.close()

    tell(story())
