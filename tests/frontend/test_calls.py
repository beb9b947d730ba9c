"""What requests say of tools, and what of it cannot be."""

import pytest

from arenad import notation
from arenad.errors import InvalidRequest
from arenad.frontend import calls
from arenad.frontend.instruct import Emulation, Format, Tool

ADD, NOW = Tool("add"), Tool("now")
FORM = Format({"type": "object"})
ASKED = {"form": FORM, "form_param": "response_format"}


def test_what_is_wanted_is_told_by_its_field() -> None:
    """Tools before a form; with neither, or with tools that may not be called, nothing is."""
    assert calls.wanted([ADD], "auto") == Emulation("tools", (ADD,))
    assert calls.wanted([ADD], "auto", **ASKED) == Emulation(
        "tools", (ADD,), format=FORM, format_param="response_format"
    )
    assert calls.wanted([ADD], "none", **ASKED) == Emulation(
        "response_format", format=FORM, format_param="response_format"
    )
    assert calls.wanted([ADD], "none") is None
    assert calls.wanted([], "auto") is None


def test_a_choice_has_to_be_possible() -> None:
    """One of the tools, and each name once."""
    assert calls.wanted([ADD, NOW], "required", "now", is_parallel=False) == Emulation(
        "tools", (ADD, NOW), "required", "now", is_parallel=False
    )
    for tools, choice, chosen, param in (
        ([ADD], "required", "now", "tool_choice"),
        ([], "required", "", "tool_choice"),
        ([ADD, NOW, ADD], "auto", "", "tools[2]"),
    ):
        with pytest.raises(InvalidRequest, match=r": is .*(;|send)") as told:
            calls.wanted(tools, choice, chosen)
        assert told.value.param == param


def test_a_form_has_to_be_possible() -> None:
    """Of what has brackets around it."""
    form = Format({"type": "string"})
    with pytest.raises(InvalidRequest, match=r"^response_format: .*of an object or an array"):
        calls.wanted([], "auto", form=form, form_param="response_format")
    assert calls.wanted([], "auto", form=Format({"type": ["object", "null"]}), form_param="f")


def test_a_format_is_read() -> None:
    """Text is none; an object is any; a schema has a name."""
    assert calls.form_of(None) is None
    assert calls.form_of(calls.TextFormat()) is None
    assert calls.form_of(calls.ObjectFormat()) == Format()
    described = calls.Described("a", {"type": "object"})
    assert calls.form_of(calls.SchemaFormat(described)) == Format({"type": "object"}, "a")


def test_a_result_has_the_name_of_its_call() -> None:
    """Which clients need not send."""
    assert '"name":"add"' in calls.result({"1": "add"}, "1", "7")
    assert "name" not in calls.result({}, "1", "7")


@pytest.mark.parametrize("name", ["n" * 129, "two words", "\x01" * 128, ""])
def test_what_is_no_name_is_not_told_with_each_result(name: str) -> None:
    """A call of any name may stand in a history, and have thousands of them."""
    assert calls.result({"c": name}, "c", "7") == notation.result("c", "", "7")
    assert calls.result({"c": "n" * 128}, "c", "7") == notation.result("c", "n" * 128, "7")
