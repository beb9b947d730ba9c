"""The browser's process: its sandbox, its start, its end."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from real_browser import CONFIG, ENOUGH_S, browser_in, tell, until

from arenad.schema.config import BrowserConfig
from arenad.worker import browser as browser_module
from arenad.worker import browser_process, frames
from arenad.worker.browser import launch
from arenad.worker.browser_process import BrowserBroken
from arenad.worker.finder import BrowserNotFound
from arenad.worker.meter import Meter
from arenad.worker.page_port import BrowserGone

SANDBOX_STORY = """
import asyncio, os, pwd, sys
from pathlib import Path
import psutil
from arenad.schema.config import BrowserConfig
from arenad.worker.browser import launch
from arenad.worker.meter import Meter
from arenad.worker.page import Page

def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)

async def story():
    browser = await launch(BrowserConfig(), Path(sys.argv[1]) / "scratch", "test")
    page = await Page.create(browser.devtools)
    await page.open("data:text/html,<p>hello")
    tree = psutil.Process(browser.pid).children(recursive=True)
    renderers = [each for each in tree if "--type=renderer" in each.cmdline()]
    assert renderers
    own_depth = len(status(browser.pid)["NSpid"].split())
    for each in [psutil.Process(browser.pid), *tree]:
        assert "--no-sandbox" not in each.cmdline(), each.cmdline()
    for each in renderers:
        told = status(each.pid)
        assert len(told["NSpid"].split()) > own_depth, told["NSpid"]
        assert told["Seccomp"] == "2", told["Seccomp"]
        assert int(told["Seccomp_filters"]) > int(status(browser.pid)["Seccomp_filters"])
    reading = Meter().take(0.0)
    assert reading.processes > len(renderers) + 1
    assert reading.memory_bytes > 50_000_000
    await browser.close()

if os.getuid() == 0:  # as a worker does: what it needs is imported, and no longer readable
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
asyncio.run(asyncio.wait_for(story(), 60))
print("sandboxed")
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for an unprivileged user, where pytest's own belong to who runs the tests."""
    folder = Path(tempfile.mkdtemp())
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
    yield folder
    shutil.rmtree(folder)


