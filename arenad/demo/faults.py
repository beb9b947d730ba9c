"""Everything that can go wrong on purpose, as a table, and how a request asks for it. No I/O.

A request names faults in a header, in the last line of its prompt, or by a cookie that its page
set; the control endpoint names faults for all. `docs/demo-arena.md` shows this very table.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from arenad.demo.protocol import Refusal

Stage = Literal["gate", "ask", "stream", "file"]
"""Where it strikes: at any request of the site, at a message, within an answer, at a file."""

Faults = Mapping[str, float]
"""Names of faults that are on, each with its value."""

HEADER = "X-Demo-Fault"
COOKIE = "demo_fault"
QUERY = "demo-fault"

VALUE_LIMIT = 100_000_000
"""Of bytes, of seconds, of anything."""


class Fault(NamedTuple):
    """One row: what its value counts and is by default (no `unit`: it has none), what happens."""

    name: str
    stage: Stage
    meaning: str
    unit: str = ""
    default: float = 0


FAULTS: dict[str, Fault] = {
    each.name: each
    for each in (
        Fault(
            "moved",
            "gate",
            "Any name but `localhost` gets 301 to it (what is no GET: 308).",
        ),
        Fault("block", "gate", "403 with the CDN's page that says that one is blocked."),
        Fault(
            "challenge",
            "gate",
            "403 with the CDN's check page, until a click, which counts for so long.",
            "seconds",
            1800,
        ),
        Fault(
            "login",
            "gate",
            "A login wall (`demo`, `demo`) before all but battles; the value is a login's life.",
            "seconds",
            3600,
        ),
        Fault(
            "rate-limit",
            "gate",
            "A real limit for each address: so many in 10 s, told in headers, then 429.",
            "messages",
            3,
        ),
        Fault("400-private", "ask", "400: this model cannot be used outside of battles."),
        Fault("401", "ask", "401: a login is needed."),
        Fault("401-expired", "ask", "401, and the login that the request came with is forgotten."),
        Fault("401-foreign", "ask", "401: the chat belongs to somebody else."),
        Fault("403-score", "ask", "403 with the JSON of the site's bot scoring."),
        Fault(
            "403-check",
            "ask",
            "The same, and the page shows a check; a click on it counts for so long.",
            "seconds",
            1800,
        ),
        Fault("403-terms", "ask", "403 until the page's terms were agreed to."),
        Fault("404", "ask", "404, as from an address that was renamed."),
        Fault("405", "ask", "405, as after a move of the domain."),
        Fault("413", "ask", "413: too large."),
        Fault("422", "ask", "422: the content was rejected."),
        Fault("429", "ask", "429 with Retry-After; 0: without that header.", "seconds", 0),
        Fault("429-prompt", "ask", "429 whose text blames the prompt."),
        Fault("500", "ask", "500 with JSON."),
        Fault("502-html", "ask", "502 with HTML."),
        Fault(
            "full",
            "ask",
            "The chat takes this many messages, then it has reached its token limit.",
            "messages",
            1,
        ),
        Fault("html", "ask", "200 with HTML instead of an answer."),
        Fault("error-object", "ask", "200 with a JSON error as the only line."),
        Fault("empty", "ask", "200 with no line at all."),
        Fault(
            "slow-start",
            "stream",
            "Silence before the first piece, without heartbeats.",
            "seconds",
            3,
        ),
        Fault("heartbeats", "stream", "Heartbeats alone before the first piece.", "seconds", 3),
        Fault(
            "stall",
            "stream",
            "Silence in the middle, without heartbeats; then the rest.",
            "seconds",
            600,
        ),
        Fault(
            "cut", "stream", "The connection ends after this many bytes of the answer.", "bytes", 60
        ),
        Fault("split", "stream", "The answer arrives in pieces of this many bytes.", "bytes", 1),
        Fault("data-prefix", "stream", "Each line begins with `data: `."),
        Fault("crlf", "stream", "Lines end with CR LF."),
        Fault(
            "unknown-lines",
            "stream",
            "Lines of every other code, of an unknown position and without any.",
        ),
        Fault(
            "step-lines",
            "stream",
            "Starts and ends of steps (`af`, `ae`) between the pieces; `ae` has no message.",
        ),
        Fault(
            "half-pairs", "stream", "An emoji is cut into its UTF-16 halves, each in its own line."
        ),
        Fault(
            "long-line",
            "stream",
            "A line of an unknown code, this long, before the text.",
            "bytes",
            11_000_000,
        ),
        Fault("early-finish", "stream", "The finish line comes before the last piece."),
        Fault("no-finish", "stream", "No finish line."),
        Fault("filtered", "stream", "Half of the answer, then the finish reason `content-filter`."),
        Fault("model-error", "stream", "Half of the answer, then `a3` with the model's error."),
        Fault("platform-error", "stream", "Half of the answer, then `ae` with a message."),
        Fault("arena-error", "stream", "Half of the answer, then the text `hasArenaError`."),
        Fault("one-side", "stream", "Of two sides, the second fails with `b3` at once."),
        Fault(
            "direct-battle",
            "stream",
            "A direct message is answered by two sides; the page offers to skip.",
        ),
        Fault("two-images", "stream", "Two images in one line."),
        Fault(
            "url-life",
            "file",
            "Signed addresses given out now are good for this long.",
            "seconds",
            1,
        ),
        Fault(
            "stale-action",
            "file",
            "The site was built anew: the page's upload actions are not known any more.",
        ),
        Fault("upload-refused", "file", "The storage takes nothing: 403."),
    )
}
"""Every fault by its name."""

_MARKER = re.compile(r"(?<!\s)\s*+\[\[demo:([^\[\]\n]*)\]\]\s*\Z")


def read(text: str) -> dict[str, float]:
    """Faults as text: names, each perhaps with `=` and a number, separated by commas.

    Raises `Refusal` (400) that names what is wrong with it.
    """
    parts = [part.strip() for part in text.split(",")]
    return dict(_read_one(*part.partition("=")) for part in parts if part)


def _read_one(name: str, sign: str, value: str) -> tuple[str, float]:
    if not sign:
        return _check(name.strip(), None)
    try:
        number = float(value)
    except ValueError:
        raise Refusal(400, "bad fault", f"{name.strip()}: {value!r} is no number") from None
    return _check(name.strip(), number)


def check(wanted: Mapping[str, float | bool | None]) -> dict[str, float]:
    """The same as JSON has it; `true` and null stand for the default. Raises `Refusal` (400)."""
    return dict(
        _check(name, None if value is None or value is True else float(value))
        for name, value in wanted.items()
        if value is not False
    )


def _check(name: str, value: float | None) -> tuple[str, float]:
    fault = FAULTS.get(name)
    if fault is None:
        raise Refusal(400, "unknown fault", f"{name}: there are {', '.join(FAULTS)}")
    if value is None:
        return name, fault.default
    if not fault.unit:
        raise Refusal(400, "bad fault", f"{name}: takes no value")
    if not 0 <= value <= VALUE_LIMIT:
        raise Refusal(400, "bad fault", f"{name}: is {value:g}, has to be 0 to {VALUE_LIMIT}")
    return name, value


def split_marker(prompt: str) -> tuple[str, str]:
    """A prompt without the marker that ends it, and what the marker says (empty: there is none).

    A marker is `[[demo:cut=100, split]]` at the very end.
    """
    found = _MARKER.search(prompt)
    if found is None:
        return prompt, ""
    return prompt[: found.start()], found[1]
