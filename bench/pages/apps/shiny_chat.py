"""Shiny's `ui.Chat`, as its documentation shows it."""

import asyncio
from collections.abc import AsyncIterator

import ask
from shiny import App, Inputs, Outputs, Session, ui

app_ui = ui.page_fillable(ui.chat_ui("chat"))


async def pieces_of(prompt: str) -> AsyncIterator[str]:
    """The pieces, without holding up the session."""
    pieces = ask.answer(prompt)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def server(inputs: Inputs, outputs: Outputs, session: Session) -> None:
    """One session."""
    del inputs, outputs, session
    chat = ui.Chat(id="chat")

    @chat.on_user_submit
    async def _(prompt: str) -> None:
        await chat.append_message_stream(pieces_of(prompt))


app = App(app_ui, server)
