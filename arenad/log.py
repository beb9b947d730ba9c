"""Log records that can be read aloud: who, what, why, what happens next.

The standard `logging` package carries them. Each process writes its own to standard error (with
sd-daemon(3) priorities when systemd reads it), and a child forwards a copy to the master, which
keeps the last few thousand for `arenactl logs`. What looks like a secret is left out of both: an
error's text may quote a header or an address, and nobody can know what a page puts into one.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TextIO

from arenad.schema.config import LogLevel
from arenad.schema.process import LogLine

MAX_TEXT_CHARS = 4000
"""A longer record loses its middle: a page's text has no bound, a traceback's point is its end."""

_CONTROL = re.compile(r"[^\n\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]")
"""What would steer a terminal, forge a line, or has no place in UTF-8 (half a surrogate pair)."""

_SECRETS = (
    re.compile(r"(?im)(\b(?:set-)?cookie[\"']?\s*:\s*|\bauthorization[\"']?\s*[:=]\s*)[^\n]+"),
    re.compile(
        r"(?i)(\b(?:bearer|basic)\s+"
        r"|\b\w{0,40}(?:key|token|secret|password)[\"']?\s*=\s*[\"']?"
        r"|[\"']\w{0,40}(?:key|token|secret|password)[\"']\s*:\s*[\"']"
        r"|://[^\s/:@]{0,100}:(?=[^\s/@]+@))[^\s\"'&,;)@]+"
    ),
    re.compile(r"(\bsk-)[\w-]{12,}"),
)

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

    def __init__(
        self, source: str, stream: TextIO | None, forward: Callable[[LogLine], None]
    ) -> None:
        """No stream where the process was started with standard error closed."""
        super().__init__()
        self._source = source
        self._stream = stream
        self._forward = forward
        self._journal = stream is not None and _is_journal(stream)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write and forward. What goes wrong here is never the trouble of the one who logs."""
        try:
            text = clean(self.format(record))
            line = LogLine(record.created, _level_name(record.levelno), self._source, text)
            self._write(line)
            self._forward(line)
        except Exception:  # noqa: BLE001 - the boundary of a log call: handleError says it
            self.handleError(record)

    def _write(self, line: LogLine) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(render(line, journal=self._journal) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads standard error any more; the master's copy remains


def _is_journal(stream: TextIO) -> bool:
    """As systemd.exec(5) says: the variable is inherited by processes that write elsewhere."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def clean(text: str) -> str:
    """A record's text, bounded, without what looks like a secret or would steer a terminal."""
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]}… ({len(text) - 2 * half} characters) …{text[-half:]}"
    for secret in _SECRETS:
        text = secret.sub(r"\1[hidden]", text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def render(line: LogLine, *, journal: bool) -> str:
    """One record as text; the journal keeps time and unit itself and wants the priority instead."""
    text = line.text.replace("\n", "\n    ")
    if journal:
        return f"{_PRIORITIES[line.level]}{line.source}: {text}"
    clock = time.strftime("%H:%M:%S", time.localtime(line.at_unix_s))
    return f"{clock} {line.level:<7} {line.source:<10} {text}"


def setup(source: str, level: LogLevel, forward: Callable[[LogLine], None]) -> None:
    """Send every record to standard error and to `forward`; replaces an earlier setup."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(_Lines(source, sys.stderr, forward))
    set_level(level)


def set_level(level: LogLevel) -> None:
    """Change what is written from now on; libraries stay a step quieter than arenad itself."""
    logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("arenad").setLevel(_LEVELS[level])
