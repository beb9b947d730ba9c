"""`arenactl history`: its questions, its pages, its lines."""

import json
import time

import pytest
from stand_in import StandIn, Step, end

from arenactl import history
from arenactl.__main__ import main
from arenactl.text import COLUMNS, width
from arenad.schema.chat import Failure
from arenad.schema.frame import Body
from arenad.schema.history import (
    Entry,
    GetHistory,
    HistoryPage,
    InstanceSample,
    RequestEnded,
    StoryLine,
    TrafficSample,
)
from arenad.schema.process import LogLine

NOON_S = time.mktime((2026, 6, 1, 12, 0, 0, 0, 0, -1))
OK = RequestEnded(
    NOON_S,
    "a",
    "frontend-1",
    "demo-echo",
    True,
    "w1",
    1,
    "answered",
    "",
    0.0,
    0.1,
    1.5,
    42,
    "alice",
)
BAD = RequestEnded(
    NOON_S,
    "b",
    "frontend-1",
    "m" * 100,
    False,
    "",
    12345,
    "failed",
    "profile_outdated",
    99.95,
    None,
    1e9,
    10**9,
)
LEFT = RequestEnded(
    NOON_S, "c", "frontend-1", "模型", True, "w12345", 2, "cancelled", "", 5.0, 12.3, 599.0, 0
)


def run(pages: list[Body], *words: str) -> tuple[int, list[Body]]:
    """The exit code against a daemon that answers with these pages in turn."""
    answers = iter(pages)

    def answer(*call) -> None:
        end(next(answers))(*call)

    script: dict[type[Body], list[Step]] = {GetHistory: [answer]}
    with StandIn(script) as daemon:
        code = main(["history", *words, "--runtime-dir", str(daemon.runtime_dir)])
    return code, daemon.heard


def test_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Requests unless told otherwise; ages, names and numbers go to the daemon."""
    nothing: list[Body] = [HistoryPage(())]
    assert run(nothing) == (0, [GetHistory("requests")])
    assert capsys.readouterr().out == "Nothing of that kind is remembered.\n"
    asked = run(nothing, "samples", "--since", "1.5h", "--instance", "w1", "-n", "7")
    assert asked == (0, [GetHistory("samples", 5400.0, "w1", 7)])


def test_pages_are_put_together(capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon gives the newest first; a person reads them last, and no more than wanted."""
    lines = [StoryLine(NOON_S, "w1", str(number)) for number in range(5)]
    pages: list[Body] = [HistoryPage(tuple(lines[3:]), 4), HistoryPage(tuple(lines[1:3]), 2)]
    code, heard = run([*pages, HistoryPage((lines[0],))], "story", "-n", "5")
    assert code == 0
    assert [(wish.limit, wish.before) for wish in heard if isinstance(wish, GetHistory)] == [
        (5, 0),
        (3, 4),
        (1, 2),
    ]
    said = capsys.readouterr().out.splitlines()
    assert [line[-1] for line in said] == ["0", "1", "2", "3", "4"]


def test_programs_get_a_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With every field, by its name."""
    assert run([HistoryPage((OK, LEFT))], "--json")[0] == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["request_id"] == "a"
    assert second["outcome"] == "cancelled"
    assert set(first) == set(RequestEnded.__struct_fields__)


def test_a_refusal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In the daemon's words, with the exit code of a refusal."""
    assert run([Failure("refused", "the recorder is backoff")])[0] == 1
    assert "the recorder is backoff" in capsys.readouterr().err


@pytest.mark.parametrize(
    "entries",
    [
        (OK, BAD, LEFT),
        (
            InstanceSample(
                NOON_S, "w1", 99999, "needs_login", 1, 10**9, 10**9, 2**50, 10**9, 1e9, 1e9
            ),
        ),
        (TrafficSample(NOON_S, 1000, 1000, 10**9, 10**9, 1e9, 10**9, 10**9, 10**9, 10**9, 10**9),),
        (StoryLine(NOON_S, "w1", "word " * 60), StoryLine(1e30, "w1", "競技場" * 60)),
        (
            LogLine(NOON_S, "warning", "frontend-64", "x" * 500),
            LogLine(NOON_S, "info", "w1", "a\nb"),
        ),
    ],
)
def test_every_line_fits(entries: tuple[Entry, ...]) -> None:
    """Eighty columns, whatever the numbers and the names are."""
    lines = history.page(entries)
    assert max(map(width, lines)) <= COLUMNS
    assert not any(line != line.rstrip() for line in lines)


def test_requests_as_a_table() -> None:
    """When, with which key, what, by whom, how long, and how it ended."""
    head, ok, bad, left = history.page((OK, BAD, LEFT))
    assert head == "TIME           KEY     MODEL        FROM  WAIT FIRST  TOOK CHARS END"
    assert ok == "06-01 12:00:00 alice   demo-echo      w1 0.00s 0.10s 1.50s    42 ok"
    assert bad.endswith("profile_outdat…")
    assert left.endswith("left")


def test_text_is_broken_below_its_time() -> None:
    """So that times stand alone in their column; nothing steers the terminal."""
    first, second = history.page((StoryLine(NOON_S, "w1", "a" * 50 + "\x1b " + "b" * 30),))
    assert first == f"06-01 12:00:00  w1: {'a' * 50}\N{REPLACEMENT CHARACTER}"
    assert second == " " * 16 + "b" * 30


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0.004, "0.00s"),
        (9.994, "9.99s"),
        (12.34, "12.3s"),
        (123.4, "123s"),
        (3600, "60m"),
    ],
)
def test_seconds_are_short(value: float | None, said: str) -> None:
    """Three figures and a unit."""
    assert history.seconds(value) == said
