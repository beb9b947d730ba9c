"""`arenactl keys`: makes keys, shows what is kept of them, has them revoked.

A key is made here and shown once; the daemon is told what it keeps of it, a hash, and no more.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from arenactl.arguments import LIMITS, Options
from arenactl.client import Client
from arenactl.output import Output
from arenactl.text import COLUMNS, count, cut, pad, span
from arenad.schema.control import Done
from arenad.schema.keys import (
    ID_BYTES,
    NAME_RULE,
    NO_LIMITS,
    SALT_BYTES,
    SECRET_BYTES,
    CreateKey,
    GetKeys,
    Key,
    KeysAre,
    KeyUse,
    Limits,
    RevokeKey,
    digest_of,
    written,
)

NAME_COLUMNS = 16
SCOPES_COLUMNS = 17
EXPIRES_COLUMNS = 12

SHORT = {
    "requests_per_minute": "/min",
    "tokens_per_minute": " tok/min",
    "concurrency": " at once",
    "requests_per_day": "/day",
    "tokens_per_day": " tok/day",
}
"""The fields of a key's limits, behind a number in a table."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,39}")


def create(client: Client, options: Options, output: Output) -> bool:
    """Make one. Nobody can show it again."""
    if not _NAME.fullmatch(options.name):
        output.failed("usage", f"NAME: is {options.name!r}; must be {NAME_RULE}")
        return False
    id_, salt = secrets.token_hex(ID_BYTES), secrets.token_bytes(SALT_BYTES)
    text = written(id_, secrets.token_urlsafe(SECRET_BYTES))
    key = Key(
        name=options.name,
        id=id_,
        scopes=options.scopes,
        limits=Limits(**{field: getattr(options, field) for field in LIMITS}),
        salt=salt,
        digest=digest_of(text, salt),
    )
    client.ask(CreateKey(key, options.expires_in_s), Done)
    if output.as_json:
        output.document({"name": key.name, "key": text})
    else:
        output.page([text])
        output.remark(f"the key {key.name} is shown this once; nobody can show it again")
    return True


def list_(client: Client, _: Options, output: Output) -> bool:
    """All of them."""
    told = client.ask(GetKeys(), KeysAre)
    if output.as_json:
        output.document({"keys": [_shown(key) for key in told.keys], "fault": told.fault})
        return True
    output.page(_table(told))
    if told.fault:
        output.remark(f"the keys cannot be changed now: {told.fault}")
    return True


def show(client: Client, options: Options, output: Output) -> bool:
    """One of them."""
    told = client.ask(GetKeys(options.name), KeysAre)
    keys = {key.name: key for key in told.keys}
    if (key := keys.get(options.name)) is None:
        there = ", ".join([*keys][:10]) or "none"
        output.failed("refused", f"there is no key {options.name}; there are: {there}")
        return False
    if output.as_json:
        use = msgspec.structs.asdict(told.use) if told.use else None
        output.document({**_shown(key), "use": use})
        return True
    rows = [("name", key.name), ("begins with", f"sk-arenad-{key.id}-")]
    rows += [("for", ", ".join(key.scopes)), ("made", _date(key.made_at_unix_s))]
    rows += [("expires", _expiry(key, told.now_unix_s))]
    rows += [("at most", limit) for limit in _limits(key.limits)]
    rows += [("has used", used) for used in _used(key, told.use)]
    output.page(f"{pad(name, 12)} {said}" for name, said in rows)
    return True


def revoke(client: Client, options: Options, output: Output) -> bool:
    """One less."""
    output.done(client.ask(RevokeKey(options.name), Done).text)
    return True


ACTIONS: Mapping[str, Callable[[Client, Options, Output], bool]] = {
    "create": create,
    "list": list_,
    "show": show,
    "revoke": revoke,
}


def _shown(key: Key) -> dict[str, object]:
    """A key for programs, without what is for the daemon alone."""
    told = msgspec.structs.asdict(key)
    return {name: told[name] for name in told if name not in ("salt", "digest", "row")}


def _table(told: KeysAre) -> Iterator[str]:
    if not told.keys:
        yield "There is no key: requests of this machine are answered without one, and no others."
        return
    widths = (NAME_COLUMNS, SCOPES_COLUMNS, EXPIRES_COLUMNS)
    rows = [("NAME", "FOR", "EXPIRES", "AT MOST")]
    for key in told.keys:
        counts = ((short, getattr(key.limits, field)) for field, short in SHORT.items())
        limits = ", ".join(count(number) + short for short, number in counts if number)
        rows.append((key.name, ",".join(key.scopes), _left(key, told.now_unix_s), limits))
    for *cells, last in rows:
        head = " ".join(pad(cell, width) for cell, width in zip(cells, widths, strict=True))
        yield cut(f"{head} {last}", COLUMNS).rstrip()


def _limits(limits: Limits) -> Iterator[str]:
    for field, words in LIMITS.items():
        if number := getattr(limits, field):
            yield f"{count(number)} {words.partition(',')[0]}"


def _used(key: Key, use: KeyUse | None) -> Iterator[str]:
    if key.limits == NO_LIMITS:
        yield "not counted, as it has no limits"
    elif use is None:
        yield "cannot be told: the file in which it is counted cannot be read"
    else:
        yield f"{_of(use.minute_requests, use.minute_tokens)} in the last minute"
        yield f"{_of(use.day_requests, use.day_tokens)} today (UTC)"
        yield f"{count(use.running)} running now"


def _of(requests: int, tokens: int) -> str:
    one = "1 request" if requests == 1 else f"{count(requests)} requests"
    return f"{one}, {count(tokens)} {'token' if tokens == 1 else 'tokens'}"


def _left(key: Key, now_unix_s: float) -> str:
    if not key.expires_at_unix_s:
        return "never"
    left_s = key.expires_at_unix_s - now_unix_s
    return span(left_s) if left_s > 0 else "has expired"


def _expiry(key: Key, now_unix_s: float) -> str:
    left = _left(key, now_unix_s)
    return f"{_date(key.expires_at_unix_s)} ({left})" if key.expires_at_unix_s else left


def _date(at_unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_unix_s))
