"""once: the same request with the same `Idempotency-Key` has one answer; over real sockets and files."""

import asyncio
import errno
import fcntl
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from api_scene import CHAT, HELLO
from scripted import DEADLINE_S, Ask, Stage, Wire, Worker, api_serving, as_test, play, stage, until

from arenad.frontend import once as module
from arenad.frontend.once import Claim, KeyReused, Once, StillRunning, mark_of
from arenad.schema.config import ApiConfig

SAID = json.dumps({"model": "echo", "messages": HELLO}).encode()
ASKED = mark_of("/v1/chat/completions", b"what")


class Scene:
    """Two frontends that share a folder, and a worker whose words are the test's."""

    def __init__(self, made: Stage, worker: Worker, addresses: list[tuple[str, int]]) -> None:
        self.dispatch = made.dispatch
        self.worker = worker
        self.addresses = addresses

    async def send(self, key: str, body: bytes = SAID, frontend: int = 0) -> Wire:
        wire = await Wire.to(self.addresses[frontend])
        told: dict[str, str] = {"Idempotency_Key": key} if key else {}
        wire.send(CHAT, body, Host="127.0.0.1", Content_Type="application/json", **told)
        return wire

    async def asked(self) -> Ask:
        return await self.worker.asked()


@asynccontextmanager
async def two_frontends(folder: Path) -> AsyncIterator[tuple[Scene]]:
    answers = folder / "answers"
    answers.mkdir()
    async with stage(folder) as made:
        worker = await made.worker("w1", slots=8)
        await made.enlist(worker)
        more: dict[str, Any] = {"answers_dir": str(answers)}
        async with api_serving(made, **more) as (_, one), api_serving(made, **more) as (_, other):
            yield (Scene(made, worker, [one, other]),)


served = as_test(two_frontends)


async def _answer(wire: Wire) -> tuple[int, dict[str, str], Any]:
    status, headers, body = await wire.answer()
    return status, headers, json.loads(body)


@served
async def test_a_second_request_has_the_answer_of_the_first(scene: Scene) -> None:
    """From either frontend, without anybody being asked; and it says that it is a second time."""
    first = await scene.send("k1")
    await (await scene.asked()).tell("thrée")
    status, headers, body = await _answer(first)
    assert (status, "idempotent-replayed" in headers) == (200, False)
    for frontend in (0, 1):
        status, again, same = await _answer(await scene.send("k1", frontend=frontend))
        assert (status, again["idempotent-replayed"], same) == (200, "true", body)
        assert again["x-request-id"] != headers["x-request-id"]
        assert again["x-arenad-usage"] == headers["x-arenad-usage"]
    assert scene.dispatch.counts["accepted"] == 1


@served
async def test_who_comes_while_the_first_runs_waits_for_it(scene: Scene) -> None:
    """Everybody has the same answer, of one chat."""
    wires = [await scene.send("k1", frontend=number % 2) for number in range(6)]
    ask = await scene.asked()
    await asyncio.sleep(0.05)
    assert not scene.worker.is_asked
    await ask.tell("thrée")
    answers = [await _answer(wire) for wire in wires]
    assert {status for status, _, _ in answers} == {200}
    assert len({json.dumps(body) for _, _, body in answers}) == 1
    assert scene.dispatch.counts["accepted"] == 1


@served
async def test_another_request_with_the_same_key_is_refused(scene: Scene) -> None:
    """While the first runs, and afterwards; the first one's answer stands."""
    first = await scene.send("k1")
    ask = await scene.asked()
    other = SAID.replace(b"hello", b"other")
    for frontend in (0, 1):
        status, _, body = await _answer(await scene.send("k1", other, frontend))
        assert (status, body["error"]["code"]) == (422, "idempotency_key_reused")
        assert body["error"]["param"] == "Idempotency-Key"
    await ask.tell("thrée")
    assert (await _answer(first))[0] == 200
    assert (await _answer(await scene.send("k1", other)))[0] == 422
    assert (await _answer(await scene.send("k1")))[0] == 200


