"""The `arenad` command as a process: what it says, and with which code it leaves."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arenad import __main__ as main
from arenad import __version__

ROOT = Path(__file__).parent.parent
ENOUGH_S = 60.0
EXIT_CONFIG = 78


def arenad(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with a runtime folder of its own, as whoever runs the tests."""
    return subprocess.run(
        [sys.executable, "-m", "arenad", *arguments],
        cwd=ROOT,
        env={**os.environ, "ARENAD_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
        check=False,
    )


@pytest.mark.parametrize("option", ["--check", "-n"])
def test_a_good_configuration_is_fine(tmp_path: Path, option: str) -> None:
    """Said on standard output with the file's name; nothing is started, nothing is made."""
    path, runtime = tmp_path / "arenad.yaml", tmp_path / "run"
    path.write_text("fleet: {instances: 0}\n")
    ended = arenad(option, "--config", str(path), folder=runtime)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{path}: is fine\n", "")
    assert not runtime.exists()


def test_the_sample_configuration_is_fine(tmp_path: Path) -> None:
    """The one that `make run` takes."""
    assert arenad("--check", "-c", "etc/arenad.yaml", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_faults_are_all_said_and_nothing_starts(tmp_path: Path, options: tuple[str, ...]) -> None:
    """One to a line on standard error, each with the command's and the file's name; exit 78."""
    path, runtime = tmp_path / "arenad.yaml", tmp_path / "run"
    path.write_text("queue: {limit: 0}\nfleet: {instance: 1}\n")
    ended = arenad(*options, "--config", str(path), folder=runtime)
    assert ended.returncode == EXIT_CONFIG
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        f"arenad: {path}: fleet.instance: no such field; did you mean instances?",
        (
            f"arenad: {path}: queue.limit: is 0; "
            "must be a whole number of at least 1 and at most 1000000"
        ),
    ]
    assert not runtime.exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("site: {profile: nowhere}", "site.profile: is 'nowhere'; must be one of"),
        ("demo: {upstream_key_file: /nonexistent}", "demo.upstream_key_file: "),
        ("daemon: {user: no-such-user}", "daemon.user: "),
    ],
)
def test_a_check_follows_the_names_in_the_file(tmp_path: Path, text: str, fault: str) -> None:
    """A profile, a user or a key file that is not there is found before a start, too."""
    path = tmp_path / "arenad.yaml"
    path.write_text(text)
    ended = arenad("--check", "--config", str(path), folder=tmp_path)
    assert ended.returncode == EXIT_CONFIG
    assert fault in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """Only the usual places may be empty; a file that was asked for is not passed by in silence."""
    ended = arenad("--check", "-c", str(tmp_path / "missing.yaml"), folder=tmp_path)
    assert ended.returncode == EXIT_CONFIG
    assert ended.stderr == f"arenad: {tmp_path}/missing.yaml: cannot be read: {os.strerror(2)}\n"


def test_the_version_is_told(tmp_path: Path) -> None:
    """One line, exit 0."""
    ended = arenad("--version", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, f"arenad {__version__}\n")


@pytest.mark.usefixtures("own_logging")
def test_the_usual_places_are_looked_at_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first that is there counts; one that cannot be read is said, and none means defaults."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    monkeypatch.setattr(main, "DEFAULT_PATHS", (first, second))
    assert main.main(["--check"]) == 0
    second.write_text("")
    assert main.main(["--check"]) == 0
    first.symlink_to(first)
    assert main.main(["--check"]) == EXIT_CONFIG
    said = capsys.readouterr()
    assert said.out == f"the built-in configuration: is fine\n{second}: is fine\n"
    assert said.err == f"arenad: {first}: cannot be read: {os.strerror(errno.ELOOP)}\n"


@pytest.mark.parametrize("option", ["--nonsense", "worker"])
def test_wrong_usage_is_exit_2(tmp_path: Path, option: str) -> None:
    """With the usage on standard error."""
    ended = arenad(option, folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: arenad ")
