"""How calls stand in text: found in pieces of any size, and alike wherever they were written."""

import itertools
import json
from typing import Any, ClassVar, SupportsIndex

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad import notation
from arenad.conversation import key_of
from arenad.notation import Block, Call, Finder
from arenad.schema.chat import Turn

ADD = notation.call("add", {"a": 3})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TEXTS = st.text(alphabet=st.sampled_from("ab `\n\r\ttol_c{}"))
ANSWERS = st.lists(
    TEXTS | st.builds(notation.call, st.text(), st.dictionaries(st.text(), VALUES))
).map("\n".join)


def pieces(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({each % (len(text) + 1) for each in cuts} | {0, len(text)})
    return [text[one:two] for one, two in itertools.pairwise(ends)]


def found(*texts: str) -> list[str | Block]:
    """All that is found, neighbouring texts joined."""
    finder = Finder()
    every = [each for text in texts for each in finder.take(text)] + finder.rest()
    joined: list[str | Block] = []
    for each in every:
        if isinstance(each, str) and joined and isinstance(joined[-1], str):
            joined[-1] += each
        else:
            joined.append(each)
    return joined


@given(ANSWERS, st.lists(st.integers(0)))
def test_pieces_change_nothing(text: str, cuts: list[int]) -> None:
    """However a text is cut, the same is found, and nothing of it is lost."""
    whole = found(text)
    assert found(*pieces(text, cuts)) == whole
    assert "".join(each if isinstance(each, str) else each.text for each in whole) == text


@given(st.text(), st.dictionaries(st.text(), VALUES))
def test_what_is_written_is_read(name: str, arguments: dict[str, Any]) -> None:
    """Fences in the arguments, line ends and all."""
    (block,) = found(notation.call(name, arguments | {"```": "\n```\n"}, "id"))
    assert isinstance(block, Block)
    call = notation.called(block)
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == (name, arguments | {"```": "\n```\n"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"So:\n\n{ADD}", ["So:", '{"name":"add","arguments":{"a":3}}\n']),
        (f"{ADD}\n{ADD}\nDone", ["{", "{", "\nDone"]),
        ("  ```tool_call \n{}\n``` ", ["{}\n", " "]),
        ("```tool_call\r\n{}\r\n```\r\n", ["{}\r\n", "\r\n"]),
        ('```tool_call\n{"name":"a"}', ['{"name":"a"}']),
        ('```tool_call\n{"name":"a"}```', ['{"name":"a"}']),
        ("```python\n1\n```", ["```python\n1\n```"]),
        ("see ```tool_call\n{}\n```", ["see ```tool_call\n{}\n```"]),
        ("```tool_calls\n{}\n```", ["```tool_calls\n{}\n```"]),
        ("a\n```tool_call", ["a\n```tool_call"]),
        ("```tool_call\n```", [""]),
    ],
)
def test_what_a_block_is(text: str, expected: list[str]) -> None:
    """A fence at the beginning of a line, with this name alone; the end of all ends it, too."""
    told = [each if isinstance(each, str) else each.body for each in found(text)]
    assert len(told) == len(expected)
    assert all(one.startswith(two) for one, two in zip(told, expected, strict=True))


def test_only_what_may_be_a_block_is_held_back() -> None:
    """All else is given at once; spaces wait for what follows them."""
    finder = Finder()
    told = ["one", " ", "two\n", "``", "`py", "\n```", "tool_ca", "se"]
    assert [finder.take(each) for each in told] == [
        ["one"],
        [],
        [" two"],
        [],
        ["\n```py"],
        [],
        [],
        ["\n```tool_case"],
    ]


class _Counted(str):
    """A text that knows how much of it is copied."""

    __slots__ = ()
    copied: ClassVar[int] = 0

    def __radd__(self, before: str) -> "_Counted":
        _Counted.copied += len(before) + len(self)
        return _Counted(before + str(self))

    def __getitem__(self, at: SupportsIndex | slice) -> "_Counted":
        part = _Counted(super().__getitem__(at))
        _Counted.copied += len(part)
        return part


