"""Find a Chromium: the one that is named, else the leanest one that is installed."""

import os
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

DEBIAN_FOLDER = Path("/usr/lib/chromium")

PLAYWRIGHT_PATTERNS = (
    "chromium_headless_shell-*/*/headless_shell",
    "chromium_headless_shell-*/*/chrome-headless-shell",
    "chromium-*/chrome-linux*/chrome",
)


class BrowserNotFound(ArenadError):
    """No browser is installed, or the named one is not there."""


def find(configured: str) -> Path:
    """The browser's path. Raises `BrowserNotFound`, which names the remedy."""
    if named := configured or os.environ.get(ENVIRONMENT_VARIABLE, ""):
        found = shutil.which(named)
        if found is None:
            raise BrowserNotFound(f"browser.path: {named} is no program; correct it or leave it empty")
        return Path(found)
    for name in NAMES:
        if found := shutil.which(name):
            return _behind_script(Path(found))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ms-playwright"
    for pattern in PLAYWRIGHT_PATTERNS:
        if downloads := sorted(cache.glob(pattern)):
            return downloads[-1]
    raise BrowserNotFound(
        "no browser found; install one (apt install chromium-headless-shell) or set browser.path"
    )


def _behind_script(found: Path) -> Path:
    """Debian's programs are shell scripts that stay in between; the browser itself is one process less."""
    with found.open("rb") as file:
        is_script = file.read(2) == b"#!"
    real = DEBIAN_FOLDER / found.name
    return real if is_script and os.access(real, os.X_OK) else found
