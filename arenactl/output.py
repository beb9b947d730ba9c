"""Where a command says things: lines for a person, or JSON, one document a line."""

import io
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO, cast

import msgspec

from arenactl.text import clean


class Output:
    """Writes to stdout and stderr. A failure's JSON goes to stdout, where programs read."""

    def __init__(self, environ: Mapping[str, str], *, as_json: bool) -> None:
        self.as_json = as_json
        stdout = cast("io.TextIOWrapper", sys.stdout)
        stdout.reconfigure(errors="replace")  # a locale without our ellipsis is no failure
        self.colour = not as_json and _wants_colour(sys.stdout, environ)

    def page(self, lines: Iterable[str]) -> None:
        """Lines for a person."""
        for line in lines:
            print(line, flush=True)

    def document(self, value: object) -> None:
        """One JSON document."""
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")  # UTF-8 whatever the locale
        sys.stdout.buffer.flush()

    def progress(self, line: str) -> None:
        """One step on the way; the end is still to come."""
        if self.as_json:
            self.document({"progress": line})
        else:
            print(clean(line), flush=True)

    def done(self, text: str) -> None:
        """The command has succeeded."""
        if self.as_json:
            self.document({"ok": True, "text": text})
        else:
            print(clean(text), flush=True)

    def failed(self, kind: str, message: str) -> None:
        """The command has failed."""
        if self.as_json:
            self.document({"ok": False, "error": {"kind": kind, "message": message}})
        else:
            self.remark(message)

    def remark(self, text: str) -> None:
        """Something for a person that is not the answer; it may have several lines."""
        first, *further = map(clean, text.split("\n"))
        lines = [f"arenactl: {first}", *further]
        print("\n".join(lines), file=sys.stderr, flush=True)


def _wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Only on a terminal, and not against no-color.org."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
