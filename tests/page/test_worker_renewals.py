"""Fresh sessions: by wish, by count, on expiry; and that nothing of one is seen by another."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from real_browser import ENOUGH_S, browser_in, serving_demo, tell, until
from whole_worker import Master, whole_worker

from arenad import link
from arenad.schema.chat import Began, Chat, Finish, TextDelta, Turn
from arenad.schema.config import SessionConfig
from arenad.schema.process import Beat, Ready, Renew, SessionIs, Stop
from arenad.worker.page import Page

pytestmark = pytest.mark.usefixtures("own_logging")


def _ask(frontend: link.Link, text: str, model: str = "demo-echo-instant") -> link.Stream:
    turn = Turn(role="user", text=text)
    return frontend.stream(Chat("r", model, (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S))


async def _read(stream: link.Stream, *, is_whole: bool = True) -> str:
    """An answer to its end, or its first piece."""
    said, body = "", await stream.receive(ENOUGH_S)
    while isinstance(body, TextDelta | Began):
        said += body.text if isinstance(body, TextDelta) else ""
        if said and not is_whole:
            return said
        body = await stream.receive(ENOUGH_S)
    assert body == Finish("stop")
    return said


async def _say(frontend: link.Link, text: str) -> str:
    """A whole answer."""
    return await _read(_ask(frontend, text))


def _sessions(master: Master) -> int:
    return max((note.sessions for note in master.heard if isinstance(note, Beat)), default=0)


def _reasons(master: Master) -> list[str]:
    return [note.reason for note in master.heard if isinstance(note, SessionIs)]


def test_a_wish_waits_for_the_chat_and_the_next_chat_for_it(tmp_path: Path) -> None:
    """The running answer is whole, the session then a fresh one, and nobody is refused meanwhile."""

    async def story() -> None:
        async with (
            serving_demo(chunks_per_s=5.0) as address,
            whole_worker(tmp_path, address) as (master, _life),
        ):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            running = _ask(frontend, "one two three four", "demo-echo")
            begun = await _read(running, is_whole=False)
            master.worker.note(Renew())
            assert begun + await _read(running) == "one two three four"
            assert await _say(frontend, "next") == "next"
            await until(lambda: _sessions(master) == 2)
            assert master.conditions() == ["opening", "ready", "opening", "ready"]
            assert "a fresh session: an operator wants one" in _reasons(master)
            master.worker.note(Stop())
            frontend.close()

    tell(story())


def test_a_session_lasts_for_so_many_requests(tmp_path: Path) -> None:
    """Then it is a fresh one, and the count begins anew; nobody who asks notices."""

    async def story() -> None:
        rules = SessionConfig(max_requests=2, jitter_percent=0)
        async with (
            serving_demo() as address,
            whole_worker(tmp_path, address, session=rules) as (master, _life),
        ):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            for number in range(5):
                assert await _say(frontend, f"{number}") == f"{number}"
            await until(lambda: _sessions(master) == 3)
            why = "a fresh session: it has had 2 requests (session.max_requests 2)"
            assert _reasons(master).count(why) == 2
            master.worker.note(Stop())
            frontend.close()

    tell(story())


def test_an_expired_session_is_left_for_a_fresh_one(tmp_path: Path) -> None:
    """The site knows the visitor no more: its cookies go, and the next chat is one of a stranger."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, _life):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            fault = {"faults": "401-foreign", "times": 1}
            async with aiohttp.request("PUT", f"{address}/demo/faults", json=fault) as response:
                assert response.status == 200
            with pytest.raises(Exception, match="does not have access"):
                await _say(frontend, "hi")
            assert await _say(frontend, "again") == "again"
            await until(lambda: _sessions(master) == 2)
            master.worker.note(Stop())
            frontend.close()

    tell(story())


STORE = """(async () => {
  document.cookie = "own=SECRET-C; max-age=9999; path=/";
  localStorage.setItem("own", "SECRET-L");
  sessionStorage.setItem("own", "SECRET-S");
  await (await caches.open("own")).put("/own", new Response("SECRET-K"));
  await new Promise((resolve, reject) => {
    const opening = indexedDB.open("own");
    opening.onupgradeneeded = () => opening.result.createObjectStore("s").add("SECRET-I", 1);
    opening.onsuccess = () => (opening.result.close(), resolve());
    opening.onerror = reject;
  });
  await navigator.serviceWorker.register(SCRIPT);
})()"""

SEEN = """(async () => ({
  cookie: document.cookie,
  local: localStorage.length,
  session: sessionStorage.length,
  caches: await caches.keys(),
  databases: (await indexedDB.databases()).map((each) => each.name),
  workers: (await navigator.serviceWorker.getRegistrations()).length,
}))()"""

NOTHING = {"cookie": "", "local": 0, "session": 0, "caches": [], "databases": [], "workers": 0}


def test_no_session_sees_another(tmp_path: Path) -> None:
    """Not beside it in the same browser, not after it; and on the disk there is none of it at all."""

    async def seen(page: Page) -> Any:
        return await page.evaluate(SEEN)

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            one, two = [await Page.create(browser.devtools) for _ in range(2)]
            for page in (one, two):
                await page.open(f"{address}/other/jsonl")
                assert await seen(page) == NOTHING
            await one.evaluate(STORE.replace("SCRIPT", '"/other/parts/net.js", {type: "module"}'))
            assert await seen(one) == {
                "cookie": "own=SECRET-C",
                "local": 1,
                "session": 1,
                "caches": ["own"],
                "databases": ["own"],
                "workers": 1,
            }
            assert await seen(two) == NOTHING
            await one.close()
            three = await Page.create(browser.devtools)
            await three.open(f"{address}/other/jsonl")
            assert await seen(three) == NOTHING
            assert await seen(two) == NOTHING
            files = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
            assert files
            assert not [path for path in files if b"SECRET-" in path.read_bytes()]

    tell(story())
