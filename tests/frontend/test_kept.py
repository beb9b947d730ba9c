"""Images kept for a while, on a real disk."""

import asyncio
import base64
import errno
import os
import stat
import threading
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest
from scripted import DEADLINE_S, Wire, api_serving, play, stage, until

from arenad.demo.drawing import picture
from arenad.frontend.kept import FileNotKept, Kept, KeptFile
from arenad.schema.chat import Event, Finish, Image, TextDelta
from arenad.schema.config import ChatConfig, FilesConfig

CONTENT = picture("boat")
DATA = f"data:image/png;base64,{base64.b64encode(CONTENT).decode()}"


def _age(folder: Path, seconds: float) -> None:
    for path in folder.iterdir():
        then_s = path.stat().st_mtime - seconds
        os.utime(path, (then_s, then_s))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def _read(kept: Kept, name: str) -> tuple[str, bytes]:
    """All of a file, in two parts."""
    with closing(await kept.open(name)) as file:
        parts = [await file.part(0, 10), await file.part(10, file.size_bytes)]
    return file.kind, b"".join(parts)


def test_any_frontend_serves_what_one_has_kept(tmp_path: Path) -> None:
    """The folder is all that they share; the file is its owner's alone."""

    async def story() -> None:
        name = await Kept(str(tmp_path), FilesConfig()).keep(CONTENT, "image/png")
        other = Kept(str(tmp_path), FilesConfig())
        assert await _read(other, name) == ("image/png", CONTENT)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600

    play(story())


@pytest.mark.parametrize(
    "name", ["file-" + "0" * 32, "", "../secret", "file-" + "g" * 32, ".", "secret"]
)
def test_only_kept_files_are_read(tmp_path: Path, name: str) -> None:
    """Whatever is asked for, nothing else of the disk is."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "kept" / "secret").write_text("x")

    async def story() -> None:
        with pytest.raises(FileNotKept, match="keep_bytes"):
            await Kept(str(tmp_path / "kept"), FilesConfig()).open(name)

    play(story())


def test_each_bound_holds(tmp_path: Path) -> None:
    """Number, bytes, time: the oldest go first, and what is too old is not served either."""

    async def story() -> None:
        kept = Kept(str(tmp_path), FilesConfig(keep_count=2, keep_s=100.0))
        names: list[str] = []
        for _ in range(3):
            names.append(await kept.keep(CONTENT, "image/png"))
            _age(tmp_path, 10)
        assert _names(tmp_path) == sorted(names[1:])
        room = len(CONTENT) + len(b"image/png\n")
        kept.rules = FilesConfig(keep_count=9, keep_bytes=1024 * 1024)
        large = b"x" * (1024 * 1024 - room - len(b"image/png\n"))
        last = await kept.keep(large, "image/png")
        assert _names(tmp_path) == sorted([names[2], last])
        kept.rules = FilesConfig(keep_s=5.0)
        with pytest.raises(FileNotKept):
            await kept.open(names[2])

    play(story())


def test_what_cannot_be_removed_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the others nor the sweep, nor is what was just kept called lost."""
    unlink = Path.unlink

    def refused(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == stuck:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path, missing_ok=missing_ok)

    async def story() -> None:
        nonlocal stuck
        kept = Kept(str(tmp_path), FilesConfig(keep_count=1, keep_s=1.0))
        stuck = await kept.keep(CONTENT, "image/png")
        last = await kept.keep(CONTENT, "image/png")
        assert _names(tmp_path) == sorted([stuck, last])
        _age(tmp_path, 10)
        sweeping = asyncio.ensure_future(kept.sweep())
        await until(lambda: _names(tmp_path) == [stuck])
        assert not sweeping.done()
        sweeping.cancel()

    stuck = ""
    monkeypatch.setattr(Path, "unlink", refused)
    play(story())


def test_time_alone_removes_them(tmp_path: Path) -> None:
    """Also where nothing new comes that would push them out."""

    async def story() -> None:
        kept = Kept(str(tmp_path), FilesConfig(keep_s=0.05))
        await kept.keep(CONTENT, "image/png")
        sweeping = asyncio.ensure_future(kept.sweep())
        await until(lambda: not any(tmp_path.iterdir()))
        sweeping.cancel()

    play(story())


async def _answer() -> AsyncGenerator[Event | Finish]:
    yield TextDelta("a")
    yield Image(DATA, 1)
    yield Image("https://site/x.png")
    yield Finish("stop")


