"""`gr.ChatInterface`, as its documentation shows it."""

import os
from collections.abc import Iterator

import ask
import gradio as gr


def reply(message: str, history: list[object]) -> Iterator[str]:
    """The whole so far, again and again, as Gradio wants it."""
    del history
    said = ""
    for piece in ask.answer(message):
        said += piece
        yield said


gr.ChatInterface(reply).launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
