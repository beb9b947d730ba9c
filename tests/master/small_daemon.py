"""A real arenad without a browser (`fleet.instances: 0`), and what tests ask of it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil

from arenad.schema.control import GetState, State, StateNow
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.paths import CONTROL_SOCKET
from arenad.wire import Peer

TIMEOUT_S = 30.0


def until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until the condition gives something true, and give that; look again every little while."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s"
        time.sleep(0.01)
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Client:
    """A blocking end of the control socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_S)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.peer = Peer()
        self._frames: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def open(self, body: Body) -> int:
        call, packed = self.peer.call(body)
        self.socket.sendall(packed)
        return call

    def next(self) -> Frame | None:
        """The next frame; none at the end of the connection."""
        while not self._frames:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self._frames = self.peer.receive(chunk)
            assert self.peer.fault is None, self.peer.fault
        return self._frames.pop(0)

    def ask(self, body: Body) -> Body:
        """A plain call's answer."""
        call = self.open(body)
        while True:
            frame = self.next()
            assert frame is not None, "the daemon hung up"
            if frame.call == call and frame.kind is Kind.END:
                return frame.body

    def state(self) -> State:
        answer = self.ask(GetState())
        assert isinstance(answer, StateNow)
        return answer.state


class SmallDaemon:
    """One running arenad with its own ports and folders."""

    def __init__(self, folder: Path, **settings: dict[str, Any]) -> None:
        self.folder = folder
        self.runtime = folder / "run"
        self.control = self.runtime / CONTROL_SOCKET
        self.api, self.gui, self.demo = free_ports(3)
        config: dict[str, Any] = {
            "daemon": {
                "runtime_dir": str(self.runtime),
                "state_dir": str(folder / "state"),
                "log_level": "debug",
            },
            "fleet": {"instances": 0, "drain_timeout_s": 5},
            "api": {"listen": f"127.0.0.1:{self.api}"},
            "gui": {"listen": f"127.0.0.1:{self.gui}"},
            "demo": {"listen": f"127.0.0.1:{self.demo}"},
        }
        for section, fields in settings.items():
            config.setdefault(section, {}).update(fields)
        self.config = folder / "arenad.yaml"
        self.config.write_text(json.dumps(config))  # JSON is YAML
        self.log_path = folder / "log"
        self.environment: dict[str, str] = {}
        self.cwd = Path.cwd()  # where `python -m arenad` finds the package

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "arenad", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                cwd=self.cwd,
            )

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def client(self) -> Client:
        return Client(self.control)

    def state(self) -> State:
        with self.client() as client:
            return client.state()

    def pid(self, name: str) -> int:
        """The pid of a child that is ready; 0 before."""
        children = {child.name: child for child in self.state().children}
        return children[name].pid if children[name].phase == "ready" else 0

    def zygote(self) -> int:
        return self.titled("arenad: zygote")

    def titled(self, title: str) -> int:
        """The pid of the master's child with this title; 0 if there is none."""
        children = psutil.Process(self.process.pid).children()
        for child in children:
            with contextlib.suppress(psutil.Error):
                if title in " ".join(child.cmdline()):
                    return child.pid
        return 0

    def wait_up(self) -> None:
        """Until every child of its own is ready."""

        def is_up() -> bool:
            assert self.process.poll() is None, self.log()
            try:
                return all(child.phase == "ready" for child in self.state().children)
            except (FileNotFoundError, ConnectionRefusedError):
                return False

        until(is_up)

    def processes(self) -> list[psutil.Process]:
        try:
            master = psutil.Process(self.process.pid)
            return [master, *master.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> int:
        """SIGTERM, and the exit code; afterwards nothing of it is left."""
        known = self.processes()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(TIMEOUT_S)
        finally:
            for process in self.processes():
                process.kill()
        _, alive = psutil.wait_procs(known, timeout=TIMEOUT_S)
        assert not alive, f"left running: {alive}"
        return code


@contextlib.contextmanager
def small_daemon(**settings: dict[str, Any]) -> Iterator[SmallDaemon]:
    """A daemon that is up, ended in order afterwards."""
    with tempfile.TemporaryDirectory(prefix="arenad-small-") as folder:
        Path(folder).chmod(0o755)  # the recorder, another user if we are root, has files in it
        daemon = SmallDaemon(Path(folder), **settings)
        daemon.start()
        try:
            daemon.wait_up()
            yield daemon
        finally:
            if daemon.process.poll() is None:
                code = daemon.stop()
                assert code == 0, daemon.log()
