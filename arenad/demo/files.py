"""The site's storage: files behind signed addresses that expire, bounded in number and in bytes."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from arenad.demo.protocol import Attached, Refusal
from arenad.log import wall_time_s

FILE_LIMIT_BYTES = 10 * 1024 * 1024
FILES_LIMIT = 1000
FILES_LIMIT_BYTES = 128 * 1024 * 1024
"""One file, and all together: the oldest goes first."""

LIFE_S = 3600.0
"""How long a signed address is good for, unless a fault says otherwise."""

STORAGE_PATH = "/demo/storage"
_DATE = "%Y%m%dT%H%M%SZ"
_CUT = "the address is not one of this storage, or it was changed"


@dataclass
class Stored:
    """One file; its content is None until it was uploaded."""

    name: str
    content_type: str
    content: bytes | None = None

    def told(self) -> Attached:
        """What models are told of it. Raises `Refusal` (400) if nothing was uploaded."""
        if self.content is None:
            raise Refusal(400, "bad attachment", f"{self.name}: was never uploaded")
        sha256 = hashlib.sha256(self.content).hexdigest()
        return Attached(self.name, self.content_type, len(self.content), sha256)


class Files:
    """Every file that the site keeps, by its key."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0
        self._secret = secrets.token_bytes(32)

    def begin(self, name: str, content_type: str) -> str:
        """Make room for a file; returns its key."""
        key = f"{secrets.token_hex(8)}-{quote(name, safe='')[:100]}"
        self._files[key] = Stored(name, content_type)
        self._trim()
        return key

    def keep(self, name: str, content_type: str, content: bytes) -> str:
        """Store a file of the site's own; returns its key."""
        key = self.begin(name, content_type)
        self.fill(key, content)
        return key

    def fill(self, key: str, content: bytes) -> None:
        """Store what was uploaded. Raises `Refusal` (404, 413)."""
        stored = self.get(key)
        if len(content) > FILE_LIMIT_BYTES:
            raise Refusal(413, "file too large", f"the limit is {FILE_LIMIT_BYTES} bytes")
        self._bytes += len(content) - len(stored.content or b"")
        stored.content = content
        self._trim()

    def get(self, key: str) -> Stored:
        """A file. Raises `Refusal` (404)."""
        if key not in self._files:
            raise Refusal(404, "no such file", f"{key}: is not stored here, or not any more")
        return self._files[key]

    def signed(self, verb: str, key: str, life_s: float = LIFE_S) -> str:
        """The path by which a file may be read (GET) or written (PUT) for a while."""
        date = datetime.fromtimestamp(wall_time_s(), UTC).strftime(_DATE)
        query = {"X-Amz-Date": date, "X-Amz-Expires": f"{life_s:g}"}
        query["X-Amz-Signature"] = self._signature(verb, key, query)
        return f"{STORAGE_PATH}/{quote(key)}?{urlencode(query)}"

    def check(self, verb: str, key: str, query: Mapping[str, str]) -> None:
        """Raise `Refusal` (403) unless these are the parts of an address that is good now."""
        parts = {name: query.get(name, "") for name in ("X-Amz-Date", "X-Amz-Expires")}
        signature = self._signature(verb, key, parts)
        if not hmac.compare_digest(signature, query.get("X-Amz-Signature", "")):
            raise Refusal(403, "SignatureDoesNotMatch", _CUT)
        began = datetime.fromisoformat(parts["X-Amz-Date"])
        if wall_time_s() >= began.timestamp() + float(parts["X-Amz-Expires"]):
            raise Refusal(403, "AccessDenied", "Request has expired")

    def _signature(self, verb: str, key: str, query: Mapping[str, str]) -> str:
        signed = "\n".join([verb, key, query["X-Amz-Date"], query["X-Amz-Expires"]])
        # A browser may ask for non-ASCII names; the signature takes whatever a text can be.
        encoded = signed.encode(errors="replace")
        return hmac.new(self._secret, encoded, hashlib.sha256).hexdigest()

    def _trim(self) -> None:
        while len(self._files) > FILES_LIMIT or self._bytes > FILES_LIMIT_BYTES:
            _, oldest = self._files.popitem(last=False)
            self._bytes -= len(oldest.content or b"")
