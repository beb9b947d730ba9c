"""Calls and results in the history of Anthropic's clients, as text of the turns."""

from typing import Any

import msgspec

from arenad import notation
from arenad.conversation import is_new_turn, key_of
from arenad.frontend import messages, parts
from arenad.frontend.message_blocks import GivenMessage
from arenad.schema.chat import Turn
from arenad.schema.config import FilesConfig

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
CALL: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}


def turns(*said: tuple[str, list[dict[str, Any]]]) -> list[Turn]:
    reader, names = parts.Reader(FilesConfig()), dict[str, str]()
    given = [{"role": role, "content": content} for role, content in said]
    read = msgspec.convert(given, list[GivenMessage])
    return [message.turn(reader, number, names) for number, message in enumerate(read)]


def result(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


def test_a_call_is_a_block_of_its_answer() -> None:
    """Wherever it stands between texts; the page's own text has the same key."""
    text = {"type": "text", "text": "So:"}
    (turn,) = turns(("assistant", [text, CALL, CALL, {"type": "text", "text": "\n\nDone."}]))
    block = notation.call("add", {"a": 1})
    page = Turn(role="assistant", text=f"So:\n{block}\n{block}\nDone.")
    assert key_of("m", [turn]) == key_of("m", [page])
    assert notation.call("add", {"a": 1}, "toolu_1") in turn.text


def test_a_result_is_told_with_its_call() -> None:
    """Its name, whether it went wrong, its files; several are one turn."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    texts = [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]
    ask, call, back = turns(
        ("user", [{"type": "text", "text": "hello"}]),
        ("assistant", [CALL]),
        ("user", [result(texts), result(None, is_error=True), {"type": "text", "text": "and?"}]),
    )
    assert is_new_turn([ask, call, back])
    one = notation.result("toolu_1", "add", "a\n\nb")
    two = notation.result("toolu_1", "add", "", is_error=True)
    assert back.text == f"{one}\n\n{two}\n\nand?"
    assert [file.content_type for file in back.attachments] == ["image/png"]


def test_a_request_of_results_alone_says_something() -> None:
    """As the loop of an agent sends it."""
    body = {"model": "m", "messages": [{"role": "user", "content": [result("7")]}]}
    wish = messages.parse(msgspec.json.encode(body))
    assert wish.turns[0].text == notation.result("toolu_1", "", "7")


def test_the_context_of_a_document_is_said_before_it() -> None:
    """In a message and in what a call brought."""
    source = {"type": "text", "media_type": "text/plain", "data": "d"}
    document = {"type": "document", "source": source, "title": "a.txt", "context": "of 1789"}
    told = ("user", [{"type": "text", "text": "read"}, document]), ("user", [result([document])])
    said, brought = turns(*told)
    assert (said.text, len(said.attachments)) == ("read\n\nof 1789", 1)
    assert brought.text == notation.result("toolu_1", "", "of 1789")


def test_a_file_alone_is_a_message() -> None:
    """There is something to look at."""
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    alone = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    wish = messages.parse(msgspec.json.encode({"model": "m", "messages": alone}))
    assert [len(turn.attachments) for turn in wish.turns] == [1]
