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
        ({"mode": "duel"}, "mode"),
        ({"modality": "smell"}, "modality"),
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


SECOND = "01a205c7-4831-7df9-9d9f-17a3519e3e3f"
NOW_MS = 0x01A205C74831
"""The time in all of these ids."""


def test_two_sides_have_two_models() -> None:
    """Side by side names both, a battle none; each has its own answer to fill."""
    body = _body(mode="side-by-side", modelBId=MODEL, modelBMessageId=SECOND)
    assert protocol.read_create(body).second == protocol.Second(MODEL, SECOND)
    battle = protocol.read_create(_body(mode="battle", modelAId=..., modelBMessageId=SECOND))
    assert (battle.mode, battle.model, battle.second) == (
        "battle",
        "",
        protocol.Second("", SECOND),
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"modelAId": ...}, "modelAId: is missing"),
        ({"mode": "battle", "modelBMessageId": SECOND}, "modelAId: a battle chooses"),
        ({"mode": "battle", "modelAId": ..., "modelBId": MODEL}, "modelBId: a battle chooses"),
        ({"mode": "battle", "modelAId": ...}, "modelBMessageId: is missing"),
        ({"mode": "side-by-side", "modelBMessageId": SECOND}, "modelBId: is missing"),
        (
            {"mode": "side-by-side", "modelBId": MODEL, "modelBMessageId": ANSWER},
            "modelBMessageId: is the same as modelAMessageId",
        ),
    ],
)
def test_each_mode_has_its_own_fields(changes: dict[str, Any], field: str) -> None:
    """What a mode needs is asked for, what it must not have is refused."""
    with pytest.raises(protocol.Refusal, match=f"400 bad body: {field}"):
        protocol.read_create(_body(**changes))


def test_a_direct_body_may_name_a_second_answer() -> None:
    """Some clients always do; in a direct chat it is not looked at."""
    assert protocol.read_create(_body(modelBMessageId=SECOND)).second is None
    ask = protocol.read_follow_up(_body(mode=..., modelBMessageId=SECOND), SESSION)
    assert ask.second is None


def test_a_follow_up_takes_the_mode_of_its_chat() -> None:
    """Its body has none."""
    body = _body(mode=..., modelAId=..., modelBMessageId=SECOND)
    assert protocol.read_follow_up(body, SESSION, "battle").second == protocol.Second("", SECOND)


@pytest.mark.parametrize(
    ("rules", "changes", "field"),
    [
        (protocol.Rules(frozenset({1})), {}, "messages: is missing"),
        (
            protocol.Rules(frozenset({2})),
            {"userMessage": ..., "messages": [_message("user", "x")]},
            "userMessage: is missing",
        ),
    ],
)
def test_a_variant_takes_its_own_form(
    rules: protocol.Rules, changes: dict[str, Any], field: str
) -> None:
    """A body of another date is refused, by the field that this one wants."""
    with pytest.raises(protocol.Refusal, match=field):
        protocol.read_create(_body(**changes), rules)


@pytest.mark.parametrize("offset_ms", [0, protocol.CLOCK_TOLERANCE_MS])
def test_a_time_nearby_is_taken(offset_ms: int) -> None:
    """An hour to both sides."""
    for now_ms in (NOW_MS + offset_ms, NOW_MS - offset_ms):
        rules = protocol.Rules(frozenset({2}), now_ms)
        assert protocol.read_create(_body(), rules).prompt == "hi"


@pytest.mark.parametrize(
    ("changes", "now_ms", "told"),
    [
        ({}, NOW_MS + protocol.CLOCK_TOLERANCE_MS + 1, "id: offset of -3600001 ms; a spoofed id"),
        ({"id": "a90c0a2c-92f3-4a6a-a9dc-2c94d9ab5f1c"}, NOW_MS, "id: .* not a UUID of version 7"),
        ({"userMessageId": "a90c0a2c-92f3-4a6a-a9dc-2c94d9ab5f1c"}, NOW_MS, "userMessageId"),
    ],
)
def test_a_false_time_is_refused(changes: dict[str, Any], now_ms: int, told: str) -> None:
    """An id from another hour, or from no time at all."""
    with pytest.raises(protocol.Refusal, match=f"400 invalid id: {told}"):
        protocol.read_create(_body(**changes), protocol.Rules(frozenset({2}), now_ms))


def test_attachments_come_with_the_newest_turn() -> None:
    """In both forms; what is no attachment is refused by its place."""
    file = {"name": "a", "contentType": "text/plain", "url": "data:,"}
    wanted = (protocol.Attachment("a", "text/plain", "data:,"),)
    said = {"content": "x", "experimental_attachments": [file]}
    assert protocol.read_create(_body(userMessage=said)).attachments == wanted
    turn = _message("user", "x") | {"experimental_attachments": [file]}
    body = _body(userMessage=..., messages=[turn, _message("assistant", "", ANSWER)])
    assert protocol.read_create(body).attachments == wanted


def test_lines_have_their_side() -> None:
    """Side B begins with its own letter."""
    assert protocol.piece_line("text", "x", "b") == b'b0:"x"\n'
    assert protocol.finish_line("stop", 4, 4, "b").startswith(b"bd:")
    assert protocol.heartbeat_line("b").startswith(b"b2:")
