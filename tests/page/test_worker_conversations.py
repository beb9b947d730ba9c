"""Conversations go on in the site's own chat: against the real demo arena, in each of its dates."""

from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from msgspec.structs import replace
from real_browser import Arena, arena_in, demo_profile, tell

from arenad.conversation import key_of
from arenad.demo.variants import VARIANTS
from arenad.errors import UpstreamFailed
from arenad.schema.chat import Began, Chat, Event, Finish, Strategy, TextDelta, Turn
from arenad.schema.profile import ConversationRules
from arenad.worker.sites import driver
from arenad.worker.sites.page_driven import PageSite

MODEL = "demo-echo-instant"


class Client:
    """A client that sends its whole history each time, as OpenAI's do, and a frontend's keys."""

    def __init__(self, arena: Arena, *turns: Turn) -> None:
        self.turns = list(turns)
        self.began = Began("new")
        self._arena = arena

    async def say(self, text: str, strategy: Strategy | None = None) -> str:
        """Say it; the answer, which is then a part of the history."""
        key = "" if strategy == "fold" else key_of(MODEL, self.turns)
        self.turns.append(Turn(role="user", text=text))
        texts: list[str] = []

        async def emit(event: Event) -> None:
            if isinstance(event, Began):
                self.began = event
            elif isinstance(event, TextDelta):
                texts.append(event.text)

        wish = Chat("r", MODEL, tuple(self.turns), 30.0, 30.0, 50.0, key, strategy or "")
        assert await self._arena.site.chat(wish, emit) == Finish("stop")
        self.turns.append(Turn(role="assistant", text="".join(texts)))
        return "".join(texts)

    async def chat(self) -> list[str]:
        """The texts of the chat that answered last, as the site keeps them."""
        path = f"/api/evaluation/{self.began.session_id}"
        told = cast("dict[str, Any]", await self._arena.page.json_at(path, 10.0))
        return [message["content"] for message in told["messages"]]


async def _change(arena: Arena, what: str, body: dict[str, Any]) -> None:
    async with aiohttp.request("PUT", f"{arena.address}/demo/{what}", json=body) as response:
        assert response.status == 200


def test_only_the_new_turn_is_sent(tmp_path: Path) -> None:
    """Into the same chat of the site's, which is named, at whatever date of its protocol."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            for variant in VARIANTS.values():
                await _change(arena, "variant", {"variant": variant.name})
                profile = replace(demo_profile(), start_path=variant.ways.direct)
                arena.site = PageSite(arena.page, profile, arena.address)
                await arena.site.open()
                client = Client(arena, Turn(role="system", text="Be brief."))
                first = await client.say("one")
                assert first == "Instructions:\nBe brief.\n\nUser:\none\n\nAssistant:"
                began = client.began
                assert began.course == "new"
                for text in ("two", "three"):
                    assert await client.say(text) == text
                    assert client.began.course == "continued", variant.name
                    assert client.began.session_id == began.session_id != ""
                    assert client.began.message_id not in (began.message_id, "")
                assert await client.chat() == [first, first, "two", "two", "three", "three"]

    tell(story())


def test_what_is_not_the_same_history_is_folded(tmp_path: Path) -> None:
    """Edited, regenerated, or by wish: a new chat with all of it, which is then gone on with."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            client = Client(arena)
            await client.say("one")
            session = client.began.session_id
            before = list(client.turns)
            await client.say("two")
            client.turns = before[:]  # regenerated: the last answer is asked for again
            again = await client.say("two")
            assert again == "User:\none\n\nAssistant:\none\n\nUser:\ntwo\n\nAssistant:"
            assert client.began.course == "folded"
            assert client.began.session_id not in (session, "")
            assert await client.say("three") == "three"
            assert client.began.course == "continued"
            client.turns[0] = Turn(role="user", text="edited")
            assert (await client.say("four")).startswith("User:\nedited\n\n")
            assert await client.say("five", "fold") != "five"
            assert client.began.course == "folded"

    tell(story())


def test_older_chats_are_opened_by_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several conversations take turns on one page; one that the site has lost is folded."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            one, two = Client(arena), Client(arena)
            await one.say("a")
            await two.say("x")
            for client, text in ((one, "b"), (two, "y"), (one, "c")):
                assert await client.say(text) == text
                assert client.began.course == "continued"
            assert await one.chat() == ["a", "a", "b", "b", "c", "c"]
            assert await two.chat() == ["x", "x", "y", "y"]
            await arena.page.open(arena.address)
            assert await one.say("d") == "d"
            monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 1.0)
            [held] = [
                chat for chat in arena.site._shelf._chats if chat.session == two.began.session_id
            ]
            keys = arena.site._shelf._chats.pop(held)
            arena.site._shelf.put(held._replace(session="no-such-chat"), keys)
            assert (await two.say("z")).endswith("User:\nz\n\nAssistant:")
            assert two.began.course == "folded"

    tell(story())


def test_a_chat_is_not_known_by_the_pages_address_alone(tmp_path: Path) -> None:
    """Where all chats have the same one, the chat shown is another one's, or none's after a failure."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            one, two = Client(arena), Client(arena)
            await one.say("a")
            await two.say("x")
            _all_have_the_address_shown(arena)
            assert await one.say("b") == "b"
            assert await one.chat() == ["a", "a", "b", "b"]
            assert await two.chat() == ["x", "x"]
            with pytest.raises(UpstreamFailed, match="overloaded"):
                await Client(arena).say("fails [[demo:model-error]]")
            _all_have_the_address_shown(arena)
            assert await one.say("c") == "c"
            assert await one.chat() == ["a", "a", "b", "b", "c", "c"]

    tell(story())


def _all_have_the_address_shown(arena: Arena) -> None:
    """Every chat that is held was last seen where the page is now."""
    chats, page = arena.site._shelf._chats, arena.page
    for held in list(chats):
        chats[held._replace(url=page.url, document=page.documents)] = chats.pop(held)


def test_a_page_without_addresses_goes_on_with_what_it_shows(tmp_path: Path) -> None:
    """One conversation, until another is begun or the page has become another document."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            rules = ConversationRules(strategy="affinity")
            profile = replace(demo_profile(), conversation=rules)
            arena.site = PageSite(arena.page, profile, arena.address)
            told: list[tuple[str, ...]] = []
            arena.site.on_held = told.append
            await arena.site.open()
            one, two = Client(arena), Client(arena)
            await one.say("a")
            assert await one.say("b") == "b"
            assert one.began == Began("continued", "", one.began.message_id)
            assert told == [(key_of(MODEL, one.turns[:2]),), (), (key_of(MODEL, one.turns),)]
            await two.say("x")
            await one.say("c")
            assert one.began.course == "folded"
            await arena.page.open(arena.page.url)
            await one.say("d")
            assert one.began.course == "folded"

    tell(story())


def test_a_full_chat_moves_on(tmp_path: Path) -> None:
    """What the site does not take into a chat any more is folded into a new one."""

    async def story() -> None:
        async with arena_in(tmp_path) as arena:
            client = Client(arena)
            await client.say("one")
            session = client.began.session_id
            await _change(arena, "faults", {"faults": "full=1"})
            assert (await client.say("two")).endswith("User:\ntwo\n\nAssistant:")
            assert client.began.course == "folded"
            assert client.began.session_id not in (session, "")

    tell(story())
