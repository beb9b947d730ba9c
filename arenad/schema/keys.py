"""API keys: what is kept of one, how it is told from others, and how operators ask for them.

A key is `sk-arenad-ID-SECRET`: the id finds its record, and only a hash of the whole is kept. The
one who makes a key is `arenactl`; the daemon never sees it before it is used.
"""

import re
from typing import Annotated, Literal, get_args

from msgspec import Meta, field

from arenad.schema.base import Message, Record

Scope = Literal["chat", "models", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

KeyName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,39}\Z")]
NAME_RULE = "1 to 40 letters, digits, _, . and -, the first a letter or a digit"

Limit = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Of something; 0 is no limit."""

MAX_KEYS = 1000

ID_BYTES = 8
SECRET_BYTES = 32
SALT_BYTES = 16
DIGEST_BYTES = 32

COST = 14
"""The binary logarithm of scrypt's N (RFC 7914): 16 MiB and some 50 ms. A secret of 256 drawn bits
needs no more; it is paid once in each frontend."""

_BLOCK, _LANES = 8, 1

_KEY = re.compile(r"sk-arenad-([0-9a-f]{16})-[A-Za-z0-9_-]{43}")


class Limits(Record):
    """What one key may ask for at most; 0 is no limit. Days are those of UTC."""

    requests_per_minute: Limit = 0
    tokens_per_minute: Limit = 0
    concurrency: Limit = 0
    requests_per_day: Limit = 0
    tokens_per_day: Limit = 0


NO_LIMITS = Limits()


class Key(Record):
    """What is kept of a key. `row` is its place in the file of counters, that no other key has.

    Without an `expires_at_unix_s` (0) it holds until it is revoked.
    """

    name: KeyName
    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    scopes: tuple[Scope, ...]
    made_at_unix_s: float = 0.0
    expires_at_unix_s: float = 0.0
    limits: Limits = field(default_factory=Limits)
    row: Annotated[int, Meta(ge=0, lt=MAX_KEYS)] = 0
    salt: bytes = b""
    digest: bytes = b""

    def __repr__(self) -> str:
        """Without the hash: it is nobody's business."""
        return f"{type(self).__name__}(name={self.name!r}, id={self.id!r}, …)"


class KeyFile(Record):
    """The whole file of keys."""

    keys: tuple[Key, ...] = ()


class CreateKey(Message):
    """Keep this key, for so long, or for good (0). Ends with `Done`.

    Its times and its row are given by the master.
    """

    key: Key
    lasts_s: float = 0.0


class RevokeKey(Message):
    """Forget the key of this name: it is refused from now on. Ends with `Done`."""

    name: str


class GetKeys(Message):
    """All keys, without their hashes, and what the one of this name has used, if one is named.

    Ends with `KeysAre`.
    """

    use_of: str = ""


class KeyUse(Record):
    """What a key has used: within the last minute, since midnight (UTC), and just now."""

    minute_requests: int = 0
    minute_tokens: int = 0
    day_requests: int = 0
    day_tokens: int = 0
    running: int = 0


class KeysAre(Message):
    """The keys by name; `fault` says why the store cannot be read, or not be written, just now.

    `use` is that of the key that was named; none where it cannot be told, which is so of keys
    without limits: nobody counts those.
    """

    keys: tuple[Key, ...]
    now_unix_s: float
    fault: str = ""
    use: KeyUse | None = None


def written(id_: str, secret: str) -> str:
    """A key as its owner is told it."""
    return f"sk-arenad-{id_}-{secret}"


def id_in(key: str) -> str:
    """The id in a key; empty when it is none of ours."""
    found = _KEY.fullmatch(key)
    return found[1] if found else ""


def digest_of(key: str, salt: bytes) -> bytes:
    """What is kept in the place of a key. Takes a while, and lets other threads run."""
    import hashlib  # noqa: PLC0415 - the master knows keys, and has no use for OpenSSL

    cost = 1 << COST
    return hashlib.scrypt(key.encode(), salt=salt, n=cost, r=_BLOCK, p=_LANES, dklen=DIGEST_BYTES)
