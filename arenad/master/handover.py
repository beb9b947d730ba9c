"""What a master leaves to the program that goes on in its place, and the descriptor it lies in.

Written by one version and read by another, so these are maps whose unknown fields are passed over
and whose later fields need defaults; children, who speak the schema, stay only within one version
of it. Descriptors are numbers that stay open over execve(2), in the same process.
"""

import os
from collections.abc import MutableMapping

import msgspec

from arenad.errors import Refused
from arenad.master.life import Life
from arenad.master.scale import Aim
from arenad.master.settings import Read
from arenad.schema import SCHEMA_VERSION
from arenad.schema.config import Config
from arenad.schema.control import Happening
from arenad.schema.history import Remember
from arenad.schema.keys import Key
from arenad.schema.process import (
    Beat,
    Condition,
    ForkOrder,
    FrontendBeat,
    LogLine,
    Model,
    ProcessRole,
)
from arenad.wire import Books

VARIABLE = "ARENAD_HANDOVER"
MAX_BYTES = 64 * 1024 * 1024


class KeptLink(msgspec.Struct, frozen=True):
    """The master's end of a child's link; `watching` and `following` are calls that stay open."""

    fd: int
    books: Books
    unsent: bytes
    watching: tuple[int, ...]
    following: tuple[int, ...]


class KeptChild(msgspec.Struct, frozen=True):
    """One supervised child. Without a process its `pid` is 0 and it has no link."""

    name: str
    role: ProcessRole
    life: Life
    first_generation: int
    held: bool
    spare: bool
    outdated: bool
    last_death: str
    socket_path: str
    models: tuple[Model, ...]
    condition: Condition | None
    condition_reason: str
    beat: Beat
    pid: int
    order: ForkOrder | None
    link: KeptLink | None
    switch: int = -1
    rest_until_s: float | None = None


class KeptListener(msgspec.Struct, frozen=True):
    """A listening socket; an `is_given` one came from the service manager."""

    fd: int
    address: str
    is_given: bool


class KeptTally(msgspec.Struct, frozen=True):
    """The counters of traffic: of frontends that are gone, and of each that is there."""

    past: FrontendBeat
    now: dict[str, FrontendBeat]


class KeptLedger(msgspec.Struct, frozen=True):
    """What is remembered for people."""

    story: tuple[Happening, ...]
    stories: dict[str, tuple[Happening, ...]]
    log: tuple[LogLine, ...]


class Standing(msgspec.Struct, frozen=True):
    """What a site's refusals have come to, from the daemon's start."""

    refusals: int = 0
    slowed_per_minute: float | None = None
    slowed_at_s: float = 0.0


class KeptCrew(msgspec.Struct, frozen=True):
    """The supervisor's books. Times are of the monotonic clock, which goes on."""

    born_s: float
    wanted: int
    aim: Aim
    enlisted: frozenset[str]
    generations: dict[str, int]
    children: tuple[KeptChild, ...]
    tally: KeptTally
    ledger: KeptLedger
    outbox: Remember | None = None
    others: dict[str, int] = {}
    pacing: dict[str, Standing] = {}


class Handover(msgspec.Struct, frozen=True):
    """Everything."""

    schema_version: int
    config: Config
    crew: KeptCrew
    read: Read
    listeners: dict[str, KeptListener]
    control_fd: int
    folder_fd: int
    state_fd: int = -1
    keys: tuple[Key, ...] = ()


def write(handover: Handover) -> int:
    """Put it into memory that has a descriptor, which is closed on execve unless it is kept."""
    fd = os.memfd_create("arenad-handover")
    packed = msgspec.msgpack.encode(handover)
    while packed:
        packed = packed[os.write(fd, packed) :]
    return fd


def read(fd: int) -> Handover:
    """Raises `Refused` with the reason when this program cannot go on from there."""
    packed = os.pread(fd, MAX_BYTES, 0)
    try:
        version = msgspec.msgpack.decode(packed, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise Refused(
                f"the running processes speak schema {version}, the new program {SCHEMA_VERSION}: "
                "they would not understand each other; restart the daemon instead"
            )
        return msgspec.msgpack.decode(packed, type=Handover)
    except msgspec.MsgspecError as error:
        raise Refused(
            f"the new program does not understand what the old one keeps: {error}"
        ) from error


def take(environ: MutableMapping[str, str]) -> Handover | None:
    """What an earlier program in this process left, if there was one."""
    number = environ.pop(VARIABLE, "")
    if not number:
        return None
    handover = read(int(number))
    os.close(int(number))
    for fd in descriptors(handover):
        os.set_inheritable(fd, False)
    return handover


def descriptors(handover: Handover) -> list[int]:
    """All that has to stay open."""
    children = handover.crew.children
    links = [child.link.fd for child in children if child.link is not None]
    switches = [child.switch for child in children if child.switch >= 0]
    listeners = [listener.fd for listener in handover.listeners.values()]
    folders = [fd for fd in (handover.folder_fd, handover.state_fd) if fd >= 0]
    return [*links, *switches, *listeners, handover.control_fd, *folders]


def processes(handover: Handover) -> set[str]:
    """The processes that go on, each by its name and generation, as their groups are called."""
    going_on = (child for child in handover.crew.children if child.pid)
    return {f"{child.name}.{child.life.generation}" for child in going_on}


class _Version(msgspec.Struct):
    schema_version: int
