"""A login that outlives its browser: by a person's hand once, then kept, taken up, and forgotten."""

import json
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from real_browser import ENOUGH_S, browser_in, serving_demo, tell, until
from whole_worker import Master, noted_pages, whole_worker

from arenad import link
from arenad.schema.chat import Chat, Turn
from arenad.schema.config import SessionConfig
from arenad.schema.login import SavedLogin
from arenad.schema.process import Beat, Forget, Renew, Stop
from arenad.worker import login
from arenad.worker.page import Page

pytestmark = pytest.mark.usefixtures("own_logging")


async def _walled(address: str) -> None:
    wall = {"faults": "login=3600"}
    async with aiohttp.request("PUT", f"{address}/demo/faults", json=wall) as response:
        assert response.status == 200


async def _logs_in(page: Page) -> None:
    """What a person does, by hand."""
    await page.write("name", 'input[name="name"]', "demo", 10.0)
    await page.write("password", 'input[name="password"]', "demo", 10.0)
    await page.press("log in", 'button[type="submit"]', 10.0)


async def _becomes(master: Master, condition: str) -> None:
    await until(lambda: master.conditions()[-1:] == [condition])


def _kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def test_a_login_is_kept_taken_up_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process needs no person, nor does a fresh session; one that forgets does again."""
    pages = noted_pages(monkeypatch)
    file = tmp_path / "state" / "logins" / "w1.json"
    file.parent.parent.mkdir()
    given: dict[str, Any] = {"session": SessionConfig(save=True), "login_file": str(file)}

    async def story() -> None:
        async with serving_demo() as address:
            await _walled(address)
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _becomes(master, "needs_login")
                assert not file.exists()
                await _logs_in(pages[-1])
                await _becomes(master, "ready")
                await pages[-1].evaluate("localStorage.setItem('own', 'thing')")
                master.worker.note(Stop())
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert "arena-auth-prod-v1" in [each["name"] for each in _kept(file)["cookies"]]
            assert _kept(file)["local"]["own"] == "thing"
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _becomes(master, "ready")
                assert master.conditions() == ["opening", "ready"]
                assert await pages[-1].evaluate("localStorage.getItem('own')") == "thing"
                master.worker.note(Renew())
                await until(lambda: any(_is_second(note) for note in master.heard))
                assert master.conditions() == ["opening", "ready", "opening", "ready"]
                master.worker.note(Forget())
                await until(lambda: not file.exists())
                master.worker.note(Stop())
            assert not file.exists()
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _becomes(master, "needs_login")
                master.worker.note(Stop())
            assert not file.exists()

    tell(story())


def _is_second(note: object) -> bool:
    return isinstance(note, Beat) and note.sessions == 2


@pytest.mark.parametrize("is_from_file", [True, False])
def test_a_login_that_does_not_help_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_from_file: bool
) -> None:
    """A session that began with it and expired before any chat is followed by a stranger's."""
    pages = noted_pages(monkeypatch)
    file = tmp_path / "logins" / "w1.json"
    given: dict[str, Any] = {"session": SessionConfig(save=True), "login_file": str(file)}

    async def own() -> object:
        return await pages[-1].evaluate("localStorage.getItem('own')")

    async def story() -> None:
        async with serving_demo() as address:
            saved = SavedLogin(site=f"{address}/", origin=address, cookies=(), local={"own": "it"})
            if is_from_file:
                assert login.write(file, saved)
            async with whole_worker(tmp_path, f"{address}/", **given) as (master, _life):
                await _becomes(master, "ready")
                await pages[-1].evaluate("localStorage.setItem('own', 'it')")
                await until(lambda: login.read(file, f"{address}/") is not None)
                await until(lambda: "own" in _kept(file)["local"])
                fault = {"faults": "401-foreign", "times": 1 if is_from_file else 2}
                async with aiohttp.request("PUT", f"{address}/demo/faults", json=fault) as response:
                    assert response.status == 200
                frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
                if not is_from_file:
                    with pytest.raises(Exception, match="does not have access"):
                        await _echo(frontend)
                    await until(lambda: len(pages) == 2)
                    await until(lambda: master.conditions()[-2:] == ["opening", "ready"])
                    assert await own() == "it"
                with pytest.raises(Exception, match="does not have access"):
                    await _echo(frontend)
                await _echo(frontend)
                assert await own() is None
                assert "expired" not in master.conditions()
                frontend.close()
                master.worker.note(Stop())

    tell(story())


async def _echo(frontend: link.Link) -> None:
    turn = Turn(role="user", text="hi")
    chat = Chat("r", "demo-echo-instant", (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S)
    stream = frontend.stream(chat)
    while not stream.ended:
        await stream.receive(ENOUGH_S)


COOKIES_AND_MORE = "localStorage.setItem('a', 'é\\n'); document.cookie = 'c=1; path=/'"


def test_a_login_goes_into_a_page_without_asking_the_site(tmp_path: Path) -> None:
    """All of it is there before the page's first script, and no request was made for that."""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            one, two = [await Page.create(browser.devtools) for _ in range(2)]
            await one.open(f"{address}/other/jsonl")
            await one.evaluate(COOKIES_AND_MORE)
            saved = await login.taken_from(one, address)
            assert saved.local == {"a": "é\n"}
            assert ("c", "1") in [(each.name, each.value) for each in saved.cookies]
            await login.give(two, saved)
            assert await two.evaluate("document.body.innerHTML") == ""
            await two.open(f"{address}/other/jsonl")
            assert await login.taken_from(two, address) == saved

    tell(story())


def test_without_being_asked_nothing_is_kept(tmp_path: Path) -> None:
    """The worker's folder is empty after it."""

    async def story() -> None:
        async with serving_demo() as address, whole_worker(tmp_path, address) as (master, _life):
            await _becomes(master, "ready")
            master.worker.note(Stop())

    tell(story())
    assert list(tmp_path.iterdir()) == []
