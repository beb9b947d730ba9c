"""Hold back a browser's network while nobody reads what it brings: its network process is stopped.

DevTools knows no back pressure: a browser reads as fast as its page does, and keeps for us what we
have not taken yet. A stopped network process reads nothing, so the site's connection fills up and
the site itself waits. To the page this is a slow network and nothing else, whatever transport it
uses. (Measured with Chromium 150: throttling does not touch a request that is under way, and a
frozen page does not go on with a fetch afterwards.)
"""

import contextlib
import logging
import os
import select
import signal
from collections.abc import Generator
from typing import Literal

import psutil

from arenad.worker.diagnosis import kind_of
from arenad.worker.kin import descendants

Reason = Literal["it brings too much at once", "the answer is not read"]

log = logging.getLogger("arenad.worker")


class Valve:
    """The network process of one browser: it runs, unless it is shut."""

    def __init__(self, pid: int) -> None:
        """`pid` is the browser's main process; its network process may change and is looked for."""
        self._pid = pid
        self._network = -1
        self._is_held = False
        self._reasons: set[Reason] = set()
        self._lifts = 0

    @property
    def is_shut(self) -> bool:
        """Whether it is held back at the moment: not any more when it has died meanwhile.

        The browser starts another one, which is held back by whoever next says so.
        """
        if self._is_held:
            self._forget_dead()
        return self._is_held

    def shut(self, reason: Reason) -> None:
        """Let nothing more in, until no reason is left.

        A browser that has no network process at the moment goes without.
        """
        self._reasons.add(reason)
        self._settle()

    def open(self, *reasons: Reason) -> None:
        """These hold it back no more; none given: nothing does."""
        self._reasons = self._reasons.difference(reasons) if reasons else set()
        self._settle()

    @contextlib.contextmanager
    def lifted(self) -> Generator[None]:
        """For so long it runs, whatever reasons there are: something else is wanted of it."""
        self._lifts += 1
        self._settle()
        try:
            yield
        finally:
            self._lifts -= 1
            self._settle()

    def close(self) -> None:
        """Let it go on, and let go of it."""
        self.open()
        self._let_go()

    def _settle(self) -> None:
        is_wanted = bool(self._reasons) and not self._lifts
        if is_wanted and not self.is_shut:
            self._hold()
        elif self.is_shut and not is_wanted:
            self._signal(signal.SIGCONT)
            self._is_held = False

    def _hold(self) -> None:
        """Each moment that it runs on is memory, so it is not looked for each time."""
        self._forget_dead()
        if self._network < 0:
            self._find()
        if self._network >= 0:
            self._signal(signal.SIGSTOP)
            self._is_held = True
            log.debug("the network process is held back: %s", ", ".join(sorted(self._reasons)))

    def _find(self) -> None:
        for pid in descendants(self._pid):
            with contextlib.suppress(psutil.Error, OSError):
                if kind_of(psutil.Process(pid).cmdline()) == "network":
                    self._network = os.pidfd_open(pid)
                    return

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._network, number)

    def _forget_dead(self) -> None:
        if self._network >= 0 and select.select([self._network], [], [], 0)[0]:
            self._let_go()

    def _let_go(self) -> None:
        if self._network >= 0:
            os.close(self._network)
        self._network, self._is_held = -1, False
