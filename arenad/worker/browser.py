"""One Chromium process: launched by us over its debugging pipe, sandbox on, in a folder of its own.

No port is opened, so no other user of the machine can reach it, and it ends when the pipe closes.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from arenad.schema.config import BrowserConfig
from arenad.schema.process import Proxy
from arenad.worker import finder, frames
from arenad.worker.browser_process import (
    CLOSE_TIMEOUT_S,
    BrowserBroken,
    BrowserProcess,
    Tail,
    environment,
    high_pipe,
    spawn,
)
from arenad.worker.devtools import DevTools
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError, BrowserGone
from arenad.worker.valve import Valve

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
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--window-size=1280,900",
    "--force-color-profile=srgb",
)
"""Plain documented switches: quiet and lean, none that hides what this browser is."""

UNWANTED = ("Translate", "OptimizationHints", "MediaRouter", "AutofillServerCommunication")
"""Features that are of no use here."""

WITHOUT = "--disable-features="

log = logging.getLogger("arenad.browser")


class Browser(BrowserProcess):
    """A running Chromium, with its DevTools link."""

    def __init__(self, pid: int, devtools: DevTools, stderr: Tail, scratch: Path) -> None:
        """Use `launch`."""
        super().__init__(pid, stderr, scratch)
        self.devtools = devtools
        self.valve = devtools.valve = Valve(pid)

    @property
    def lost(self) -> asyncio.Event:
        """Set when its pipe has closed."""
        return self.devtools.lost

    @property
    def heard(self) -> int:
        """How many messages have come."""
        return self.devtools.heard.total()

    @property
    def is_held_back(self) -> bool:
        """Whether its network process is stopped by us."""
        return self.valve.is_shut

    async def ask(self, timeout_s: float) -> None:
        """Have it answer the smallest question. Raises `BrowserError`."""
        await self.devtools.command("Browser.getVersion", timeout_s=timeout_s)

    async def page(self, way: Proxy | None = None) -> Page:
        """A blank page in a fresh context, all of it behind the proxy. Raises `BrowserError`."""
        return await Page.create(self.devtools, way)

    def _hang_up(self) -> None:
        """A browser started with a pipe ends when that closes, unless a part of it is stopped."""
        self.valve.close()
        self.devtools.close()

    async def greet(self, timeout_s: float) -> None:
        """Wait until it answers, and learn its version. Raises `BrowserBroken`."""
        try:
            answer = await self.devtools.command("Browser.getVersion", timeout_s=timeout_s)
        except BrowserError as error:
            why = f"no answer within {timeout_s:g} s"
            if isinstance(error, BrowserGone):
                await self.ended(CLOSE_TIMEOUT_S)
                why = self.exit_text or "it hung up"
            raise BrowserBroken(f"the browser did not start ({why}): {self._said()}") from error
        self.version = str(answer["product"])

    def _said(self) -> str:
        return _explained(self._stderr.text())


async def launch(config: BrowserConfig, scratch: Path, name: str) -> Browser:
    """Start a browser in a new folder `scratch`, and wait until it answers.

    Raises `BrowserBroken` or `finder.BrowserNotFound`; then nothing of it is left.
    """
    path = finder.find(config.path, headless=config.headless)
    is_drawn_by_us = _may_draw(config, path)
    flags = [
        *FLAGS,
        *(frames.FLAGS if is_drawn_by_us else ()),
        _without(UNWANTED + (frames.UNWANTED if is_drawn_by_us else ()), config.args),
        *(["--headless"] if config.headless else _window_flags()),
        f"--user-data-dir={scratch / 'profile'}",
        *_sandbox_flags(config),
        *(each for each in config.args if not each.startswith(WITHOUT)),
    ]
    try:
        os.mkdir(scratch, 0o700)  # noqa: PTH102 - one quick call on a local disk
        browser = await _start(path, flags, environment(config, scratch, name), scratch)
    except OSError as error:
        raise BrowserBroken(f"{path} cannot be started: {error}") from error
    browser.devtools.frame_turn = asyncio.Lock() if is_drawn_by_us else None
    try:
        await browser.greet(config.start_timeout_s)
    except BaseException:  # a cancel too: whoever gives up the start leaves nothing behind
        await browser.close()
        raise
    log.info("%s is up: %s, pid %d", path, browser.version, browser.pid)
    return browser


def _without(features: Sequence[str], args: Iterable[str]) -> str:
    """One switch for these and the operator's own: of two, the browser hears the last alone."""
    own = (each.removeprefix(WITHOUT) for each in args if each.startswith(WITHOUT))
    return WITHOUT + ",".join((*features, *own))


def _may_draw(config: BrowserConfig, path: Path) -> bool:
    """Whether we say when its pages are drawn: only the headless shell lets anybody do so."""
    return config.pace_frames and finder.is_shell(path.name) and frames.UNLIKE not in config.args


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


async def _start(path: Path, flags: list[str], variables: dict[str, str], scratch: Path) -> Browser:
    """Spawn the process with pipes at its descriptors 3 (it reads) and 4 (it writes).

    Nothing is awaited once it runs: a cancel finds either no process, or a `Browser` to close.
    """
    ours, theirs = _pipes()
    stderr, devtools = Tail(), None
    try:
        commands_fd, replies_fd, errors_fd = ours
        errors = os.fdopen(errors_fd, "rb", 0)
        devtools = await DevTools.open(replies_fd, commands_fd)
        await asyncio.get_running_loop().connect_read_pipe(lambda: stderr, errors)
        return Browser(spawn([str(path), *flags], variables, theirs), devtools, stderr, scratch)
    except BaseException:  # a cancel too
        stderr.close()
        if devtools is not None:
            devtools.close()
        raise
    finally:
        for fd in theirs:
            os.close(fd)


def _pipes() -> tuple[list[int], list[int]]:
    """Our ends (its commands, its replies, its standard error), and the browser's from 2 on."""
    commands, replies, errors = high_pipe(), high_pipe(), high_pipe()
    return [commands[1], replies[0], errors[0]], [errors[1], commands[0], replies[1]]


def _explained(said: str) -> str:
    if "No usable sandbox" in said:
        return (
            "its sandbox needs unprivileged user namespaces, which this machine forbids "
            "(sysctl kernel.unprivileged_userns_clone, AppArmor on Ubuntu: allow them for this "
            "browser), or the chromium-sandbox package"
        )
    return said[-600:] or "it said nothing"
