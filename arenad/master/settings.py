"""What the master makes of the configuration: folders, user, rules, each child's settings."""

import fcntl
import logging
import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from arenad import __version__
from arenad.errors import ConfigError, Refused
from arenad.master import archive, change, egress, secrets
from arenad.master.cgroup import Groups
from arenad.master.keys import COUNTERS, KeyStore
from arenad.master.keys import FILE as KEY_FILE
from arenad.master.life import Rules
from arenad.master.reading import load_profile
from arenad.master.silence import Limits
from arenad.master.users import user_of
from arenad.schema import engine
from arenad.schema.config import Config, SiteConfig, TemplateConfig
from arenad.schema.keys import Key
from arenad.schema.paths import (
    CONTROL_SOCKET,
    RECORDER_SOCKET,
    runtime_dir,
    state_dir,
    without_credentials,
)
from arenad.schema.process import (
    DemoSettings,
    FrontendSettings,
    ProcessRole,
    RecorderSettings,
    Welcome,
    WorkerSettings,
    template_of,
)
from arenad.schema.profile import Kind, Profile

SLOTS: Mapping[Kind, int] = {"page": 1, "openai-http": 1, "echo": 512}
"""How many chats an instance holds at a time."""

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
MAX_SOCKET_PATH_BYTES = 107
"""sun_path of unix(7), less its final zero."""

BEATS_IN_SILENCE = 2.0
"""So many beats fit into `health.silent_s`: one of them may be late, or lost in our own delay."""

WORKERS = "workers"
TURNS = ".turns"
KEPT = (TURNS, ".counters")
FILES = "files"
ANSWERS = "answers"
OUR_NAMES = {CONTROL_SOCKET, RECORDER_SOCKET, WORKERS, FILES, ANSWERS}
"""Nothing else is in the runtime folder."""

LOGIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

logger = logging.getLogger("arenad.master")


class Known(msgspec.Struct, frozen=True):
    """What the files hold that a site's configuration names."""

    profile: Profile
    key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}(profile={self.profile.name!r}, key=…)"


class Read(msgspec.Struct, frozen=True):
    """What the files hold that a configuration names; `templates` by their names."""

    profile: Profile
    upstream_key: str
    site_key: str = ""
    templates: dict[str, Known] = {}
    passwords: dict[str, str] = {}

    def __repr__(self) -> str:
        """Without the keys: others than their owner read logs and tracebacks."""
        return f"{type(self).__name__}(profile={self.profile.name!r}, …)"


