"""NiceGUI, after the chat of its examples: messages as Markdown, a text input, Enter sends."""

import asyncio
import os

import ask
from nicegui import ui


@ui.page("/")
def page() -> None:
    """One chat."""

    async def send() -> None:
        """Show the question, then the answer as it grows."""
        question, text.value = text.value, ""
        with messages:
            ui.chat_message(text=question, name="You", sent=True)
            with ui.chat_message(name="Bot", sent=False):
                shown = ui.markdown()
        pieces = ask.answer(question)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            shown.content += piece

    messages = ui.column().classes("w-full max-w-2xl mx-auto")
    with ui.footer():
        text = ui.input(placeholder="message").props("outlined").classes("w-full")
        text.on("keydown.enter", send)


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), show=False, reload=False)
