"""Install and uninstall below a folder of the test's own; a real systemd: tests/systemd."""

import os
from pathlib import Path

import pytest

from arenactl import arguments, service
from arenactl.__main__ import main
from arenactl.output import Output

PLACE = service.Place(Path("/usr/bin/env"), Path("/usr/bin/env"), service.this_place().package)
"""A place that any user may run. Its package is our own: where the files are read from."""

UNIT = "etc/systemd/system/arenad.service"
SAMPLE = "etc/arenad/arenad.yaml"


@pytest.fixture
def _any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at no place: the checkout under test may stand where no service can see it."""
    monkeypatch.setattr(service, "obstacles", lambda _place: [])


elsewhere = pytest.mark.usefixtures("_any_place")


def run(command: str, prefix: Path, *words: str) -> bool:
    options = arguments.parse([command, "--prefix", str(prefix), *words])
    output = Output(os.environ, as_json=False)
    if command == "install":
        return service.install(options, output, PLACE)
    return service.uninstall(options, output)


def written(prefix: Path) -> set[str]:
    return {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}


@elsewhere
def test_install_puts_everything_in_place(tmp_path, capsys):
    """Each write is shown; the unit starts this environment's own entry point."""
    assert run("install", tmp_path)
    assert written(tmp_path) == {path.lstrip("/") for path in service.FILES.values()}
    said = capsys.readouterr().out
    assert all(f"wrote {tmp_path}{path}" in said for path in service.FILES.values())
    unit = (tmp_path / UNIT).read_text()
    assert "\nExecStart=/usr/bin/env --config /etc/arenad/arenad.yaml\n" in unit
    assert "\nExecReload=/usr/bin/arenactl reload\n" in unit
    assert service.SHIPPED_ENTRY not in unit
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in written(tmp_path)} == {0o644}


@elsewhere
def test_a_second_install_changes_nothing(tmp_path, capsys):
    """The files keep even their time of change."""
    assert run("install", tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in written(tmp_path)}
    capsys.readouterr()
    assert run("install", tmp_path)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in written(tmp_path)} == before
    said = capsys.readouterr().out
    assert said.count("is there already") == len(service.FILES)
    assert "wrote" not in said


@elsewhere
def test_a_dry_run_writes_nothing(tmp_path, capsys):
    """It says what it would do, both ways."""
    assert run("install", tmp_path, "--dry-run")
    assert written(tmp_path) == set()
    assert f"would write {tmp_path}/{UNIT}" in capsys.readouterr().out
    assert run("install", tmp_path)
    assert run("uninstall", tmp_path, "--dry-run")
    assert f"would remove {tmp_path}/{UNIT}" in capsys.readouterr().out
    assert (tmp_path / UNIT).exists()


@elsewhere
def test_uninstall_removes_what_install_wrote(tmp_path):
    """And its own folder; what others have beside it stays."""
    other = tmp_path / "etc/systemd/system/other.service"
    assert run("install", tmp_path)
    other.write_text("[Unit]\n")
    assert run("uninstall", tmp_path)
    assert written(tmp_path) == {str(other.relative_to(tmp_path))}
    assert not (tmp_path / "etc/arenad").exists()
    assert run("uninstall", tmp_path)  # nothing is there: nothing to do


@elsewhere
def test_what_was_edited_is_kept(tmp_path, capsys):
    """A configuration that an operator has changed is neither replaced nor removed."""
    assert run("install", tmp_path)
    path = tmp_path / SAMPLE
    edited = path.read_text().replace("instances: 2", "instances: 7")
    path.write_text(edited)
    assert run("install", tmp_path)
    assert f"kept {path}: it was edited" in capsys.readouterr().out
    assert run("uninstall", tmp_path)
    assert path.read_text() == edited
    assert written(tmp_path) == {SAMPLE}


