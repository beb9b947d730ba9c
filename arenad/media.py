"""Types of files: by name, by content, and whether a rule allows one. A brain: no I/O.

The table is our own, not the machine's: a name means the same wherever arenad runs. It holds what
chat pages take; types as IANA registers them.
"""

from collections.abc import Iterable

BY_EXTENSION = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "xml": "text/xml",
    "zip": "application/zip",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
MAX_NAME_BYTES = 200
"""Of 255 that file systems take (NAME_MAX): room for an extension."""

MAX_NAME_CHARS = 4096
"""No more of a name is looked at, from its end (PATH_MAX)."""

_EXTENSIONS = {kind: name for name, kind in reversed(BY_EXTENSION.items())}
_SAME = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
_BOXED = {(b"RIFF", b"WEBP"): "image/webp", (b"ftyp", b"avif"): "image/avif"}
"""Formats that begin with a box: four bytes of a word, and four of the kind, at these places."""

PROLOG_BYTES = 4096
"""So much is looked at for an SVG's first element; XML may have other things before it."""

_PROLOG = (
    *((b"<?", b"?>"), (b"<!--", b"-->")),
    *((b"<!DOCTYPE svg", b">"), (b"<!ENTITY", b">"), (b"]", b">")),
)
_SVG = (b"<svg ", b"<svg>", b"<svg/", b"<svg\t", b"<svg\n", b"<svg\r")


def plain_type(text: str) -> str:
    """A type without its parameters, in small letters, by its registered name."""
    kind = text.partition(";")[0].strip().lower()
    return _SAME.get(kind, kind)


def type_of_name(name: str) -> str:
    """The type that a name's extension means; empty when it is not known."""
    _, dot, extension = name.rpartition(".")
    return BY_EXTENSION.get(extension.lower(), "") if dot else ""


def type_of_image(content: bytes) -> str:
    """The type of an image that browsers show, by its first bytes; empty for anything else.

    An SVG may hold scripts: harmless in an `img`, but not where it is opened as a page.
    """
    for beginning, kind in _BEGINNINGS.items():
        if content.startswith(beginning):
            return kind
    for box in ((content[:4], content[8:12]), (content[4:8], content[8:12])):
        if box in _BOXED:
            return _BOXED[box]
    return "image/svg+xml" if _is_svg(content[:PROLOG_BYTES]) else ""


def _is_svg(beginning: bytes) -> bool:
    """Whether the first element is an SVG's, behind a declaration, comments and its type."""
    rest = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    while not rest.startswith(_SVG):
        closing = next((end for begin, end in _PROLOG if rest.startswith(begin)), b"")
        if not closing or closing not in rest:
            return False
        rest = rest.partition(closing)[2].lstrip()
    return True


def is_allowed(kind: str, rules: Iterable[str]) -> bool:
    """Whether a type is one of the rules, such as `image/png`, `text/*` or `*/*`."""
    family = kind.partition("/")[0]
    return any(rule in (kind, f"{family}/*", "*/*") for rule in rules)


def safe_name(name: str, kind: str) -> str:
    """A name that is one, on any file system, and whose extension means this type.

    A browser tells a page the type that the extension means.
    """
    last = name[-MAX_NAME_CHARS:].replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if char.isprintable()).strip(" .") or "file"
    short = kept.encode(errors="replace")[-MAX_NAME_BYTES:].decode(errors="ignore")
    extension = _EXTENSIONS.get(kind, "")
    if not extension or type_of_name(short) == kind:
        return short
    return f"{short}.{extension}"
