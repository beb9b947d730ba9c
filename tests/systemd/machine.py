"""A real systemd as PID 1 of a container, over a copy-on-write view of this machine's own files.

systemd-nspawn boots it in about a second; nothing that is done inside stays. It needs root. The
network inside is a loopback of its own: fixed ports clash with nobody.
"""

import contextlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
CHECKOUT = Path("/opt/arenad")
"""Where the checkout is inside: the service's user may not read our own folders."""

VENV = CHECKOUT / ".venv"
PYTHON_INSIDE = Path("/opt/arenad-python")
LIBRARIES = f"LD_LIBRARY_PATH={PYTHON_INSIDE}/lib"
"""An interpreter that is not where it was built finds its own library by this."""

PATH = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNSEEN = ("/root", "/home", "/tmp", "/var/tmp")

TARGET = """[Unit]
Requires=basic.target
Wants=dbus.socket
After=basic.target dbus.socket
AllowIsolate=yes
"""
HIDDEN = ("etc/systemd/system", "etc/sysusers.d", "var/log/journal", "var/lib/systemd", "run")
"""This machine's own units, journal and state: inside they are empty folders."""

MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty@tty1.service",
    "systemd-logind.service",
    "systemd-networkd.socket",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
)
WRITABLE = "for m in /sys/fs/cgroup/*; do mount -o remount,rw,bind $m 2>/dev/null; done"
"""nspawn mounts the hierarchies of cgroup v1 read-only; where there are none this does nothing."""

BOOT = "--system --unit=arenad-test.target --log-target=journal --show-status=no"


CAP_SYS_ADMIN = 21
ALL_NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")


def why_not() -> str:
    """Why no systemd can be booted here; empty if it can."""
    if os.geteuid() != 0:
        return "only root can boot a systemd in a container"
    if not int(status_of(os.getpid(), "CapEff"), 16) >> CAP_SYS_ADMIN & 1:
        return "this root may mount nothing (no CAP_SYS_ADMIN)"
    if shutil.which("systemd-nspawn") is None:
        return (
            "there is no systemd-nspawn (Debian: systemd-container); scripts/setup dev installs it"
        )
    return ""


def until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Wait until the condition gives something true, and give that; fail with `what` in words."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)
    return found