@served
async def test_a_failure_is_worth_another_try(scene: Scene) -> None:
    """Whoever waited runs in its place, and so does whoever comes later."""
    first, second = await scene.send("k1"), await scene.send("k1", frontend=1)
    (await scene.asked()).fail(ValueError("a bug"))
    ask = await scene.asked()
    await ask.tell("well")
    answers = sorted([(await _answer(first))[0], (await _answer(second))[0]])
    assert answers == [200, 500]
    assert (await _answer(await scene.send("k1")))[0] == 200


@served
async def test_who_leaves_holds_up_nobody(scene: Scene) -> None:
    """The chat of a client that left is stopped; the one that waits for it runs."""
    first = await scene.send("k1")
    ask = await scene.asked()
    second = await scene.send("k1", frontend=1)
    first.leave()
    await ask.cancelled.wait()
    await (await scene.asked()).tell("well")
    assert (await _answer(second))[0] == 200


@served
async def test_streams_and_requests_without_a_key_are_performed_each_time(scene: Scene) -> None:
    """Nothing is kept of them."""
    stream = json.dumps({"model": "echo", "messages": HELLO, "stream": True}).encode()
    for key, body in (("k1", stream), ("", SAID)):
        for _ in range(2):
            wire = await scene.send(key, body)
            await (await scene.asked()).tell("well")
            assert (await wire.answer())[0] == 200
    assert scene.dispatch.counts["accepted"] == 4


@served
async def test_a_key_has_a_bound(scene: Scene) -> None:
    """A longer one is told so."""
    status, _, body = await _answer(await scene.send("k" * (module.MAX_KEY_CHARS + 1)))
    assert (status, body["error"]["param"]) == (400, "Idempotency-Key")


# -- the folder -------------------------------------------------------------------------------------


def _once(folder: Path, keep_s: float = 600.0, wait_s: float = 5.0) -> Once:
    return Once(str(folder), keep_s, wait_s)


def _only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def _age(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (1, 1))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _perform(once: Once, key: str, body: bytes = b"{}", owner: str = "") -> bytes:
    """The answer that was kept, or this one, which is kept now."""
    async with once.claim(key, owner, ASKED) as claim:
        if claim.answer is not None:
            return claim.answer.body
        await claim.keep(body, {})
        return body


def test_each_owner_has_keys_of_its_own(tmp_path: Path) -> None:
    """Nobody is told what somebody else was answered."""

    async def story() -> None:
        once = _once(tmp_path)
        assert await _perform(once, "k1", b"1", "alice") == b"1"
        assert await _perform(once, "k1", b"2", "bob") == b"2"
        assert await _perform(once, "k1", b"3", "alice") == b"1"

    play(story())


def test_files_are_ours_alone_and_name_no_key(tmp_path: Path) -> None:
    """An answer is between two."""
    play(_perform(_once(tmp_path), "k1"))
    [path] = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "k1" not in path.name


def test_an_answer_is_kept_for_a_while(tmp_path: Path) -> None:
    """Then the request is performed anew, and what is left of others goes."""

    async def story() -> None:
        once = _once(tmp_path)
        assert await _perform(once, "k1", b"1") == b"1"
        assert await _perform(once, "k2", b"1") == b"1"
        _age(tmp_path)
        assert await _perform(once, "k1", b"2") == b"2"

    play(story())
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("bound", "value"), [("MAX_COUNT", 3), ("MAX_BYTES", 300)])
def test_answers_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    """In number and in memory; the newest stay."""
    monkeypatch.setattr(module, bound, value)

    async def story() -> None:
        once = _once(tmp_path)
        for number in range(9):
            await _perform(once, f"k{number}", b"x" * 40)
        assert await _perform(once, "k8", b"new") == b"x" * 40
        assert await _perform(once, "k0", b"new") == b"new"

    play(story())
    assert len(list(tmp_path.iterdir())) <= 3


