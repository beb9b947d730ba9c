"""The conversations that an instance can go on with, each a chat of the site's: a brain.

Without an address to open an older chat by, it is only the one that the page shows.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple


class SiteChat(NamedTuple):
    """A chat on the site. `document` counts the page's documents, `url` is where it was last seen.

    `session` is the site's own name of the chat; empty if it told none.
    """

    session: str
    url: str
    document: int


class Shelf:
    """Conversations by key, the one used longest ago first; a chat may have several keys."""

    def __init__(self, limit: int) -> None:
        """At most so many chats are held."""
        self._limit = limit
        self._chats: OrderedDict[SiteChat, tuple[str, ...]] = OrderedDict()

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all that are held."""
        return tuple(key for keys in self._chats.values() for key in keys)

    def take(self, key: str) -> SiteChat | None:
        """The chat that holds this conversation; from now on it holds none, until it is put back.

        What follows changes it, and another message for the same history must not find it.
        """
        for chat, keys in self._chats.items():
            if key in keys:
                del self._chats[chat]
                return chat
        return None

    def put(self, chat: SiteChat, keys: Iterable[str]) -> None:
        """The chat holds the conversations with these keys."""
        self._chats[chat] = tuple(keys)
        while len(self._chats) > self._limit:
            self._chats.popitem(last=False)

    def clear(self) -> None:
        """None can be gone on with any more."""
        self._chats.clear()
