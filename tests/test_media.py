"""Types of files by name, content and rule; names that are safe anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad import media
from arenad.demo.drawing import picture


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (picture("x"), "image/png"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x20ftypavif", "image/avif"),
        (b"RIFF\x10\x00\x00\x00WAVE", ""),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made -->\n<svg>", "image/svg+xml"),
        (
            b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x.dtd' [<!ENTITY a 'b'>]>\n<svg>",
            "image/svg+xml",
        ),
        (b"<svgs>", ""),
        (b"<!DOCTYPE html><svg>", ""),
        (b"<p>no</p><svg>", ""),
        (b"<!--" + b" " * 5000 + b"--><svg>", ""),
        (b"", ""),
    ],
)
def test_images_are_known_by_their_bytes(content: bytes, kind: str) -> None:
    """What a browser would show as an image, and nothing else."""
    assert media.type_of_image(content) == kind


@pytest.mark.parametrize(
    ("name", "kind", "safe"),
    [
        ("photo.png", "image/png", "photo.png"),
        ("photo.JPG", "image/jpeg", "photo.JPG"),
        ("photo", "image/jpeg", "photo.jpg"),
        ("a/" * 500_000 + "photo.png", "image/png", "photo.png"),
        ("evil.html", "image/png", "evil.html.png"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("C:\\notes\\a.md", "text/markdown", "a.md"),
        ("..", "application/pdf", "file.pdf"),
        ("\x00\n", "text/x-unknown", "file"),
        ("data.bin", "application/x-own", "data.bin"),
    ],
)
def test_names_are_made_safe(name: str, kind: str, safe: str) -> None:
    """No way out of a folder, and an extension that tells the browser the same type."""
    assert media.safe_name(name, kind) == safe


def test_of_a_long_name_the_end_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its client calls a file: it is read once, and not for a second."""
    monkeypatch.setattr(media, "MAX_NAME_CHARS", 8)
    assert media.safe_name("\0" * 9 + "b.png", "image/png") == "b.png"
    assert media.safe_name("a/" * 9 + "long-photo.png", "image/png") == "hoto.png"


@given(st.text(), st.sampled_from([*media.BY_EXTENSION.values(), "application/x-own"]))
def test_any_name_is_one_file_in_one_folder(name: str, kind: str) -> None:
    """Whatever a client calls its file."""
    safe = media.safe_name(name, kind)
    assert safe not in ("", ".", "..")
    assert "/" not in safe
    assert safe.isprintable()
    assert len(safe.encode()) <= 255
    if kind in media.BY_EXTENSION.values():
        assert media.type_of_name(safe) == kind


def test_types_and_rules() -> None:
    """Whole types, families, anything; parameters and old names do not count."""
    assert media.plain_type(" Image/JPG; charset=x ") == "image/jpeg"
    assert media.is_allowed("text/csv", ["image/png", "text/*"])
    assert media.is_allowed("application/zip", ["*/*"])
    assert not media.is_allowed("image/svg+xml", ["image/png", "text/*"])
    assert media.type_of_name("png") == ""
