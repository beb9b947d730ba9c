"""The command line itself: usage, exit codes, colours, and processes that are interrupted or unread."""

import importlib.metadata
import json
import os
import pty
import signal
import subprocess
import sys

import pytest
from stand_in import ACCEPTED, NOT_A_FRAME, StandIn, end, item, state, states, worker

from arenactl import arguments
from arenactl.__main__ import main
from arenactl.commands import COMMANDS
from arenad.schema.control import GetState, Logs, Scale, StateNow, Watch
from arenad.schema.process import LogLine

ARENACTL = [sys.executable, "-m", "arenactl"]
LINE = item(LogLine(0.0, "info", "master", "here"))


def start(*words, **options):
    """As a shell starts it: a test run in the background ignores SIGINT, and would pass that on."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", *ARENACTL, *words],
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_version_is_the_installed_one(capsys):
    """--version needs no daemon."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"arenactl {importlib.metadata.version('arenad')}\n"


def test_help_tells_the_exit_codes(capsys):
    """Every help page ends with what the exit codes mean."""
    for words in ([], *([name] for name in COMMANDS)):
        assert main([*words, "--help"]) == 0
        assert capsys.readouterr().out.endswith(arguments.EXIT_CODES)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["scale"],
        ["scale", "-1"],
        ["scale", "many"],
        ["scale", "9999999999"],
        ["scale", "1", "--timeout", "0"],
        ["scale", "1", "--timeout", "nan"],
        ["scale", "1", "--timeout", "soon"],
        ["logs", "--level", "loud"],
        ["status", "--js"],
    ],
)
def test_wrong_words_are_exit_code_2(words, capsys):
    """A wrong command line reaches no daemon and is explained on stderr, or in JSON on stdout."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("usage: arenactl")
    assert main(["--json", *words]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "usage"
    assert not err


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--runtime-dir", "/x", "status"],
        ["status", "--json", "--runtime-dir", "/x"],
        ["--runtime-dir", "/x", "status", "--json"],
    ],
)
def test_common_options_stand_anywhere(words):
    """Before or after the command, they mean the same."""
    options = arguments.parse(words)
    assert (options.command, options.json, options.runtime_dir) == ("status", True, "/x")


def test_defaults_are_as_the_help_says():
    """The numbers that the help names are the ones that hold."""
    logs, scale = arguments.parse(["logs"]), arguments.parse(["scale", "2"])
    assert (logs.lines, logs.follow, logs.source, logs.level) == (50, False, "", "debug")
    assert (scale.instances, scale.wait, scale.timeout_s) == (("", 2), False, 120.0)
    assert arguments.parse(["stop"]).wait
    assert not arguments.parse(["stop", "--no-wait"]).wait


def test_no_daemon_is_exit_code_3(tmp_path, capsys):
    """The socket is named and the remedy too."""
    assert main(["status", "--runtime-dir", str(tmp_path)]) == 3
    err = capsys.readouterr().err
    assert str(tmp_path / "control.sock") in err
    assert "systemctl start arenad" in err
    assert main(["status", "--json", "--runtime-dir", str(tmp_path)]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "unreachable"


@pytest.mark.parametrize(
    "steps", [[NOT_A_FRAME], [end(StateNow(state()))]], ids=["no frame", "another answer"]
)
def test_a_daemon_of_another_version_is_exit_code_1(steps, capsys):
    """It runs, but the two do not understand each other."""
    with StandIn({Scale: steps}) as daemon:
        assert main(["--json", "scale", "1", "--runtime-dir", str(daemon.runtime_dir)]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "protocol"


def test_an_interrupted_follower_leaves_quietly():
    """Ctrl-C is how one ends `logs -f`: exit code 0 and not a word."""
    with StandIn({Logs: [LINE]}) as daemon:
        words = ["logs", "-f", "--runtime-dir", str(daemon.runtime_dir)]
        with start(*words, stdout=subprocess.PIPE) as following:
            assert following.stdout.readline().endswith("info    master here\n")
            following.send_signal(signal.SIGINT)
            assert following.communicate(timeout=30) == ("", "")
    assert following.returncode == 0


def test_an_interrupted_wait_says_what_stands():
    """Ctrl-C in a wait ends the waiting only, and says so with a shell's exit code."""
    waiting = states(state(worker("w1", phase="starting")))
    script = {GetState: [end(StateNow(state()))], Scale: ACCEPTED, Watch: waiting}
    with StandIn(script) as daemon:
        words = ["scale", "1", "--wait", "--runtime-dir", str(daemon.runtime_dir)]
        with start(*words, stdout=subprocess.PIPE) as scaling:
            assert scaling.stdout.readline() == "as you say\n"
            assert scaling.stdout.readline() == "0 of 1 ready, 1 starting\n"
            scaling.send_signal(signal.SIGINT)
            assert "still stands" in scaling.communicate(timeout=30)[1]
    assert scaling.returncode == 130


def test_a_reader_that_left_is_a_quiet_end():
    """`arenactl logs | head -0` ends without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with StandIn({Logs: [LINE]}) as daemon:
        unread = start("logs", "--runtime-dir", str(daemon.runtime_dir), stdout=writing)
        os.close(writing)
        with unread:
            assert unread.communicate(timeout=30)[1] == ""
    assert unread.returncode == 0


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals(environ, coloured):
    """A terminal gets colours unless the operator wants none."""
    near, far = pty.openpty()
    with StandIn({GetState: [end(StateNow(state(worker("w1"))))]}) as daemon:
        words = ["status", "--runtime-dir", str(daemon.runtime_dir)]
        plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        env = {**plain, "TERM": "xterm", **environ}
        with start(*words, stdout=far, env=env) as showing:
            assert showing.wait(timeout=30) == 0
    shown = os.read(near, 65536)
    os.close(near)
    os.close(far)
    assert (b"\x1b[1;32mwell\x1b[0m" in shown) is coloured


def test_a_narrow_locale_loses_signs_not_the_page():
    """Where the ellipsis cannot be written, the page still is; JSON is UTF-8 everywhere."""
    long_site = state(site="東" * 80)
    with StandIn({GetState: [end(StateNow(long_site))]}) as daemon:
        words = [*ARENACTL, "status", "--runtime-dir", str(daemon.runtime_dir)]
        env = {**os.environ, "PYTHONIOENCODING": "ascii"}
        page = subprocess.run(words, env=env, check=True, capture_output=True, timeout=30)
        document = subprocess.run(
            [*words, "--json"], env=env, check=True, capture_output=True, timeout=30
        )
    assert b"site       ???" in page.stdout
    assert json.loads(document.stdout)["site"] == "東" * 80
