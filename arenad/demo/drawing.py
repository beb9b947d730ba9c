"""Small pictures, computed from words: what image models of the demo give. No I/O.

A picture is a grid of rings and tiles, symmetric, in colours that a hash of the words chooses; the
same words give the same bytes.
"""

import hashlib
import struct
import zlib

SIZE_PX = 256
_TILES = 8
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(words: str) -> bytes:
    """A PNG of `SIZE_PX` square."""
    digest = hashlib.sha256(words.encode()).digest()
    palette = [_colour(digest[place : place + 3]) for place in (0, 3, 6, 9)]
    tile = SIZE_PX // _TILES
    rows: list[bytes] = []
    for row in range(_TILES):
        line = b"".join(palette[_choice(digest, row, column)] * tile for column in range(_TILES))
        # Each line of pixels begins with its filter; 0 is none.
        rows += [b"\x00" + line] * tile
    header = struct.pack(">IIBBBBB", SIZE_PX, SIZE_PX, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(rows), 9)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _choice(digest: bytes, row: int, column: int) -> int:
    across = min(column, _TILES - 1 - column)
    down = min(row, _TILES - 1 - row)
    return digest[12 + down * 4 + across] % 4


def _colour(seed: bytes) -> bytes:
    # Muted: the middle of the range, so that no picture shouts.
    return bytes(64 + value // 2 for value in seed)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
