"""Pictures that are computed: real PNGs, the same for the same words."""

import struct
import zlib

from arenad.demo import drawing


def test_a_picture_is_a_png() -> None:
    """Signature, header, checksums and the right number of pixels."""
    picture = drawing.picture("a house")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (drawing.SIZE_PX, drawing.SIZE_PX)
    assert len(zlib.decompress(chunks[b"IDAT"])) == drawing.SIZE_PX * (1 + 3 * drawing.SIZE_PX)


def test_words_choose_the_picture() -> None:
    """The same words, the same bytes; other words, others."""
    assert drawing.picture("a") == drawing.picture("a")
    assert drawing.picture("a") != drawing.picture("b")
