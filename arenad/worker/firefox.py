"""One Firefox process: a stock build, launched by us, driven over its WebDriver BiDi port.

The port is on loopback, where others on this machine reach it, too. It takes one session at a time,
which is ours from the first moment on and does not end before the browser does: all others are
refused. What is asked by a page is refused for its origin.
"""

import asyncio
import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from arenad.schema.config import BrowserConfig
from arenad.schema.process import Proxy
from arenad.worker import finder
from arenad.worker.bidi import Bidi, Params
from arenad.worker.bidi_page import EVENTS, BidiPage
from arenad.worker.browser_process import (
    BrowserBroken,
    BrowserProcess,
    Tail,
    environment,
    high_pipe,
    spawn,
)
from arenad.worker.page_port import BrowserError

OLDEST = 140
"""What is used of BiDi is there since this version; with older ones nothing was tried."""

PREFERENCES: dict[str, bool | int | str] = {
    "remote.active-protocols": 1,  # BiDi alone: the other protocol would let anybody in
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.cache.disk.enable": False,
    "browser.contentblocking.category": "standard",
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "dom.min_background_timeout_value": 4,
    "extensions.update.enabled": False,
    "media.peerconnection.ice.default_address_only": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "signon.rememberSignons": False,
    "toolkit.cosmeticAnimations.enabled": False,
    "toolkit.telemetry.enabled": False,
}
"""Quiet and lean: no page is told what this browser is not, and no guard of pages is off."""

VARIABLES = {
    "MOZ_CRASHREPORTER_DISABLE": "1",
    "MOZ_HEADLESS_WIDTH": "1280",
    "MOZ_HEADLESS_HEIGHT": "900",
}

_ADDRESS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_FILTERED = re.compile(r"^Seccomp:\s+2$", re.MULTILINE)

log = logging.getLogger("arenad.browser")


class Firefox(BrowserProcess):
    """A running Firefox, with its BiDi link once it was greeted."""

    def __init__(self, pid: int, stderr: Tail, scratch: Path, *, is_checked: bool) -> None:
        """Use `launch`. `is_checked`: without its sandbox it is not used."""
        super().__init__(pid, stderr, scratch)
        self._link: Bidi | None = None
        self._lost = asyncio.Event()
        self._is_checked = is_checked

    @property
    def lost(self) -> asyncio.Event:
        """Set when its link has ended."""
        return self._lost

    @property
    def heard(self) -> int:
        """How many messages have come."""
        return self._there.heard.total()

    @property
    def _there(self) -> Bidi:
        if self._link is None:
            raise BrowserError("it was not greeted")
        return self._link

    async def ask(self, timeout_s: float) -> None:
        """Have it answer the smallest question. Raises `BrowserError`."""
        await self._there.command("session.status", timeout_s=timeout_s)

    async def page(self, way: Proxy | None = None) -> BidiPage:
        """A blank page in a fresh user context. Raises `BrowserError`, `BrowserBroken`."""
        if way is not None:
            raise BrowserBroken("egress.proxies: are given, and firefox has no driver for them")
        page = await BidiPage.create(self._there)
        if self._is_checked:
            await asyncio.to_thread(self._check_sandbox)
            self._is_checked = False
        return page

    def _check_sandbox(self) -> None:
        """Each process that shows pages is confined, or the browser is not used."""
        with suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self.pid).children(recursive=True):
                if "-isForBrowser" in each.cmdline() and not _is_confined(each.pid):
                    raise BrowserBroken(
                        f"the sandbox of firefox is not on (process {each.pid} has no filter of "
                        "system calls); allow it, or accept the risk with browser.allow_no_sandbox"
                    )

    async def greet(self, timeout_s: float) -> None:
        """Wait until it answers, and take its only session. Raises `BrowserBroken`."""
        try:
            async with asyncio.timeout(timeout_s):
                link = self._link = await Bidi.open(await self._address())
                link.on_lost(self._lost.set)
                asked: Params = {"unhandledPromptBehavior": {"default": "ignore"}}
                told = await link.command(
                    "session.new", {"capabilities": {"alwaysMatch": asked}}, timeout_s
                )
                await link.command("session.subscribe", {"events": list(EVENTS)}, timeout_s)
        except (TimeoutError, BrowserError) as error:
            why = str(error) or f"no answer within {timeout_s:g} s"
            said = self._stderr.text()[-600:] or "it said nothing"
            raise BrowserBroken(
                f"the browser did not start ({self.exit_text or why}): {said}"
            ) from error
        version = str(told["capabilities"]["browserVersion"])
        self.version = f"Firefox/{version}"
        if int(version.partition(".")[0]) < OLDEST:
            remedy = f"install {OLDEST} or newer (apt install firefox-esr)"
            raise BrowserBroken(f"browser.path: is Firefox {version}; {remedy}")

    async def _address(self) -> str:
        while not (found := _ADDRESS.search(self._stderr.text())):
            if self.exited.is_set():
                raise BrowserError("it has ended")
            self._stderr.spoke.clear()
            await self._stderr.spoke.wait()
        return found[1]

    def _hang_up(self) -> None:
        self._lost.set()
        self._stderr.spoke.set()
        if self._link is not None:
            self._link.lose()

    async def _leave(self) -> None:
        """Leaving in its own time, it would write files that nobody wants."""
        self.kill()
        if self._link is not None:
            await self._link.close()


