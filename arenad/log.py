"""Log records that can be read aloud: who, what, why, what happens next.

The standard `logging` package carries them. Each process writes its own to standard error (with
sd-daemon(3) priorities when systemd reads it), and a child forwards a copy to the master, which
keeps the last few thousand for `arenactl logs`.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from arenad.schema.config import LogLevel
from arenad.schema.process import LogLine

MAX_TEXT_CHARS = 4000
"""A longer record is cut: a page's error text has no bound of its own."""

_LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_PRIORITIES: dict[LogLevel, str] = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}


def wall_time_s() -> float:
    """Unix time in seconds, for records that people read; durations use `time.monotonic`."""
    return time.time()


def _level_name(number: int) -> LogLevel:
    for name in ("error", "warning", "info"):
        if number >= _LEVELS[name]:
            return name
    return "debug"


class _Lines(logging.Handler):
    """Turns each record into a `LogLine`, writes it and passes it on."""

    def __init__(self, source: str, stream: TextIO, forward: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._source = source
        self._stream = stream
        self._forward = forward
        self._journal = "JOURNAL_STREAM" in os.environ
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write to the stream; a stream that is gone must not take the process with it."""
        text = self.format(record)
        if len(text) > MAX_TEXT_CHARS:
            text = f"{text[:MAX_TEXT_CHARS]}… ({len(text)} characters)"
        line = LogLine(record.created, _level_name(record.levelno), self._source, text)
        try:
            self._stream.write(render(line, journal=self._journal) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads standard error any more; the master's copy remains
        self._forward(line)


def render(line: LogLine, *, journal: bool) -> str:
    """One record as text; the journal keeps time and unit itself and wants the priority instead."""
    text = line.text.replace("\n", "\n    ")
    if journal:
        return f"{_PRIORITIES[line.level]}{line.source}: {text}"
    clock = time.strftime("%H:%M:%S", time.localtime(line.at_unix_s))
    return f"{clock} {line.level:<7} {line.source:<10} {text}"


def setup(source: str, level: LogLevel, forward: Callable[[LogLine], None]) -> None:
    """Send every record of this process to standard error and to `forward`; replaces an earlier setup."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(_Lines(source, sys.stderr, forward))
    set_level(level)


def set_level(level: LogLevel) -> None:
    """Change what is written from now on; libraries stay a step quieter than arenad itself."""
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("arenad").setLevel(_LEVELS[level])
