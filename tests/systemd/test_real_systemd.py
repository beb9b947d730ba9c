"""arenad as a service of a real systemd: installed, started, activated, hung, killed, stopped.

The machine is booted once; each test brings the service up for itself, so any order will do.
"""

import contextlib
import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from machine import ROOT, Machine, booted, namespaced, status_of, until, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")

CHAT = """
import json, sys, urllib.request
messages = [{"role": "user", "content": %r}]
body = json.dumps({"model": "demo-echo", "stream": True, "messages": messages}).encode()
headers = {"content-type": "application/json"}
url = "http://127.0.0.1:5102/v1/chat/completions"
text, reason = "", None
with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=50) as answer:
    for line in answer:
        if line.startswith(b"data: {"):
            choice = json.loads(line[6:])["choices"][0]
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
print(json.dumps([text, reason]))
"""
HEALTH = """
import urllib.request
for port, path in ((5102, "healthz"), (5104, "gui/dashboard")):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=50) as answer:
        print(answer.status)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with booted() as each:
        yield each


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The service is installed; whether it runs is open."""
    if machine.run("test", "-e", "/etc/systemd/system/arenad.service").returncode != 0:
        machine.must("arenactl", "install")
    machine.must("systemctl", "reset-failed")  # starts of one test are no crash loop of the next
    return machine


@pytest.fixture
def service(installed: Machine) -> Machine:
    """The service runs and is well."""
    installed.must("systemctl", "start", "arenad.service")
    until(lambda: installed.state().get("word") == "well", "the daemon is well")
    return installed


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Figures go to whoever reads the test run."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


@contextlib.contextmanager
def changed(machine: Machine, *lines: str) -> Iterator[None]:
    """With a drop-in for the unit."""
    folder = "/run/systemd/system/arenad.service.d"
    text = "\n".join(("[Service]", *lines))
    machine.must("sh", "-c", f"mkdir -p {folder} && echo '{text}' >{folder}/test.conf")
    machine.must("systemctl", "daemon-reload")
    try:
        yield
    finally:
        machine.must("sh", "-c", f"rm -r {folder} && systemctl daemon-reload")


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_the_commands_of_the_readme(installed: Machine) -> None:
    """Section "As a service" as it stands, from nothing to nothing; a second time changes nothing."""
    section = (ROOT / "README.md").read_text().partition("## As a service")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    lines = block[1].splitlines()
    installed.must("arenactl", "uninstall")
    said = {line: installed.must("sh", "-c", line) for line in lines[:-1]}
    assert any("would write /etc/systemd/system/arenad.service" in text for text in said.values())
    assert any("Status: " in text for text in said.values())
    assert "is there already" in installed.must("arenactl", "install")
    known = installed.processes()
    assert "removed /etc/systemd/system/arenad.service" in installed.must("sh", "-c", lines[-1])
    assert_gone(known)
    left = "ls -d /etc/arenad /etc/sysusers.d/arenad* /etc/systemd/system/{,*/}arenad*.s*"
    assert installed.run("sh", "-c", left).stdout == ""
    assert installed.run("systemctl", "start", "arenad.service").returncode != 0


def test_ready_means_that_requests_are_accepted(installed: Machine) -> None:
    """`systemctl start` returns when the frontends serve; the status line tells how it stands."""
    installed.must("systemctl", "stop", "arenad.service")
    installed.must("systemctl", "start", "arenad.service")
    children = installed.state()["children"]
    assert {each["phase"] for each in children if each["role"] == "frontend"} == {"ready"}
    assert installed.python(HEALTH).split() == ["200", "200"]
    until(lambda: installed.state().get("word") == "well", "the daemon is well")
    shown = installed.must("systemctl", "status", "--no-pager", "arenad.service")
    assert 'Status: "well: 2 of 2 instances ready' in shown
    assert "passed over" not in installed.journal()
    assert "the watchdog is not fed" not in installed.journal()


