"""The instances as this frontend knows them: roster, links, what each can go on with."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from arenad import link
from arenad.errors import LinkLost
from arenad.frontend.balance import SeatKey, key_of, offers
from arenad.schema.chat import AskHeld, Held, Mode
from arenad.schema.frame import Body
from arenad.schema.process import Model, Roster, Seat, template_of

CONNECT_TIMEOUT_S = 2.0
RECONNECT_S = 0.5
RELINK_S = 5.0
"""A link that was lost is tried again after so long, if the master goes on listing its instance."""

HeldBy = tuple[frozenset[str], float]
"""The keys of the conversations that an instance can go on with, and since when."""

_NOTHING: HeldBy = frozenset(), 0.0

log = logging.getLogger("arenad.seats")


class Pool:
    """Follows the master's roster, and holds a link to each instance that it lists."""

    def __init__(self) -> None:
        """Until the master's first word, instances are taken to be on their way."""
        self.roster = Roster((), 1)
        self.linked: dict[SeatKey, Seat] = {}
        """Who can be asked: a lost link tells of a death before the next roster does."""

        self.on_change: Callable[[], None] = _ignore
        """Called when others may be asked than before."""

        self.on_held: Callable[[], None] = _ignore
        """Called when an instance can go on with other conversations."""

        self._roster_at_s = 0.0
        self._news = asyncio.Event()
        self._kept: set[SeatKey] = set()
        self._links: dict[SeatKey, link.Link] = {}
        self._held: dict[SeatKey, HeldBy] = {}
        self._tasks = link.Tasks()

    def follow(self, roster: Roster) -> None:
        """The master says who may be asked from now on."""
        self.roster = roster
        self._roster_at_s = asyncio.get_running_loop().time()
        self._news.set()
        self._news = asyncio.Event()
        for seat in roster.seats:
            if key_of(seat) not in self._kept:
                self._kept.add(key_of(seat))
                self._tasks.start(self._keep_link(seat), f"link to {seat.name}")
        self._changed()

    def _changed(self) -> None:
        seats = self.roster.seats
        self.linked = {key: seat for seat in seats if (key := key_of(seat)) in self._links}
        self.on_change()

    async def news(self, timeout_s: float) -> None:
        """Wait for the next roster, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    @property
    def roster_age_s(self) -> float:
        """How long ago the roster came."""
        return asyncio.get_running_loop().time() - self._roster_at_s

    # -- links ------------------------------------------------------------------------------------

    async def _keep_link(self, seat: Seat) -> None:
        """Hold a link for as long as the master lists the seat.

        A lost link is the first sign of a death, so a newer roster is waited for before it is tried
        again; but not for good, for an instance that lives may lose one.
        """
        key = key_of(seat)
        try:
            while any(key_of(listed) == key for listed in self.roster.seats):
                made = await _connected(seat, partial(self._on_news, key))
                if made is None:
                    await asyncio.sleep(RECONNECT_S)
                    continue
                self._links[key] = made
                made.note(AskHeld())
                self._changed()
                await made.lost.wait()
                del self._links[key]
                self._held.pop(key, None)
                self._changed()
                await self.news(RELINK_S)
        finally:
            self._kept.discard(key)

    def _on_news(self, key: SeatKey, body: Body) -> None:
        """A worker says which conversations its page can go on with."""
        if isinstance(body, Held):
            held = frozenset(body.conversations)
            self._held[key] = held, time.monotonic() if held else 0.0
            self.on_held()

    def link_to(self, seat: Seat) -> link.Link:
        """The link to an instance. Raises `LinkLost` when there is none any more."""
        found = self._links.get(key_of(seat))
        if found is None:
            raise LinkLost(seat.name)
        return found

    def held_by(self, key: SeatKey) -> HeldBy:
        """Which conversations this instance can go on with."""
        return self._held.get(key, _NOTHING)

    async def close(self) -> None:
        """End the links."""
        await self._tasks.close()
        for each in self._links.values():
            each.close()

    # -- what is offered --------------------------------------------------------------------------

    def holds(self, seat: Seat, conversation: str) -> bool:
        """Whether the instance can go on with this conversation."""
        return conversation in self.held_by(key_of(seat))[0]

    def seat_of(self, name: str) -> Seat | None:
        """The seat of an instance, even if nobody may ask it now; none if it does not run."""
        seats = (*self.roster.seats, *self.roster.aside)
        return next((seat for seat in seats if seat.name == name), None)

    def models(self) -> list[Model]:
        """Every model that some instance offers, each once, by name."""
        known = {model.id: model for seat in self.roster.seats for model in seat.models}
        return [known[name] for name in sorted(known)]

    def modes_of(self, model: str) -> set[Mode]:
        """The mode in which each instance that has the model under this name is asked for it."""
        known = (seat.by_id.get(model) for seat in self.roster.seats)
        return {each.modes[0] for each in known if each is not None}

    def sites(self) -> dict[str, list[Seat]]:
        """The seats of each site, by template."""
        sites: dict[str, list[Seat]] = {}
        for seat in self.roster.seats:
            sites.setdefault(template_of(seat.name), []).append(seat)
        return sites

    def sites_of(self, model: str) -> set[str]:
        """The templates whose instances have the model."""
        return {template_of(seat.name) for seat in self.roster.seats if offers(seat, model)}

    def room(self, model: str) -> int:
        """How many chats all instances of a model take at once, busy or not."""
        return sum(seat.slots for seat in self.roster.seats if offers(seat, model))

    def is_ready(self) -> bool:
        """Whether an instance could be asked now, busy or not."""
        return any(seat.condition == "ready" for seat in self.linked.values())


def _ignore() -> None:
    pass


async def _connected(seat: Seat, on_news: Callable[[Body], None]) -> link.Link | None:
    try:
        return await link.connect(seat.socket_path, seat.name, CONNECT_TIMEOUT_S, on_news)
    except LinkLost as error:
        log.warning("cannot reach %s; trying again in %g s", error, RECONNECT_S)
        return None
