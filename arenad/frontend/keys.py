"""Whose request it is: keys as they come with a request, against what is kept of each.

A key is verified with scrypt once; then its SHA-256 is known, and the next request costs no more
than that. Only a hash of what came is held, right or wrong.
"""

import asyncio
import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256

from aiohttp import web

from arenad import link
from arenad.errors import OutOfScope, Overloaded, Unauthorized, Unavailable
from arenad.frontend import guard
from arenad.log import wall_time_s
from arenad.schema.keys import Key, Scope, digest_of, id_in

MAX_CHECKS = 32
"""Keys that wait to be verified, one at a time: each takes some 50 ms and 16 MiB."""

MAX_WRONG = 1024
"""Wrong keys with a right id that are known as such, so that none is verified again and again."""

KEY = web.RequestKey("key", Key)
"""The key with which a request came; absent where none is asked for."""

_REMEDY = "send `Authorization: Bearer KEY` or `x-api-key: KEY`; `arenactl keys create` makes one"


class Keyring:
    """All keys there are, and those that have been verified by this frontend."""

    def __init__(self) -> None:
        """No key is known yet."""
        self._keys: dict[str, Key] = {}
        self._fault = ""
        self._verified: dict[str, bytes] = {}
        self._wrong: dict[bytes, None] = {}
        self._checks: dict[bytes, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)
        self._tasks = link.Tasks()

    def take(self, keys: Sequence[Key], fault: str) -> None:
        """These are the keys from now on; with a fault and no keys nobody knows which there are."""
        self._keys = {key.id: key for key in keys}
        self._fault = "" if keys else fault
        self._verified = {id_: mark for id_, mark in self._verified.items() if id_ in self._keys}
        self._wrong.clear()

    def asks_for(self, scope: Scope) -> bool:
        """Whether a key is needed: as soon as there is one, and for the dashboard one for it."""
        is_there = any(scope in key.scopes for key in self._keys.values())
        return bool(self._fault) or (is_there if scope == "admin" else bool(self._keys))

    async def admit(self, request: web.Request, scope: Scope) -> None:
        """Let the request in, and tell it its key. Raises `RequestError` for one that is none."""
        if self._fault:
            raise Unavailable(f"the keys are not known: {self._fault}")
        key = await self._key_of(_given(request))
        if key.expires_at_unix_s and key.expires_at_unix_s <= wall_time_s():
            raise Unauthorized(
                f"the key {key.name!r} has expired; `arenactl keys create` makes one"
            )
        request[KEY], request[guard.OWNER] = key, key.name
        if scope not in key.scopes:
            told = (
                f"the key {key.name!r} is for {', '.join(key.scopes)}; this takes one for {scope}"
            )
            raise OutOfScope(told)

    async def _key_of(self, given: str) -> Key:
        if not given:
            raise Unauthorized(f"no key was sent; {_REMEDY}")
        key = self._keys.get(id_in(given))
        if key is None:
            raise Unauthorized(f"there is no such key, or not any more; {_REMEDY}")
        mark = sha256(given.encode()).digest()
        if not self._is_verified(key, mark):
            if mark not in self._wrong:
                await self._check(key, given, mark)
            if not self._is_verified(key, mark):
                raise Unauthorized(f"there is no such key, or not any more; {_REMEDY}")
        return key

    def _is_verified(self, key: Key, mark: bytes) -> bool:
        return hmac.compare_digest(self._verified.get(key.id, b""), mark)

    async def _check(self, key: Key, given: str, mark: bytes) -> None:
        """One look for all who come with a key at once; it goes on when one of them leaves."""
        if (check := self._checks.get(mark)) is None:
            if len(self._checks) >= MAX_CHECKS:
                raise Overloaded("too many keys are being verified; ask again", retry_after_s=1.0)
            check = self._tasks.start(self._verify(key, given, mark), "verify a key")
            self._checks[mark] = check
        await asyncio.shield(check)

    async def _verify(self, key: Key, given: str, mark: bytes) -> None:
        try:
            async with self._turn:
                digest = await asyncio.to_thread(digest_of, given, key.salt)
        finally:
            del self._checks[mark]
        is_right = hmac.compare_digest(digest, key.digest)
        if is_right and self._keys.get(key.id) == key:
            self._verified[key.id] = mark
        elif not is_right:
            self._wrong[mark] = None
            if len(self._wrong) > MAX_WRONG:
                del self._wrong[next(iter(self._wrong))]

    async def close(self) -> None:
        """Verify nothing more."""
        await self._tasks.close()


def _given(request: web.Request) -> str:
    """The key that a request carries: as OpenAI's clients, Anthropic's or a browser send it.

    A browser asks for a name, too, which may be anything (Basic, RFC 7617).
    """
    kind, _, word = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return word.strip()
    if kind.lower() == "basic":
        try:
            told = base64.b64decode(word.strip(), validate=True).decode()
        except ValueError:  # also of what is no ASCII
            return ""
        return told.partition(":")[2]
    return request.headers.get("x-api-key", "").strip()
