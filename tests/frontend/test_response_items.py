"""Calls and outputs in the input of a response, as turns of the conversation."""

from typing import Any

import msgspec

from arenad import notation
from arenad.frontend import responses
from arenad.frontend.instruct import Emulation, Format, Tool
from arenad.schema.config import FilesConfig

PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
CALL = {"type": "function_call", "call_id": "c", "name": "add", "arguments": '{"a":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "7"}
HELLO = {"role": "user", "content": "hello"}


def wish(*items: Any, **more: Any) -> Any:
    body = {"model": "m", "input": list(items), **more}
    return responses.parse(msgspec.json.encode(body), FilesConfig(fetch_urls=True))


def test_calls_are_one_turn_with_their_answer() -> None:
    """Before and behind its message; reasoning between them is left out; outputs are one, too."""
    answer = {"type": "message", "role": "assistant", "content": "So:"}
    turns = wish(HELLO, answer, {"type": "reasoning"}, CALL, CALL, OUTPUT, OUTPUT, answer).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant"]
    call = notation.call("add", {"a": 1}, "c")
    assert turns[1].text == f"So:\n\n{call}\n\n{call}"
    result = notation.result("c", "add", "7")
    assert turns[2].text == f"{result}\n\n{result}"
    turns = wish(HELLO, CALL, answer).turns
    assert [turn.text for turn in turns] == ["hello", f"{call}\n\nSo:"]
    assert len(wish(HELLO, answer, answer).turns) == 3


def test_files_of_an_output_go_with_it() -> None:
    """Those that are sent and those that are fetched, at the turns that came of it."""
    texts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": PNG},
        {"type": "input_image", "image_url": "http://127.0.0.1/a.png"},
    ]
    made = wish(HELLO, CALL, OUTPUT, OUTPUT | {"output": texts}, instructions="be brief")
    assert [turn.role for turn in made.turns] == ["system", "user", "assistant", "user"]
    assert [file.content_type for file in made.turns[3].attachments] == ["image/png"]
    assert [(each.turn, each.place) for each in made.remote] == [(3, 1)]


def test_what_is_emulated() -> None:
    """Flat tools, a flat choice, a flat schema."""
    tool = {"type": "function", "name": "add", "parameters": {}, "strict": True}
    chosen = {"type": "function", "name": "add"}
    wanted = wish(HELLO, tools=[tool], tool_choice=chosen, parallel_tool_calls=False).emulation
    made = Tool("add", "", {}, is_strict=True)
    assert wanted == Emulation("tools", (made,), "required", "add", is_parallel=False)
    form = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
    assert wish(HELLO, text={"format": form}).emulation == Emulation(
        "text.format", format=Format({"type": "object"}, "a"), format_param="text.format"
    )
    assert wish(HELLO, text={"format": {"type": "text"}}).emulation is None
