"""Find a browser: the one that is named, else the leanest one that is installed."""

import os
import re
import shutil
from pathlib import Path

from arenad.errors import ArenadError

ENVIRONMENT_VARIABLE = "ARENAD_BROWSER"
NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
"""By memory: the headless shell costs half of what the full browser does (facts, part 2.1)."""

FIREFOX_VARIABLE = "ARENAD_FIREFOX"
FIREFOX_NAMES = ("firefox-esr", "firefox")

DEBIAN_FOLDER = Path("/usr/lib/chromium")

PLAYWRIGHT_PATTERNS = (
    "chromium_headless_shell-*/*/headless_shell",
    "chromium_headless_shell-*/*/chrome-headless-shell",
    "chromium-*/chrome-linux*/chrome",
)


class BrowserNotFound(ArenadError):
    """No browser is installed, or the named one is not there."""


def find(configured: str, *, headless: bool = True) -> Path:
    """The browser's path. Raises `BrowserNotFound`, which names the remedy."""
    found = _find(configured, headless=headless)
    if not headless and is_shell(found.name):
        raise BrowserNotFound(
            f"browser.headless is false, but {found} has no windows; install the full browser "
            "(apt install chromium) and name it in browser.path, or set browser.headless to true"
        )
    return found


def find_firefox(configured: str) -> Path:
    """The path of a stock Firefox. Raises `BrowserNotFound`, which names the remedy."""
    if configured:
        return _named("browser.path", configured)
    if wanted := os.environ.get(FIREFOX_VARIABLE, ""):
        return _named(FIREFOX_VARIABLE, wanted)
    for name in FIREFOX_NAMES:
        if (found := shutil.which(name)) and not _is_script(Path(found)):
            return Path(found)
    raise BrowserNotFound(
        "browser.engine: is firefox, and none is found; install one (apt install firefox-esr) or "
        "set browser.path"
    )


def is_shell(name: str) -> bool:
    """Whether this program is one that can only run without windows."""
    return "headless" in name


def _find(configured: str, *, headless: bool) -> Path:
    if configured:
        return _named("browser.path", configured)
    if wanted := os.environ.get(ENVIRONMENT_VARIABLE, ""):
        return _named(ENVIRONMENT_VARIABLE, wanted)
    for name in NAMES:
        if (headless or not is_shell(name)) and (found := shutil.which(name)):
            return _behind_script(Path(found))
    for pattern in PLAYWRIGHT_PATTERNS:
        if not headless and is_shell(pattern):
            continue
        if downloads := sorted(_playwright_folder().glob(pattern), key=_revision):
            return downloads[-1]
    package = "chromium-headless-shell" if headless else "chromium"
    kind = "browser" if headless else "browser with windows (browser.headless is false)"
    raise BrowserNotFound(
        f"no {kind} found; install one (apt install {package}) or set browser.path"
    )


def _named(where: str, name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise BrowserNotFound(f"{where}: {name} is no program; correct it or leave it empty")
    return Path(found)


def _behind_script(found: Path) -> Path:
    """Debian's programs are shell scripts that stay in between: one process more for nothing."""
    real = DEBIAN_FOLDER / found.name
    return real if _is_script(found) and os.access(real, os.X_OK) else found


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False  # it may be run, but not be read: as it stands


def _playwright_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - `Path` raises for a user without a home
    return Path(cache) / "ms-playwright"


def _revision(download: Path) -> int:
    """The number in `chromium-1193/…`: revision 1000 is newer than 999."""
    number = re.search(r"-(\d+)/", str(download))
    return int(number[1]) if number else 0
