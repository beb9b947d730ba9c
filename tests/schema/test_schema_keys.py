"""What a key is made of, and what of it is never shown."""

import secrets

import msgspec
import pytest

from arenad.schema import keys
from arenad.schema.keys import Key, KeyFile


def test_a_key_leads_to_its_record_and_nowhere_else() -> None:
    """The id is read back; what only looks like a key has none."""
    id_, secret = secrets.token_hex(keys.ID_BYTES), secrets.token_urlsafe(keys.SECRET_BYTES)
    key = keys.written(id_, secret)
    assert keys.id_in(key) == id_
    for other in ("", "none", f"{key}x", key[:-1], key.upper(), f"{key}\n", f" {key}"):
        assert keys.id_in(other) == ""


def test_a_digest_is_of_the_whole_key_and_its_salt() -> None:
    """Another secret, or the same one with another salt, has another."""
    salt = b"s" * keys.SALT_BYTES
    digest = keys.digest_of("sk-arenad-a", salt)
    assert len(digest) == keys.DIGEST_BYTES
    assert digest == keys.digest_of("sk-arenad-a", salt)
    assert digest != keys.digest_of("sk-arenad-b", salt)
    assert digest != keys.digest_of("sk-arenad-a", b"t" * keys.SALT_BYTES)


def test_a_record_shows_no_hash() -> None:
    """Logs and tracebacks print what they are given."""
    key = Key(name="alice", id="0" * 16, scopes=("chat",), salt=b"salty", digest=b"digest")
    assert "alice" in repr(key)
    assert "salty" not in repr(key)
    assert "b'digest" not in repr(key)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 41, "ä", "a\n", "../a"])
def test_names_can_be_written_anywhere(name: str) -> None:
    """In a log, a table or a header: the file takes no others."""
    written = msgspec.json.encode({"keys": [{"name": name, "id": "0" * 16, "scopes": ["chat"]}]})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written, type=KeyFile)
