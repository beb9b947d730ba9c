"""The master from its first line to its last: sockets, signals, loop, and nothing left behind."""

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from setproctitle import setproctitle

from arenad import log
from arenad.errors import Refused
from arenad.master import activation, control, handover, invariants, kernel
from arenad.master.greeting import arenactl, greeting
from arenad.master.handover import Handover
from arenad.master.listeners import Listeners
from arenad.master.loop import Loop
from arenad.master.reload import Reloader
from arenad.master.settings import Settings
from arenad.master.supervisor import Supervisor
from arenad.master.systemd import Notifier, Pulse
from arenad.master.upgrade import Upgrader
from arenad.schema import SCHEMA_VERSION
from arenad.schema.config import Config
from arenad.schema.paths import CONTROL_SOCKET
from arenad.schema.process import LogLine

CLEAN_UP_TIMEOUT_S = 5.0
STRAY_WAIT_S = 0.1

SIGNALS_TO_STOP = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("arenad.master")


def run(load: Callable[[], Config]) -> int:
    """Supervise until told to stop; gives the exit code. `ConfigError` comes before any start.

    `load` reads the configuration, now and at each reload. An upgrade goes on with the old one.
    """
    setproctitle("arenad: master")
    kernel.open_standard_streams()
    if (left := handover.take(os.environ)) is not None:
        settings = Settings(left.config, left.read)
        settings.resume(left.folder_fd, left.state_fd, left.keys)
        going_on = handover.processes(left)
        settings.groups.claim(settings.runtime, going_on)
        settings.remove_leftovers(going_on)
        listeners = Listeners.resumed(left.listeners)
        listeners.open_recorder(settings)
        master = Master(load, settings, listeners, left)
    else:
        listeners = Listeners(activation.take(os.environ))
        settings = Settings(activation.applied(load(), listeners.given))
        settings.claim_folders()
        listeners.follow(settings)
        listeners.open_recorder(settings)
        settings.groups.claim(settings.runtime)
        kernel.become_subreaper()
        master = Master(load, settings, listeners)
    master.run()
    return 0


def rehearse() -> int:
    """Whether this program could go on from a handover; gives the exit code, or raises why not."""
    number = os.environ.get(handover.VARIABLE, "")
    if not number.isdecimal():
        raise Refused("there is no handover; this is for `arenactl upgrade`")
    Settings(handover.read(int(number)).config)
    return 0