def test_a_chat_through_a_confined_browser(service: Machine) -> None:
    """The unit's limits leave Chromium its own sandbox: deeper namespaces and one more filter."""
    text = "in a service of systemd"
    assert json.loads(service.python(CHAT % text)) == [text, "stop"]
    told = "arenactl history --json -n 1"
    until(lambda: '"answered"' in service.run("sh", "-c", told).stdout, "the history has it")
    mode = service.must("stat", "--format=%U %a", "/var/lib/arenad", "/var/lib/arenad/history.db")
    assert mode.splitlines() == ["arenad 700", "arenad 600"]
    processes = service.processes()
    master = service.main_process()
    renderers = [each for each in processes if "--type=renderer" in " ".join(each.cmdline())]
    assert len(renderers) >= 2
    for renderer in renderers:
        assert len(namespaced(renderer.pid)) > len(namespaced(master.pid))
        assert status_of(renderer.pid, "Seccomp") == "2"
        filters = [int(status_of(each.pid, "Seccomp_filters")) for each in (renderer, master)]
        assert filters[0] > filters[1]
    assert not any("--no-sandbox" in " ".join(each.cmdline()) for each in processes)
    assert {each.uids().real == 0 for each in processes} == {False}
    assert {status_of(each.pid, "NoNewPrivs") for each in processes} == {"1"}


