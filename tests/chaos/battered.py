"""The daemon of the chaos run: on small file systems of its own, asked over one open connection."""

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
from answers import Answer
from daemon import Daemon

from arenactl.client import Client, connect
from arenad.errors import ArenadError
from arenad.schema import control
from arenad.schema.history import GetHistory, HistoryPage, RequestEnded

DISK_BYTES = 256 * 1024 * 1024
STATE_DISK_BYTES = 32 * 1024 * 1024
SETTINGS: dict[str, dict[str, Any]] = {
    "frontend": {"processes": 2},
    "life": {"deaths": 50, "backoff_limit_s": 2},  # it is hurt far more often than any other
    "queue": {"wait_s": 100},
}


class Battered(Daemon):
    """A daemon, and what the run must know of it."""

    def __init__(self, instances: int) -> None:
        self.instances = instances
        self.answers: list[Answer] = []
        self.held: set[int] = set()
        """Ports of clients whose frontend was killed while it held them."""

        self.is_mounted = False
        self._client: Client | None = None
        self._turn = threading.Lock()
        super().__init__(instances, SETTINGS)

    def furnish(self) -> None:
        """Disks that can be filled without harm, where we may mount some."""
        for folder, size_bytes in self._disks.items():
            folder.mkdir(mode=0o755)
            if os.getuid() == 0:
                options = f"size={size_bytes},mode=755"
                mount = ["mount", "-t", "tmpfs", "-o", options, "arenad-chaos", str(folder)]
                done = subprocess.run(mount, capture_output=True, check=False)
                self.is_mounted = done.returncode == 0

    def stop(self) -> int:
        try:
            return super().stop()
        finally:
            self._hang_up()
            for folder in self._disks if self.is_mounted else ():
                subprocess.run(["umount", "-l", str(folder)], check=False)

    @property
    def _disks(self) -> dict[Path, int]:
        return {self.runtime: DISK_BYTES, self.state_dir: STATE_DISK_BYTES}

    # -- looking ------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As `arenactl status --json`, without a process for each look."""
        with self._turn:  # two troubles at once look from two threads
            try:
                if self._client is None:
                    self._client = connect(self.runtime / "control.sock")
                answer = self._client.ask(control.GetState(), control.StateNow)
            except ArenadError:
                self._hang_up()
                return {}
        return msgspec.to_builtins(answer.state)

    def remembered(self) -> set[str]:
        """The ids of all requests in the history."""
        with connect(self.runtime / "control.sock") as client:
            before, found = 0, set[str]()
            while True:
                page = client.ask(GetHistory("requests", limit=500, before=before), HistoryPage)
                found |= {
                    each.request_id for each in page.entries if isinstance(each, RequestEnded)
                }
                if not (before := page.before):
                    return found

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.__exit__()
        self._client = None

    def names(self, role: str) -> list[str]:
        return [child["name"] for child in self.children(role)]

    def browser_process(self, worker: int, words: tuple[str, ...]) -> psutil.Process:
        """Of a worker's browser: the process with these words; without any, the main one."""
        for process in psutil.Process(worker).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if all(word in line for word in words) and (words or "--type=" not in line):
                    return process
        raise LookupError(f"no process has {words}")

    @staticmethod
    def ports_of(frontend: psutil.Process) -> set[int]:
        """The ports of the clients that a frontend holds."""
        return {each.raddr.port for each in frontend.net_connections("tcp") if each.raddr}

    def note_held(self, frontend: psutil.Process) -> None:
        self.held |= self.ports_of(frontend)

    def strays(self) -> list[str]:
        """Zombies, and children of the master that it does not keep."""
        kept = {child["pid"] for child in self.state()["children"]}
        kept |= {*self.titled("arenad: zygote"), *self.titled("arenad: blank")}
        found: list[str] = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() == psutil.STATUS_ZOMBIE:
                    found.append(f"zombie {process.pid}")
                elif process.ppid() == self.process.pid and process.pid not in kept:
                    found.append(f"stray {process.pid} {' '.join(process.cmdline())[:80]}")
        return found

    def sizes(self) -> dict[str, tuple[int, float]]:
        """Open descriptors and PSS in MiB of the master, the recorder and each frontend."""
        kept = [*self.children("frontend"), *self.children("recorder")]
        pids = {child["name"]: child["pid"] for child in kept}
        pids["master"] = self.process.pid
        found: dict[str, tuple[int, float]] = {}
        for name, pid in pids.items():
            process = psutil.Process(pid)
            found[name] = (process.num_fds(), process.memory_full_info().pss / 2**20)
        return found

    # -- doing --------------------------------------------------------------------------------------

    async def order(self, *words: str) -> None:
        """arenactl, without waiting for what it begins."""
        done = await asyncio.to_thread(self.ctl, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    async def settled(self, replaced: tuple[str, int] | None, timeout_s: float) -> bool:
        """Wait until it is well, and who had to be replaced has been; whether that came to be."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            state = await asyncio.to_thread(self.state)
            if state.get("word") == "well" and _is_replaced(state, replaced):
                return True
            await asyncio.sleep(0.1)
        return False


def _is_replaced(state: dict[str, Any], replaced: tuple[str, int] | None) -> bool:
    if replaced is None:
        return True
    name, generation = replaced
    return any(c["name"] == name and c["generation"] > generation for c in state["children"])