def test_a_very_long_answer_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is performed again."""
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)

    async def story() -> None:
        once = _once(tmp_path)
        assert await _perform(once, "k1", b"x" * 200) == b"x" * 200
        assert await _perform(once, "k1", b"new") == b"new"

    play(story())


def test_half_an_answer_is_none(tmp_path: Path) -> None:
    """As a frontend leaves it that dies while it writes."""

    async def story() -> None:
        once = _once(tmp_path)
        await _perform(once, "k1", b"x" * 200)
        os.truncate(_only(tmp_path), 100)
        assert await _perform(once, "k1", b"new") == b"new"

    play(story())


def test_an_answer_is_kept_whole_for_a_client_that_leaves_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that asks again; and no file that is opened then has a byte of the answer."""
    begun, go_on, write = threading.Event(), threading.Event(), os.pwrite

    def slow(file: int, content: bytes, at: int) -> int:
        if at:
            begun.set()
            go_on.wait(DEADLINE_S)
        return write(file, content, at)

    monkeypatch.setattr(os, "pwrite", slow)

    async def story() -> None:
        once = _once(tmp_path)
        first = asyncio.get_running_loop().create_task(_perform(once, "k1", b"1"))
        await asyncio.to_thread(begun.wait, DEADLINE_S)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        files = [os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT) for _ in range(9)]
        go_on.set()
        assert await _perform(once, "k1", b"2") == b"1"
        assert (tmp_path / "other").stat().st_size == 0
        for file in files:
            os.close(file)

    play(story())


def test_a_full_disk_fails_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is not kept: it is performed again, as if there were no key."""
    write = os.pwrite

    def full(file: int, content: bytes, at: int) -> int:
        if at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, content, at)

    monkeypatch.setattr(os, "pwrite", full)

    async def story() -> None:
        once = _once(tmp_path)
        for body in (b"1", b"2"):
            assert await _perform(once, "k1", body) == body
        claim = Claim(file=2**20)
        await claim.keep(b"", {})
        assert not claim.is_kept  # nor with no descriptor left

    play(story())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request has its answer, nothing stays locked, and the next one runs in its place."""

    def refused(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, f"{path}: {os.strerror(errno.EROFS)}, {missing_ok}")

    monkeypatch.setattr(Path, "unlink", refused)

    async def story() -> None:
        once = _once(tmp_path, wait_s=0.05)
        before = _descriptors()
        for _ in range(3):
            async with once.claim("k1", "", ASKED) as claim:
                assert claim.answer is None
        assert _descriptors() == before
        assert _only(tmp_path).stat().st_size == module._MARK_BYTES

    play(story())


def test_other_times_hold_from_a_reload_on(tmp_path: Path) -> None:
    """For how long an answer is kept, none at all, and how long one is waited for."""

    async def story() -> None:
        once = _once(tmp_path, keep_s=0.0)
        once.adjust(600.0, 0.05)
        assert [await _perform(once, "k1", body) for body in (b"1", b"2")] == [b"1", b"1"]
        async with once.claim("k2", "", ASKED):
            with pytest.raises(StillRunning):
                await _perform(once, "k2")
        once.adjust(0.0, 0.05)
        assert await _perform(once, "k1", b"2") == b"2"
        sweeping = asyncio.get_running_loop().create_task(once.sweep())
        await until(lambda: not list(tmp_path.iterdir()))
        sweeping.cancel()

    play(story())


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """For a request that runs longer than any may, or a file that somebody else holds."""

    async def story() -> None:
        once = _once(tmp_path, wait_s=0.05)
        async with once.claim("k1", "", ASKED):
            with pytest.raises(StillRunning):
                await _perform(once, "k1")
            with pytest.raises(KeyReused):
                async with once.claim("k1", "", mark_of("/v1/chat/completions", b"other")):
                    pass
        assert await _perform(once, "k1") == b"{}"
        held = os.open(_only(tmp_path), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StillRunning):
            await _perform(once, "k1")
        os.close(held)

    play(story())