def test_images_of_an_answer_get_addresses_of_ours(tmp_path: Path) -> None:
    """What came as bytes; all else stays what it was."""

    async def story() -> None:
        kept = Kept(str(tmp_path), FilesConfig())
        text, image, *rest = [each async for each in kept.answer(_answer(), "http://localhost:1")]
        assert text == TextDelta("a")
        assert isinstance(image, Image)
        base, _, path = image.url.partition("/v1/files/")
        assert (base, image.side) == ("http://localhost:1", 1)
        assert await _read(kept, path.removesuffix("/content")) == ("image/png", CONTENT)
        assert rest == [Image("https://site/x.png"), Finish("stop")]

    play(story())


@pytest.mark.parametrize(
    ("method", "kind"), [("GET", "image/png"), ("HEAD", "image/png"), ("GET", "image/svg+xml")]
)
def test_a_kept_image_is_served(tmp_path: Path, method: str, kind: str) -> None:
    """Whole, with its type, and as nothing that a browser would run."""

    async def story() -> None:
        async with stage(tmp_path) as scene, api_serving(scene, files_dir=str(tmp_path)) as served:
            api, address = served
            name = await api.kept.keep(CONTENT, kind)
            wire = await Wire.to(address)
            wire.send(f"{method} /v1/files/{name}/content HTTP/1.1", Host="localhost")
            status, headers = await wire.head()
            assert (status, headers["content-type"]) == (200, kind)
            assert headers["content-length"] == str(len(CONTENT))
            policy = headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "sandbox"} < set(policy)
            assert headers["x-content-type-options"] == "nosniff"
            if method == "GET":
                assert await wire.reader.readexactly(len(CONTENT)) == CONTENT
            wire.send("GET /healthz HTTP/1.1", Host="localhost")
            assert (await wire.answer())[0] == 200

    play(story())


def test_an_image_is_read_as_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that nobody takes hardly anything is in memory, however many ask for it."""
    size_bytes, readers = 8 * 1024 * 1024, 8
    part, read = KeptFile.part, Counter[KeptFile]()

    async def counted(file: KeptFile, begin: int, size_bytes: int) -> bytes:
        read[file] += 1
        return await part(file, begin, size_bytes)

    monkeypatch.setattr(KeptFile, "part", counted)

    async def story() -> None:
        async with (
            stage(tmp_path) as scene,
            api_serving(scene, files_dir=str(tmp_path)) as (api, address),
        ):
            name = await api.kept.keep(b"x" * size_bytes, "image/png")
            wires = [await Wire.slow(address) for _ in range(readers)]
            tracemalloc.start()
            for wire in wires:
                wire.send(f"GET /v1/files/{name}/content HTTP/1.1", Host="localhost")
            await until(lambda: len(read) == readers and min(read.values()) > 1)
            held_bytes, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert held_bytes < size_bytes

    play(story())


def test_who_leaves_while_it_is_opened_leaves_it_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on; what it opens is nobody's, and no descriptor stays."""
    gate, close, closed = threading.Event(), KeptFile.close, list[KeptFile]()
    opened = Kept._opened

    def slowly(kept: Kept, name: str) -> KeptFile:
        gate.wait(DEADLINE_S)
        return opened(kept, name)

    def counted(file: KeptFile) -> None:
        close(file)
        closed.append(file)

    monkeypatch.setattr(Kept, "_opened", slowly)
    monkeypatch.setattr(KeptFile, "close", counted)

    async def story() -> None:
        kept = Kept(str(tmp_path), FilesConfig())
        name = await kept.keep(CONTENT, "image/png")
        opening = asyncio.ensure_future(kept.open(name))
        await asyncio.sleep(0)  # it has begun
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        gate.set()
        await until(lambda: closed)

    play(story())


def test_who_takes_nothing_of_an_image_is_hung_up_on(tmp_path: Path) -> None:
    """With the patience of a stream: nothing of it stays in memory for as long as they like."""

    async def story() -> None:
        patience = ChatConfig(idle_timeout_s=0.2)
        async with (
            stage(tmp_path) as scene,
            api_serving(scene, patience, files_dir=str(tmp_path)) as (api, address),
        ):
            name = await api.kept.keep(b"x" * 16 * 1024 * 1024, "image/png")
            wire = await Wire.slow(address)
            wire.send(f"GET /v1/files/{name}/content HTTP/1.1", Host="localhost")
            await until(lambda: api.activity.count == 1)
            await until(lambda: api.activity.count == 0)
            wire.writer.transport.resume_reading()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await wire.answer()

    play(story())


def test_a_full_disk_loses_no_image(tmp_path: Path) -> None:
    """Where it cannot be kept, it is told as it came."""

    async def story() -> None:
        kept = Kept(str(tmp_path / "gone"), FilesConfig())
        events = [each async for each in kept.answer(_answer(), "")]
        assert Image(DATA, 1) in events

    play(story())
