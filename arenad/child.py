"""What every forked role does first and last: greet the master, take its settings, leave when told.

A role is a coroutine `run(child, welcome)`. It returns when `child.stopping` is set, which happens
on the master's `Stop` and on the end of the master's link: nobody outlives the master.
"""

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from arenad import deadman, heap, link, log
from arenad.errors import ArenadError
from arenad.schema import SCHEMA_VERSION
from arenad.schema.frame import Body
from arenad.schema.process import Alive, Drain, ForkOrder, Hello, Stop, Welcome

WELCOME_TIMEOUT_S = 10.0
LEAVE_TIMEOUT_S = 10.0

LATE_MS = 200.0
"""A loop that turns so late is worth a word to the master; a stood-still one is later still."""

STDERR_FD = 2

EXIT_ASKED = 0
EXIT_BUG = 70  # EX_SOFTWARE of sysexits(3)
EXIT_BROKEN = 75  # EX_TEMPFAIL: what the role drives is broken; a new start may mend it

logger = logging.getLogger("arenad.child")


class Child:
    """A role's end of its life: the master's link, the settings, the two words drain and stop."""

    def __init__(self, order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> None:
        """The first socket is the master's link, the others are listeners, in its order.

        The `switch` is wound as long as our loop turns (`deadman`).
        """
        self.order = order
        self.name = order.name
        self.listeners = tuple(sockets[1:])
        self._switch = switch
        self._end = sockets[0]
        self.draining = asyncio.Event()
        self.stopping = asyncio.Event()
        self.exit_code = EXIT_ASKED
        self.lag_ms = 0.0
        self.on_note: Callable[[Body], None] = link.ignore
        self.serve: link.Serve = link.refuse
        self._welcome: Welcome | None = None
        self._answered = asyncio.Event()
        self.tasks = link.Tasks()
        self.master: link.Link

    async def greet(self) -> Welcome | None:
        """Say hello, wait for the settings; none if told to leave first. Raises `ArenadError`."""
        self.master = await link.adopt(
            self._end, "the master", serve=self._serve, on_note=self._on_note
        )
        self.tasks.start(self._end_with_master(), "wait for the master's end")
        order = self.order
        self.master.note(
            Hello(SCHEMA_VERSION, order.role, order.name, order.generation, os.getpid())
        )
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                await self._answered.wait()
        except TimeoutError as error:
            raise ArenadError(f"no settings from the master in {WELCOME_TIMEOUT_S:g} s") from error
        if self.stopping.is_set() or self._welcome is None:
            return None
        log.setup(self.name, self._welcome.log_level, self.master.note)
        self.tasks.start(self._beat(self._welcome), "beat")
        return self._welcome

    def _on_note(self, body: Body) -> None:
        if isinstance(body, Welcome):
            self._on_welcome(body)
        elif isinstance(body, Drain):
            self.draining.set()
        elif isinstance(body, Stop):
            self._stop()
        else:
            self.on_note(body)

    def _on_welcome(self, welcome: Welcome) -> None:
        """The settings; any later ones are those of a reload, of which the role takes its part."""
        is_news = self._welcome is not None
        self._welcome = welcome
        self._answered.set()
        if is_news:
            log.set_level(welcome.log_level)
            self.on_note(welcome)

    async def _serve(self, served: link.Served) -> Body:
        return await self.serve(served)

    async def _beat(self, welcome: Welcome) -> None:
        """Wind the switch as long as our loop turns; say only when it turns late, and again well.

        What is said is said after winding, for the master then looks at the switch.
        """
        now_s = asyncio.get_running_loop().time
        was_late = False
        while True:
            welcome = self._welcome or welcome  # a reload may have changed how
            deadman.wind(self._switch, welcome.wound_s)
            is_late = self.lag_ms >= LATE_MS
            if is_late or was_late:
                self.master.note(Alive(self.lag_ms))
            was_late = is_late
            due_s = now_s() + welcome.beat_s
            await asyncio.sleep(welcome.beat_s)
            self.lag_ms = max(0.0, 1000.0 * (now_s() - due_s))

    async def _end_with_master(self) -> None:
        await self.master.lost.wait()
        self._stop()

    def _stop(self) -> None:
        self.stopping.set()
        self._answered.set()

    def leave(self, exit_code: int) -> None:
        """End this process with a code that says why."""
        self.exit_code = exit_code
        self._stop()

    async def close(self) -> None:
        """End the background tasks; then the link, after its last words. Raises `TimeoutError`."""
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            try:
                await self.tasks.close()
            finally:
                self.master.close()
            await self.master.lost.wait()


Run = Callable[[Child, Welcome], Awaitable[None]]


async def _live(order: ForkOrder, switch: int, sockets: Sequence[socket.socket], run: Run) -> int:
    child = Child(order, switch, sockets)
    try:
        if (welcome := await child.greet()) is not None:
            await run(child, welcome)
    finally:
        await child.close()
    return child.exit_code


def live(order: ForkOrder, switch: int, sockets: Sequence[socket.socket], run: Run) -> int:
    """Run a role in this forked process; gives its exit code. A bug is said and is its end."""
    gc.enable()
    heap.give_back()
    faulthandler.register(signal.SIGUSR2, STDERR_FD)  # the master asks a hung child where it hangs
    log.setup(order.name, "info", lambda _: None)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_live(order, switch, sockets, run))
    except ArenadError as error:
        logger.error("%s leaves: %s", order.name, error)  # noqa: TRY400 - it says all there is
        return EXIT_BROKEN
    except Exception:  # the boundary of the process: nobody is left to handle it
        logger.exception("%s ends with a bug", order.name)
        return EXIT_BUG
