"""`arenactl reload`: read the configuration again, say what changes, follow it.

Everything is read, checked and listened at before anything is changed, so a faulty file changes
nothing. What cannot be taken by a running process is taken by its successor.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from arenad import log
from arenad.errors import ConfigError, Refused
from arenad.master import activation, change
from arenad.master.listeners import Listeners
from arenad.master.settings import Settings
from arenad.master.supervisor import Supervisor
from arenad.schema.config import Config
from arenad.schema.control import Change, Reloaded

logger = logging.getLogger("arenad.master")


class Reloader:
    """Brings a changed configuration to where it counts."""

    def __init__(
        self,
        load: Callable[[], Config],
        settings: Settings,
        listeners: Listeners,
        supervisor: Supervisor,
    ) -> None:
        """`load` reads the file again; it raises `ConfigError`."""
        self._load = load
        self._settings = settings
        self._listeners = listeners
        self._supervisor = supervisor

    def reload(self, *, is_rehearsal: bool) -> Reloaded:
        """Raises `Refused` with every fault; then nothing has changed."""
        try:
            newer = Settings(activation.applied(self._load(), self._listeners.given))
            changes = (*change.between(self._settings.config, newer.config), *self._beside(newer))
            if not is_rehearsal:
                self._listeners.follow(newer)
        except ConfigError as error:
            raise Refused(f"nothing was changed: {_listed(error.faults)}") from error
        if changes and not is_rehearsal:
            self._follow(newer, changes)
        return Reloaded(changes)

    def _beside(self, newer: Settings) -> tuple[Change, ...]:
        """What files that the configuration names hold now; a secret is not shown."""
        old, site, demo = self._settings, newer.config.site, newer.config.demo
        told: list[Change] = []
        if newer.profile != old.profile and site.profile == old.config.site.profile:
            before, after = f"version {old.profile.version}", f"version {newer.profile.version}"
            field = f"the profile {site.profile}"
            told.append(Change(field=field, before=before, after=after, effect="new instances"))
        if newer.read.site_key != old.read.site_key and site.key_from == old.config.site.key_from:
            field = f"the key in {site.key_from}"
            told.append(Change(field=field, before="…", after="another", effect="new instances"))
        told += self._of_templates(newer)
        for name, password in newer.read.passwords.items():
            if password != old.read.passwords.get(name, password):
                field = f"the password of egress.proxies.{name}"
                change_of_it = Change(
                    field=field, before="…", after="another", effect="new instances"
                )
                told.append(change_of_it)
        if newer.upstream_key != old.upstream_key:
            field = f"the key in {demo.upstream_key_file or 'demo.upstream_key_file'}"
            told.append(Change(field=field, before="…", after="another", effect="new arena"))
        return tuple(told)

    def _of_templates(self, newer: Settings) -> Iterator[Change]:
        """The same of the sites of templates that go on with the same profile and key."""
        for name, known in newer.read.templates.items():
            old = self._settings.read.templates.get(name)
            if old is None or old == known or old.profile.name != known.profile.name:
                continue
            before, after = f"version {old.profile.version}", f"version {known.profile.version}"
            field = f"{change.TEMPLATES}{name}.site: the profile {known.profile.name}, or its key"
            yield Change(field=field, before=before, after=after, effect="new instances")

    def _follow(self, newer: Settings, changes: tuple[Change, ...]) -> None:
        fields = ", ".join(each.field for each in changes)
        logger.info("the configuration has changed: %s", fields)
        self._settings.take(newer)
        log.set_level(self._settings.config.daemon.log_level)
        self._supervisor.tell("fleet", f"reloaded; changed: {fields}")
        self._supervisor.renew(changes)


def _listed(faults: Sequence[str]) -> str:
    """One is told as it is; several are counted, and stand on lines of their own."""
    return faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} faults", *faults])
