"""Folders, user and settings that the master derives from its configuration."""

import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from arenad.errors import ConfigError
from arenad.master.settings import Settings
from arenad.schema.config import Config

ME = os.getuid()


def settings(runtime: Path, **sections) -> Settings:
    daemon = {"runtime_dir": str(runtime), **sections.pop("daemon", {})}
    return Settings(msgspec.convert({"daemon": daemon, **sections}, Config))


def fault_of(made: Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        made.claim_folders()
    (fault,) = caught.value.faults
    assert fault.startswith("daemon.runtime_dir: ")
    return fault


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_the_folder_is_made_for_us_alone(runtime: Path):
    """The runtime folder admits nobody to its listing; the workers' part is theirs."""
    made = settings(runtime)
    made.claim_folders()
    assert runtime.stat().st_mode & 0o777 == (0o711 if ME == 0 else 0o700)
    assert (runtime.stat().st_uid, made.workers.stat().st_uid) == (ME, made.user[0])
    assert made.workers.stat().st_mode & 0o777 == 0o700
    assert (made.user[0] == 0) is False or ME != 0


def test_a_second_daemon_is_refused(runtime: Path):
    """The claim lasts as long as the daemon; the next one may have the folder."""
    first = settings(runtime)
    first.claim_folders()
    assert "another arenad runs in" in fault_of(settings(runtime))
    fcntl.flock(first.claim, fcntl.LOCK_UN)
    settings(runtime).claim_folders()


def test_a_symbolic_link_is_refused(runtime: Path, tmp_path: Path):
    """A link could lead anywhere."""
    (tmp_path / "elsewhere").mkdir()
    runtime.symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in fault_of(settings(runtime))


def test_a_file_is_refused(runtime: Path):
    """Something that is no folder is said so."""
    runtime.write_text("")
    assert "cannot be made" in fault_of(settings(runtime))


@pytest.mark.skipif(ME != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_refused(runtime: Path):
    """Its owner could change what is in it."""
    runtime.mkdir()
    os.chown(runtime, 65534, 65534)
    assert "belongs to another user" in fault_of(settings(runtime))


def test_a_folder_open_to_others_is_refused_and_left_as_it_is(runtime: Path):
    """/tmp itself as runtime folder must not have its mode changed."""
    runtime.mkdir()
    runtime.chmod(0o1777)
    assert "others may write" in fault_of(settings(runtime))
    assert runtime.stat().st_mode & 0o7777 == 0o1777


def test_a_folder_with_other_things_is_refused_and_left_as_it_is(runtime: Path):
    """/run itself as runtime folder must not have its mode changed."""
    runtime.mkdir(mode=0o755)
    (runtime / "sshd.pid").write_text("1")
    assert "holds other things, such as sshd.pid" in fault_of(settings(runtime))
    assert runtime.stat().st_mode & 0o777 == 0o755


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path):
    """Said at the start, not by each worker in its own words."""
    assert "too long" in fault_of(settings(tmp_path / ("x" * 100)))


def test_leftovers_of_a_killed_daemon_are_removed(runtime: Path, tmp_path: Path):
    """Sockets, folders and links go; what a link leads to stays."""
    made = settings(runtime)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    deep = made.workers / "w1.3" / "profile" / "Default"
    deep.mkdir(parents=True)
    runtime.chmod(0o700)
    (deep / "Cookies").write_text("")
    (deep / "link").symlink_to(tmp_path / "precious")
    (made.workers / "w1.3.sock").write_text("")
    (made.workers / "planted").symlink_to(tmp_path / "precious")
    made.claim_folders()
    assert list(made.workers.iterdir()) == []
    assert (tmp_path / "precious" / "file").exists()


def test_a_dead_workers_scratch_is_removed(runtime: Path):
    """Its socket and its folder, and nothing of the next generation."""
    made = settings(runtime)
    made.claim_folders()
    for generation in (1, 2):
        made.scratch("w1", generation).mkdir()
        made.worker_socket("w1", generation).write_text("")
    made.remove_scratch("w1", 1)
    assert {path.name for path in made.workers.iterdir()} == {"w1.2", "w1.2.sock"}
    made.remove_scratch("w9", 1)


@pytest.mark.skipif(ME != 0, reason="only root becomes another user")
def test_root_runs_children_as_somebody_else(runtime: Path):
    """Named, or the first of the usual unprivileged users."""
    assert settings(runtime).user[0] != 0
    assert settings(runtime, daemon={"user": "nobody"}).user[0] == 65534


def test_an_unknown_user_is_refused(runtime: Path):
    """A user that does not exist is named with its field."""
    with pytest.raises(ConfigError, match=r"daemon.user: there is no user nosuchuser"):
        settings(runtime, daemon={"user": "nosuchuser"})


def test_each_role_is_sent_its_own_part(runtime: Path, tmp_path: Path):
    """Exactly one part of the settings is given; the key is read from its file."""
    key = tmp_path / "key"
    key.write_text("abc123\n")
    made = settings(runtime, demo={"upstream_key_file": str(key)})
    for role in ("worker", "frontend", "demo"):
        welcome = made.welcome(role, f"{role}-1", 4)
        parts = {"worker": welcome.worker, "frontend": welcome.frontend, "demo": welcome.demo}
        assert [name for name, part in parts.items() if part is not None] == [role]
    worker = made.welcome("worker", "w1", 4).worker
    assert worker is not None
    assert worker.socket_path == str(runtime / "workers" / "w1.4.sock")
    demo = made.welcome("demo", "demo", 1).demo
    assert demo is not None
    assert demo.upstream_key == "abc123"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_key_that_cannot_be_read_is_refused(runtime: Path, tmp_path: Path, content):
    """A missing file, or one that is no text, is named with its field."""
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(ConfigError, match=r"demo.upstream_key_file: "):
        settings(runtime, demo={"upstream_key_file": str(key)})


def test_the_demo_runs_only_as_target(runtime: Path):
    """With an address of its own, the site is elsewhere."""
    assert settings(runtime).runs_demo
    elsewhere = settings(runtime, site={"url": "http://127.0.0.1:9/"})
    assert not elsewhere.runs_demo
    assert elsewhere.site_url == "http://127.0.0.1:9/"


def test_people_are_not_shown_what_opens_the_site(runtime: Path):
    """Whoever has written a name and a password into its address."""
    opened = settings(runtime, site={"url": "http://me:S3CRET@127.0.0.1:9/"})
    assert opened.site_name == "demo (http://…@127.0.0.1:9/)"


def test_rules_come_from_the_configuration(runtime: Path):
    """Every deadline of a life can be set."""
    made = settings(runtime, life={"deaths": 9}, fleet={"drain_timeout_s": 7})
    assert (made.rules.deaths, made.rules.drain_timeout_s) == (9, 7.0)


def test_the_recorders_part(runtime: Path, tmp_path: Path):
    """Its folder is claimed with the others; frontends are told its socket."""
    made = settings(
        runtime, daemon={"state_dir": str(tmp_path / "state")}, history={"keep_days": 3}
    )
    made.claim_folders()
    recorder = made.welcome("recorder", "recorder", 1).recorder
    assert recorder is not None
    assert (recorder.folder, recorder.history.keep_days) == (str(tmp_path / "state"), 3)
    assert (tmp_path / "state").stat().st_uid == made.user[0]
    frontend = made.welcome("frontend", "frontend-1", 1).frontend
    assert frontend is not None
    assert frontend.recorder_socket == str(runtime / "recorder.sock")


@pytest.mark.parametrize("history", [{"enabled": False}, {}])
def test_no_recorder_no_socket(runtime: Path, tmp_path: Path, history):
    """Not wanted, or without a usable folder: frontends keep nothing for it."""
    (tmp_path / "file").write_text("")
    made = settings(runtime, daemon={"state_dir": str(tmp_path / "file")}, history=history)
    made.claim_folders()
    frontend = made.welcome("frontend", "frontend-1", 1).frontend
    assert frontend is not None
    assert frontend.recorder_socket == ""
    assert bool(made.history_fault) is not bool(history)
    assert not made.records


def test_without_any_folder_for_state(runtime: Path, monkeypatch: pytest.MonkeyPatch):
    """The remedy is a field of the configuration."""
    monkeypatch.setattr("arenad.master.settings.state_dir", lambda *_: None)
    made = settings(runtime)
    made.claim_folders()
    assert made.history_fault == "no folder for it is known; set daemon.state_dir"


def test_an_upstream_is_sent_its_key(runtime: Path, monkeypatch: pytest.MonkeyPatch):
    """Read where the configuration says; to whom only, and never shown."""
    monkeypatch.setenv("ITS_KEY", "S3CRET")
    site = {"profile": "openai-http", "url": "http://127.0.0.1:9/v1", "key_from": "env:ITS_KEY"}
    made = settings(runtime, site=site)
    worker = made.welcome("worker", "w1", 1).worker
    assert worker is not None
    assert worker.site_key == "S3CRET"
    assert "S3CRET" not in f"{worker!r}{made.read!r}"


def test_a_page_is_given_no_key(runtime: Path):
    """Whoever sets one means something else."""
    with pytest.raises(
        ConfigError, match=r"site.key_from: is set, but the profile demo is of a page"
    ):
        settings(runtime, site={"key_from": "env:HOME"})


def test_an_instance_is_sent_its_templates_site(runtime: Path, monkeypatch: pytest.MonkeyPatch):
    """Profile, address, key and browser; the others have the site's own, and no key of another."""
    monkeypatch.setenv("ITS_KEY", "S3CRET")
    site = {"profile": "openai-http", "url": "http://127.0.0.1:9/v1", "key_from": "env:ITS_KEY"}
    up = {"name": "up", "site": site, "browser": {"path": "/b"}}
    made = settings(runtime, instance_templates=[up])
    first, second = (made.welcome("worker", name, 1).worker for name in ("w1", "up-1"))
    assert first is not None
    assert second is not None
    assert (first.profile.name, first.site_key, first.browser.path) == ("demo", "", "")
    assert (second.profile.name, second.site_key) == ("openai-http", "S3CRET")
    assert (second.site_url, second.browser.path) == ("http://127.0.0.1:9/v1", "/b")
    assert made.runs_demo
    assert made.site_name.endswith("; up: openai-http (http://127.0.0.1:9/v1)")


def test_a_templates_fault_is_told_with_its_name(runtime: Path):
    """As the site's own are, for each template."""
    up = {"name": "up", "site": {"profile": "nope"}}
    with pytest.raises(ConfigError, match=r"instance_templates.up: site.profile: is 'nope'"):
        settings(runtime, instance_templates=[up])


def test_logins_have_a_folder_only_if_they_are_to_be_kept(runtime: Path, tmp_path: Path):
    """With or without a history; removed by name, through no link, and nothing else."""
    state = tmp_path / "state"
    sections = {"daemon": {"state_dir": str(state)}, "history": {"enabled": False}}
    made = settings(runtime, **sections)
    made.claim_folders()
    assert (made.login_file("w1"), made.state_claim) == ("", -1)
    os.close(made.claim)
    made = settings(runtime, **sections, session={"save": True})
    made.claim_folders()
    assert made.login_file("w1") == f"{state}/logins/w1.json"
    assert made.welcome("worker", "w1", 1).worker.login_file == f"{state}/logins/w1.json"
    assert not made.forget_login("w1")
    (state / "logins").mkdir()
    for name in ("logins/w1.json", "logins/w2.json", "other.json"):
        (state / name).write_text("{}")
    assert made.forget_login("w1")
    assert not made.forget_login("../other")
    assert [path.name for path in (state / "logins").iterdir()] == ["w2.json"]
    (state / "logins").rename(state / "elsewhere")
    (state / "logins").symlink_to(state / "elsewhere")
    assert not made.forget_login("w2")
    os.close(made.state_claim)
    os.close(made.claim)


def test_without_a_folder_no_login_is_kept(runtime: Path, tmp_path: Path):
    """That is said, and is no fault of a history that nobody wants."""
    (tmp_path / "file").write_text("")
    given = {"daemon": {"state_dir": str(tmp_path / "file")}, "history": {"enabled": False}}
    made = settings(runtime, **given, session={"save": True})
    made.claim_folders()
    assert "cannot be made or opened" in made.login_fault
    assert (made.history_fault, made.login_file("w1")) == ("", "")
    os.close(made.claim)


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_windows_need_a_display(runtime: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """Told before anything starts, with the remedy; either kind of display will do."""
    for each in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(ConfigError, match=r"^browser\.headless: is false, but .*xvfb-run"):
        settings(runtime, browser={"headless": False})
    monkeypatch.setenv(name, ":7")
    assert not settings(runtime, browser={"headless": False}).config.browser.headless