@pytest.mark.parametrize("port", [5102, 5104])
def test_the_first_connection_starts_it(installed: Machine, port: int) -> None:
    """While the daemon is down systemd listens; what arrives then is served, not refused."""
    installed.must("systemctl", "start", "arenad.socket", "arenad-gui.socket")
    installed.must("systemctl", "stop", "arenad.service")
    assert installed.shown("arenad.service", "ActiveState") == "inactive"
    ask = f"urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=50).status"
    told = installed.python(
        f"import urllib.error, urllib.request\ntry: print({ask})\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert told.strip() in ("200", "404")
    assert installed.shown("arenad.service", "ActiveState") == "active"
    assert installed.listening(installed.main_process().pid) == [5102, 5104, 5105]


def test_a_hung_master_is_replaced(service: Machine, say: Callable[[str], None]) -> None:
    """Its loop alone feeds the watchdog: stopped, it is killed with all it had, and comes back."""
    assert service.shown("arenad.service", "WatchdogUSec") == "20s"
    with changed(service, "WatchdogSec=2"):
        service.must("systemctl", "restart", "arenad.service")
        until(lambda: service.state().get("word") == "well", "the daemon is well")
        known, master = service.processes(), service.main_process()
        stopped_s = time.monotonic()
        master.send_signal(signal.SIGSTOP)
        assert_gone(known)
        until(lambda: service.state().get("word") == "well", "the daemon is well again")
        took_s = time.monotonic() - stopped_s
        assert "Watchdog timeout (limit 2s)" in service.journal()
        assert "Fatal Python error: Aborted" in service.journal()  # and where it hung
        assert service.main_process() != master
        fed = service.shown("arenad.service", "WatchdogTimestampMonotonic")
        until(
            lambda: service.shown("arenad.service", "WatchdogTimestampMonotonic") != fed,
            "the new master feeds the watchdog",
        )
    say(f"hung master (WatchdogSec=2): well again after {took_s:.1f} s")


def test_a_killed_master_comes_back(service: Machine, say: Callable[[str], None]) -> None:
    """Nothing of the old daemon is left, a new one serves, and no connection is refused."""
    known, master = service.processes(), service.main_process()
    killed_s = time.monotonic()
    master.kill()
    _, alive = psutil.wait_procs(known, timeout=20)
    gone_s = time.monotonic() - killed_s
    assert not alive
    assert service.python(HEALTH).split() == ["200", "200"]
    served_s = time.monotonic() - killed_s
    assert int(service.shown("arenad.service", "NRestarts")) >= 1
    until(lambda: service.state().get("word") == "well", "the daemon is well again")
    well_s = time.monotonic() - killed_s
    say(
        f"kill -9 of the master: {len(known)} processes gone after {gone_s:.2f} s, "
        f"serving after {served_s:.2f} s, well after {well_s:.2f} s"
    )


def group_of(process: psutil.Process) -> str:
    """The last part of its control group."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
        return next(line for line in lines if line.startswith("0::")).rpartition("/")[2]
    return ""


def browser_in(machine: Machine, group: str) -> list[psutil.Process]:
    """The processes in an instance's group but for its worker."""
    inside = [each for each in machine.processes() if group_of(each) == group]
    return [each for each in inside if "arenad: worker" not in " ".join(each.cmdline())]


def test_each_instance_has_a_group_and_a_stopped_browser_ends_with_it(service: Machine) -> None:
    """The unit's group is delegated: below it are the daemon's and one for each incarnation."""
    groups = {group_of(each) for each in service.processes()}
    generation = next(c["generation"] for c in service.state()["children"] if c["name"] == "w1")
    group = f"w1.{generation}"
    assert groups >= {"daemon", group}
    assert {each[:2] for each in groups} == {"da", "w1", "w2"}
    browser = browser_in(service, group)
    assert len(browser) > 3
    folder = f"/sys/fs/cgroup/system.slice/arenad.service/arenad-*/{group}"
    assert service.run("sh", "-c", f"ls -d {folder}").returncode == 0
    for process in browser:
        process.send_signal(signal.SIGSTOP)
    worker = next(c["pid"] for c in service.state()["children"] if c["name"] == "w1")
    service.must("kill", "-KILL", str(worker))
    assert_gone(browser)
    until(lambda: service.run("sh", "-c", f"ls -d {folder}").returncode != 0, "its group is gone")
    until(lambda: service.state().get("word") == "well", "the daemon is well again")
    assert browser_in(service, f"w1.{generation + 1}")


def test_a_new_master_ends_what_a_killed_one_left(service: Machine) -> None:
    """With systemd told to kill nobody but the master, stopped browsers stay until it is back."""
    with changed(service, "KillMode=process"):
        generation = next(c["generation"] for c in service.state()["children"] if c["name"] == "w2")
        left = browser_in(service, f"w2.{generation}")
        assert left
        for process in left:
            process.send_signal(signal.SIGSTOP)
        service.main_process().kill()
        assert_gone(left)
        until(lambda: service.state().get("word") == "well", "the daemon is well again")
        ended = f"ended what an earlier daemon left in w2.{generation}"
        assert ended in service.journal()


def test_limits_that_cannot_be_held_are_said_and_required_ones_refused(installed: Machine) -> None:
    """Or they are held, where the machine has its controllers in cgroup v2."""
    installed.must("systemctl", "stop", "arenad.service")
    folder = "/sys/fs/cgroup/system.slice/arenad.service"
    given = "limits: {tasks: 1500}"
    drop_in = "ExecStart=/opt/arenad/.venv/bin/arenad --config /run/limited.yaml"
    installed.must("sh", "-c", f"echo '{given}' >/run/limited.yaml")
    with changed(installed, "ExecStart=", drop_in):
        installed.must("systemctl", "start", "arenad.service")
        until(lambda: installed.state().get("word") == "well", "the daemon is well")
        is_held = "pids" in installed.must("cat", f"{folder}/cgroup.controllers").split()
        said = installed.journal()
        if is_held:
            assert "limited to 1500 processes and threads" in said
            assert installed.must("sh", "-c", f"cat {folder}/arenad-*/w1.*/pids.max") == "1500\n"
        else:
            assert "limits.tasks is not held: there is no controller `pids`" in said
        installed.must("systemctl", "stop", "arenad.service")
        required = given.replace("1500", "1500, required: true")
        installed.must("sh", "-c", f"echo '{required}' >/run/limited.yaml")
        started = installed.run("systemctl", "start", "arenad.service").returncode == 0
        assert started == is_held
        if not is_held:
            assert installed.shown("arenad.service", "ExecMainStatus") == "78"
            assert "limits.tasks: cannot be held" in installed.journal()


def test_a_stop_lets_chats_finish_and_leaves_nothing(service: Machine) -> None:
    """A chat that outlasts TimeoutStopSec ends whole, for the master asks for the time it takes."""
    text = " ".join(f"word{number}" for number in range(120))  # 20 words a second
    with changed(service, "TimeoutStopSec=2"):
        known = service.processes()
        chat = f"python -c {shlex.quote(CHAT % text)} >/tmp/answer 2>&1 &"
        service.must("sh", "-c", chat)
        until(lambda: any(each.get("busy") for each in service.state()["children"]), "a chat runs")
        stopped_s = time.monotonic()
        service.must("systemctl", "stop", "arenad.service")
        assert time.monotonic() - stopped_s > 2
    assert service.shown("arenad.service", "Result") == "success"
    assert json.loads(until(lambda: service.run("cat", "/tmp/answer").stdout, "the answer")) == [
        text,
        "stop",
    ]
    assert_gone(known)
    assert service.processes() == []
    assert service.run("ls", "/run/arenad").returncode != 0


def test_a_reload_follows_the_file(service: Machine) -> None:
    """`systemctl reload` takes what changed; a faulty file fails it, and changes nothing."""
    config = "/etc/arenad/arenad.yaml"
    service.must("cp", config, "/tmp/arenad.yaml")
    master = service.main_process()
    try:
        service.must("sed", "-i", "s/^  limit: 256$/  limit: 7/", config)
        service.must("systemctl", "reload", "arenad.service")
        assert service.state()["traffic"]["queue_limit"] == 7
        service.must("sed", "-i", "s/^  limit: 7$/  limit: 0/", config)
        assert service.run("systemctl", "reload", "arenad.service").returncode != 0
        assert "queue.limit: is 0" in service.journal()
        assert service.state()["traffic"]["queue_limit"] == 7
    finally:
        service.must("cp", "/tmp/arenad.yaml", config)
    service.must("systemctl", "reload", "arenad.service")
    assert service.state()["traffic"]["queue_limit"] == 256
    assert service.main_process() == master


def test_an_upgrade_in_the_service(service: Machine, say: Callable[[str], None]) -> None:
    """The same main process for systemd, and a chat that runs meanwhile ends whole."""
    text = " ".join(f"word{number}" for number in range(120))  # 20 words a second
    master, restarts = service.main_process(), service.shown("arenad.service", "NRestarts")
    chat = f"python -c {shlex.quote(CHAT % text)} >/tmp/answer 2>&1 &"
    service.must("sh", "-c", chat)
    until(lambda: any(each.get("busy") for each in service.state()["children"]), "a chat runs")
    began_s = time.monotonic()
    assert "up to date" in service.must("arenactl", "upgrade", "--wait")
    say(f"upgrade in the service: all replaced after {time.monotonic() - began_s:.1f} s")
    answer = until(lambda: service.run("cat", "/tmp/answer").stdout, "the answer")
    assert json.loads(answer) == [text, "stop"]
    assert service.main_process() == master
    assert service.shown("arenad.service", "NRestarts") == restarts
    fed = service.shown("arenad.service", "WatchdogTimestampMonotonic")
    until(
        lambda: service.shown("arenad.service", "WatchdogTimestampMonotonic") != fed,
        "the new program feeds the watchdog",
    )


def test_a_faulty_configuration_is_not_tried_again(installed: Machine) -> None:
    """The fault is in the journal, and systemd does not start it over and over."""
    installed.must("systemctl", "stop", "arenad.service")
    with changed(
        installed, "ExecStart=", "ExecStart=/opt/arenad/.venv/bin/arenad --config /etc/hostname"
    ):
        before = installed.shown("arenad.service", "NRestarts")
        assert installed.run("systemctl", "start", "arenad.service").returncode != 0
        until(
            lambda: installed.shown("arenad.service", "ActiveState") == "failed", "systemd gives up"
        )
        assert installed.shown("arenad.service", "ExecMainStatus") == "78"
        assert installed.shown("arenad.service", "NRestarts") == before


def test_the_exposure_is_ok(installed: Machine, say: Callable[[str], None]) -> None:
    """`systemd-analyze` finds no fault with the units, and judges the exposure OK or better."""
    found = installed.run("systemd-analyze", "verify", "/etc/systemd/system/arenad.service")
    assert (found.returncode, "arenad" in found.stderr) == (0, False), found.stderr
    said = installed.must("systemd-analyze", "security", "--no-pager", "arenad.service")
    overall = re.search(r"Overall exposure level.*: ([\d.]+) (\w+)", said)
    assert overall
    say(f"systemd-analyze security: {overall[1]} {overall[2]}")
    assert overall[2] in ("OK", "SAFE", "PERFECT"), said
