"""Finding a browser, on machines that exist only in a temporary folder."""

from pathlib import Path

import pytest

from arenad.worker import finder
from arenad.worker.finder import BrowserNotFound, find


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser: `bin`, `debian` and `cache` stand for its places."""
    for name in ("bin", "debian", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(finder.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(finder, "DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path


def _program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_no_browser_names_the_remedy(machine: Path) -> None:
    """Nothing installed: what to install, and which setting to set."""
    with pytest.raises(BrowserNotFound, match=r"apt install .* browser\.path"):
        find("")


def test_the_leanest_browser_is_taken(machine: Path) -> None:
    """The headless shell before the full browser, an installed one before a download."""
    _program(machine / "cache/ms-playwright/chromium-1/chrome-linux/chrome")
    full = _program(machine / "bin/google-chrome")
    assert find("") == full
    lean = _program(machine / "bin/chromium-headless-shell")
    assert find("") == lean


def test_a_configured_browser_wins(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration before the environment, the environment before what is installed."""
    _program(machine / "bin/chromium")
    mine, other = _program(machine / "mine"), _program(machine / "bin/other")
    monkeypatch.setenv(finder.ENVIRONMENT_VARIABLE, "other")
    assert find("") == other
    assert find(str(mine)) == mine


def test_a_wrong_name_is_told_where_it_stands(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the place of the mistake, be it the configuration or the environment."""
    _program(machine / "bin/chromium")
    with pytest.raises(BrowserNotFound, match=r"^browser\.path: nowhere is no program"):
        find("nowhere")
    monkeypatch.setenv(finder.ENVIRONMENT_VARIABLE, "no-such")
    with pytest.raises(BrowserNotFound, match=r"^ARENAD_BROWSER: no-such is no program"):
        find("")


def test_the_program_behind_a_script_is_taken(machine: Path) -> None:
    """Debian's script is left out where the program itself is there, and no other script is."""
    script = _program(machine / "bin/chromium", "#!/bin/sh\n")
    assert find("") == script
    real = _program(machine / "debian/chromium")
    assert find("") == real
    _program(script)
    assert find("") == script


def test_the_newest_download_is_taken(machine: Path) -> None:
    """By its number, not by its letters; and the headless shell before the full browser."""
    cache = machine / "cache/ms-playwright"
    _program(cache / "chromium-2000/chrome-linux64/chrome")
    for revision in (999, 1000):
        newest = _program(cache / f"chromium_headless_shell-{revision}/chrome-linux/headless_shell")
    assert find("") == newest


def test_windows_need_the_full_browser(machine: Path) -> None:
    """The headless shell is passed by; named, or alone, it is told what is missing."""
    shell = _program(machine / "bin/chromium-headless-shell")
    _program(machine / "cache/ms-playwright/chromium_headless_shell-1/chrome-linux/headless_shell")
    with pytest.raises(BrowserNotFound, match=r"browser with windows .*apt install chromium"):
        find("", headless=False)
    with pytest.raises(BrowserNotFound, match=r"has no windows; install the full browser"):
        find(str(shell), headless=False)
    full = _program(machine / "bin/chromium")
    assert find("", headless=False) == full