class Master:
    """Wires the loop, the supervisor, the control socket and the service manager together."""

    def __init__(
        self,
        load: Callable[[], Config],
        settings: Settings,
        listeners: Listeners,
        left: Handover | None = None,
    ) -> None:
        """Everything is made, nothing runs yet, except the zygote; `left` is what we go on with."""
        self._settings = settings
        self._listeners = listeners
        self._left = left
        self._loop = Loop()
        self._wake, self._waker = socket.socketpair()
        self._notifier = Notifier()  # before any child can inherit the address
        self._has_terminal = os.isatty(sys.stdin.fileno())
        self._is_ready = False
        self._has_greeted = left is not None
        self._supervisor = Supervisor(self._loop, settings, listeners.of, self._on_change)
        self._supervisor.on_leaving = self._on_leaving
        self._pulse = Pulse(self._loop, self._notifier, self._faults)
        self._reloader = Reloader(load, settings, listeners, self._supervisor)
        upgrader = Upgrader(self._loop, self._supervisor, self._handover)
        upgrader.environment = self._notifier.environment
        upgrader.hold_back = self._hold_back
        self._path = settings.runtime / CONTROL_SOCKET
        listener = (
            control.listen(self._path) if left is None else socket.socket(fileno=left.control_fd)
        )
        office = control.Office(self._reloader, upgrader)
        self._control = control.Control(self._loop, self._supervisor, office, listener)
        log.setup("master", settings.config.daemon.log_level, self._keep)

    def _handover(self) -> Handover:
        return Handover(
            schema_version=SCHEMA_VERSION,
            config=self._settings.config,
            crew=self._supervisor.kept(self._control.streams),
            read=self._settings.read,
            listeners=self._listeners.kept,
            control_fd=self._control.fd,
            folder_fd=self._settings.claim,
            state_fd=self._settings.state_claim,
            keys=self._settings.keys.keys,
        )

    def _keep(self, line: LogLine) -> None:
        self._supervisor.ledger.log.append(line)
        self._supervisor.recording.logged(line)
        self._control.on_log(line)

    def run(self) -> None:
        """Until everything has stopped."""
        self._watch_signals()
        if self._left is None:
            self._supervisor.start()
        else:
            self._supervisor.resume(self._left.crew)
            self._control.resume(self._left.crew)
        gc.collect()
        gc.freeze()
        kernel.trim()
        self._pulse.start()
        try:
            self._loop.run()
        finally:
            is_clean = self._clean_up()
            self._control.close()
            self._path.unlink(missing_ok=True)
            self._settings.remove_kept()
            self._notifier.close()
        if is_clean:
            logger.info("stopped; nothing is left running")
        else:
            logger.error("stopped, but some processes did not end: %s", kernel.child_pids())

    # -- signals -----------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Signals wake the loop through a socket; Python's own handlers only have to exist."""
        for end in (self._wake, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (*SIGNALS_TO_STOP, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        self._loop.watch(self._wake.fileno(), lambda _: self._on_signals(self._wake.recv(4096)))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what an upgrade held back comes now

    def _on_signals(self, numbers: bytes) -> None:
        for number in set(numbers):
            if number == signal.SIGCHLD:
                self._supervisor.on_sigchld()
                continue
            logger.info("received %s", signal.Signals(number).name)
            if number == signal.SIGHUP and not self._has_terminal:
                self._reload()
            else:
                self._supervisor.shutdown()

    def _hold_back(self) -> None:
        """Signals are blocked: those that have come already come again once they are not."""
        with suppress(BlockingIOError):
            for number in {*self._wake.recv(4096)} - {signal.SIGCHLD}:
                os.kill(os.getpid(), number)

    def _reload(self) -> None:
        """As daemons do on SIGHUP; at a terminal it means that the terminal is gone."""
        if self._supervisor.leaving:
            return
        try:
            self._reloader.reload(is_rehearsal=False)
        except Refused as error:
            logger.error("the configuration is not taken: %s", error.message)  # noqa: TRY400 - said whole

    # -- what others are told ----------------------------------------------------------------------

    def _on_change(self) -> None:
        """Tell watchers, the service manager, and once the terminal.

        The service manager hears READY as soon as requests are accepted: without it systemd would
        kill a daemon whose browsers cannot start, instead of letting the status line say why.
        """
        self._control.on_change()
        if self._has_greeted and not self._notifier.is_present:
            return
        state = self._supervisor.state()
        self._notifier.status(state.verdict)
        frontends = [child for child in state.children if child.role == "frontend"]
        if not self._is_ready and frontends and all(child.phase == "ready" for child in frontends):
            self._is_ready = True
            self._notifier.ready()
        if not self._has_greeted and state.word == "well":
            self._has_greeted = True
            if not self._notifier.is_present:
                self._print(greeting(state, arenactl(self._settings.config.daemon.runtime_dir)))

    def _print(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads standard output, and nobody has to
            sys.stdout.write(text)
            sys.stdout.flush()

    def _on_leaving(self) -> None:
        """From now on connections are refused: with our copy open they would wait for nobody.

        Those that a service manager handed over stay open there: they wait for the next start.
        """
        self._pulse.leave()
        for listener in self._listeners.of("frontend"):
            listener.close()

    def _faults(self) -> list[str]:
        children = [self._supervisor.child(name) for name in self._supervisor.names]
        return invariants.faults(filter(None, children), time.monotonic())

    # -- the end -----------------------------------------------------------------------------------

    def _clean_up(self) -> bool:
        """End the zygote and whatever a child left; false if something would not end in time."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        signal.set_wakeup_fd(-1)
        deadline_s = time.monotonic() + CLEAN_UP_TIMEOUT_S
        while self._supervisor.end_all():
            if time.monotonic() > deadline_s:
                return False
            signal.sigtimedwait({signal.SIGCHLD}, STRAY_WAIT_S)
        self._settings.groups.leave()
        return True
