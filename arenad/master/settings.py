"""What the master makes of the configuration for itself and for each child: folders, user, settings."""

import logging
import os
import pwd
from pathlib import Path

from arenad import __version__
from arenad.config import load_profile
from arenad.errors import ConfigError
from arenad.schema.config import Config
from arenad.schema.paths import runtime_dir
from arenad.schema.process import (
    DemoSettings,
    FrontendSettings,
    ProcessRole,
    Welcome,
    WorkerSettings,
)

SLOTS = 1
"""A page holds one chat at a time."""

UNPRIVILEGED_USERS = ("arenad", "nobody")
"""Whom children become when the master is root and `daemon.user` names nobody."""

logger = logging.getLogger("arenad.master")


class Settings:
    """Derived once at start; children are sent their part at their hello."""

    version = __version__
    slots = SLOTS

    def __init__(self, config: Config) -> None:
        """Raises `ConfigError` when a name in the configuration leads nowhere."""
        self.config = config
        self.runtime = runtime_dir(config.daemon.runtime_dir, os.environ, os.getuid())
        self.user = _user(config.daemon.user)
        self._profile = load_profile(config.site.profile)
        self._upstream_key = _secret(config.demo.upstream_key_file)

    @property
    def runs_demo(self) -> bool:
        """Whether the built-in demo arena is the target."""
        return self.config.site.profile == "demo" and not self.config.site.url

    @property
    def site_name(self) -> str:
        """The site, for people."""
        return f"{self.config.site.profile} ({self.site_url})"

    @property
    def site_url(self) -> str:
        """Where instances begin; empty means the profile's own address."""
        return f"http://{self.config.demo.listen}/" if self.runs_demo else self.config.site.url

    def make_folders(self) -> None:
        """The runtime folder, ours alone, and the workers' part of it. Raises `ConfigError`."""
        try:
            self.runtime.mkdir(parents=True, exist_ok=True)
            status = self.runtime.lstat()
            if status.st_uid != os.getuid() or not self.runtime.is_dir():
                raise ConfigError(
                    [f"daemon.runtime_dir: {self.runtime} belongs to another user; name another"]
                )
            self.runtime.chmod(0o711 if self.user[0] != os.getuid() else 0o700)
            self.workers.mkdir(exist_ok=True)
            os.chown(self.workers, *self.user)
            self.workers.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                [f"daemon.runtime_dir: {self.runtime} cannot be made: {error.strerror}"]
            ) from error

    @property
    def workers(self) -> Path:
        """The folder of the workers' sockets and scratch folders."""
        return self.runtime / "workers"

    def worker_socket(self, name: str, generation: int) -> Path:
        """Where a worker listens."""
        return self.workers / f"{name}.{generation}.sock"

    def scratch(self, name: str, generation: int) -> Path:
        """Where a worker's browser keeps its files."""
        return self.workers / f"{name}.{generation}"

    def remove_scratch(self, name: str, generation: int) -> None:
        """Remove what a dead worker left behind; what cannot be removed is left to the next start."""
        try:
            self.worker_socket(name, generation).unlink(missing_ok=True)
            _remove_tree(self.scratch(name, generation))
        except OSError as error:
            logger.warning("cannot remove what %s left: %s", name, error)

    def remove_leftovers(self) -> None:
        """Remove what an earlier daemon that was killed left behind."""
        for path in self.workers.iterdir():
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink(missing_ok=True)

    def welcome(self, role: ProcessRole, name: str, generation: int) -> Welcome:
        """A child's settings."""
        config = self.config
        level = config.daemon.log_level
        if role == "worker":
            worker = WorkerSettings(
                socket_path=str(self.worker_socket(name, generation)),
                scratch_dir=str(self.scratch(name, generation)),
                browser=config.browser,
                profile=self._profile,
                site_url=self.site_url,
                health=config.health,
                slots=SLOTS,
            )
            return Welcome(level, worker=worker)
        if role == "frontend":
            frontend = FrontendSettings(
                api=config.api, queue=config.queue, chat=config.chat, gui_address=config.gui.listen
            )
            return Welcome(level, frontend=frontend)
        demo = DemoSettings(demo=config.demo, upstream_key=self._upstream_key)
        return Welcome(level, demo=demo)


def _user(name: str) -> tuple[int, int]:
    """The uid and gid that children run as: our own, unless we are root."""
    if os.getuid() != 0:
        if name and name != pwd.getpwuid(os.getuid()).pw_name:
            raise ConfigError(
                [f"daemon.user: is {name}, but only root can become another user; leave it empty"]
            )
        return os.getuid(), os.getgid()
    for candidate in (name,) if name else UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ConfigError([f"daemon.user: there is no user {name or UNPRIVILEGED_USERS}; create one"])


def _secret(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ConfigError([f"demo.upstream_key_file: {path}: {error.strerror}"]) from error


def _remove_tree(path: Path) -> None:
    """Remove a folder and all in it, by descriptors, so that no link planted in it leads elsewhere."""
    if not path.is_dir() or path.is_symlink():
        return
    for _, folders, files, folder_fd in os.fwalk(path, topdown=False):
        for name in files:
            os.unlink(name, dir_fd=folder_fd)
        for name in folders:
            try:
                os.rmdir(name, dir_fd=folder_fd)
            except NotADirectoryError:
                os.unlink(name, dir_fd=folder_fd)
    path.rmdir()