def test_what_runs_for_longer_than_answers_are_kept_is_not_removed(tmp_path: Path) -> None:
    """Its key stays taken, and its answer is there for the next; one that nobody holds goes."""

    async def story() -> None:
        once = _once(tmp_path, wait_s=0.05)
        async with once.claim("k1", "", ASKED) as claim:
            _age(tmp_path)
            once._trim()
            with pytest.raises(StillRunning):
                await _perform(once, "k1", b"2")
            await claim.keep(b"1", {})
        assert await _perform(once, "k1", b"2") == b"1"
        os.truncate(_only(tmp_path), module._MARK_BYTES)  # as of a frontend that died
        _age(tmp_path)
        once._trim()

    play(story())
    assert list(tmp_path.iterdir()) == []


def test_nobody_removes_the_file_of_another(tmp_path: Path) -> None:
    """Where one's own was taken away, the one in its place is of a request that runs."""

    async def story() -> None:
        once, first = _once(tmp_path, wait_s=0.05), AsyncExitStack()
        await first.enter_async_context(once.claim("k1", "", ASKED))
        _only(tmp_path).unlink()
        async with once.claim("k1", "", ASKED) as claim:
            await first.aclose()
            with pytest.raises(StillRunning):
                await _perform(once, "k1", b"3")
            await claim.keep(b"2", {})
        assert await _perform(once, "k1", b"3") == b"2"

    play(story())


def test_an_answer_that_is_just_kept_is_not_removed_for_what_was_there(tmp_path: Path) -> None:
    """A sweep saw a request that had run for long; when it comes to it, its answer is there."""

    async def story() -> None:
        once = _once(tmp_path)
        await _perform(once, "k1", b"1")
        module._remove(_only(tmp_path), module._MARK_BYTES)
        assert await _perform(once, "k1", b"2") == b"1"

    play(story())


def test_without_a_folder_requests_are_performed(tmp_path: Path) -> None:
    """A key is a courtesy: nothing fails for it. Nor with `api.idempotency_keep_s: 0`."""

    async def story() -> None:
        for once in (_once(tmp_path / "nowhere"), _once(tmp_path, keep_s=0.0)):
            for body in (b"1", b"2"):
                assert await _perform(once, "k1", body) == body
        await Claim().keep(b"", {})

    play(story())
    assert list(tmp_path.iterdir()) == []


def test_old_answers_go_by_themselves(tmp_path: Path) -> None:
    """Also when nobody asks any more."""

    async def story() -> None:
        once = _once(tmp_path)
        await _perform(once, "k1")
        _age(tmp_path)
        path = _only(tmp_path)
        sweeping = asyncio.get_running_loop().create_task(once.sweep())
        await until(lambda: not path.exists())
        sweeping.cancel()

    play(story())
    assert ApiConfig().idempotency_keep_s == 600


@pytest.mark.parametrize("folder", ["", "."])
def test_nothing_but_answers_is_ever_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Whatever else is in the folder; and no folder is not the one that we happen to be in."""
    monkeypatch.chdir(tmp_path)
    names = ["README.md", "f" * 63, "F" * 64]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 100)
    (tmp_path / "sub").mkdir()
    _age(tmp_path)

    async def story() -> None:
        once = Once(folder, 600.0, 1.0)
        await _perform(once, "k1")
        once._trim()
        if not folder:
            await once.sweep()  # there is nothing to sweep: it ends

    play(story())
    kept = {path.name for path in tmp_path.iterdir()} - {*names, "sub"}
    assert {*names, "sub"} <= {path.name for path in tmp_path.iterdir()}
    assert len(kept) == (1 if folder else 0)