@pytest.mark.parametrize("block", ["```tool_call\n{}\n```\n", "a\n```tool_call\n```\nb\n"])
def test_a_text_is_copied_a_few_times_however_many_blocks_it_has(block: str) -> None:
    """Not what is left of it for each block: that was half a minute for 6 MB of them."""
    text = _Counted(block * 1000)
    _Counted.copied = 0
    Finder().take(text)
    assert len(text) <= _Counted.copied <= 4 * len(text)


def test_what_is_held_back_is_bounded() -> None:
    """Spaces without an end, and a block without one, are text after all."""
    finder = Finder()
    spaces = " " * notation.MAX_HELD_CHARS
    assert finder.take(spaces) == []
    assert finder.take(" ") == [spaces + " "]
    opening = "\n```tool_call\n"
    assert finder.take(opening) == []
    body = "x" * notation.MAX_BLOCK_CHARS
    assert finder.take(body) == []
    assert finder.take("y") == [opening + body + "y"]
    assert finder.take("z") == ["z"]


@pytest.mark.parametrize(
    ("body", "call"),
    [
        ('{"name": "a", "arguments": {"b" : 1.50}}', Call("a", '{"b" : 1.50}')),
        ('{"name": "a"}', Call("a", "{}")),
        ('{"id": "1", "name": "a", "arguments": {}}', Call("a", "{}")),
        ('{"name": "a", "arguments": []}', None),
        ('{"name": 1}', None),
        ('{"arguments": {}}', None),
        ("[]", None),
        ("{", None),
        ("\ud800", None),
        ('{"name": "a", "arguments": {"b": ' + "[" * 5000 + "]" * 5000 + "}}", None),
    ],
)
def test_what_a_call_is(body: str, call: Call | None) -> None:
    """A name and an object, which is passed on as it was written."""
    assert notation.called(Block(body, body)) == call


def test_results_tell_what_is_known() -> None:
    """Id and name, and whether it went wrong."""
    told = notation.result("1", "add", "7")
    assert told == '```tool_result\n{"id":"1","name":"add","content":"7"}\n```'
    told = notation.result("", "", "no\n", is_error=True)
    assert told == '```tool_result\n{"is_error":true,"content":"no\\n"}\n```'


def test_arguments_are_told_as_json_where_they_are() -> None:
    """On a line, numbers as they were written; nothing is an empty object; nonsense stays itself."""
    texts = ['{"a" : 1.50,\n"b": []}', "", "{a", "\ud800", "[" * 5000 + "]" * 5000]
    assert [notation.arguments_of(text) for text in texts] == [
        msgspec.Raw(b'{"a":1.50,"b":[]}'),
        msgspec.Raw(b"{}"),
        *texts[2:],
    ]
    told = notation.call("add", notation.arguments_of('{"a":\n3}'))
    assert told == ADD


@pytest.mark.parametrize(
    ("page", "client"),
    [
        (f"So:\n\n{ADD}\n\n{ADD}", f"So:\n\n{notation.call('add', {'a': 3}, 'x')}\n\n{ADD}"),
        ('```tool_call\n{"arguments": {"b":1, "a":2},\n "name":"x"}\n```\n',
         notation.call("x", {"a": 2, "b": 1}, "id")),
        (f"A\n{ADD}\nB", f"A\n\nB\n\n{ADD}"),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ("  text ", "text"),
        ("```python\n1\n```\nand", "```python\n1\n```\nand"),
    ],
)  # fmt: skip
def test_an_answer_is_known_again(page: str, client: str) -> None:
    """What a page holds and what its client sends again have one key."""
    one, two = (
        key_of("m", (Turn(role="user", text="a"), Turn(role="assistant", text=text)))
        for text in (page, client)
    )
    assert one == two


@pytest.mark.parametrize(
    "other", ["So:", ADD, f"So:\n\n{notation.call('add', {'a': 4})}", f"So:\n\n{ADD}\n\n{ADD}"]
)
def test_another_answer_has_another_key(other: str) -> None:
    """Without the call, the text, with other arguments, or with one call more."""
    assert notation.plain(other) != notation.plain(f"So:\n\n{ADD}")


@given(ANSWERS)
def test_no_text_is_too_odd_to_be_compared(text: str) -> None:
    """And calls behind the text are where they would be put anyway."""
    plain = notation.plain(text)
    if not any(isinstance(each, Block) for each in found(text)) and not text.startswith("```"):
        assert plain == text.strip()
