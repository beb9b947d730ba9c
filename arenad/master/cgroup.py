"""A control group (cgroup v2) for each worker: made, limited, ended and removed by the master.

Below the group that was delegated to the daemon there is a folder of its own, named for its runtime
folder, and in it `daemon`, where the master goes with all that it forks (a group with controllers
may hold no process itself), and one group for each process of an instance, such as `w1.3`. Writing
into `cgroup.kill` ends all in a group at once, stopped browsers too. Where nothing is delegated
there are no groups, and what is left of a browser is found as the master's own child.
"""

import errno
import fcntl
import logging
import os
import select
import signal
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from arenad.errors import ConfigError
from arenad.master import limits
from arenad.schema.config import LimitsConfig

DAEMON = "daemon"
OWN_GROUP = Path("/proc/self/cgroup")
OWN_MOUNTS = Path("/proc/self/mountinfo")
MARKS = ("user.delegate", "trusted.delegate")
"""How systemd marks a group that it has delegated."""

EMPTY_TIMEOUT_S = 5.0
"""How long the killed of an earlier daemon may take to be gone."""

CLAIM_TRIES = 3
REMEDY = "let the unit say Delegate=yes, or take the limits out"

logger = logging.getLogger("arenad.master")


class NotDelegated(OSError):
    """There is no group here that we may use; the text says why."""


class Groups:
    """All groups of this daemon. Before `claim`, and where there are none, it does nothing."""

    def __init__(self, config: LimitsConfig) -> None:
        """Touches nothing yet."""
        self.config = config
        self.sentence = ""
        self._base = Path()
        self._folder: Path | None = None
        self._claim_fd = -1
        self._held: tuple[limits.Limit, ...] = ()
        self._enabled: list[tuple[Path, str]] = []
        self._ended: tuple[str, ...] = ()

    # -- at the start and the end ------------------------------------------------------------------

    def claim(self, runtime: Path, adopted: Collection[str] | None = None) -> None:
        """Take our place; end what an earlier daemon of this runtime folder left, but `adopted`.

        Who has adopted anybody goes on in the place of an earlier program. Who has not must have no
        child yet, since children stay in the group that they were born in; and `ConfigError` is
        raised when limits are required and cannot be held.
        """
        wanted = limits.limits_of(self.config)
        try:
            self._settle(runtime, adopted)
        except OSError as error:
            self._drop_claim()
            why = str(error) if isinstance(error, NotDelegated) else _worded(error)
            missing = [limits.Missing(limit.field, why) for limit in wanted]
            self.sentence = "; ".join(
                [f"no control groups: {why}", *(f"{each.field} is not held" for each in missing)]
            )
            missing = missing or [limits.Missing("limits.required", why)]
        else:
            missing = self._hold(wanted)
            self.sentence = limits.sentence(str(self._folder), self._held, missing)
            if self._ended:
                self.sentence += f"; ended what an earlier daemon left in {', '.join(self._ended)}"
        if self.config.required and missing and adopted is None:
            self.leave()
            raise ConfigError(
                [f"{each.field}: cannot be held: {each.why}; {REMEDY}" for each in missing]
            )

    def follow(self, config: LimitsConfig) -> None:
        """Other limits from now on, for instances that are born from now on."""
        self.config = config
        if self._folder is not None:
            for each in self._hold(limits.limits_of(config)):
                logger.warning("%s is not held: %s", each.field, each.why)

    def _hold(self, wanted: Collection[limits.Limit]) -> list[limits.Missing]:
        """Hold what can be held of these; gives what cannot."""
        missing = [each for limit in wanted if (each := self._enable(limit))]
        lacking = {each.field for each in missing}
        self._held = tuple(limit for limit in wanted if limit.field not in lacking)
        return missing

    def _settle(self, runtime: Path, adopted: Collection[str] | None) -> None:
        """Raises OSError where that cannot be."""
        name = f"arenad-{zlib.crc32(os.fsencode(runtime)):08x}"
        self._base, is_home = _base_group(name)
        folder = self._base / name
        self._claim_fd = _claimed(folder)
        self._folder = folder
        for group in _groups_in(folder):
            if group.name not in (adopted or ()) and not (is_home and group.name == DAEMON):
                was_empty = "populated 0" in (group / "cgroup.events").read_text()
                self._ended += () if was_empty else (group.name,)
                self._end_old(group, is_adopting=adopted is not None)
        if is_home:
            control = folder / "cgroup.subtree_control"
            self._enabled = [(control, name) for name in control.read_text().split()]
        (folder / DAEMON).mkdir(exist_ok=True)
        _write(folder / DAEMON / "cgroup.procs", "0")
        _remove_deserted(self._base, folder)

    @staticmethod
    def _end_old(group: Path, *, is_adopting: bool) -> None:
        """One that does not end costs whoever goes on in an earlier program's place no groups."""
        try:
            _end(group)
        except OSError as error:
            if not is_adopting:
                raise
            logger.warning("the old group %s does not end: %s", group.name, error)

    def _enable(self, limit: limits.Limit) -> limits.Missing | None:
        for group in (self._base, self._folder or self._base):
            control = group / "cgroup.subtree_control"
            try:
                if limit.controller not in (group / "cgroup.controllers").read_text().split():
                    why = f"there is no controller `{limit.controller}` in {group}"
                    return limits.Missing(limit.field, why)
                if limit.controller not in control.read_text().split():
                    _write(control, f"+{limit.controller}")
                    self._enabled.append((control, limit.controller))
            except OSError as error:
                why = f"the controller `{limit.controller}` cannot be used ({_worded(error)})"
                return limits.Missing(limit.field, why)
        return None

    def leave(self) -> None:
        """At the very end, or before there is a beginning: go back, and leave no group."""
        if self._folder is None:
            return
        for group in _groups_in(self._folder):
            if group.name != DAEMON:
                with suppress(OSError):
                    _end(group)
        for control, controller in reversed(self._enabled):
            with suppress(OSError):  # another daemon may use it too
                _write(control, f"-{controller}")
        with suppress(OSError):
            _write(self._base / "cgroup.procs", "0")
            _remove_tree(self._folder)
        self._drop_claim()

    def _drop_claim(self) -> None:
        if self._claim_fd >= 0:
            os.close(self._claim_fd)
        self._claim_fd = -1
        self._folder = None

    # -- one group for each process of an instance -------------------------------------------------

    def make(self, name: str, generation: int) -> str:
        """A new group with its limits; gives the file through which it is entered, or nothing.

        Raises OSError only when limits are required: without a group there are none.
        """
        if (group := self._group(name, generation)) is None:
            if self.config.required and limits.limits_of(self.config):
                raise PermissionError(errno.EPERM, "limits are required, and there are no groups")
            return ""
        try:
            group.mkdir(exist_ok=True)
            for limit in self._held:
                for file, text in limit.files:
                    _write(group / file, text)
        except OSError as error:
            logger.error("%s has no control group: %s", name, _worded(error))  # noqa: TRY400 - said whole
            with suppress(OSError):
                group.rmdir()
            if self.config.required:
                raise
            return ""
        return str(group / "cgroup.procs")

    def verdict(self, name: str, generation: int) -> str:
        """Whether a limit is why it died, in words; to be asked before the group is removed."""
        group = self._group(name, generation)
        if group is None:
            return ""
        memory, pids = (_counts(group / f"{each}.events") for each in ("memory", "pids"))
        return limits.verdict(self.config, memory, pids)

    def kill(self, name: str, generation: int) -> None:
        """End all that is in the group, stopped or not."""
        if (group := self._group(name, generation)) is not None:
            with suppress(OSError):
                _kill(group)

    def remove(self, name: str, generation: int) -> None:
        """Remove the group. Raises OSError while something in it has not ended."""
        group = self._group(name, generation)
        if group is not None and group.exists():
            _remove_tree(group)

    def _group(self, name: str, generation: int) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.{generation}"