class Settings:
    """Derived at start and at each reload; children are sent their part at their hello."""

    version = __version__

    def __init__(self, config: Config, fallback: "Read | None" = None) -> None:
        """Raises `ConfigError` when a name in the configuration leads nowhere.

        The `fallback` is what an earlier program in this process has read: where there is no way
        back any more, a file that has gone in the last moment is said, and no end.
        """
        self.config = config
        self.claim = -1
        self.groups = Groups(config.limits)
        self.state_claim = -1
        runtime = runtime_dir(config.daemon.runtime_dir, os.environ, os.getuid())
        self.runtime = runtime.absolute()
        state = state_dir(config.daemon.state_dir, os.environ, os.getuid())
        self.state = state.absolute() if state else None
        self.history_fault = ""
        self.login_fault = ""
        self.keys = KeyStore()
        self.user = user_of(config.daemon.user)
        _check_display(config)
        self.read = _read(config, fallback)

    def take(self, newer: "Settings") -> None:
        """Go on with what a reload has read: all but the folder and the user, which stay."""
        self.config = change.applicable(self.config, newer.config)
        self.groups.follow(self.config.limits)
        self.read = newer.read

    @property
    def profile(self) -> Profile:
        """The site's profile."""
        return self.read.profile

    @property
    def upstream_key(self) -> str:
        """The secret for the arena's upstream; empty without one."""
        return self.read.upstream_key

    @property
    def runs_demo(self) -> bool:
        """Whether the built-in demo arena is the target."""
        config = self.config
        return any(map(_is_demo, (config.site, *(each.site for each in config.instance_templates))))

    @property
    def records(self) -> bool:
        """Whether there is a recorder; known once the folders are claimed."""
        return self.config.history.enabled and not self.history_fault

    @property
    def site_name(self) -> str:
        """The site, for people, and those of templates; without what opens an address."""
        told = _told(self.config.site, self.site_url)
        for each in self.config.instance_templates:
            url = self._url(each.site, self.read.templates[each.name].profile)
            told += f"; {each.name}: {_told(each.site, url)}"
        return without_credentials(told)

    @property
    def gui_url(self) -> str:
        """Where the dashboard is."""
        return f"http://{self.config.gui.listen}/gui/dashboard"

    @property
    def site_url(self) -> str:
        """Where instances begin."""
        return self._url(self.config.site, self.profile)

    def _url(self, site: SiteConfig, profile: Profile) -> str:
        return f"http://{self.config.demo.listen}/" if _is_demo(site) else site.url or profile.url

    def slots(self, name: str = "") -> int:
        """How many chats an instance holds; one whose template is gone counts as the site's own."""
        known = self.read.templates.get(template_of(name), self.read)
        return SLOTS[known.profile.kind]

    @property
    def rules(self) -> Rules:
        """Deadlines and restart rules of every life."""
        life = self.config.life
        return Rules(
            start_timeout_s=life.start_timeout_s,
            drain_timeout_s=self.config.fleet.drain_timeout_s,
            stop_timeout_s=life.stop_timeout_s,
            backoff_first_s=life.backoff_first_s,
            backoff_limit_s=life.backoff_limit_s,
            deaths=life.deaths,
            deaths_window_s=life.deaths_window_s,
            failed_retry_s=life.failed_retry_s,
        )

    # -- folders -----------------------------------------------------------------------------------

    def claim_folders(self) -> None:
        """Make the runtime folder, ours alone as long as we live. Raises `ConfigError`."""
        most = self.config.fleet.max_instances + self.config.fleet.spares
        longest = self.worker_socket(f"{max(self._prefixes, key=len)}{most}", 1_000_000)
        if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
            raise _unusable(f"{self.runtime} is too long a path for sockets in it")
        try:
            self.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.runtime.is_symlink():
                raise _unusable(f"{self.runtime} is a symbolic link; name the folder itself")
            self.claim = os.open(self.runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            self._check_claim(self.claim)
            os.fchmod(self.claim, 0o711 if self.user[0] != os.getuid() else 0o700)
            for folder in (self.workers, self.files, self.answers):
                folder.mkdir(mode=0o700, exist_ok=True)
                os.chown(folder, *self.user)
        except OSError as error:
            raise _unusable(f"{self.runtime} cannot be made: {error.strerror}") from error
        self.remove_leftovers(())
        self.remove_kept()
        self.claim_state()

    def claim_state(self) -> None:
        """Make the state folder ours; without it nothing is kept, and all else goes on."""
        config = self.config
        has_keys = self.state is not None and os.path.lexists(self.state / KEY_FILE)
        if not config.history.enabled and not config.session.save and not has_keys:
            return
        fault = self._claim_state()
        self.history_fault = fault if config.history.enabled else ""
        self.login_fault = fault if config.session.save else ""
        if fault and has_keys:
            self.keys.fault = fault

    def _claim_state(self) -> str:
        """Make the folder ours, and read the keys in it; says why not."""
        if self.state is None:
            return "no folder for it is known; set daemon.state_dir"
        try:
            self.state_claim = archive.claim(self.state, self.user)
        except archive.Unusable as error:
            return f"daemon.state_dir: {error}"
        self.keys.read(self.state_claim)
        return ""

    def open_keys(self) -> KeyStore:
        """The store of keys, in a folder that is made for them if nothing else had needed it."""
        if self.state_claim < 0 and (fault := self._claim_state()):
            raise Refused(f"there is no place for keys: {fault}")
        return self.keys

    def resume(self, folder_fd: int, state_fd: int, keys: Collection[Key]) -> None:
        """Go on with the folders and keys of an earlier program in this process."""
        self.claim, self.state_claim = folder_fd, state_fd
        self.keys = KeyStore(tuple(keys))
        if state_fd < 0:
            self.claim_state()
        else:
            self.keys.read(state_fd)
        self.answers.mkdir(mode=0o700, exist_ok=True)

    def login_file(self, name: str) -> str:
        """Where an instance keeps its login; empty if it keeps none."""
        keeps = self.config.session.save and self.state_claim >= 0
        return str(self.state / archive.LOGINS / f"{name}.json") if keeps and self.state else ""

    def forget_login(self, name: str) -> bool:
        """Remove the login that is kept for this name; whether there was one.

        Whoever owns the folder may have put a link in its place: it is not followed.
        """
        if self.state_claim < 0 or not LOGIN_NAME.fullmatch(name):
            return False
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            folder = os.open(archive.LOGINS, flags, dir_fd=self.state_claim)
        except OSError:
            return False
        try:
            os.unlink(f"{name}.json", dir_fd=folder)
        except OSError:
            return False
        finally:
            os.close(folder)
        return True

    def _check_claim(self, folder: int) -> None:
        """Nobody else's folder, nobody else's files, no other daemon: then its mode may be set."""
        status = os.fstat(folder)
        if status.st_uid != os.getuid():
            raise _unusable(f"{self.runtime} belongs to another user")
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _unusable(f"another arenad runs in {self.runtime}; stop it first") from None
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _unusable(f"others may write into {self.runtime}")
        if strange := set(os.listdir(folder)) - OUR_NAMES:
            raise _unusable(f"{self.runtime} holds other things, such as {min(strange)}")

    @property
    def _prefixes(self) -> list[str]:
        return ["w", *(f"{each.name}-" for each in self.config.instance_templates)]

    @property
    def workers(self) -> Path:
        """The folder of the workers' sockets and scratch folders."""
        return self.runtime / WORKERS

    @property
    def files(self) -> Path:
        """The folder where frontends keep images of answers for a while."""
        return self.runtime / FILES

    @property
    def answers(self) -> Path:
        """The folder where frontends keep answers for who asks the same again."""
        return self.runtime / ANSWERS

    @property
    def counters(self) -> tuple[str, ...]:
        """The files in which frontends count what keys use; the first that can be written."""
        kept = (self.state,) if self.state_claim >= 0 and self.state else ()
        return tuple(str(folder / COUNTERS) for folder in (*kept, self.workers))

    @property
    def recorder_socket(self) -> Path:
        """Where frontends reach the recorder."""
        return self.runtime / RECORDER_SOCKET

    def worker_socket(self, name: str, generation: int) -> Path:
        """Where a worker listens."""
        return self.workers / f"{name}.{generation}.sock"

    def turns(self, template: str) -> Path:
        """The file in which frontends share whose turn was last at a site."""
        return self.workers / f"{template or 'w'}{TURNS}"

    @property
    def sites(self) -> dict[str, SiteConfig]:
        """The site itself, without a name, and those of templates."""
        config = self.config
        return {"": config.site, **{each.name: each.site for each in config.instance_templates}}

    def scratch(self, name: str, generation: int) -> Path:
        """Where a worker's browser keeps its files."""
        return self.workers / f"{name}.{generation}"

    def remove_scratch(self, name: str, generation: int) -> None:
        """Remove what a dead worker left behind. Raises OSError while something still writes."""
        self.worker_socket(name, generation).unlink(missing_ok=True)
        _remove_tree(self.scratch(name, generation))

    def remove_leftovers(self, going_on: Collection[str]) -> None:
        """Remove what processes that are gone have left, but for those that are `going_on`."""
        for path in self.workers.iterdir():
            if path.name.removesuffix(".sock") in going_on or path.suffix in KEPT:
                continue  # they outlive an upgrade, and old ones are known by their time
            try:
                if path.is_dir() and not path.is_symlink():
                    _remove_tree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("cannot remove what an earlier process left: %s", error)

    def remove_kept(self) -> None:
        """Remove the images and answers that frontends kept: none outlives the daemon."""
        try:
            for path in (*self.files.iterdir(), *self.answers.iterdir()):
                path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove kept images and answers: %s", error)

    # -- children ----------------------------------------------------------------------------------

    def welcome(self, role: ProcessRole, name: str, generation: int) -> Welcome:
        """A child's settings."""
        config = self.config
        level = config.daemon.log_level
        health = config.health
        beat_s = health.silent_s / BEATS_IN_SILENCE
        wound_s = Limits(health.silent_s, health.hung_s).wound_s
        if role == "worker":
            worker = self._worker(name, generation)
            return Welcome(level, worker=worker, beat_s=beat_s, wound_s=wound_s)
        if role == "frontend":
            frontend = FrontendSettings(
                api=config.api,
                queue=config.queue,
                chat=config.chat,
                gui_address=config.gui.listen,
                files=config.files,
                files_dir=str(self.files),
                recorder_socket=str(self.recorder_socket) if self.records else "",
                answers_dir=str(self.answers),
                keys=self.keys.keys,
                keys_fault=self.keys.fault,
                counters=self.counters,
                breaker=config.breaker,
                battle_targets={name: each.battle_target for name, each in self.sites.items()},
            )
            return Welcome(level, frontend=frontend, beat_s=beat_s, wound_s=wound_s)
        if role == "recorder":
            recorder = RecorderSettings(folder=str(self.state), history=config.history)
            return Welcome(level, recorder=recorder, beat_s=beat_s, wound_s=wound_s)
        demo = DemoSettings(demo=config.demo, upstream_key=self.upstream_key)
        return Welcome(level, demo=demo, beat_s=beat_s, wound_s=wound_s)

    def _worker(self, name: str, generation: int) -> WorkerSettings:
        """An instance's settings: its template's, where it has one, and that is still there."""
        config, read = self.config, self.read
        template = template_of(name)
        browser, site, known = config.browser, config.site, Known(read.profile, read.site_key)
        for each in config.instance_templates:
            if each.name == template:
                browser, site = each.browser or browser, each.site
                known = read.templates[template]
        return WorkerSettings(
            socket_path=str(self.worker_socket(name, generation)),
            scratch_dir=str(self.scratch(name, generation)),
            browser=browser,
            profile=known.profile,
            site_url=self._url(site, known.profile),
            health=config.health,
            slots=SLOTS[known.profile.kind],
            group_required=config.limits.required,
            site_key=known.key,
            session=config.session,
            login_file=self.login_file(name),
            egress=config.egress,
            proxies=egress.proxies_of(config.egress, name, read.passwords),
        )


def _told(site: SiteConfig, url: str) -> str:
    return f"{site.profile} ({url})" if url else site.profile


def _is_demo(site: SiteConfig) -> bool:
    return site.profile == "demo" and not site.url


def _unusable(fault: str) -> ConfigError:
    return ConfigError([f"daemon.runtime_dir: {fault}"])


def _check_display(config: Config) -> None:
    if not config.browser.headless and not any(map(os.environ.get, DISPLAYS)):
        remedy = "start arenad within a desktop session or by xvfb-run, or set it to true"
        fault = f"is false, but there is no display ({', '.join(DISPLAYS)}); {remedy}"
        raise ConfigError([f"browser.headless: {fault}"])


def _read(config: Config, fallback: Read | None) -> Read:
    try:
        own = _known(config.site, config.browser.engine)
        upstream_key = _upstream_key(config.demo.upstream_key_file)
        templates = {each.name: _of_template(each, config) for each in config.instance_templates}
        kinds: list[Kind] = [
            own.profile.kind,
            *(known.profile.kind for known in templates.values()),
        ]
        passwords = egress.passwords(config.egress, kinds, os.environ)
        return Read(own.profile, upstream_key, own.key, templates, passwords)
    except ConfigError as error:
        if fallback is None:
            raise
        logger.error("going on with what was read before: %s", error)  # noqa: TRY400 - said whole
        return fallback


def _of_template(template: TemplateConfig, config: Config) -> Known:
    try:
        return _known(template.site, (template.browser or config.browser).engine)
    except ConfigError as error:
        name = f"{change.TEMPLATES}{template.name}"
        raise ConfigError([f"{name}: {fault}" for fault in error.faults]) from error


def _known(site: SiteConfig, name: engine.Engine) -> Known:
    profile, why = engine.fitted(load_profile(site), name)
    if why:
        raise ConfigError([f"browser.engine: {why}"])
    if site.key_from and profile.kind == "page":
        why = f"the profile {profile.name} is of a page, which nobody gives a key"
        raise ConfigError([f"site.key_from: is set, but {why}; leave it empty"])
    return Known(profile, secrets.read("site.key_from", site.key_from, os.environ))


def _upstream_key(path: str) -> str:
    return secrets.in_file("demo.upstream_key_file", Path(path), is_private=False) if path else ""


def _remove_tree(path: Path) -> None:
    """Remove a folder and all in it, by descriptors: no link planted in it leads elsewhere."""
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
