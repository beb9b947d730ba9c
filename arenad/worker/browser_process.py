"""A browser's process, of whichever engine: its birth, its end, and what it said before that."""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from arenad.errors import ArenadError
from arenad.schema.config import BrowserConfig
from arenad.schema.process import Proxy
from arenad.worker.page_port import PagePort

STDERR_KEPT_BYTES = 8 * 1024
CLOSE_TIMEOUT_S = 3.0
FIRST_FREE_FD = 16
"""Our pipe ends are moved up here first, so that 3 and 4 are free to be given to the browser."""

PASSED = ("PATH", "LANG", "TZ")
OF_A_DISPLAY = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")

log = logging.getLogger("arenad.browser")


class BrowserBroken(ArenadError):
    """The browser does not start, or does not do what it must; the message says what it said."""


class BrowserProcess(ABC):
    """A running browser: its process, its pages, its death."""

    def __init__(self, pid: int, stderr: "Tail", scratch: Path) -> None:
        """It runs since just now, in the folder `scratch`, which ends with it."""
        self.pid = pid
        self.version = ""
        self.exited = asyncio.Event()
        self.exit_text = ""
        self._stderr = stderr
        self._scratch = scratch
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    # -- what an engine brings ---------------------------------------------------------------------

    @property
    @abstractmethod
    def lost(self) -> asyncio.Event:
        """Set when it can be told nothing any more."""

    @property
    @abstractmethod
    def heard(self) -> int:
        """How often it has spoken, asked or not."""

    @property
    def is_held_back(self) -> bool:
        """Whether we ourselves keep its network from going on, so that it may well be silent."""
        return False

    @abstractmethod
    async def ask(self, timeout_s: float) -> None:
        """Have it give a sign of life. Raises `BrowserError`."""

    @abstractmethod
    async def page(self, way: Proxy | None = None) -> PagePort:
        """A blank page in a fresh context, all of it behind the proxy. Raises `BrowserError`."""

    @abstractmethod
    def _hang_up(self) -> None:
        """End the link to it; whoever waits for a reply is told."""

    async def _leave(self) -> None:
        """Ask it to end, where there is a way."""
        self._hang_up()

    # -- its end -----------------------------------------------------------------------------------

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self.exit_text = _reap(self._pidfd)
        self.exited.set()
        # Its children may hold the link's other end for a moment longer; nobody answers there.
        self._hang_up()

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
        """End it, or kill it when it does not leave; remove its folder."""
        if self._pidfd < 0:
            return
        await self._leave()
        if not await self.ended(CLOSE_TIMEOUT_S):
            log.warning("the browser does not leave; killing it")
            self.kill()
            if not await self.ended(CLOSE_TIMEOUT_S):
                log.error("the browser, pid %d, cannot even be killed", self.pid)
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._stderr.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


class Tail(asyncio.Protocol):
    """The end of what the browser wrote to standard error, for the message when it dies."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._transport: asyncio.BaseTransport | None = None
        self.spoke = asyncio.Event()
        """Set with all that comes; for a reader to clear."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """It said something."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        while self._kept_bytes - len(self._kept[0]) > STDERR_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())
        self.spoke.set()

    def close(self) -> None:
        """Nobody listens any more."""
        if self._transport is not None:
            self._transport.close()

    def text(self) -> str:
        """The end of what it said."""
        return b"".join(self._kept)[-STDERR_KEPT_BYTES:].decode(errors="replace").strip()


def environment(config: BrowserConfig, scratch: Path, name: str) -> dict[str, str]:
    """Only what a browser needs: nothing of the daemon's own reaches a web page's process."""
    names = PASSED if config.headless else (*PASSED, *OF_A_DISPLAY)
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


def spawn(words: list[str], environment: dict[str, str], fds: Sequence[int]) -> int:
    """Start a program in a session of its own; `fds` become its 2, 3 and so on. Gives its pid."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(fds, 2)]
    return os.posix_spawn(
        words[0],
        words,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            *actions,
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE,),  # Python ignores it, and what is ignored is inherited
    )


def high_pipe() -> tuple[int, int]:
    """A pipe whose ends (to read, to write) are none that a child is given."""
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
