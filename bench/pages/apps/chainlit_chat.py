"""Chainlit, with the password login of its documentation where `LOGIN` is set."""

import asyncio
import os

import ask
import chainlit as cl

if "LOGIN" in os.environ:

    @cl.password_auth_callback
    def login(username: str, password: str) -> cl.User | None:
        """Anybody who knows the word."""
        return cl.User(identifier=username) if password == os.environ["LOGIN"] else None


@cl.on_message
async def reply(message: cl.Message) -> None:
    """Stream tokens into a message."""
    shown = cl.Message(content="")
    pieces = ask.answer(message.content)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        await shown.stream_token(piece)
    await shown.send()
