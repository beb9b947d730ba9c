"""One Chromium process: launched by us over its debugging pipe, sandbox on, in a scratch folder of its own.

No port is opened, so no other user of the machine can reach it, and it ends when the pipe closes.
"""

import asyncio
import fcntl
import logging
import os
import signal
from collections import deque
from pathlib import Path

from arenad.errors import ArenadError
from arenad.schema.config import BrowserConfig
from arenad.worker import finder
from arenad.worker.devtools import DevTools, DevToolsError

STDERR_KEPT_BYTES = 8 * 1024
CLOSE_TIMEOUT_S = 3.0
FIRST_FREE_FD = 16
"""Our pipe ends are moved up here first, so that 3 and 4 are free to be given to the browser."""

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--window-size=1280,900",
    "--force-color-profile=srgb",
)
"""Plain documented switches: quiet and lean, none that hides what this browser is."""

log = logging.getLogger("arenad.browser")


class BrowserBroken(ArenadError):
    """The browser does not start, or does not do what it must; the message says what it said."""


class Browser:
    """A running browser: its process, its link, its death."""

    def __init__(self, pid: int, version: str, devtools: DevTools, stderr: "_Tail") -> None:
        """Use `launch`."""
        self.pid = pid
        self.version = version
        self.devtools = devtools
        self.exited = asyncio.Event()
        self._stderr = stderr
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)
        self.exit_text = ""

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self.exit_text = _exit_text(self.pid)
        self.exited.set()

    async def close(self) -> None:
        """Ask it to end by closing its pipe; kill it when it does not."""
        self.devtools.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.exited.wait()
        except TimeoutError:
            log.warning("the browser does not leave; killing it")
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            await self.exited.wait()
        os.close(self._pidfd)


class _Tail(asyncio.Protocol):
    """The end of what the browser wrote to standard error, for the message when it dies."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        while sum(map(len, self._chunks)) > STDERR_KEPT_BYTES and len(self._chunks) > 1:
            self._chunks.popleft()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()

    def text(self) -> str:
        return b"".join(self._chunks)[-STDERR_KEPT_BYTES:].decode(errors="replace").strip()


async def launch(config: BrowserConfig, scratch: Path, name: str) -> Browser:
    """Start a browser and wait until it answers.

    Raises `BrowserBroken` or `finder.BrowserNotFound`.
    """
    path = finder.find(config.path)
    flags = [*FLAGS, f"--user-data-dir={scratch / 'profile'}", *_sandbox_flags(config), *config.args]
    scratch.mkdir(mode=0o700)
    pid, devtools, stderr = await _start(path, flags, _environment(scratch, name))
    try:
        answer = await devtools.command("Browser.getVersion", timeout_s=config.start_timeout_s)
    except (DevToolsError, TimeoutError) as error:
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await stderr.closed.wait()
        why = _exit_text(pid) if isinstance(error, DevToolsError) else "it does not answer"
        raise BrowserBroken(f"{path} did not start ({why}): {_said(stderr)}") from error
    log.info("%s is up: %s, pid %d", path, answer["product"], pid)
    return Browser(pid, str(answer["product"]), devtools, stderr)


def _sandbox_flags(config: BrowserConfig) -> list[str]:
    if config.allow_no_sandbox:
        log.warning("browser.allow_no_sandbox is set: a page that breaks out has this user's rights")
        return ["--no-sandbox"]
    if os.getuid() == 0:
        raise BrowserBroken(
            "the browser's sandbox does not work as root; set daemon.user to an unprivileged user, "
            "or accept the risk with browser.allow_no_sandbox"
        )
    return []


def _environment(scratch: Path, name: str) -> dict[str, str]:
    """Only what a browser needs; nothing of the daemon's own environment goes to a web page's process."""
    passed = {key: os.environ[key] for key in ("PATH", "LANG", "TZ", "DISPLAY") if key in os.environ}
    folder = str(scratch)
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **passed,
        "HOME": folder,
        "TMPDIR": folder,
        "XDG_CONFIG_HOME": folder,
        "XDG_CACHE_HOME": folder,
        "ARENAD_INSTANCE": name,
    }


async def _start(
    path: Path, flags: list[str], environment: dict[str, str]
) -> tuple[int, DevTools, _Tail]:
    """Spawn the process with pipes at its descriptors 3 (it reads) and 4 (it writes)."""
    theirs_in, ours_out = _high_pipe()
    ours_in, theirs_out = _high_pipe()
    ours_err, theirs_err = _high_pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, theirs_err, 2),
        (os.POSIX_SPAWN_DUP2, theirs_in, 3),
        (os.POSIX_SPAWN_DUP2, theirs_out, 4),
    ]
    try:
        pid = os.posix_spawn(
            path, [str(path), *flags], environment, file_actions=actions, setsid=True
        )
    except OSError as error:
        raise BrowserBroken(f"{path} cannot be started: {error.strerror}") from error
    finally:
        for fd in (theirs_in, theirs_out, theirs_err):
            os.close(fd)
    loop = asyncio.get_running_loop()
    _, tail = await loop.connect_read_pipe(_Tail, os.fdopen(ours_err, "rb", 0))
    return pid, await DevTools.open(ours_in, ours_out), tail


def _high_pipe() -> tuple[int, int]:
    ends = os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD) for fd in ends]
    for fd in ends:
        os.close(fd)
    return high[0], high[1]


def _exit_text(pid: int) -> str:
    """Reap the browser's process and say how it ended."""
    info = os.waitid(os.P_PID, pid, os.WEXITED)
    if info is None or info.si_code == os.CLD_EXITED:
        return f"exit code {info.si_status if info else '?'}"
    return f"killed by {signal.Signals(info.si_status).name}"


def _said(stderr: _Tail) -> str:
    text = stderr.text()
    if "No usable sandbox" in text:
        return (
            "its sandbox needs unprivileged user namespaces, which this machine forbids "
            "(sysctl kernel.unprivileged_userns_clone, AppArmor on Ubuntu: allow them for this "
            "browser), or the chromium-sandbox package"
        )
    return text[-600:] or "it said nothing"