# -- where we are ----------------------------------------------------------------------------------


def _base_group(name: str) -> tuple[Path, bool]:
    """The group that we may use, and whether we are in its `NAME/daemon` already.

    An earlier program of this process has put us there then. Raises `NotDelegated`.
    """
    lines = OWN_GROUP.read_text().splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::/")), "")
    group = next(filter(Path.exists, _mounted(path)), None) if path else None
    if group is None:
        raise NotDelegated("there is no cgroup v2 here")
    if group.parts[-2:] == (name, DAEMON):
        return group.parents[1], True
    if not all(os.access(each, os.W_OK) for each in (group, group / "cgroup.procs")):
        raise NotDelegated(f"{group} is not ours to write in (in a unit: Delegate=yes)")
    # Root may write anywhere. The topmost group that can be seen is a container's own, or that of a
    # machine where nobody else keeps groups; any other belongs to a service manager.
    if os.getuid() == 0 and path != "/" and not _is_marked(group):
        raise NotDelegated(f"{group} was not delegated to us (in a unit: Delegate=yes)")
    return group, False


def _mounted(path: str) -> Iterator[Path]:
    """Where the group of this path can be seen; proc_pid_mountinfo(5)."""
    for line in OWN_MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        if after.startswith("cgroup2 ") and f"{path}/".startswith(f"{root.rstrip('/')}/"):
            yield Path(point, path[len(root.rstrip("/")) :].lstrip("/"))


def _is_marked(group: Path) -> bool:
    for mark in MARKS:
        with suppress(OSError):
            if os.getxattr(group, mark) == b"1":
                return True
    return False


def _claimed(folder: Path) -> int:
    """Make the folder and lock it as long as we live: another daemon's is not ours to clean."""
    for _ in range(CLAIM_TRIES):
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == folder.stat().st_ino:
                return fd
        except BlockingIOError:
            os.close(fd)
            raise NotDelegated(f"another arenad is in {folder}") from None
        except FileNotFoundError:  # another daemon took it for a deserted one
            pass
        os.close(fd)
    raise NotDelegated(f"{folder} does not stay")


def _remove_deserted(base: Path, own: Path) -> None:
    """Remove the empty folders of daemons that were killed and never started again."""
    for folder in base.glob("arenad-????????"):
        if folder != own:
            with suppress(OSError):
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_tree(folder)
                finally:
                    os.close(fd)


# -- groups as files -------------------------------------------------------------------------------


def _groups_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def _end(group: Path) -> None:
    """Kill all in it, wait until they are gone, remove it. Raises OSError."""
    _kill(group)
    with (group / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        deadline_s = time.monotonic() + EMPTY_TIMEOUT_S
        while "populated 1" in events.read():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not poll.poll(1000 * left_s):
                raise TimeoutError(f"what is in {group} does not end")
            events.seek(0)
    _remove_tree(group)


def _kill(group: Path) -> None:
    """By one word where the kernel knows it (5.14), else one by one."""
    try:
        _write(group / "cgroup.kill", "1")
    except FileNotFoundError:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _remove_tree(group: Path) -> None:
    """Remove a group and those below it; its files go with it. Raises OSError if it is in use."""
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()


def _write(path: Path, text: str) -> None:
    """Write into an existing file of the kernel's, in one call. Raises OSError."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _counts(path: Path) -> Mapping[str, int]:
    """A file of names and numbers; none where there is no such controller."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: int(number) for name, number in map(str.split, lines)}


def _worded(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
