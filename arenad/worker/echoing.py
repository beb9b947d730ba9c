"""A site that is none: an instance that says the last message back, for measuring all the rest.

It is a worker as others are, with its socket, its session and its beats; what is missing is a
browser, and whatever would be asked. Many chats at a time are held by one link, so a client that
reads nothing may hold the others up: this is no site for people.
"""

import asyncio
import re
from collections.abc import Callable

from arenad.errors import ModelNotFound, TimedOut
from arenad.schema.chat import Chat, Finish, TextDelta
from arenad.schema.process import Model
from arenad.worker.calling import Calling
from arenad.worker.sites.telling import Emit

PAUSES_S = {"echo": 0.0, "echo-20ms": 0.02}
"""Its models, and how long after a word each says the next one."""

_WORD = re.compile(r"\s*\S+|\s+")


class EchoSite:
    """Says the words of the last message, each as a piece of its own."""

    def __init__(self, together: int = 1) -> None:
        """Nothing has to be opened; so many chats at the same time."""
        self.together = together
        self.models = tuple(Model(id=name) for name in PAUSES_S)
        self.session_id = self.message_id = ""
        self.on_held: Callable[[tuple[str, ...]], None] = lambda _keys: None

    async def open(self) -> None:
        """There is nothing to open."""

    async def look(self) -> None:
        """Nothing can be wrong."""

    async def learn_models(self) -> None:
        """They are always the same."""

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        """Perform one chat. Raises `ModelNotFound`, `TimedOut`."""
        if chat.model not in PAUSES_S:
            raise ModelNotFound(f"the echo has no model {chat.model!r}", param="model")
        loop, pause_s = asyncio.get_running_loop(), PAUSES_S[chat.model]
        due_s = loop.time()
        try:
            async with asyncio.timeout(chat.total_timeout_s):
                for word in _WORD.finditer(chat.turns[-1].text):
                    await emit(TextDelta(word[0]))
                    due_s += pause_s
                    if pause_s:
                        await asyncio.sleep(due_s - loop.time())
        except TimeoutError as error:
            limit_s = chat.total_timeout_s
            raise TimedOut(f"the whole answer took longer than {limit_s:.3g} s") from error
        return Finish("stop")

    async def stop(self) -> bool:
        """A chat that was cancelled says nothing more."""
        return True


class Echoing(Calling):
    """What an echo stands on: nothing."""

    starting = "an echo has nothing to wait for"

    async def start(self) -> EchoSite:
        """There at once."""
        return EchoSite(self._settings.slots)
