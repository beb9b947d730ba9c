"""Disks that can be filled without harm, and entries to fill them with."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from arenad.log import wall_time_s
from arenad.schema.history import Remember, RequestEnded, StoryLine

FULL = "x" * 4000
BASE_S = wall_time_s() - 100_000.0
"""When the tests' entries happened: more than a day ago."""


def line(number: int, text: str = "ready") -> StoryLine:
    return StoryLine(BASE_S + number, "w1", text)


def lines(source: str, first: int, count: int, text: str = "ready") -> Remember:
    return Remember(source, first, tuple(line(n, text) for n in range(first, first + count)))


def request(number: int, instance: str = "w1", at_unix_s: float = BASE_S) -> RequestEnded:
    return RequestEnded(
        at_unix_s=at_unix_s + number,
        request_id=f"id-{number}",
        frontend="frontend-1",
        model="demo-echo",
        streams=bool(number % 2),
        instance=instance,
        asked=1,
        outcome="answered",
        error="",
        waited_s=0.0,
        first_event_s=None if number % 3 else 0.25,
        duration_s=1.5,
        chars=number,
    )


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own, where we may mount one."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "arenad-test"]
    if subprocess.run([*mount, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def no_file_grows(limit_bytes: int) -> Iterator[None]:
    """This process may write no file beyond this size: a quota that anybody can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
