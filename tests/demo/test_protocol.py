"""Bodies in both forms, refusals that name the field, and the lines of an answer."""

import json
from typing import Any

import pytest

from arenad.demo import protocol

SESSION = "01a205c7-4831-7df9-9d9f-17a3519e3e3a"
USER = "01a205c7-4831-7df9-9d9f-17a3519e3e3b"
ANSWER = "01a205c7-4831-7df9-9d9f-17a3519e3e3c"
MODEL = "01a205c7-4831-7df9-9d9f-17a3519e3e3d"


def _body(**changes: Any) -> bytes:
    body = {
        "id": SESSION,
        "mode": "direct",
        "modelAId": MODEL,
        "userMessageId": USER,
        "modelAMessageId": ANSWER,
        "userMessage": {"content": "hi", "experimental_attachments": [], "metadata": {}},
        "modality": "chat",
    } | changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def _message(role: str, content: str, id_: str = USER) -> dict[str, Any]:
    return {"id": id_, "role": role, "content": content, "status": "pending", "modelId": None}


def test_new_form_brings_one_turn() -> None:
    """`userMessage` is the prompt; there is no chain."""
    assert protocol.read_create(_body()) == protocol.Ask(SESSION, MODEL, USER, ANSWER, "hi", None)


def test_old_form_brings_the_chain() -> None:
    """`messages` ends with the empty answer; the turn before it is the prompt."""
    messages = [
        _message("user", "a"),
        _message("assistant", "b"),
        _message("user", "c"),
        _message("assistant", "", ANSWER),
    ]
    ask = protocol.read_create(_body(userMessage=..., messages=messages))
    assert ask.prompt == "c"
    assert ask.chain is not None
    assert [(each.role, each.content) for each in ask.chain] == [("user", "a"), ("assistant", "b")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "x"}, "id"),
        ({"id": ...}, "id"),
        ({"mode": "battle"}, "mode"),
        ({"modality": "image"}, "modality"),
        ({"modelAId": 7}, "modelAId"),
        ({"modelAMessageId": USER}, "modelAMessageId"),
        ({"userMessage": ...}, "userMessage"),
        ({"userMessage": {"content": ""}}, "userMessage.content"),
        (
            {"userMessage": {"content": "x", "experimental_attachments": [{"name": "y"}]}},
            "experimental_attachments",
        ),
        ({"userMessage": ..., "messages": []}, "messages"),
        ({"userMessage": ..., "messages": [_message("assistant", "")]}, "messages"),
        ({"userMessage": ..., "messages": [_message("robot", "x")]}, "messages[0].role"),
    ],
)
def test_bad_field_is_named(changes: dict[str, Any], field: str) -> None:
    """A body that cannot be used is refused with 400 and the field at fault."""
    with pytest.raises(protocol.Refusal, match=r".") as caught:
        protocol.read_create(_body(**changes))
    assert caught.value.status == 400
    assert field in caught.value.message.replace("[...]", "[0]")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"\xff"', b'{"id": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """Broken bytes are the client's fault."""
    with pytest.raises(protocol.Refusal, match="400"):
        protocol.read_create(body)


def test_prompt_limit_counts_bytes() -> None:
    """The limit is of UTF-8 bytes; one more is 413."""
    at_limit = "é" * (protocol.PROMPT_LIMIT_BYTES // 2)
    assert protocol.read_create(_body(userMessage={"content": at_limit})).prompt == at_limit
    with pytest.raises(protocol.Refusal, match="413"):
        protocol.read_create(_body(userMessage={"content": at_limit + "x"}))


def test_follow_up_must_name_its_own_session() -> None:
    """The id in the body and the one in the address are the same, in any spelling."""
    assert protocol.read_follow_up(_body(mode=..., id=SESSION.upper()), SESSION).prompt == "hi"
    with pytest.raises(protocol.Refusal, match="id: "):
        protocol.read_follow_up(_body(id=USER), SESSION)


def test_retry_takes_an_empty_wish() -> None:
    """A retry may say nothing, or another model, or another chain."""
    assert protocol.read_retry(b"{}") == protocol.Again(None, None)
    again = protocol.read_retry(
        json.dumps({"modelId": MODEL, "messages": [_message("user", "x")]}).encode()
    )
    assert again.model == MODEL
    assert again.chain is not None
    assert [each.content for each in again.chain] == ["x"]


def test_lines_have_the_grammar() -> None:
    """A line is side, code, colon, JSON, newline."""
    assert protocol.start_line("m") == b'af:{"messageId":"m"}\n'
    assert protocol.piece_line("text", 'a"\n\\é') == 'a0:"a\\"\\n\\\\é"\n'.encode()
    assert protocol.piece_line("reasoning", "r") == b'ag:"r"\n'
    assert protocol.error_line("e") == b'a3:"e"\n'
    assert protocol.HEARTBEAT_LINE == b'a2:[{"type":"heartbeat"}]\n'
    assert protocol.finish_line("stop", 5, 8) == (
        b'ad:{"finishReason":"stop","usage":{"promptTokens":2,"completionTokens":2}}\n'
    )


def test_refusal_can_be_read_aloud() -> None:
    """Its text has the status, the error and the remedy."""
    assert str(protocol.Refusal(404, "unknown", "look elsewhere")) == "404 unknown: look elsewhere"
    assert str(protocol.Refusal(404, "unknown")) == "404 unknown"
