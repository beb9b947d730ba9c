"""The parts of a message's content: text, images, files; held against the limits. A brain: no I/O.

What stands at an http(s) address is brought by `fetch`; here it only gets its place.
"""

import binascii
import re
import reprlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from arenad import media
from arenad.errors import InvalidRequest
from arenad.schema.chat import Attachment, Role, Turn
from arenad.schema.config import FilesConfig

_DATA_URL = re.compile(r"data:(?P<kind>[^,;]*+)(?P<parameters>[^,]*+),", re.IGNORECASE)
_SPACES = b" \t\n\r\v\f"
_ADDRESS = re.compile(r"https?://[^/?#]", re.IGNORECASE)

_short = reprlib.Repr()
_short.maxstring = 80
shown = _short.repr


class File(msgspec.Struct, frozen=True):
    """A file as a request gives it: a data URL, an address, or base64 where the name tells a type.

    `field` is where it stands in its part, as `image_url.url`; `name` may be empty.
    """

    field: str
    given: str
    name: str = ""


Piece = str | File
"""What a part says, whatever the vocabulary."""


class Remote(msgspec.Struct, frozen=True):
    """A file that stands at an address: whose attachment it becomes, and the how-many-eth."""

    url: str
    name: str
    param: str
    turn: int
    place: int


