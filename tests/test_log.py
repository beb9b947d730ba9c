"""Log records: what they look like, what they leave out, and that they never hurt who writes them."""

import io
import logging
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad import log
from arenad.schema.config import LogLevel
from arenad.schema.process import LogLine
from arenad.wire import Peer

LOGGER = logging.getLogger("arenad.test")


pytestmark = pytest.mark.usefixtures("own_logging")


class Kept:
    """A process's logging, set up with a stream and a list in place of stderr and the master."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, level: LogLevel = "info") -> None:
        self.stream = io.StringIO()
        self.lines: list[LogLine] = []
        monkeypatch.setattr(sys, "stderr", self.stream)
        log.setup("w1", level, self.lines.append)


def test_a_record_is_written_and_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error and the master get the same words, with the process's name and the level."""
    kept = Kept(monkeypatch)
    LOGGER.warning("the %s broke", "page")
    (line,) = kept.lines
    assert (line.level, line.source, line.text) == ("warning", "w1", "the page broke")
    assert kept.stream.getvalue() == log.render(line, journal=False) + "\n"


def test_a_second_setup_replaces_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child sets up once before the welcome and once after it; nothing is said twice."""
    first, second = Kept(monkeypatch), Kept(monkeypatch)
    LOGGER.info("hello")
    assert (len(first.lines), len(second.lines)) == (0, 1)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_the_least_that_is_written(
    monkeypatch: pytest.MonkeyPatch, level: LogLevel
) -> None:
    """Our records from that level on; those of libraries from warning on at the earliest."""
    kept = Kept(monkeypatch, level)
    for name in ("arenad.test", "library"):
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(number, name)
    order: list[LogLevel] = ["debug", "info", "warning", "error"]
    ours = [line.level for line in kept.lines if line.text == "arenad.test"]
    theirs = [line.level for line in kept.lines if line.text == "library"]
    assert ours == order[order.index(level) :]
    assert theirs == [each for each in ours if each in {"warning", "error"}]


def test_critical_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels between and beyond ours count as the next lower one."""
    kept = Kept(monkeypatch, "debug")
    for number in (logging.CRITICAL, logging.INFO + 1, 1):
        LOGGER.setLevel(1)
        LOGGER.log(number, "x")
    LOGGER.setLevel(logging.NOTSET)
    assert [line.level for line in kept.lines] == ["error", "info", "debug"]


# -- what it looks like -----------------------------------------------------------------------------


def test_the_journal_gets_priorities_and_no_clock() -> None:
    """sd-daemon(3): a number in angle brackets; the journal has its own time."""
    line = LogLine(0.0, "error", "frontend-1", "one\ntwo")
    assert log.render(line, journal=True) == "<3>frontend-1: one\n    two"


def test_a_terminal_gets_columns() -> None:
    """Time, level, source, text; further lines are indented, so that none looks like a record."""
    shown = log.render(LogLine(0.0, "info", "w1", "one\ntwo"), journal=False)
    assert shown[8:] == " info    w1         one\n    two"


def test_only_the_journal_itself_counts_as_the_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable names the journal's own file; a stream that is another one is a terminal."""
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w") as other:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        for stream in (journal, other):
            monkeypatch.setattr(sys, "stderr", stream)
            log.setup("w1", "info", lambda _: None)
            LOGGER.info("hello")
    assert (tmp_path / "journal").read_text() == "<6>w1: hello\n"
    assert (tmp_path / "other").read_text().endswith(" info    w1         hello\n")


# -- what it leaves out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "asked with Authorization: Bearer S3CRET-S3CRET",
        "headers {'Authorization': 'Bearer S3CRET', 'Accept': '*/*'}",
        "cookie: a=S3CRET; b=S3CRET",
        'refused {"Set-Cookie": "id=S3CRET"}',
        "got bearer S3CRET.S3CRET-S3CRET",
        "GET https://site.example/?model=a&api_key=S3CRET&x=1",
        "connect http://user:S3CRET@proxy.example:3128/",
        'sent {"password": "S3CRET"}',
        "DemoSettings(upstream_key='S3CRET')",
        "Incorrect API key provided: sk-S3CRET-S3CRET",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    """Headers, addresses, fields and keys; the words around them stay."""
    shown = log.clean(text)
    assert "S3CRET" not in shown
    assert "[hidden]" in shown
    assert shown.startswith(text[:4])


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: is 0; must be a whole number of at least 1",
        "KeyError: 'modelAId'",
        "demo.upstream_key_file: /etc/key: No such file or directory",
        "http://127.0.0.1:5105/text/direct",
        "the tokenizer: ready",
        "naïve café: 漢字 🙂\tdone",
    ],
)
def test_plain_words_stay(text: str) -> None:
    """What only sounds like a secret is left alone, and so is every language."""
    assert log.clean(text) == text


def test_what_steers_a_terminal_is_spelled_out() -> None:
    """Escapes, carriage returns and half letters become visible; line ends stay."""
    assert log.clean("a\x1b[2J\rb\x00\u2028\ud800\n") == (
        "a\\u001b[2J\\u000db\\u0000\\u2028\\ud800\n"
    )


def test_a_long_record_loses_its_middle() -> None:
    """The beginning says what it is, the end of a traceback what it was."""
    shown = log.clean("first " + "x" * 100_000 + " last")
    assert len(shown) < log.MAX_TEXT_CHARS + 50
    assert shown.startswith("first ")
    assert shown.endswith(" last")
    assert "… (96011 characters) …" in shown


@given(st.text(st.characters(), max_size=300))
def test_every_cleaned_text_can_be_sent(text: str) -> None:
    """Whatever a page wrote, the record crosses the link, and cleaning it again changes nothing."""
    shown = log.clean(text)
    (frame,) = Peer().receive(Peer().note(LogLine(0.0, "info", "w1", shown)))
    assert frame.body == LogLine(0.0, "info", "w1", shown)
    assert log.clean(shown) == shown


# -- what goes wrong --------------------------------------------------------------------------------


def test_no_one_needs_to_read_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, broken, or never there: the master's copy remains."""
    lines: list[LogLine] = []
    read, write = os.pipe()
    os.close(read)
    closed = io.StringIO()
    closed.close()
    with io.TextIOWrapper(io.FileIO(write, "w"), write_through=True) as broken:
        for stream in (closed, broken, None):
            monkeypatch.setattr(sys, "stderr", stream)
            log.setup("w1", "info", lines.append)
            LOGGER.info("hello")
    assert [line.text for line in lines] == ["hello"] * 3


def test_a_wrong_log_call_is_said_and_does_not_raise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments that do not fit, a forward that fails: the one who logs goes on."""
    lines: list[LogLine] = []

    def fail(line: LogLine) -> None:
        lines.append(line)
        raise RuntimeError("cannot forward")

    monkeypatch.setattr(logging, "raiseExceptions", True)
    log.setup("w1", "info", fail)
    LOGGER.info("%d", "no number")
    LOGGER.info("hello")
    said = capsys.readouterr().err
    assert "--- Logging error ---" in said
    assert "RuntimeError: cannot forward" in said
    assert [line.text for line in lines] == ["hello"]


def test_wall_time_is_unix_time() -> None:
    """Seconds since 1970, for people to read."""
    assert log.wall_time_s() > 1_700_000_000
