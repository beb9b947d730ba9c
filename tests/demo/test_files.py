"""The storage: signed addresses, their expiry, and its bounds."""

import hashlib
from urllib.parse import parse_qsl, urlsplit

import pytest

from arenad.demo import files
from arenad.demo.protocol import Attached, Refusal


def _query(path: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(path).query))


def test_a_file_is_told_by_its_hash() -> None:
    """Name, type, size and hash, never the content."""
    kept = files.Files()
    key = kept.keep("a b.txt", "text/plain", b"hello")
    sha256 = hashlib.sha256(b"hello").hexdigest()
    assert kept.get(key).told() == Attached("a b.txt", "text/plain", 5, sha256)


def test_a_signature_is_for_one_verb_and_one_file() -> None:
    """Changed in any part, an address is refused with 403."""
    kept = files.Files()
    key, other = kept.keep("a", "x/y", b""), kept.keep("b", "x/y", b"")
    query = _query(kept.signed("GET", key))
    kept.check("GET", key, query)
    for verb, name, changed in (
        ("PUT", key, query),
        ("GET", other, query),
        ("GET", key, query | {"X-Amz-Expires": "99999"}),
        ("GET", key, {}),
    ):
        with pytest.raises(Refusal, match="403 SignatureDoesNotMatch"):
            kept.check(verb, name, changed)


def test_a_signature_expires() -> None:
    """An address that was good for no time is not good."""
    kept = files.Files()
    key = kept.keep("a", "x/y", b"")
    with pytest.raises(Refusal, match="403 AccessDenied: Request has expired"):
        kept.check("GET", key, _query(kept.signed("GET", key, 0)))


def test_what_was_never_uploaded_is_told() -> None:
    """A key without a content is no attachment."""
    kept = files.Files()
    with pytest.raises(Refusal, match="400 bad attachment: a: was never uploaded"):
        kept.get(kept.begin("a", "x/y")).told()
    with pytest.raises(Refusal, match="404"):
        kept.get("no-such-key")


def test_one_file_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more is 413."""
    monkeypatch.setattr(files, "FILE_LIMIT_BYTES", 4)
    kept = files.Files()
    kept.keep("a", "x/y", b"four")
    with pytest.raises(Refusal, match="413"):
        kept.keep("a", "x/y", b"fives")


def test_all_files_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go, and their bytes come back."""
    monkeypatch.setattr(files, "FILES_LIMIT_BYTES", 10)
    kept = files.Files()
    keys = [kept.keep("a", "x/y", b"four") for _ in range(4)]
    assert kept.get(keys[-1]).content == b"four"
    assert kept._bytes == 8
    with pytest.raises(Refusal, match="404"):
        kept.get(keys[0])