def test_renderers_are_sandboxed(open_folder: Path) -> None:
    """As an unprivileged user, pages live in a namespace of their own behind a seccomp filter."""
    told = subprocess.run(
        [sys.executable, "-c", SANDBOX_STORY, str(open_folder)],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(open_folder)},
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
        check=False,
    )
    assert told.stdout == "sandboxed\n", told.stderr
    assert list(open_folder.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root has no sandbox to lose")
def test_root_is_refused_without_consent(tmp_path: Path) -> None:
    """As root there is no sandbox, and no browser unless the operator accepts that."""

    async def story() -> None:
        with pytest.raises(BrowserBroken, match="allow_no_sandbox"):
            await launch(BrowserConfig(), tmp_path / "scratch", "test")

    tell(story())
    assert list(tmp_path.iterdir()) == []


def test_a_browser_starts_and_leaves(tmp_path: Path) -> None:
    """It gets no descriptor and no environment of ours, a private folder, and can be closed twice."""

    async def story() -> None:
        secret = "ARENAD_TEST_SECRET"
        os.environ[secret] = "1"
        async with browser_in(tmp_path) as browser:
            assert "Chrom" in browser.version or "Headless" in browser.version
            process = psutil.Process(browser.pid)
            assert secret not in process.environ()
            assert process.environ()["ARENAD_INSTANCE"] == "test"
            assert _mode(tmp_path / "scratch") == 0o700
            assert os.getsid(browser.pid) == browser.pid
            tree = [process, *process.children(recursive=True)]
            await browser.close()
            await browser.close()
            assert browser.exit_text == "exit code 0"
            with pytest.raises(BrowserGone):
                await browser.devtools.command("Browser.getVersion")
        del os.environ[secret]
        _, alive = psutil.wait_procs(tree, timeout=10)
        assert not alive

    tell(story())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _open_descriptors() -> list[str]:
    """What is open, except for what a loop opens for itself."""
    targets = [f"{fd}: {fd.readlink()}" for fd in Path("/proc/self/fd").iterdir() if fd.exists()]
    return sorted(target for target in targets if "pipe:" in target or "pidfd" in target)


def test_an_operators_features_stand_beside_ours(tmp_path: Path) -> None:
    """Of two such switches the browser hears the last one, so pages would freeze by an operator's."""

    async def story() -> None:
        config = replace(CONFIG, args=("--disable-features=Nothing,Else", "--lang=de"))
        browser = await launch(config, tmp_path / "scratch", "test")
        try:
            words = psutil.Process(browser.pid).cmdline()
        finally:
            await browser.close()
        (switch,) = (each for each in words if each.startswith(browser_module.WITHOUT))
        off = switch.removeprefix(browser_module.WITHOUT).split(",")
        assert {*browser_module.UNWANTED, *frames.UNWANTED, "Nothing", "Else"} == {*off}
        assert "--lang=de" in words

    tell(story())


def test_a_browser_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not hear its pipe close is killed, and reaped."""
    monkeypatch.setattr(browser_module, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(browser_process, "CLOSE_TIMEOUT_S", 0.3)

    async def story() -> None:
        async with browser_in(tmp_path) as browser:
            os.kill(browser.pid, signal.SIGSTOP)
            await browser.close()
            assert browser.exit_text == "killed by SIGKILL"
            assert not psutil.pid_exists(browser.pid)

    tell(story())


def test_a_browsers_death_is_noticed(tmp_path: Path) -> None:
    """Its link ends, its process is reaped, and how it ended is known."""

    async def story() -> None:
        async with browser_in(tmp_path) as browser:
            os.kill(browser.pid, signal.SIGKILL)
            await browser.devtools.lost.wait()
            assert await browser.ended(30)
            assert browser.exit_text == "killed by SIGKILL"
            assert not psutil.pid_exists(browser.pid)

    tell(story())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no display >&2; exit 3", r"exit code 3\): no display"),
        ("kill -9 $$", r"killed by SIGKILL\): it said nothing"),
        ("echo No usable sandbox! >&2; exit 1", "unprivileged user namespaces"),
        ("exec sleep 60", "no answer within 0.5 s"),
        ("exec 3<&- 4>&-; exec sleep 60", "it hung up"),
    ],
)
def test_a_failed_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """Whatever the program does instead of answering is told, and nothing of it is left."""
    monkeypatch.setattr(browser_module, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(browser_process, "CLOSE_TIMEOUT_S", 0.3)
    program = tmp_path / "browser"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    config = BrowserConfig(path=str(program), allow_no_sandbox=True, start_timeout_s=0.5)

    async def story() -> None:
        descriptors = _open_descriptors()
        with pytest.raises(BrowserBroken, match=said):
            await launch(config, tmp_path / "scratch", "test")
        await asyncio.sleep(0)  # closed transports let go of their descriptors in the next turn
        assert _open_descriptors() == descriptors

    tell(story())
    assert not (tmp_path / "scratch").exists()
    assert psutil.Process().children() == []


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    """No program at all, one that is none, and a scratch folder that is in use."""
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("this is no program")
    nonsense.chmod(0o755)

    async def story() -> None:
        for name, kind in (("none", BrowserNotFound), ("nonsense", BrowserBroken)):
            config = BrowserConfig(path=str(tmp_path / name), allow_no_sandbox=True)
            scratch = tmp_path / f"{name} scratch"
            with pytest.raises(kind, match=name):
                await launch(config, scratch, "test")
        with pytest.raises(BrowserBroken, match="cannot be started"):
            await launch(CONFIG, tmp_path, "test")

    tell(story())


def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """A word to stop in the middle of a start ends the browser too."""

    async def story() -> None:
        start = asyncio.get_running_loop().create_task(launch(CONFIG, tmp_path / "scratch", "test"))
        await until(lambda: bool(psutil.Process().children()))
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert psutil.Process().children() == []

    tell(story())
    assert list(tmp_path.iterdir()) == []


def test_meter_sees_the_browsers_tree(tmp_path: Path) -> None:
    """The worker and all of its browser are counted, and their work since the last reading."""

    async def story() -> None:
        meter = Meter()
        alone = meter.take(0.0)
        async with browser_in(tmp_path):
            both = meter.take(1.0)
            assert both.processes > alone.processes
            assert both.memory_bytes > alone.memory_bytes + 20_000_000
            assert both.cpu_percent > 0

    tell(story())