@elsewhere
def test_files_of_an_older_version_are_replaced(tmp_path):
    """They tell by themselves that they are as they were installed, whatever they say."""
    assert run("install", tmp_path)
    (tmp_path / UNIT).write_bytes(service._marked(b"[Unit]\nDescription=an older arenad\n"))
    assert service.standing(tmp_path / UNIT) == "installed"
    assert run("install", tmp_path)
    assert "an older arenad" not in (tmp_path / UNIT).read_text()


@elsewhere
def test_a_masked_unit_stays_masked(tmp_path):
    """A link is somebody's decision, wherever it leads."""
    path = tmp_path / UNIT
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/null")
    assert run("install", tmp_path)
    assert run("uninstall", tmp_path)
    assert path.readlink() == Path("/dev/null")


@elsewhere
def test_only_root_may_install(monkeypatch, capsys):
    """Anybody else is told of --dry-run, and nothing is touched."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(service, "this_place", lambda: PLACE)
    for command in ("install", "uninstall"):
        assert main([command]) == 1
        assert "only root may do this; --dry-run shows" in capsys.readouterr().err


def test_a_failing_command_of_systemd_is_a_failure(monkeypatch, tmp_path, capsys):
    """Its exit code is told; where systemd does not run, the command is."""
    output = Output(os.environ, as_json=False)
    monkeypatch.setattr(service, "BOOTED", tmp_path)
    assert service._tell_systemd(output, "true", "true --twice")
    assert not service._tell_systemd(output, "false", "true")
    captured = capsys.readouterr()
    assert "`false` failed with exit code 1" in captured.err
    assert captured.out.count("running") == 3
    monkeypatch.setattr(service, "BOOTED", tmp_path / "absent")
    assert service._tell_systemd(output, "systemctl daemon-reload")
    assert "where it does, run: systemctl daemon-reload" in capsys.readouterr().out


@elsewhere
def test_a_folder_that_cannot_be_written_is_named(monkeypatch, capsys):
    """One line instead of a traceback."""
    monkeypatch.setattr(service, "this_place", lambda: PLACE)
    assert main(["install", "--prefix", "/proc/nothing"]) == 1
    assert "/proc/nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/root/arenad/.venv/bin/arenad", "is below /root, which the service does not see"),
        ("/home/me/arenad/.venv/bin/arenad", "is below /home, which"),
        ("/var/tmp/arenad", "is below /var/tmp, which"),
        ("/usr/bin/there is no such file", "No such file"),
    ],
)
def test_a_place_that_a_service_cannot_see_is_refused(path, fault, capsys, tmp_path):
    """Instead of installing what cannot start: each fault by its path, and the remedy."""
    place = service.Place(Path(path), Path("/usr/bin/env"), Path("/usr"))
    (found,) = service.obstacles(place)
    assert found.startswith(path)
    assert fault in found
    options = arguments.parse(["install", "--prefix", str(tmp_path)])
    assert not service.install(options, Output(os.environ, as_json=False), place)
    captured = capsys.readouterr()
    assert found in captured.out
    assert "such as /opt/arenad" in captured.err
    assert written(tmp_path) == set()


def test_a_link_is_followed_and_closed_folders_are_found(monkeypatch, tmp_path):
    """An interpreter in a home, linked from a good place, is as bad; so is a folder of mode 0700."""
    monkeypatch.setattr(service, "HIDDEN", ("/root",))
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    (closed / "bin").mkdir(parents=True)
    program, link = closed / "bin/arenad", tmp_path / "arenad"
    program.touch(0o755)
    link.symlink_to(program)
    closed.chmod(0o700)
    assert f"{closed} is closed to it" in service._obstacle(program)
    assert any(f"{closed} is closed to it" in each for each in _faults_of(link))
    assert "cannot be read by" in service._obstacle(Path("/etc/shadow"))


def _faults_of(entry: Path) -> list[str]:
    return service.obstacles(service.Place(entry, entry, entry))


def test_a_good_place_has_no_obstacles():
    """What Debian installs can be run by everybody."""
    env = Path("/usr/bin/env")
    assert service.obstacles(service.Place(env, env, Path("/usr/lib"))) == []
