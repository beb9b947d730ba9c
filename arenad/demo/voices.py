"""Who answers: the computed models and the upstream, and how many answers there are by now."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec
from aiohttp import web

from arenad.demo import catalog, models
from arenad.demo.generation import paced
from arenad.demo.models import Piece
from arenad.demo.protocol import Refusal, Turn
from arenad.demo.upstream import Upstream
from arenad.demo.variants import DEFAULT
from arenad.schema.process import DemoSettings

RUNNING_LIMIT = 64
"""Answers that are written at the same time."""


class Counts(msgspec.Struct):
    """Answers since the site began, and those running now; tests see here that a cancel arrived."""

    running: int = 0
    started: int = 0
    finished: int = 0
    stopped: int = 0
    left: int = 0

    def end(self, ending: str) -> None:
        """Count an answer that has ended, by `generation.Ending`."""
        self.finished += ending in ("finished", "cut")
        self.stopped += ending == "stopped"
        self.left += ending == "left"


class Voices:
    """Every model on offer, with what it takes to let it speak."""

    def __init__(self, settings: DemoSettings) -> None:
        """The upstream is held while an application runs (see `hold_upstream`)."""
        self.entries = catalog.offered(settings.demo)
        self.by_id = {entry.id: entry for entry in (*self.entries, catalog.STEALTH)}
        self.counts = Counts()
        self._settings = settings
        self._names = {entry.public_name for entry in self.entries}
        self._upstream: Upstream | None = None

    def listed(self, variant: str) -> tuple[catalog.Entry, ...]:
        """The models that a variant's page lists: dated ones have one that is not released."""
        return self.entries if variant == DEFAULT else (*self.entries, catalog.STEALTH)

    async def hold_upstream(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep the upstream's one client session while the application runs, if there is one."""
        if self._settings.demo.upstream_url:
            self._upstream = Upstream(self._settings)
        yield
        if self._upstream is not None:
            await self._upstream.close()

    def check_room(self) -> None:
        """Raise `Refusal` (429) while as many answers as may be are being written."""
        if self.counts.running >= RUNNING_LIMIT:
            raise Refusal(429, "too many answers", f"{RUNNING_LIMIT} are being written; wait")

    def check(self, name: str) -> None:
        """Raise `Refusal` (400) if there is no model of that public name."""
        if name not in self._names:
            raise Refusal(400, "unknown model", f"model: {name} is not in this site's list")

    def answer(self, name: str, conversation: Sequence[Turn]) -> AsyncGenerator[Piece, None]:
        """The answer of a model to a conversation that ends with the user's turn, at its pace."""
        if name == catalog.UPSTREAM and self._upstream is not None:
            return self._upstream.answer(conversation)
        chunks_per_s = self._settings.demo.chunks_per_s
        return paced(models.pieces(name, conversation, chunks_per_s))
