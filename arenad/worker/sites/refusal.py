"""What a site sends in place of an answer, as an error: a status, or a page for people."""

import html
import re
from collections.abc import Mapping

from arenad.errors import (
    InvalidRequest,
    ProfileOutdated,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.worker.sites.grammars.answer import error_of_kind
from arenad.worker.sites.grammars.framing import Decoder, Piece

HTTP_ERROR = 400
PAYLOAD_TOO_LARGE = 413
TOO_MANY_REQUESTS = 429
SHOWN_CHARS = 300
PAGE_CHARS = 16 * 1024
"""So much of a page is looked at for its title and the profile's signs."""

UNDECIDED_CHARS = 4 * 1024
"""What has not become a page by then is none."""

_LEAD = re.compile(r"\ufeff?\s*+(?:(?><!--.*?-->)\s*)*+", re.DOTALL)
"""What may stand before the first tag of a page."""

_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)(?![\w-])", re.IGNORECASE)
_TAGS = ("<!--", "<!doctype html", "<html", "<head", "<body")
_TITLE = re.compile(r"<title[^<>]*+>\s*+([^<]{1,200}?)\s*+</title>", re.IGNORECASE)


def of_status(status: int, said: str, signs: Mapping[str, str]) -> RequestError:
    """The error for an answer whose status is one; `signs` are the profile's, found anywhere.

    For how long a site asks to be left in peace `patience` reads in the headers.
    """
    said = said[:PAGE_CHARS]
    shown = (_title(said) if is_page(said) else said)[:SHOWN_CHARS]
    if kind := _kind(said, signs):
        return error_of_kind(kind, f"the site answered {status}: {shown}")
    if status == TOO_MANY_REQUESTS:
        return Resting(f"the site asks for patience: {shown}")
    if status == PAYLOAD_TOO_LARGE:
        return InvalidRequest(f"the site takes no prompt this long: {shown}", param="messages")
    return UpstreamFailed(f"the site answered {status}: {shown}")


def is_page(said: str) -> bool:
    """Whether this is the beginning of a page for people."""
    return bool(_PAGE.match(said, _lead_chars(said)))


def may_become_page(said: str) -> bool:
    """Whether it only takes more of it to say so."""
    begun = said[_lead_chars(said) :]
    if begun.startswith("<!--"):
        return True
    words = " ".join(begun.lower().split()) + " " * begun[-1:].isspace()
    return any(tag.startswith(words) for tag in _TAGS)


def _lead_chars(said: str) -> int:
    found = _LEAD.match(said)
    return found.end() if found else 0


class Beginning:
    """Holds back what comes first for as long as it may still become a page for people."""

    def __init__(self, *, is_open: bool = True) -> None:
        """Nothing has come. Nothing is held back where none is expected."""
        self.said = ""
        self.is_page = False
        self._decoder = Decoder()
        self._held: list[Piece] = []
        self._is_open = is_open

    def take(self, pieces: list[Piece]) -> list[Piece]:
        """What may be read by now; a piece of nothing is a sign of life, and is not held back."""
        if not self._is_open:
            return pieces
        self.said += "".join(self._decoder.text(piece[:PAGE_CHARS]) for piece in pieces)
        self._held += filter(None, pieces)
        if len(self.said) <= UNDECIDED_CHARS and may_become_page(self.said):
            return [piece for piece in pieces if not piece]
        return self.rest()

    def rest(self) -> list[Piece]:
        """What was held back, and nothing from now on; it is known by now what it is."""
        held, self._held = self._held, []
        self._is_open, self.is_page = False, self._is_open and is_page(self.said)
        return held


def of_page(said: str, signs: Mapping[str, str]) -> RequestError:
    """The error for a page in place of an answer."""
    message = f"the site sent a page in place of an answer: {_title(said)}"
    if kind := _kind(said, signs):
        return error_of_kind(kind, message)
    return ProfileOutdated(message)


def _kind(said: str, signs: Mapping[str, str]) -> str:
    return next((kind for sign, kind in signs.items() if sign in said), "")


def _title(said: str) -> str:
    found = _TITLE.search(said)
    return repr(html.unescape(found[1])) if found else "one without a title"
