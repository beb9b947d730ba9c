"""What an operator can ask the master, and what it answers.

The control socket, and a frontend on behalf of its dashboard, speak these as calls.
"""

from typing import Literal

from arenad.schema.base import Message, Record
from arenad.schema.process import Condition, ProcessRole

Phase = Literal["starting", "ready", "draining", "stopping", "backoff", "failed", "stopped"]
Word = Literal["well", "starting", "degraded", "down", "stopping"]
Effect = Literal[
    "at once", "new frontends", "new instances", "new arena", "new arena and instances", "restart"
]
"""What a changed field asks for: nothing more, a rolling replacement, or a restart by hand."""


class GetState(Message):
    """The state now. Ends with `StateNow`."""


class Watch(Message):
    """The state now and after every change. Items are `StateNow`; ends when cancelled."""


class Scale(Message):
    """Have this many instances, on the site or of a template. Ends at once with `Done`."""

    instances: int
    template: str = ""


class Restart(Message):
    """Drain one child and start it anew. Ends at once with `Done`."""

    name: str


class DrainOne(Message):
    """Drain one instance and keep it stopped. Ends at once with `Done`."""

    name: str


class RenewOne(Message):
    """Have one instance begin a fresh session in its browser. Ends at once with `Done`."""

    name: str


class ForgetSession(Message):
    """Remove the login kept for an instance, and start it anew. Ends at once with `Done`."""

    name: str


class Reset(Message):
    """Forget the deaths of one child, or of all (an empty name). Ends at once with `Done`.

    What waits because of them, in backoff or failed, is started at once.
    """

    name: str


class GetStory(Message):
    """What has happened to one child. Ends with `StoryOf`."""

    name: str


class Reload(Message):
    """Read the configuration again and follow it. Ends at once with `Reloaded`.

    With `dry_run` only tell what would change.
    """

    dry_run: bool


class Upgrade(Message):
    """Start the master's program anew in place, then replace all children. Ends with `Done`.

    The answer comes when the new program has been looked at and found to take over; then the
    connection ends.
    """


class Shutdown(Message):
    """Drain everything and leave. Ends at once with `Done`."""


class Logs(Message):
    """The last `lines` log records, then, with `follow`, each new one. Items are `LogLine`."""

    lines: int
    follow: bool


class Done(Message):
    """A command was accepted; `text` says what happens now."""

    text: str


class Change(Record):
    """One field of the configuration that is not what it was, both values in words."""

    field: str
    before: str
    after: str
    effect: Effect


class Reloaded(Message):
    """What a reload changes, or would change, in the order of the file."""

    changes: tuple[Change, ...]


class ChildState(Record):
    """One supervised process. Times are ages in seconds; memory is proportional (PSS), in bytes.

    A `spare` is ready, but asked by nobody until another instance is lost or more are wanted. An
    `outdated` one was started with what a reload or an upgrade has changed, and is to be replaced.
    `sessions` counts those on the site so far; the ids are the site's own names of the last chat
    and answer. `proxy` is the name of that through which the site is reached; empty for none.
    `asked_last` is why frontends ask others before this instance; empty while none does.
    """

    name: str
    role: ProcessRole
    phase: Phase
    generation: int
    pid: int
    phase_age_s: float
    restarts: int
    last_death: str
    next_try_s: float | None = None
    condition: Condition | None = None
    condition_reason: str = ""
    slots: int = 0
    busy: int = 0
    answered: int = 0
    failed: int = 0
    memory_bytes: int = 0
    processes: int = 0
    cpu_percent: float = 0.0
    loop_lag_ms: float = 0.0
    models: tuple[str, ...] = ()
    spare: bool = False
    outdated: bool = False
    descriptors: int = 0
    sessions: int = 0
    session_id: str = ""
    message_id: str = ""
    proxy: str = ""
    asked_last: str = ""


class Traffic(Record):
    """Requests over all frontends. Counters grow from the daemon's start.

    `waiting` are those that are queued by the name of their key, which is empty for those without.
    """

    queued: int = 0
    queue_limit: int = 0
    running: int = 0
    accepted: int = 0
    answered: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    requests_per_s: float = 0.0
    waiting: dict[str, int] = {}  # noqa: RUF012 - msgspec gives each its own


class Happening(Record):
    """One line of the daemon's story; `about` names the child."""

    at_unix_s: float
    about: str
    text: str


class PaceNow(Record):
    """How a site is asked now: what is allowed of the configured pace, and what it refused.

    `refusals` counts from the daemon's start; `rest_s` is what is left of the shortest rest, while
    `resting` instances have one. The site itself has no template. A pace of 0 is no limit.
    """

    template: str
    per_minute: float
    allowed_per_minute: float
    spacing_s: float
    refusals: int
    resting: int
    rest_s: float | None = None


class State(Record):
    """Everything `arenactl status` and the dashboard show. `verdict` is the first line of both.

    `templates` are the instances wanted of each, beside `instances_wanted` on the site itself.
    """

    word: Word
    verdict: str
    version: str
    pid: int
    uptime_s: float
    site: str
    api_url: str
    gui_url: str
    instances_wanted: int
    instances_max: int
    children: tuple[ChildState, ...]
    traffic: Traffic
    story: tuple[Happening, ...]
    templates: dict[str, int] = {}  # noqa: RUF012 - msgspec gives each its own
    paces: tuple[PaceNow, ...] = ()


class StateNow(Message):
    """The daemon's state."""

    state: State


class StoryOf(Message):
    """One child's history, oldest first, and how it is now; a child that is gone has no now."""

    name: str
    story: tuple[Happening, ...]
    now: ChildState | None = None
