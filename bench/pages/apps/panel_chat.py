"""Panel's `ChatInterface`, as its documentation shows it."""

import asyncio
from collections.abc import AsyncIterator

import ask
import panel as pn


async def reply(contents: str, user: str, instance: pn.chat.ChatInterface) -> AsyncIterator[str]:
    """The whole so far, again and again."""
    del user, instance
    said, pieces = "", ask.answer(contents)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        said += piece
        yield said


pn.chat.ChatInterface(callback=reply, callback_user="Bot", callback_exception="verbose").servable()
