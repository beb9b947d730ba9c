"""What the master and its children tell each other. All of it is notes: nobody waits for an answer.

A child's life is `Hello` -> `Welcome` -> `Ready` -> `Beat`… -> `Drain` -> `Drained` -> `Stop`.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from msgspec import field

from arenad.schema.base import Message, Record
from arenad.schema.chat import Mode, Target
from arenad.schema.config import (
    ApiConfig,
    BreakerConfig,
    BrowserConfig,
    ChatConfig,
    DemoConfig,
    EgressConfig,
    FilesConfig,
    HealthConfig,
    HistoryConfig,
    LogLevel,
    QueueConfig,
    SessionConfig,
)
from arenad.schema.keys import Key
from arenad.schema.profile import Capability, Profile

ProcessRole = Literal["frontend", "worker", "demo", "recorder"]
Condition = Literal[
    "opening",
    "ready",
    "resting",
    "needs_login",
    "needs_human",
    "expired",
    "away",
    "outdated",
    "broken",
]


def template_of(name: str) -> str:
    """The template that an instance's name tells of; empty for those on the site itself."""
    return name.rpartition("-")[0]


class Model(Record):
    """A model that a site offers, by the name that clients use, and what it can do.

    `modes` are those in which it can be asked; a battle is a model of its own to clients.
    """

    id: str
    owner: str = ""
    capabilities: tuple[Capability, ...] = ("text",)
    modes: tuple[Mode, ...] = ("direct",)


class Proxy(Record):
    """A proxy by its name, with what it wants to be told of who comes."""

    name: str
    url: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Without credentials: others than their owner read logs and tracebacks."""
        return f"{type(self).__name__}(name={self.name!r}, …)"


class WorkerSettings(Record):
    """A worker's part of the configuration; `proxies` are in its own order, the first its own."""

    socket_path: str
    scratch_dir: str
    browser: BrowserConfig
    profile: Profile
    site_url: str
    health: HealthConfig
    slots: int
    group_required: bool = False
    site_key: str = ""
    session: SessionConfig = field(default_factory=SessionConfig)
    login_file: str = ""
    egress: EgressConfig = field(default_factory=EgressConfig)
    proxies: tuple[Proxy, ...] = ()

    def __repr__(self) -> str:
        """Without the key: others than its owner read logs and tracebacks."""
        return (
            f"{type(self).__name__}(profile={self.profile.name!r}, site_url={self.site_url!r}, …)"
        )


class FrontendSettings(Record):
    """A frontend's part of the configuration. Without a recorder its socket's path is empty.

    `files_dir` is where all frontends keep the images of answers, `answers_dir` whole answers for
    who asks again. `counters` is the file of what keys have used, and another for when that cannot
    be written; `keys_fault` says why the keys are not known. `battle_targets` are those of the
    sites, by template; that of the site itself is "".
    """

    api: ApiConfig
    queue: QueueConfig
    chat: ChatConfig
    gui_address: str
    files_dir: str
    files: FilesConfig = field(default_factory=FilesConfig)
    recorder_socket: str = ""
    battle_targets: dict[str, Target] = {}  # noqa: RUF012 - msgspec gives each its own
    answers_dir: str = ""
    keys: tuple[Key, ...] = ()
    keys_fault: str = ""
    counters: tuple[str, ...] = ()
    breaker: BreakerConfig = field(default_factory=BreakerConfig)


class RecorderSettings(Record):
    """The recorder's part of the configuration, and its folder."""

    folder: str
    history: HistoryConfig


class DemoSettings(Record):
    """The demo arena's part of the configuration; the key itself is read by the master, once."""

    demo: DemoConfig
    upstream_key: str

    def __repr__(self) -> str:
        """Without the key: others than its owner read logs and tracebacks."""
        return f"{type(self).__name__}(demo={self.demo!r}, upstream_key=…)"


class Hello(Message):
    """Child to master, first of all."""

    schema_version: int
    role: ProcessRole
    name: str
    generation: int
    pid: int


class Welcome(Message):
    """Master to child: the settings, exactly one of four by role, and how it is to beat.

    Every `beat_s` it winds its switch, to run down after `wound_s`. Sent again when a reload has
    changed them: then the child takes what it can while it runs.
    """

    log_level: LogLevel
    worker: WorkerSettings | None = None
    frontend: FrontendSettings | None = None
    demo: DemoSettings | None = None
    recorder: RecorderSettings | None = None
    beat_s: float = 1.0
    wound_s: float = 2.0


class Ready(Message):
    """Child to master: it can do its work now. Workers name their models."""

    models: tuple[Model, ...] = ()


