"""One Chromium process: launched by us over its debugging pipe, sandbox on, in a folder of its own.

No port is opened, so no other user of the machine can reach it, and it ends when the pipe closes.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from arenad.errors import ArenadError
from arenad.schema.config import BrowserConfig
from arenad.worker import finder
from arenad.worker.devtools import BrowserGone, DevTools, DevToolsError

STDERR_KEPT_BYTES = 8 * 1024
CLOSE_TIMEOUT_S = 3.0
FIRST_FREE_FD = 16
"""Our pipe ends are moved up here first, so that 3 and 4 are free to be given to the browser."""

FLAGS = (
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

PASSED = ("PATH", "LANG", "TZ")
OF_A_DISPLAY = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")

log = logging.getLogger("arenad.browser")


class BrowserBroken(ArenadError):
    """The browser does not start, or does not do what it must; the message says what it said."""


class Browser:
    """A running browser: its process, its link, its death."""

    def __init__(self, pid: int, devtools: DevTools, stderr: "_Tail", scratch: Path) -> None:
        """Use `launch`."""
        self.pid = pid
        self.version = ""
        self.devtools = devtools
        self.exited = asyncio.Event()
        self.exit_text = ""
        self._stderr = stderr
        self._scratch = scratch
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self.exit_text = _reap(self._pidfd)
        self.exited.set()
        # Its children may hold the pipe's other end for a moment longer; nobody answers there.
        self.devtools.close()

    async def greet(self, timeout_s: float) -> None:
        """Wait until it answers, and learn its version. Raises `BrowserBroken`."""
        try:
            answer = await self.devtools.command("Browser.getVersion", timeout_s=timeout_s)
        except DevToolsError as error:
            why = f"no answer within {timeout_s:g} s"
            if isinstance(error, BrowserGone):
                await self.ended(CLOSE_TIMEOUT_S)
                why = self.exit_text or "it hung up"
            raise BrowserBroken(f"the browser did not start ({why}): {self._said()}") from error
        self.version = str(answer["product"])

    def _said(self) -> str:
        return _explained(self._stderr.text())

    async def ended(self, timeout_s: float) -> bool:
        """Whether its process ends within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.exited.wait()
        return self.exited.is_set()

    def kill(self) -> None:
        """End a browser that hangs: it would not leave when told to."""
        if self._pidfd >= 0 and not self.exited.is_set():
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def close(self) -> None:
        """End it by closing its pipe, or kill it when it does not leave; remove its folder."""
        if self._pidfd < 0:
            return
        self.devtools.close()
        if not await self.ended(CLOSE_TIMEOUT_S):
            log.warning("the browser does not leave; killing it")
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            if not await self.ended(CLOSE_TIMEOUT_S):
                log.error("the browser, pid %d, cannot even be killed", self.pid)
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._stderr.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


