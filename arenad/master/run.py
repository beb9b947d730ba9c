"""The master from its first line to its last: sockets, signals, loop, and nothing left behind."""

import gc
import logging
import signal
import socket
import sys
import time
from pathlib import Path

from setproctitle import setproctitle

from arenad import log
from arenad.config import split_address
from arenad.errors import ConfigError
from arenad.master import kernel
from arenad.master.control import Control, is_answered
from arenad.master.greeting import greeting
from arenad.master.loop import Loop
from arenad.master.settings import Settings
from arenad.master.supervisor import Supervisor
from arenad.master.systemd import Notifier
from arenad.schema.config import Config
from arenad.schema.paths import CONTROL_SOCKET
from arenad.schema.process import ProcessRole

LISTEN_BACKLOG = 1024
CLEAN_UP_TIMEOUT_S = 5.0
STRAY_WAIT_S = 0.1
SIGNALS_TO_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

logger = logging.getLogger("arenad.master")


def run(config: Config) -> int:
    """Supervise until told to stop; gives the exit code. Raises `ConfigError` before anything starts."""
    setproctitle("arenad: master")
    settings = Settings(config)
    control_path = settings.runtime / CONTROL_SOCKET
    if is_answered(control_path):
        raise ConfigError(
            [f"daemon.runtime_dir: another arenad runs there ({control_path}); stop it first"]
        )
    settings.make_folders()
    settings.remove_leftovers()
    listeners = _listeners(settings)
    kernel.become_subreaper()
    Master(settings, listeners, control_path).run()
    return 0


class Master:
    """Wires the loop, the supervisor, the control socket and the service manager together."""

    def __init__(
        self,
        settings: Settings,
        listeners: dict[ProcessRole, tuple[socket.socket, ...]],
        control_path: Path,
    ) -> None:
        """Everything is made, nothing runs yet, except the zygote."""
        self._settings = settings
        self._loop = Loop()
        self._notifier = Notifier()
        self._greeted = False
        self._supervisor = Supervisor(self._loop, settings, listeners, self._on_change)
        self._control = Control(self._loop, self._supervisor, control_path)
        self._listeners = listeners
        log.setup("master", settings.config.daemon.log_level, self._keep)

    def _keep(self, line: log.LogLine) -> None:
        self._supervisor.ledger.log.append(line)
        self._control.on_log(line)

    def run(self) -> None:
        """Until everything has stopped."""
        wake = self._watch_signals()
        self._supervisor.start()
        gc.collect()
        gc.freeze()
        self._loop.run()
        self._clean_up()
        self._control.close()
        wake.close()
        logger.info("stopped; nothing is left running")

    def _watch_signals(self) -> socket.socket:
        """Signals wake the loop through a socket; Python's own handlers only have to exist."""
        read, write = socket.socketpair()
        for end in (read, write):
            end.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        for number in (*SIGNALS_TO_STOP, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        self._loop.watch(read.fileno(), lambda _: self._on_signals(read.recv(4096)))
        self._wake_writer = write
        return read

    def _on_signals(self, numbers: bytes) -> None:
        for number in set(numbers):
            if number == signal.SIGCHLD:
                self._supervisor.on_sigchld()
            else:
                logger.info("received %s", signal.Signals(number).name)
                self._notifier.stopping(self._settings.config.fleet.drain_timeout_s + 30)
                self._supervisor.shutdown()

    def _on_change(self) -> None:
        self._control.on_change()
        if self._greeted and not self._notifier.is_present:
            return
        state = self._supervisor.state()
        self._notifier.status(state.verdict)
        if not self._greeted and state.word == "well":
            self._greeted = True
            self._notifier.ready()
            if not self._notifier.is_present:
                sys.stdout.write(greeting(state))
                sys.stdout.flush()

    def _clean_up(self) -> None:
        """Kill and reap what a child left; then the zygote has no work any more."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        deadline_s = time.monotonic() + CLEAN_UP_TIMEOUT_S
        while self._supervisor.has_strays() and time.monotonic() < deadline_s:
            signal.sigtimedwait({signal.SIGCHLD}, STRAY_WAIT_S)
        self._supervisor.close()
        for sockets in self._listeners.values():
            for listener in sockets:
                listener.close()


def _listeners(settings: Settings) -> dict[ProcessRole, tuple[socket.socket, ...]]:
    """The TCP sockets. They live here, so a frontend that dies refuses nobody."""
    config = settings.config
    wanted: dict[ProcessRole, dict[str, str]] = {
        "frontend": {"api.listen": config.api.listen, "gui.listen": config.gui.listen}
    }
    if settings.runs_demo:
        wanted["demo"] = {"demo.listen": config.demo.listen}
    faults: list[str] = []
    sockets = {
        role: tuple(_listen(field, address, faults) for field, address in addresses.items())
        for role, addresses in wanted.items()
    }
    if faults:
        raise ConfigError(faults)
    return sockets


def _listen(field: str, address: str, faults: list[str]) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        faults.append(f"{field}: cannot listen at {address}: {error.strerror}; free it or change it")
    listener.setblocking(False)
    return listener
