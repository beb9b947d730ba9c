"""usage: what the master reads of a key's use, from a file that is not its own."""

import asyncio
import os
import time
from pathlib import Path

from arenad.frontend.counters import Counters
from arenad.log import wall_time_s
from arenad.master.usage import use_of
from arenad.schema.keys import Key, KeyUse, Limits

KEY = Key(
    name="alice", id="00112233445566ff", scopes=("chat",), limits=Limits(concurrency=9), row=3
)
OTHER = Key(name="bob", id="ff" * 8, scopes=("chat",), limits=Limits(concurrency=9), row=3)


def _now(*paths: Path, key: Key = KEY) -> KeyUse | None:
    return use_of([str(path) for path in paths], key, time.monotonic(), wall_time_s())


def test_it_is_what_frontends_have_counted(tmp_path: Path) -> None:
    """Requests, tokens and what runs; a frontend that is gone has nothing running any more."""
    path = tmp_path / "counters"

    async def story() -> None:
        first, second = Counters([str(path)]), Counters([str(path)])
        await first.begin(KEY, 10)
        await first.begin(KEY, 10)
        await second.begin(KEY, 10)
        assert _now(path) == KeyUse(3, 30, 3, 30, running=3)
        first.end(KEY, 100)
        assert _now(path) == KeyUse(3, 130, 3, 130, running=2)
        assert _now(path, key=OTHER) == KeyUse()
        second.close()
        assert _now(path) == KeyUse(3, 130, 3, 130, running=1)
        first.close()

    asyncio.run(story())
    after = use_of([str(path)], KEY, time.monotonic() + 100, wall_time_s() + 100)
    assert after in (KeyUse(0, 0, 3, 130), KeyUse())  # the second one only over midnight


def test_the_file_that_is_written_is_the_one_that_tells(tmp_path: Path) -> None:
    """It is the second one where the first could not be; before any use there is none."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert _now(first, second) == KeyUse()

    async def story() -> None:
        counters = Counters([str(second)])
        await counters.begin(KEY, 1)
        counters.close()

    asyncio.run(story())
    told = _now(first, second)
    assert told is not None
    assert told.day_requests == 1


def test_what_stands_in_its_place_is_not_read(tmp_path: Path) -> None:
    """A link, a pipe or a folder; a file that is too short, or none of ours, is no use."""
    target = tmp_path / "target"
    target.write_bytes(bytes.fromhex(KEY.id) * 10000)
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    assert [_now(each) for each in (link, pipe, tmp_path)] == [None] * 3
    (tmp_path / "short").write_bytes(b"x")
    assert _now(tmp_path / "short") == KeyUse()
