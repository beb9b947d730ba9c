"""The port between a worker and what its site session stands on: a browser with its page, or none.

The worker's life (session, looks, beats, drain) is the same on any footing, and knows none of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from arenad.errors import ArenadError
from arenad.schema.config import HealthConfig
from arenad.schema.process import Model
from arenad.worker import serve

if TYPE_CHECKING:
    from arenad.worker.page import Page  # which itself stands on our errors

Watch = Callable[[], Awaitable[str]]
"""Waits until something is beyond repair, and gives what, in words."""


class Shaken(ArenadError):
    """The footing did not do as it was told, which says nothing of the site."""


class Gone(Shaken):
    """It is beyond repair; the watch that sees how it ended says so, and nobody else."""


class Site(serve.Site, Protocol):
    """A site as a session needs it: opened, looked at between chats, and asked for its models."""

    models: tuple[Model, ...]
    session_id: str
    message_id: str
    """The site's own names of its last chat and answer; empty where it tells none."""

    on_held: Callable[[tuple[str, ...]], None]
    """Called with the keys of all conversations that can be gone on with, at each change."""

    async def open(self) -> None:
        """Be on a page on which a chat can begin. Raises a `RequestError`, `Shaken`."""
        ...

    async def look(self) -> None:
        """Raises what keeps a chat from beginning as a `RequestError`; also `Shaken`."""
        ...

    async def learn_models(self) -> None:
        """Read the models anew. Raises a `RequestError`, `Shaken`."""
        ...


class Footing(Protocol):
    """What one site session stands on, from `start` to `close`."""

    starting: str
    """What is told of the session until it is there."""

    name: str
    """What it is, once it is there."""

    failures_limit: int
    """So many failed chats in a row are cured by nothing but a fresh start; 0: not even by that."""

    on_renewed: Callable[[], None]
    """Called when a fresh session has taken the place of the last one, whoever wanted that."""

    async def start(self) -> Site:
        """Be there. Raises `ArenadError`, `OSError`."""
        ...

    @property
    def page(self) -> "Page | None":
        """What a person can be shown; none without a browser."""
        ...

    @property
    def proxy(self) -> str:
        """The name of that through which the site is reached; empty where there is none."""
        ...

    def touched(self) -> None:
        """A person acted on the page: it is not as the site's chats left it."""
        ...

    def watches(self) -> Mapping[str, Watch]:
        """What is to be watched from the start on, each by its name."""
        ...

    async def renew(self) -> None:
        """Leave the session for a fresh one, blank: nothing of it is left. Raises `Shaken`."""
        ...

    async def turn(self, *, has_answered: bool) -> str:
        """Take another way to the site for the next session, if one is due by plan.

        Why it is; empty if it is not. `has_answered`: since this session began.
        """
        ...

    def skip_turns(self) -> None:
        """The site wants something first: no plan is to look like an answer to that."""
        ...

    async def keep(self) -> None:
        """The session is well: keep of it what is to outlive it, if anything is."""
        ...

    def set_login_aside(self) -> bool:
        """What the session was begun with did not help: begin the next one without.

        Whether there was anything.
        """
        ...

    def forget(self) -> None:
        """Keep nothing of it any more."""
        ...

    def opened(self, is_answering: Callable[[], bool]) -> None:
        """The site was opened: from now on silence counts."""
        ...

    def suspect(self) -> None:
        """Something went wrong on it: look now whether it is well."""
        ...

    def follow(self, health: HealthConfig) -> None:
        """Probe as these say from now on."""
        ...

    async def close(self) -> None:
        """Leave nothing of it."""
        ...
