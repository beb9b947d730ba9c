"""Install a page's packages into a scratch folder of its own, once."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.pages.catalog import Third

INSTALL_TIMEOUT_S = 900.0


class NotInstalled(Exception):
    """A registry or a package does not give what is asked for."""


def home(folder: Path, third: Third) -> Path:
    """The page's own folder; pages with the same packages share one."""
    told = json.dumps([third.packages, third.python, third.is_npm])
    return folder / f"{_name(third)}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def install(folder: Path, third: Third) -> Path:
    """Install it, unless it is there; gives its folder. Raises `NotInstalled`."""
    there = home(folder, third)
    mark = there / "installed"
    if mark.exists():
        return there
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    began_s = time.monotonic()
    if third.is_npm:
        _run(there, "npm", "install", "--ignore-scripts", "--no-audit", *third.packages)
    else:
        _run(there, shutil.which(f"python{third.python}") or sys.executable, "-m", "venv", "venv")
        _run(there, "venv/bin/pip", "install", "--quiet", *third.packages)
    mark.write_text("")
    print(f"{third.name}: installed in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return there


def _name(third: Third) -> str:
    """Its main package, without what follows the name."""
    return re.split(r"[=<>\[]", third.packages[0])[0]


def version(there: Path, third: Third) -> str:
    """The installed version of its main package."""
    name = _name(third)
    if third.is_npm:
        package = there / "node_modules" / name / "package.json"
        return str(json.loads(package.read_text())["version"])
    ask = f"import importlib.metadata as m; print(m.version({name!r}))"
    return _run(there, "venv/bin/python", "-c", ask).strip()


def _run(there: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": ""}
    try:
        ran = subprocess.run(
            words, cwd=there, env=env, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"{words[0]} took longer than {INSTALL_TIMEOUT_S:g} s") from error
    if ran.returncode:
        raise NotInstalled(f"{' '.join(words[:4])}…: {ran.stderr.strip()[-400:]}")
    return ran.stdout
