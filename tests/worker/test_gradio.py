"""Gradio's queue: edits into wholes, the event that brings the text, what an app says went wrong."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splits import at_every_split, told

from arenad import profiles
from arenad.errors import Resting, UpstreamFailed
from arenad.schema.chat import Finish, Mode, SideFailed, TextDelta
from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.grammars.gradio import GradioQueue

RULES = StreamRules(url_pattern="/queue/data", method="GET", grammar="gradio")
ARENA = StreamRules(
    url_pattern="/queue/data",
    method="GET",
    grammar="gradio",
    answer=AnswerRules(text="output.data.1.-1.1", mode="replace", cursor="▌"),
    answer_b=AnswerRules(text="output.data.2.-1.1", mode="replace", cursor="▌"),
    signs={"**NETWORK ERROR": "upstream"},
)
STOP = Finish("stop")


def message(kind: str, event: str = "e1", data: list[Any] | None = None, **more: Any) -> str:
    value: dict[str, Any] = {"msg": kind, "event_id": event, **more}
    if data is not None:
        value["output"] = {"data": data, "is_generating": kind == "process_generating"}
    return f"data: {json.dumps(value)}\n\n"


def turn(text: str | None) -> list[Any]:
    return [{"role": "user", "content": "hi"}, {"role": "assistant", "content": text}]


QUEUED = message("estimation", rank=0) + message("process_starts")
CLOSED = message("close_stream", "")


def test_edits_of_current_apps() -> None:
    """The first message is whole, then come edits, then the whole again."""
    body = (
        QUEUED
        + message("process_generating", data=[None, turn("é")])
        + message("process_generating", data=[[], [["append", [1, "content"], " 競"]]])
        + message("heartbeat", "")
        + message("process_generating", data=[[], [["replace", [1, "content"], "é 競技👩‍💻"]]])
        + message("process_completed", data=[None, turn("é 競技👩‍💻!")], success=True)
        + CLOSED
    )
    assert at_every_split(lambda: grammar_of(RULES), body) == ([TextDelta("é 競技👩‍💻!")], STOP)


def test_wholes_of_older_apps_with_a_cursor() -> None:
    """Pairs of prompt and answer, all of it each time; an event before it only echoes the prompt."""
    body = (
        message("process_completed", "e0", [None, [["hi", None]], ""], success=True)
        + CLOSED
        + message("process_generating", data=[None, [["hi", "▌"]]])
        + message("process_generating", data=[None, [["hi", "a▌"]]])
        + message("process_generating", data=[None, [["hi", "ab▌"]]])
        + message("process_completed", data=[None, [["hi", "ab"]]], success=True)
    )
    assert at_every_split(lambda: grammar_of(RULES), body) == ([TextDelta("ab")], STOP)
    grammar = grammar_of(RULES)
    grammar.feed(body[: body.index(CLOSED)].encode())
    assert not grammar.is_over
    told(grammar, [body[body.index(CLOSED) :].encode()])
    assert grammar.is_over


def test_parts_of_the_newest_apps_and_updates() -> None:
    """A content in parts; an output wrapped as an update."""
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "file"}]}]
    wrapped = {"__type__": "update", "value": parts}
    body = message("process_completed", data=[wrapped], success=True)
    assert at_every_split(lambda: grammar_of(RULES), body) == ([TextDelta("a")], STOP)


def test_two_chatbots_side_by_side() -> None:
    """Each output is a side; both end with their event."""
    body = message("process_generating", data=[None, [["hi", "x▌"]], [["hi", "1▌"]]])
    body += message("process_generating", data=[[], [["append", [0, 1], "y"]], []])
    body = body.replace("x\\u258c", "x")
    body += message("process_completed", data=[None, [["hi", "xy"]], [["hi", "12"]]], success=True)
    events, outcome = told(grammar_of(ARENA, "ab"), [body.encode()])
    assert outcome == STOP
    assert events[-1] == Finish("stop", 1)
    said = [[e.text for e in events if isinstance(e, TextDelta) and e.side == s] for s in (0, 1)]
    assert ["".join(each) for each in said] == ["xy", "12"]


@pytest.mark.parametrize("mode", ["side_by_side", "battle"])
def test_the_original_arena_tells_of_each_side(mode: Mode) -> None:
    """By its shipped profile: two states come first; a side that failed so ends alone."""
    rules = profiles.load("fastchat").in_mode(mode).stream
    failed = "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE**\n\n(error_code: 50004)"

    def body(last: str) -> str:
        begun = [None, None, [["hi", "**N▌"]], [["hi", "1▌"]], {"__type__": "update"}]
        whole = [None, None, [["hi", last]], [["hi", "12"]], {"__type__": "update"}]
        return message("process_generating", data=begun).replace("\\u258c", "▌") + message(
            "process_completed", data=whole, success=True
        )

    events, outcome = at_every_split(lambda: grammar_of(rules, "ab"), QUEUED + body("**No**"))
    assert outcome == STOP
    said = [[e.text for e in events if isinstance(e, TextDelta) and e.side == s] for s in (0, 1)]
    assert ["".join(each) for each in said] == ["**No**", "12"]
    events, outcome = told(grammar_of(rules, "ab"), [(QUEUED + body(failed)).encode()])
    assert outcome == Finish("stop", 1)
    (side,) = (event for event in events if isinstance(event, SideFailed))
    assert side.side == 0
    assert "NETWORK ERROR" in side.failure.message
    events, outcome = told(grammar_of(rules, "b"), [(QUEUED + body(failed)).encode()])
    assert (events, outcome) == ([TextDelta("12")], STOP)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (
            message(
                "process_completed",
                data=[],
                success=False,
            ),
            (UpstreamFailed, "the site reports: the app failed without a word"),
        ),
        (
            'data: {"msg":"process_completed","success":false,"output":{"error":"no GPU"}}\n\n',
            (UpstreamFailed, "the site reports: no GPU"),
        ),
        (message("unexpected_error", message="boom"), (UpstreamFailed, "the site reports: boom")),
        (message("queue_full"), (Resting, "the site's queue is full")),
        (
            message("Server stopped unexpectedly."),
            (UpstreamFailed, "the site reports: Server stopped unexpectedly."),
        ),
        (
            message("process_completed", data=[[["hi", "**NETWORK ERROR** (1)"]]], success=True),
            None,
        ),
    ],
)
def test_what_went_wrong_is_told(body: str, outcome: Any) -> None:
    """In the app's words, or as the kind that a sign in the text names."""
    rules = RULES if outcome else StreamRules(url_pattern="/", grammar="gradio", signs=ARENA.signs)
    events, ending = at_every_split(lambda: grammar_of(rules), QUEUED + body)
    assert events == []
    assert ending == outcome if outcome else ending[0] is UpstreamFailed


