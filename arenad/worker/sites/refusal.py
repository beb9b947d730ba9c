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

HTTP_ERROR = 400
PAYLOAD_TOO_LARGE = 413
TOO_MANY_REQUESTS = 429
SHOWN_CHARS = 300
PAGE_CHARS = 16 * 1024
"""So much of a page is looked at for its title and the profile's signs."""

_PAGE = re.compile(
    r"\s*(?:(?><!--.*?-->)\s*)*+<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_TITLE = re.compile(r"<title[^>]*+>\s*+([^<]{1,200}?)\s*+</title>", re.IGNORECASE)


def of_status(status: int, said: str, signs: Mapping[str, str]) -> RequestError:
    """The error for an answer whose status is one; `signs` are the profile's, found anywhere.

    For how long a site asks to be left in peace `patience` reads in the headers.
    """
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
    return bool(_PAGE.match(said))


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