class Reader:
    """Reads one request's contents, message by message, and counts their files."""

    def __init__(self, limits: FilesConfig, field: str = "messages") -> None:
        """Nothing is read of the field that holds the messages."""
        self._field = field
        self.remote: list[Remote] = []
        self._limits = limits
        self._count = 0
        self._bytes = 0

    def turn(
        self, number: int, role: Role, content: Sequence[Piece], *, is_user: bool, joint: str
    ) -> Turn:
        """A message as a turn, its texts joined. Raises `InvalidRequest` naming part and remedy."""
        texts = [piece for piece in content if isinstance(piece, str)]
        files: list[Attachment] = []
        remote = 0
        for at, piece in enumerate(content):
            if isinstance(piece, str):
                continue
            path = f"{self._field}[{number}].content[{at}]"
            if not is_user:
                told = "is a file in a message that is not of role user; put it into one that is"
                raise InvalidRequest(f"{path}: {told}", param=path)
            found = self._file(piece, path, number, len(files) + remote)
            if isinstance(found, Attachment):
                files.append(found)
            else:
                self.remote.append(found)
                remote += 1
        return Turn(role=role, text=joint.join(texts), attachments=tuple(files))

    def awaits(self, number: int) -> bool:
        """Whether the message has a file that stands at an address."""
        return any(each.turn == number for each in self.remote)

    def _file(self, file: File, path: str, turn: int, place: int) -> Attachment | Remote:
        self._count += 1
        most = self._limits.max_count
        if self._count > most:
            told = f"is file {self._count} of the request; {most} are taken (files.max_count)"
            raise InvalidRequest(f"{path}: {told}; leave some out", param=path)
        param, given, name = f"{path}.{file.field}", file.given, file.name
        if file.field.endswith("file_id"):
            told = f"is {shown(given)}, and no files are stored here; send the file itself"
            raise InvalidRequest(f"{param}: {told}, as a data URL", param=param)
        if not given:
            told = "is missing; must be a data URL, or base64 with a filename that tells the type"
            raise InvalidRequest(f"{param}: {told}", param=param)
        if _ADDRESS.match(given):
            self._check_fetching(param, given)
            return Remote(given, name, param, turn, place)
        kind, text = _split(param, given, name)
        encoded = text.encode("ascii", "replace").translate(None, _SPACES)
        check_type(param, kind, self._limits)
        check_size(param, len(encoded) * 3 // 4 - 2, self._limits)
        content = _decoded(param, encoded)
        return self._taken(Attachment(name=name, content_type=kind, content=content, param=param))

    def _check_fetching(self, param: str, given: str) -> None:
        if not self._limits.fetch_urls:
            remedy = "send the file itself as a data URL, or have the operator set files.fetch_urls"
            told = f"is {shown(given)}, and addresses are not fetched here; {remedy}"
            raise InvalidRequest(f"{param}: {told}", param=param)

    def _taken(self, file: Attachment) -> Attachment:
        """A file with a name, counted with all others."""
        check_size(file.param, len(file.content), self._limits)
        self._bytes += len(file.content)
        check_total(file.param, self._bytes, self._limits)
        return named(file, self._count)


def check_text(param: str, turns: Sequence[Turn], *, has_file: bool = False) -> None:
    """Raises `InvalidRequest` unless something is said, and the last message says something.

    A file says something, too. `has_file`: that one has a file which is yet to be fetched.
    """
    if not has_file and not any(turn.text.strip() or turn.attachments for turn in turns):
        raise InvalidRequest(f"{param}: hold no text; say something", param=param)
    last = turns[-1]
    if not (last.text.strip() or last.attachments or has_file):
        told = "the last one says nothing; say something, or leave it out"
        raise InvalidRequest(f"{param}: {told}", param=param)


def placed(
    turns: Sequence[Turn], remote: Sequence[Remote], fetched: Sequence[Attachment]
) -> tuple[Turn, ...]:
    """The turns with what was fetched, each file where the client had put it."""
    files = [list(turn.attachments) for turn in turns]
    for number, (wanted, file) in enumerate(zip(remote, fetched, strict=True), 1):
        files[wanted.turn].insert(wanted.place, named(file, number))
    return tuple(
        replace(turn, attachments=tuple(own)) for turn, own in zip(turns, files, strict=True)
    )


def named(file: Attachment, number: int) -> Attachment:
    """The file with a name that fits its type, also where the client gave none."""
    stem = "image" if file.content_type.startswith("image/") else "file"
    name = media.safe_name(file.name or f"{stem}-{number}", file.content_type)
    return replace(file, name=name)


def check_total(param: str, size_bytes: int, limits: FilesConfig) -> None:
    """Raises `InvalidRequest` when the files up to this one are too large together."""
    most = limits.max_total_bytes
    if size_bytes > most:
        told = f"makes {size_bytes} bytes of files; {most} are taken (files.max_total_bytes)"
        raise InvalidRequest(f"{param}: {told}; send less", param=param)


def check_type(param: str, kind: str, limits: FilesConfig) -> None:
    """Raises `InvalidRequest` unless the type may be sent."""
    if not media.is_allowed(kind, limits.types):
        told = f"is of type {shown(kind)}; taken are {', '.join(limits.types)} (files.types)"
        raise InvalidRequest(f"{param}: {told}", param=param)


def check_size(param: str, size_bytes: int, limits: FilesConfig) -> None:
    """Raises `InvalidRequest` for a file that is too large."""
    if size_bytes > limits.max_bytes:
        told = f"is {size_bytes} bytes; {limits.max_bytes} are taken (files.max_bytes)"
        raise InvalidRequest(f"{param}: {told}; send a smaller file", param=param)


def _split(param: str, given: str, name: str) -> tuple[str, str]:
    """The type and the base64 of what was given."""
    found = _DATA_URL.match(given)
    if found is not None:
        if found["parameters"].lower().rpartition(";")[2].strip() != "base64":
            told = f"is {shown(given)}; must be in base64, as data:image/png;base64,…"
            raise InvalidRequest(f"{param}: {told}", param=param)
        return media.plain_type(found["kind"]) or "text/plain", given[found.end() :]
    if param.endswith("file_data") and not given.lower().startswith("data:"):
        if kind := media.type_of_name(name):
            return kind, given
        told = f"has no type, and the filename {shown(name)} tells none"
        raise InvalidRequest(f"{param}: {told}; send a data URL", param=param)
    told = f"is {shown(given)}; must be a data URL such as data:image/png;base64,…"
    raise InvalidRequest(f"{param}: {told}", param=param)


def _decoded(param: str, encoded: bytes) -> bytes:
    try:
        content = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        told = f"is {shown(encoded.decode())}, which is not base64 ({error}); encode the file anew"
        raise InvalidRequest(f"{param}: {told}", param=param) from error
    if not content:
        raise InvalidRequest(f"{param}: is an empty file; leave it out", param=param)
    return content
