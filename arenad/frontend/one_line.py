"""JSON on one line, for every reader of events. A brain: no I/O.

JSON may hold U+0085, U+2028 and U+2029 as they are, and events may, too; but what splits text into
lines by Unicode (`str.splitlines`, httpx's `iter_lines`) breaks an event there.
"""

import re

import msgspec

_ENDS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
_ESCAPES = {each.encode(): rb"\u%04x" % ord(each) for each in "\x85\u2028\u2029"}

_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """It as JSON that ends no line."""
    encoded = _encoder.encode(value)
    if encoded.isascii():
        return encoded
    return _ENDS.sub(lambda end: _ESCAPES[end[0]], encoded)