def _is_confined(pid: int) -> bool:
    try:
        return bool(_FILTERED.search(Path(f"/proc/{pid}/status").read_text()))
    except OSError:
        return True  # it has ended


async def launch(config: BrowserConfig, scratch: Path, name: str) -> Firefox:
    """Start a browser in a new folder `scratch`, and wait until it answers.

    Raises `BrowserBroken` or `finder.BrowserNotFound`; then nothing of it is left.
    """
    path = finder.find_firefox(config.path)
    profile = scratch / "profile"
    words = [str(path), "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"]
    words += [*(["--headless"] if config.headless else []), *config.args]
    if with_us := shutil.which("setpriv"):
        # It knows no pipe whose end is its own: the kernel ends it with us.
        words = [with_us, "--pdeathsig", "KILL", "--", *words]
    if config.allow_no_sandbox:
        log.warning("browser.allow_no_sandbox is set: the sandbox is not looked at")
    try:
        os.makedirs(profile, 0o700)  # noqa: PTH103 - one quick call on a local disk
        _write_preferences(profile / "user.js")
        variables = {**environment(config, scratch, name), **VARIABLES}
        browser = await _start(words, variables, scratch, is_checked=not config.allow_no_sandbox)
    except OSError as error:
        raise BrowserBroken(f"{path} cannot be started: {error}") from error
    try:
        await browser.greet(config.start_timeout_s)
    except BaseException:  # a cancel too: whoever gives up the start leaves nothing behind
        await browser.close()
        raise
    log.info("%s is up: %s, pid %d", path, browser.version, browser.pid)
    return browser


def _write_preferences(file: Path) -> None:
    words = {True: "true", False: "false"}
    with file.open("w", encoding="utf-8") as out:
        for name, value in PREFERENCES.items():
            told = words[value] if isinstance(value, bool) else repr(value)
            out.write(f'user_pref("{name}", {told});\n')


async def _start(
    words: list[str], variables: dict[str, str], scratch: Path, *, is_checked: bool
) -> Firefox:
    """Nothing is awaited once it runs: a cancel finds either no process, or one to close."""
    ours, theirs = high_pipe()
    stderr = Tail()
    try:
        errors = os.fdopen(ours, "rb", 0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: stderr, errors)
        return Firefox(spawn(words, variables, [theirs]), stderr, scratch, is_checked=is_checked)
    except BaseException:  # a cancel too
        stderr.close()
        raise
    finally:
        os.close(theirs)