class _Tail(asyncio.Protocol):
    """The end of what the browser wrote to standard error, for the message when it dies."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._kept.append(data)
        self._kept_bytes += len(data)
        while self._kept_bytes - len(self._kept[0]) > STDERR_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def text(self) -> str:
        return b"".join(self._kept)[-STDERR_KEPT_BYTES:].decode(errors="replace").strip()


async def launch(config: BrowserConfig, scratch: Path, name: str) -> Browser:
    """Start a browser in a new folder `scratch`, and wait until it answers.

    Raises `BrowserBroken` or `finder.BrowserNotFound`; then nothing of it is left.
    """
    path = finder.find(config.path, headless=config.headless)
    flags = [
        *FLAGS,
        *(["--headless"] if config.headless else _window_flags()),
        f"--user-data-dir={scratch / 'profile'}",
        *_sandbox_flags(config),
        *config.args,
    ]
    try:
        os.mkdir(scratch, 0o700)  # noqa: PTH102 - one quick call on a local disk
        passed = PASSED if config.headless else (*PASSED, *OF_A_DISPLAY)
        browser = await _start(path, flags, _environment(scratch, name, passed), scratch)
    except OSError as error:
        raise BrowserBroken(f"{path} cannot be started: {error}") from error
    try:
        await browser.greet(config.start_timeout_s)
    except BaseException:  # a cancel too: whoever gives up the start leaves nothing behind
        await browser.close()
        raise
    log.info("%s is up: %s, pid %d", path, browser.version, browser.pid)
    return browser


def _sandbox_flags(config: BrowserConfig) -> list[str]:
    if config.allow_no_sandbox:
        log.warning("browser.allow_no_sandbox is set: who breaks out of a page has our rights")
        return ["--no-sandbox"]
    if os.getuid() == 0:
        raise BrowserBroken(
            "the browser's sandbox does not work as root; set daemon.user to an unprivileged user, "
            "or accept the risk with browser.allow_no_sandbox"
        )
    return []


def _window_flags() -> list[str]:
    """A desktop may have Wayland alone, which the browser does not find out by itself."""
    is_wayland = "WAYLAND_DISPLAY" in os.environ and "DISPLAY" not in os.environ
    return ["--ozone-platform=wayland"] if is_wayland else []


def _environment(scratch: Path, name: str, names: Sequence[str]) -> dict[str, str]:
    """Only what a browser needs: nothing of the daemon's own reaches a web page's process."""
    passed = {key: os.environ[key] for key in names if key in os.environ}
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
    path: Path, flags: list[str], environment: dict[str, str], scratch: Path
) -> Browser:
    """Spawn the process with pipes at its descriptors 3 (it reads) and 4 (it writes).

    Nothing is awaited once it runs: a cancel finds either no process, or a `Browser` to close.
    """
    ours, theirs = _pipes()
    stderr, devtools = _Tail(), None
    try:
        commands_fd, replies_fd, errors_fd = ours
        errors = os.fdopen(errors_fd, "rb", 0)
        devtools = await DevTools.open(replies_fd, commands_fd)
        await asyncio.get_running_loop().connect_read_pipe(lambda: stderr, errors)
        return Browser(_spawn(path, flags, environment, theirs), devtools, stderr, scratch)
    except BaseException:  # a cancel too
        stderr.close()
        if devtools is not None:
            devtools.close()
        raise
    finally:
        for fd in theirs:
            os.close(fd)


def _pipes() -> tuple[list[int], list[int]]:
    """Our ends and the browser's: its commands, its replies, its standard error."""
    commands, replies, errors = _high_pipe(), _high_pipe(), _high_pipe()
    return [commands[1], replies[0], errors[0]], [commands[0], replies[1], errors[1]]


def _spawn(path: Path, flags: list[str], environment: dict[str, str], fds: list[int]) -> int:
    commands, replies, errors = fds
    return os.posix_spawn(
        path,
        [str(path), *flags],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors, 2),
            (os.POSIX_SPAWN_DUP2, commands, 3),
            (os.POSIX_SPAWN_DUP2, replies, 4),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE,),  # Python ignores it, and what is ignored is inherited
    )


def _high_pipe() -> tuple[int, int]:
    ends = os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD) for fd in ends]
    for fd in ends:
        os.close(fd)
    return high[0], high[1]


def _reap(pidfd: int) -> str:
    """Take the ended process off the kernel's hands and say how it ended."""
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        ended = None
    if ended is None:
        return "how it ended is not known"
    if ended.si_code == os.CLD_EXITED:
        return f"exit code {ended.si_status}"
    return f"killed by {signal.Signals(ended.si_status).name}"


def _explained(said: str) -> str:
    if "No usable sandbox" in said:
        return (
            "its sandbox needs unprivileged user namespaces, which this machine forbids "
            "(sysctl kernel.unprivileged_userns_clone, AppArmor on Ubuntu: allow them for this "
            "browser), or the chromium-sandbox package"
        )
    return said[-600:] or "it said nothing"
