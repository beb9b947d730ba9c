"""Several answers to one request (`n`), each of a chat of its own, told as the sides of one."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import msgspec

from arenad.errors import InvalidRequest, RequestError, UpstreamFailed
from arenad.frontend.account import Account
from arenad.frontend.reply import Answer
from arenad.frontend.vocabulary import Shown, Wish
from arenad.link import Tasks
from arenad.schema.chat import Began, Finish, Heartbeat, SideFailed, failure_of

log = logging.getLogger("arenad.abreast")


class Ended(msgspec.Struct, frozen=True):
    """One of the answers is over; `error` is why, unless it is whole."""

    side: int
    error: Exception | None


def check(wish: Wish, sides: int, room: int) -> None:
    """Raises `InvalidRequest` for several answers, if they are more than there can be at once.

    Each has so many sides by itself; `room` is how many chats all instances of the model take, 0
    where none has it (yet).
    """
    if sides > 1:
        told = "this model's answers are two already; choose one of them (battle_target), or 1"
        raise InvalidRequest(f"n: is {wish.n}; {told}", param="n")
    if 0 < room < wish.n:
        told = f"the instances that have this model give {room} answers at once"
        remedy = "ask for no more, or have the operator start more (arenactl scale)"
        raise InvalidRequest(f"n: is {wish.n}; {told}; {remedy}", param="n")


async def together(answers: Sequence[Answer], accounts: Sequence[Account]) -> Answer:
    """All answers as one: each is a side of it, and events come as they do.

    One that fails, which its account is told, is a side that failed if another is whole in the end;
    else the first failure is raised, and so is at once what nobody expected. Closing this closes
    all of them.
    """
    coming = asyncio.Queue[Shown | Ended](maxsize=len(answers))
    tasks, sides = Tasks(), _Sides(accounts)
    try:
        for side, answer in enumerate(answers):
            tasks.start(_carry(answer, side, coming), f"answer {side}")
        while sides.running:  # each answer has its deadlines, and ends
            if (shown := sides.take(await coming.get())) is not None:
                yield shown
    finally:
        await tasks.close()
    for each in sides.closing():
        yield each


class _Sides:
    """What has come of all answers."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.running = len(accounts)
        self._accounts = accounts
        self._failed: dict[int, RequestError] = {}
        self._last: Finish | None = None

    def take(self, event: Shown | Ended) -> Shown | None:
        """What is shown now that this has come. Of the ends the last has to be the last event."""
        match event:
            case Ended(side, error):
                self.running -= 1
                if error is not None:
                    self._fail(side, error)
                return None
            case Finish():
                before, self._last = self._last, event
                return before
            case _:
                return event

    def _fail(self, side: int, error: Exception) -> None:
        if not isinstance(error, RequestError):
            raise error
        account = self._accounts[side]
        account.error = error.kind
        self._failed[side] = error
        log.warning("request %s: answer %d failed: %s", account.request_id, side, error.message)

    def closing(self) -> Iterator[Shown]:
        """Who failed, and the last end. Raises the first failure where nothing is whole."""
        if self._last is None:
            raise next(iter(self._failed.values()), UpstreamFailed("no answer has an end"))
        for side, error in self._failed.items():
            yield SideFailed(failure_of(error), side)
        yield self._last


async def _carry(answer: Answer, side: int, coming: "asyncio.Queue[Shown | Ended]") -> None:
    """One answer, as far as it goes; who reads slowly holds all of them up."""
    error: Exception | None = None
    try:
        async with aclosing(answer) as events:
            async for event in events:
                await coming.put(_sided(event, side))
    except Exception as raised:  # noqa: BLE001 - the boundary of one: its reader raises it
        error = raised
    await coming.put(Ended(side, error))


def _sided(event: Shown, side: int) -> Shown:
    """The event as one of this side."""
    if isinstance(event, Heartbeat | Began):
        return event
    return msgspec.structs.replace(event, side=side)
