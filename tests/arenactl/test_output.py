"""Where a command says things."""

import json

import pytest

from arenactl.output import Output


def test_a_person_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Answers and progress on stdout, failures on stderr; control characters are made harmless."""
    output = Output({}, as_json=False)
    output.page(["one", "two"])
    output.progress("1 of 2")
    output.done("all \x1b[31mdone")
    output.failed("refused", "no")
    said = capsys.readouterr()
    assert said.out.startswith("one\ntwo\n1 of 2\nall ")
    assert "\x1b" not in said.out
    assert said.err == "arenactl: no\n"


def test_a_program_gets_json_on_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """One document a line, the failure among them, whatever the locale."""
    output = Output({}, as_json=True)
    output.progress("1 of 2")
    output.done("dönè")
    output.failed("refused", "no")
    documents = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert documents == [
        {"progress": "1 of 2"},
        {"ok": True, "text": "dönè"},
        {"ok": False, "error": {"kind": "refused", "message": "no"}},
    ]


def test_no_colour_where_nobody_sees_it() -> None:
    """Not in a file, as here, and never in JSON."""
    assert not Output({}, as_json=False).colour
    assert not Output({}, as_json=True).colour