class Machine:
    """One booted container."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = base / "tree"
        self.upper = base / "layer/upper"
        self.console = base / "console"
        self.name = f"arenad-test-{secrets.token_hex(4)}"
        self.groups: list[Path] = []

    # -- what is inside ----------------------------------------------------------------------------

    def lay_out(self) -> None:
        """The files of this machine, our checkout at its place, nothing of this machine's units."""
        self.tree.mkdir()
        (self.base / "layer").mkdir()
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "arenad-test", str(self.base / "layer"))
        work = self.base / "layer/work"
        for folder in (self.upper, work, *(self.upper / each for each in HIDDEN)):
            folder.mkdir(parents=True, exist_ok=True)
        for each in HIDDEN:
            os.setxattr(self.upper / each, "trusted.overlay.opaque", b"y")
        self._write("etc/machine-id", f"{secrets.token_hex(16)}\n")
        self._write("etc/systemd/system/arenad-test.target", TARGET)
        for unit in MASKED:
            (self.upper / "etc/systemd/system" / unit).symlink_to("/dev/null")
        if self.python_home() == PYTHON_INSIDE:
            drop_in = "etc/systemd/system/arenad.service.d/moved-python.conf"
            self._write(drop_in, f"[Service]\nEnvironment={LIBRARIES}\n")
        (self.upper / "etc/tmpfiles.d").mkdir()  # or /tmp would be emptied file by file
        (self.upper / "etc/tmpfiles.d/tmp.conf").symlink_to("/dev/null")
        self._copy_checkout()
        layers = f"lowerdir=/,upperdir={self.upper},workdir={work}"
        _run("mount", "-t", "overlay", "-o", layers, "arenad-test", str(self.tree))

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def _copy_checkout(self) -> None:
        """What `scripts/setup run` makes of a checkout, from what it has made of this one."""
        inside = self.upper / CHECKOUT.relative_to("/")
        for folder in ("arenad", "arenactl", "web", "systemd", "etc"):
            shutil.copytree(ROOT / folder, inside / folder)
        home = self.python_home() / "bin"
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = inside / f".venv/lib/{name}/site-packages"
        packages.mkdir(parents=True)
        lock = (ROOT / "requirements/run.lock").read_text()
        for package in re.findall(r"^([\w-]+)==", lock, re.MULTILINE):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not of this Python
                _copy_package(package, packages)
        (packages / "_arenad.pth").write_text(f"{CHECKOUT}\n")
        (inside / ".venv/bin").mkdir()
        (inside / ".venv/bin/python").symlink_to(home / name)
        (inside / ".venv/pyvenv.cfg").write_text(f"home = {home}\n")
        for command in ("arenad", "arenactl"):
            start = f"#!{VENV}/bin/python\nimport sys\nfrom {command}.__main__ import main\n"
            path = f"{CHECKOUT.relative_to('/')}/.venv/bin/{command}"
            self._write(path, f"{start}sys.exit(main())\n", 0o755)

    def python_home(self) -> Path:
        """Where the interpreter is inside."""
        return PYTHON_INSIDE if sys.base_prefix.startswith(UNSEEN) else Path(sys.base_prefix)

    # -- booting and halting -----------------------------------------------------------------------

    def boot(self) -> None:
        """Returns when systemd says that it runs."""
        self._make_groups()
        binds = [f"--bind-ro={sys.base_prefix}:{PYTHON_INSIDE}"]
        options = [
            *("--quiet", f"--directory={self.tree}", f"--machine={self.name}", "--register=no"),
            *("--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off"),
            *("--link-journal=no", "--console=pipe", "--kill-signal=SIGRTMIN+3"),
            *("--capability=all", *binds[: self.python_home() == PYTHON_INSIDE]),
        ]
        enter = "".join(f"echo $$ >'{group}/cgroup.procs' && " for group in self.groups)
        inner = f"{WRITABLE}; exec /lib/systemd/systemd {BOOT}"
        command = ["sh", "-c", f'{enter}exec "$@"', "sh"]
        command += ["systemd-nspawn", *options, "/bin/sh", "-c", inner]
        # Its own system-call filter would be counted as one of the browser's.
        environment = {
            **os.environ,
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # where this machine has both, the newer one
            "SYSTEMD_SECCOMP": "0",
        }
        with self.console.open("wb") as console:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment
            )
        self.leader = until(self._leader, "the container has a first process")
        until(self._is_running, "systemd has booted")

    def _make_groups(self) -> None:
        """A control group of our own in each hierarchy, below the one we are in."""
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            mounted = Path("/sys/fs/cgroup", controllers.removeprefix("name="))
            if number == "0" and Path("/sys/fs/cgroup/unified").is_dir():
                mounted = Path("/sys/fs/cgroup/unified")
            if (Path(f"{mounted}{path}") / "cgroup.procs").exists():
                group = Path(f"{mounted}{path}") / self.name
                group.mkdir()
                self.groups.append(group)
                for name in ("cpuset.cpus", "cpuset.mems") if controllers == "cpuset" else ():
                    (group / name).write_text((group.parent / name).read_text())

    def _leader(self) -> int:
        assert self.process.poll() is None, self.console.read_text(errors="replace")
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(OSError):
                if namespaced(child.pid)[1:] == [1]:
                    return child.pid
        return 0

    def _is_running(self) -> bool:
        assert self.process.poll() is None, self.console.read_text(errors="replace")
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def halt(self) -> None:
        """An orderly power-off, and nothing left."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                psutil.Process(self.leader).kill()
                self.process.wait(20)
        until(self._groups_are_gone, "nothing of the machine is left", 10)

    def _groups_are_gone(self) -> bool:
        """A group can be removed when no process is in it."""
        for group in self.groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        return not any(group.exists() for group in self.groups)

    # -- using it ----------------------------------------------------------------------------------

    def run(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        enter = ["nsenter", "-t", str(self.leader), *ALL_NAMESPACES]
        environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "SYSTEMD_PAGER": ""}
        return subprocess.run(
            [*enter, "env", LIBRARIES, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def must(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run a command inside that has to succeed; gives its output."""
        done = self.run(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def python(self, program: str) -> str:
        """Run a Python program inside."""
        return self.must(f"{VENV}/bin/python", "-c", program)

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.must("systemctl", "show", "--property", name, "--value", unit).strip()

    def state(self) -> dict[str, Any]:
        """`arenactl status --json`; empty while the daemon is not there."""
        done = self.run("arenactl", "status", "--json")
        return json.loads(done.stdout) if done.returncode in (0, 4) else {}

    def journal(self, unit: str = "arenad.service") -> str:
        """The last words of a unit and of systemd about it."""
        return self.run("journalctl", "--no-pager", "-n", "200", "-u", unit).stdout

    def processes(self, unit: str = "arenad.service") -> list[psutil.Process]:
        """The processes of a unit, as this side sees them: those below its control group."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.leader).children(recursive=True):
            with contextlib.suppress(OSError, psutil.Error):
                if f"/{unit}" in Path(f"/proc/{process.pid}/cgroup").read_text():
                    found.append(process)
        return found

    def listening(self, pid: int) -> list[int]:
        """The ports that a process holds open for listening."""
        ports = _listening_inodes(pid)
        held = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        return sorted(port for inode, port in ports.items() if f"socket:[{inode}]" in held)

    def main_process(self, unit: str = "arenad.service") -> psutil.Process:
        """A unit's main process."""
        pid = int(self.shown(unit, "MainPID"))
        return next(each for each in self.processes(unit) if namespaced(each.pid)[1] == pid)


def _listening_inodes(pid: int) -> dict[str, int]:
    """The listening TCP (IPv4) sockets in a process's network, each with its port."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {row[9]: int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A"}


def namespaced(pid: int) -> list[int]:
    """A process's number in each of its nested pid namespaces, ours first."""
    return [int(word) for word in status_of(pid, "NSpid").split()]


def status_of(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(
        line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")
    )


def _copy_package(name: str, target: Path) -> None:
    """An installed package, as far as it is importable; compiled files and times included."""
    for file in importlib.metadata.distribution(name).files or ():
        source = Path(str(file.locate()))
        if ".." not in file.parts and source.is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / file)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)


@contextlib.contextmanager
def booted() -> Iterator[Machine]:
    """A machine that runs, halted and removed afterwards."""
    base = Path(tempfile.mkdtemp(prefix="arenad-nspawn-"))
    machine = Machine(base)
    try:
        machine.lay_out()
        machine.boot()
        yield machine
    finally:
        if "process" in vars(machine):
            machine.halt()
        for mounted in ("tree", "layer"):
            subprocess.run(["umount", "--lazy", base / mounted], capture_output=True, check=False)
        with contextlib.suppress(OSError):  # a mount that is still going away
            shutil.rmtree(base)
