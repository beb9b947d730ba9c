"""What the README and the greeting tell people to type works as it stands."""

import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, running, until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
API, GUI = "127.0.0.1:5102", "127.0.0.1:5104"


@pytest.fixture(scope="module")
def two() -> Iterator[Daemon]:
    """The two instances that `make run` starts."""
    with running(2) as daemon:
        yield daemon


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _here(text: str, daemon: Daemon) -> str:
    """The same commands, for the ports of this daemon."""
    api, gui = (url.removeprefix("http://") for url in (daemon.api_url, daemon.gui_url))
    return text.replace(API, api).replace(GUI, gui)


def _spoken(stdout: str) -> str:
    """The text of an SSE answer."""
    return "".join(re.findall(r'"content":"((?:[^"\\]|\\.)*)"', stdout))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_line_streams(two: Daemon) -> None:
    """The README's curl line gets a streamed answer."""
    (line,) = [block for block in _blocks(README, "sh") if block.startswith("curl")]
    answer = _run(["bash", "-c", _here(line, two)])
    assert answer.endswith("data: [DONE]\n\n")
    assert len(_spoken(answer)) > 10


def test_the_python_lines_print_an_answer(two: Daemon) -> None:
    """The README's Python lines print an answer."""
    (lines,) = _blocks(README, "python")
    assert len(_run([sys.executable, "-c", _here(lines, two)])) > 10


def test_the_greeting_works_as_it_stands(two: Daemon) -> None:
    """What the daemon itself prints when it is ready: a curl line and Python lines."""
    greeting = two.log().partition("arenad is ready")[2]
    (curl,) = re.findall(r"^ *curl .*?(?=^$)", greeting, re.DOTALL | re.MULTILINE)
    assert len(_spoken(_run(["bash", "-c", curl]))) > 10
    (python,) = re.findall(r"^ *from openai .*?flush=True\)$", greeting, re.DOTALL | re.MULTILINE)
    assert len(_run([sys.executable, "-c", textwrap.dedent(python)])) > 10


def test_the_operators_commands_work(two: Daemon) -> None:
    """Every arenactl line of the README, in its order; the last one stops the daemon."""
    block = next(each for each in _blocks(README, "sh") if each.startswith(".venv/bin/arenactl"))
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) >= 7
    for program, *words in commands[:-1]:
        assert program == ".venv/bin/arenactl"
        done = two.ctl(*words, timeout_s=150)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        assert max(map(len, done.stdout.splitlines()), default=0) <= 200


def test_status_fits_a_terminal(two: Daemon) -> None:
    """80 columns, and the verdict first."""
    until(lambda: two.state()["word"] in ("well", "degraded"), "a settled state")
    lines = two.ctl("status").stdout.splitlines()
    assert lines[0].split(":")[0] in ("well", "degraded")
    assert max(map(len, lines)) <= 80


def test_wrong_commands_say_why(two: Daemon) -> None:
    """A refusal names the field and the remedy, and changes nothing."""
    too_many = two.ctl("scale", "1000")
    assert too_many.returncode == 1
    assert "fleet.max_instances" in too_many.stderr + too_many.stdout
    nobody = two.ctl("restart", "w99")
    assert nobody.returncode == 1
    assert "w99" in nobody.stderr + nobody.stdout
    assert two.ctl("dance").returncode == 2


def test_nobody_there() -> None:
    """Without a daemon: exit code 3 and how to start one."""
    command = [sys.executable, "-m", "arenactl", "--runtime-dir", "/nonexistent", "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3
    assert "/nonexistent" in done.stderr
