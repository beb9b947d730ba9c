"""Images kept for a while, on a real disk."""

import asyncio
import base64
import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from scripted import play, until

from arenad.demo.drawing import picture
from arenad.frontend.kept import FileNotKept, Kept
from arenad.schema.chat import Event, Finish, Image, TextDelta
from arenad.schema.config import FilesConfig

CONTENT = picture("boat")
DATA = f"data:image/png;base64,{base64.b64encode(CONTENT).decode()}"


def _age(folder: Path, seconds: float) -> None:
    for path in folder.iterdir():
        then_s = path.stat().st_mtime - seconds
        os.utime(path, (then_s, then_s))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_any_frontend_serves_what_one_has_kept(tmp_path: Path) -> None:
    """The folder is all that they share; the file is its owner's alone."""

    async def story() -> None:
        name = await Kept(str(tmp_path), FilesConfig()).keep(CONTENT, "image/png")
        other = Kept(str(tmp_path), FilesConfig())
        assert await other.read(name) == ("image/png", CONTENT)
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
            await Kept(str(tmp_path / "kept"), FilesConfig()).read(name)

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
            await kept.read(names[2])

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
        assert await kept.read(path.removesuffix("/content")) == ("image/png", CONTENT)
        assert rest == [Image("https://site/x.png"), Finish("stop")]

    play(story())


def test_a_full_disk_loses_no_image(tmp_path: Path) -> None:
    """Where it cannot be kept, it is told as it came."""

    async def story() -> None:
        kept = Kept(str(tmp_path / "gone"), FilesConfig())
        events = [each async for each in kept.answer(_answer(), "")]
        assert Image(DATA, 1) in events

    play(story())
