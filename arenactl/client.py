"""A blocking client of the control socket: one connection, one `Peer`, a deadline on each wait.

Who owns the socket decides who may connect; nothing secret is sent and nothing is kept.
"""

import math
import os
import pwd
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, TypeVar

from arenad.errors import ArenadError, LinkLost
from arenad.schema import SCHEMA_VERSION
from arenad.schema.chat import Failure, error_of
from arenad.schema.control import Done
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.paths import CONTROL_SOCKET, RUNTIME_DIR_VARIABLE, runtime_dir
from arenad.wire import Peer

ANSWER_S = 10.0
"""For an answer that the daemon gives at once."""

FOREVER = math.inf
"""Only for a follower that a person watches: it ends with the daemon or with Ctrl-C."""

REMEDY = "Start it with `systemctl start arenad`, or `make run` in a checkout."

_CHUNK_BYTES = 64 * 1024

_T = TypeVar("_T")


class Unreachable(ArenadError):
    """Nobody answers at the control socket, or we may not ask."""


class DeadlinePassed(ArenadError):
    """The daemon did not answer in time."""


class ProtocolBroken(ArenadError):
    """The daemon answered with something that this arenactl does not understand."""


def find_socket(
    configured: str,
    environ: Mapping[str, str],
    uid: int,
    system_dir: Path = runtime_dir("", {}, 0),  # noqa: B008 - a constant, computed by its owner
) -> Path:
    """The control socket to ask: the named one, else the user's own, else the system's."""
    folder = runtime_dir(configured, environ, uid)
    own, system = folder / CONTROL_SOCKET, system_dir / CONTROL_SOCKET
    if configured or environ.get(RUNTIME_DIR_VARIABLE, "") or uid == 0:
        return own
    _check_owner(folder, uid)
    return system if not _present(own) and _present(system) else own


def _check_owner(folder: Path, uid: int) -> None:
    """Below `/tmp` anyone can make a folder of our name and put a false daemon into it."""
    try:
        owner = folder.stat().st_uid
    except OSError:
        return
    if owner != uid:
        raise Unreachable(
            f"{folder} belongs to user {owner}, not to you, so it is not asked. "
            "If you trust it, name it with --runtime-dir."
        )


def _present(path: Path) -> bool:
    """Whether the socket is there; a folder that we may not look into counts as there."""
    try:
        return path.exists()
    except PermissionError:
        return True


def connect(path: Path) -> "Client":
    """Connect, or say in an operator's words why not and what helps."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        raise Unreachable(f"arenad is not running: nothing listens at {path}. {REMEDY}") from None
    except PermissionError:
        connection.close()
        raise Unreachable(
            f"permission denied on {path}: only root and {_owner(path)} may ask. Try with sudo."
        ) from None
    except OSError as error:
        connection.close()
        raise Unreachable(f"arenad cannot be reached at {path}: {error}") from error
    return Client(connection, path)


def _owner(path: Path) -> str:
    """The user that the daemon runs as, as far as we may see."""
    for seen in (path, path.parent):
        try:
            uid = seen.stat().st_uid
            return (
                f"the daemon's user ({pwd.getpwuid(uid).pw_name})" if uid else "the daemon's user"
            )
        except (OSError, KeyError):
            continue
    return "the daemon's user"


class Client:
    """One connection to the daemon. Deadlines are instants of `time.monotonic`."""

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._peer = Peer()
        self._frames: deque[Frame] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, body: Body, answer: type[_T], deadline: float | None = None) -> _T:
        """One call and its answer; a `Failure` is raised as the error that it carries."""
        if deadline is None:
            deadline = time.monotonic() + ANSWER_S
        call = self._open(body, deadline)
        while True:
            frame = self._next(deadline)
            if frame.call == call and frame.kind is Kind.END:
                return self._expect(frame.body, answer)

    def stream(self, body: Body, item: type[_T], deadline: float) -> Iterator[_T]:
        """One call and its items, until the daemon ends it. Leave it by closing the client."""
        call = self._open(body, deadline)
        while True:
            frame = self._next(deadline)
            if frame.call == call and frame.kind is Kind.END:
                self._expect(frame.body, Done)
                return
            if frame.call == call and frame.kind is Kind.ITEM:
                yield self._expect(frame.body, item)

    def again(self) -> "Client":
        """A new connection to the same place."""
        return connect(self._path)

    def wait_closed(self, deadline: float) -> None:
        """Until the daemon closes the connection; what it still says is read and dropped."""
        while True:
            try:
                self._next(deadline)
            except LinkLost:
                return

    def _open(self, body: Body, deadline: float) -> int:
        call, packed = self._peer.call(body)
        self._connection.settimeout(_left(deadline))
        try:
            self._connection.sendall(packed)
        except TimeoutError:
            raise DeadlinePassed(f"the daemon at {self._path} does not read") from None
        except OSError as error:
            raise self._lost() from error
        return call

    def _next(self, deadline: float) -> Frame:
        while not self._frames:
            self._receive(deadline)
        return self._frames.popleft()

    def _receive(self, deadline: float) -> None:
        """Wait for bytes, and take them apart; frames before a broken one still count."""
        if self._peer.fault is not None:
            raise self._not_understood(self._peer.fault)
        self._connection.settimeout(_left(deadline))
        try:
            chunk = self._connection.recv(_CHUNK_BYTES)
        except TimeoutError:
            raise DeadlinePassed(f"no answer in time from the daemon at {self._path}") from None
        except OSError as error:
            raise self._lost() from error
        if not chunk:
            raise self._lost()
        self._frames += self._peer.receive(chunk)

    def _expect(self, body: object, wanted: type[_T]) -> _T:
        if isinstance(body, Failure):
            raise error_of(body)
        if not isinstance(body, wanted):
            raise self._not_understood(f"{type(body).__name__} in place of {wanted.__name__}")
        return body

    def _lost(self) -> LinkLost:
        return LinkLost(f"the daemon at {self._path} closed the connection")

    def _not_understood(self, what: str) -> ProtocolBroken:
        return ProtocolBroken(
            f"the daemon at {self._path} does not speak schema {SCHEMA_VERSION} as this arenactl "
            f"does ({what}). Are both of the same version?"
        )


def _left(deadline: float) -> float | None:
    """What to give a socket as its timeout: seconds until then, nothing for `FOREVER`."""
    if deadline == FOREVER:
        return None
    if (left := deadline - time.monotonic()) > 0:
        return left
    raise DeadlinePassed("no answer in time from the daemon")
