"""An instance's login: out of its page, into a file, into a page again. None of it is logged."""

import logging
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec

from arenad.schema.login import SavedCookie, SavedLogin
from arenad.worker.page_port import PagePort

MAX_BYTES = 4 * 1024 * 1024
"""A session that takes more is not kept."""

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600

_TAKE = "[location.origin, Object.entries(localStorage)]"
_GIVE = "for (const [name, value] of {entries}) localStorage.setItem(name, value);"

log = logging.getLogger("arenad.login")

# -- the page -------------------------------------------------------------------------------------


async def taken_from(page: PagePort, site: str) -> SavedLogin:
    """What a page's context has stored so far. Raises `BrowserError`."""
    origin, entries = cast("tuple[str, list[tuple[str, str]]]", await page.evaluate(_TAKE))
    told = [each for each in await page.cookies() if not each.get("partitionKey")]
    fields = SavedCookie.__struct_fields__
    given = [{name: each[name] for name in fields if name in each} for each in told]
    cookies = msgspec.convert(given, tuple[SavedCookie, ...])
    return SavedLogin(site=site, origin=origin, cookies=cookies, local=dict(entries))


async def give(page: PagePort, login: SavedLogin) -> None:
    """Put it into a blank page's context; the site is asked nothing. Raises `BrowserError`."""
    told = [msgspec.to_builtins(each) for each in login.cookies]
    for each in told:
        if each["expires"] < 0:
            del each["expires"]
        if not each["sameSite"]:
            del each["sameSite"]
    await page.give_cookies(told)
    if login.local:
        await page.open_empty(login.origin)
        entries = msgspec.json.encode(list(login.local.items())).decode()
        await page.evaluate(_GIVE.replace("{entries}", entries))


# -- the file -------------------------------------------------------------------------------------


class Kept:
    """One instance's file, written in threads and forgotten without waiting for any of them."""

    def __init__(self, path: Path) -> None:
        """Nothing is written yet."""
        self.path = path
        self._is_forgotten = False
        self._turn = threading.Lock()

    def write(self, login: SavedLogin) -> bool:
        """Keep it, if nobody has said to forget it, meanwhile either; whether that worked.

        One at a time: a write that nobody waits for any more still goes on in its thread.
        """
        with self._turn:
            is_written = not self._is_forgotten and write(self.path, login)
            if self._is_forgotten:
                remove(self.path)
            return is_written

    def forget(self) -> None:
        """Keep nothing from now on; a write under way removes what it wrote."""
        self._is_forgotten = True
        remove(self.path)


def read(path: Path, site: str) -> SavedLogin | None:
    """What is kept for this site, if anything is; what cannot be used is said, and left alone."""
    try:
        login = msgspec.json.decode(_bytes_of(path), type=SavedLogin)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("the login at %s cannot be read: %s", path, error.strerror)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        log.warning("the login at %s cannot be read: it is none; remove the file", path)
    else:
        if login.site == site:
            return login
        log.warning("the login at %s is for another site, %s", path, login.site)
    return None


def _bytes_of(path: Path) -> bytes:
    held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(held, "rb") as file:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(0, "it is no file")
        return file.read(MAX_BYTES + 1)


def write(path: Path, login: SavedLogin) -> bool:
    """Keep it, whole or not at all; whether that worked."""
    packed = msgspec.json.encode(login)
    if len(packed) > MAX_BYTES:
        log.warning("the login is not kept: it takes %d bytes, over %d", len(packed), MAX_BYTES)
        return False
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, PRIVATE_FILE), "wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        log.warning("the login cannot be kept at %s: %s", path, error.strerror)
        with suppress(OSError):
            new.unlink(missing_ok=True)
        return False
    return True


def remove(path: Path) -> None:
    """Keep it no more."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the login at %s cannot be removed: %s", path, error.strerror)