class ModelsAre(Message):
    """Worker to master: the models, read later than `Ready`, or read again."""

    models: tuple[Model, ...]


class Alive(Message):
    """Child to master: its loop turned late, or after that in time again."""

    loop_lag_ms: float


class SessionIs(Message):
    """Worker to master: the condition of its site session changed, and why.

    `resting_s` is how long it is left in peace from now on. A recorder that cannot write is
    `broken` too, and `ready` again once it can.
    """

    condition: Condition
    reason: str
    resting_s: float | None = None


class Beat(Message):
    """Worker to master, when something of it is worth a word: measurements of the instance.

    `readings` counts the measurements of memory, processor, processes and descriptors so far; a
    beat whose count has not grown repeats the last one. `sessions` counts the sessions on the site;
    the site's own names are those of its last chat and answer, as far as its traffic shows them.
    `proxy` is the name of that through which the site is reached; empty where there is none.
    """

    busy: int
    answered: int
    failed: int
    memory_bytes: int
    processes: int
    cpu_percent: float
    loop_lag_ms: float
    descriptors: int = 0
    readings: int = 0
    sessions: int = 0
    session_id: str = ""
    message_id: str = ""
    proxy: str = ""


class Renew(Message):
    """Master to worker: begin a fresh session, once the page is free and the site wants nothing."""


class Forget(Message):
    """Master to worker: the login is to be kept no more, by this process."""


class FrontendBeat(Message):
    """Frontend to master, at most once a second, when it changed: what it carries, since its start.

    `queue_wait_s` is how long the one has waited who has waited the longest. `waiting` are those in
    the queue by the name of their key, which is empty for those without. `asked_last` says of
    instances why others are asked before them.
    """

    queued: int
    running: int
    accepted: int
    answered: int
    failed: int
    retried: int
    cancelled: int
    busy: dict[str, int]
    queue_wait_s: float = 0.0
    waiting: dict[str, int] = {}  # noqa: RUF012 - msgspec gives each its own
    asked_last: dict[str, str] = {}  # noqa: RUF012 - as above


class LogLine(Message):
    """One log record, of any process; `source` is its name (`w1`, `frontend-1`, `master`)."""

    at_unix_s: float
    level: LogLevel
    source: str
    text: str


class Seat(Record, dict=True, gc=True):
    """One instance as frontends see it: who may be asked, with room and rest.

    `reason` says why the condition is not `ready`; `resting_s` is what is left of a rest when the
    roster is sent. `proxy` is the name of that through which the site is reached; empty for none.
    """

    name: str
    generation: int
    socket_path: str
    slots: int
    condition: Condition
    models: tuple[Model, ...]
    reason: str = ""
    resting_s: float | None = None
    proxy: str = ""

    @cached_property
    def by_id(self) -> Mapping[str, Model]:
        """Its models by the names that clients use; they are looked for with each request."""
        return {model.id: model for model in reversed(self.models)}


class Pace(Record):
    """How often a site may be sent a request, over all instances and frontends.

    `turns_path` is the file in which frontends share whose turn was last. `slowed_per_minute` is
    what refusals have left of the pace at `slowed_at_s`, on the clock that all processes share.
    """

    per_minute: float
    spacing_s: float
    jitter_percent: float
    turns_path: str
    slowed_per_minute: float | None = None
    slowed_at_s: float = 0.0


class Roster(Message):
    """Master to frontend: all that take requests. `starting` counts those on their way.

    `paces` are those of the sites that have one, by template; that of the site itself is "".
    `aside` are those that run, but are asked by nobody now: spares, and whom a spare stands in for.
    """

    seats: tuple[Seat, ...]
    starting: int
    paces: dict[str, Pace] = {}  # noqa: RUF012 - msgspec gives each its own
    aside: tuple[Seat, ...] = ()


class Drain(Message):
    """Master to child: take nothing new, finish what runs, then say `Drained`."""


class Drained(Message):
    """Child to master: nothing runs any more."""


class Stop(Message):
    """Master to child: leave now, in order."""


class ForkOrder(Record):
    """Master to zygote: fork this child. Its switch, its link, its listening sockets come along.

    Or to a blank: become this child. A blank itself has no name yet, and one socket to be told it.

    `group` is the file through which the child enters its control group, if it has one. A move
    takes the kernel some 10 ms, so the child makes it after its hello. It has dropped its rights by
    then, but the kernel asks for those with which `group_fd` was opened.
    """

    role: ProcessRole
    name: str
    generation: int
    uid: int
    gid: int
    group: str = ""
    group_fd: int = -1


class Forked(Record):
    """Zygote to master: the child's process, already the master's own; 0 if there is none."""

    name: str
    generation: int
    pid: int
    error: str = ""