def test_a_cut_is_no_end() -> None:
    """Text without the event's completion."""
    body = message("process_generating", data=[turn("half")])
    events, outcome = told(grammar_of(RULES), [body.encode()])
    assert events == [TextDelta("half")]
    assert outcome == (UpstreamFailed, "the site's answer was cut off before its end")


# The same algorithm by which an app makes its edits, to hold ours against it.


def _edits(old: Any, new: Any, path: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    if old == new:
        return
    if isinstance(old, str) and isinstance(new, str) and new.startswith(old):
        yield ["append", list(path), new[len(old) :]]
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from (["delete", [*path, key], None] for key in old.keys() - new.keys())
        yield from (["add", [*path, key], new[key]] for key in new.keys() - old.keys())
        for key in old.keys() & new.keys():
            yield from _edits(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for place, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from _edits(before, after, (*path, place))
        yield from (["add", [*path, n], new[n]] for n in range(len(old), len(new)))
        yield from (["delete", [*path, n], None] for n in reversed(range(len(new), len(old))))
    else:
        yield ["replace", list(path), new]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), min_size=1, max_size=5))
def test_edits_make_what_they_were_made_from(states: list[list[Any]]) -> None:
    """Any outputs, changed into any others."""
    queue, before = GradioQueue(), None
    for state in states:
        data = (
            state
            if before is None
            else [list(_edits(a, b)) for a, b in zip(before, state, strict=True)]
        )
        value = {
            "msg": "process_generating",
            "event_id": "e",
            "output": {"data": json.loads(json.dumps(data))},
        }
        whole = queue.whole(value)
        assert isinstance(whole, dict)
        assert whole["output"]["data"] == state
        before = state


@given(VALUES, st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_no_message_raises(value: Any, first: list[Any], second: list[Any]) -> None:
    """Nor edits that do not fit."""
    queue = GradioQueue()
    queue.whole(value)
    for given_ in (
        first,
        second,
        [[["append", [9, "x"], 3]], [["delete", [], 1]], [["add", ["x"], 1]]],
    ):
        queue.whole({"msg": "process_generating", "output": {"data": given_}})


def test_an_edit_leaves_what_was_given_as_it_was() -> None:
    """An event's outputs so far are not changed under whoever has them; a wrong one changes none."""
    queue, first = GradioQueue(), [[{"role": "assistant", "content": "a"}], "x"]
    begun = queue.whole({"msg": "process_generating", "output": {"data": first}})
    edits = [[["append", [0, "content"], "b"], ["replace", [0, "no", "such"], 1]], []]
    edited = queue.whole({"msg": "process_generating", "output": {"data": edits}})
    assert begun["output"]["data"] == first
    assert edited["output"]["data"] == [[{"role": "assistant", "content": "ab"}], "x"]
