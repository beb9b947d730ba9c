"""Install a program's packages from its registry into a folder of its own, once."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

INSTALL_TIMEOUT_S = 900.0


class Wanted(Protocol):
    """What is to be installed; the first of the packages is the one that has a version."""

    @property
    def name(self) -> str:
        """How it is called here."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Names with their versions, as pip or npm reads them."""
        ...

    @property
    def python(self) -> str:
        """The Python it needs."""
        ...

    @property
    def is_npm(self) -> bool:
        """Whether npm has it, and not pip."""
        ...


class NotInstalled(Exception):
    """A registry or a package does not give what is asked for."""


def home(folder: Path, wanted: Wanted) -> Path:
    """Its own folder; what has the same packages shares one."""
    told = json.dumps([wanted.packages, wanted.python, wanted.is_npm])
    return (
        folder
        / f"{_name(wanted).replace('/', '-')}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    )


def install(folder: Path, wanted: Wanted) -> Path:
    """Install it, unless it is there; gives its folder. Raises `NotInstalled`."""
    there = home(folder, wanted)
    mark = there / "installed"
    if mark.exists():
        return there
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    began_s = time.monotonic()
    if wanted.is_npm:
        _run(there, "npm", "install", "--ignore-scripts", "--no-audit", *wanted.packages)
    else:
        _run(there, shutil.which(f"python{wanted.python}") or sys.executable, "-m", "venv", "venv")
        _run(there, "venv/bin/pip", "install", "--quiet", *wanted.packages)
    mark.write_text("")
    print(f"{wanted.name}: installed in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    return there


def _name(wanted: Wanted) -> str:
    """Its main package, without what follows the name; an npm scope stays."""
    return re.split(r"[=<>\[]|(?<=.)@", wanted.packages[0])[0]


def version(there: Path, wanted: Wanted) -> str:
    """The installed version of its main package."""
    name = _name(wanted)
    if wanted.is_npm:
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
