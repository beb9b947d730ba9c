"""What a new configuration changes, and what each change asks for: a brain.

The effects are a table by section or field, the longest name that fits counts. Whatever is not in
it is read by the master each time it decides, or is told to children while they run.
"""

import re
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from arenad.schema.base import Record
from arenad.schema.config import Config, TemplateConfig
from arenad.schema.control import Change, Effect
from arenad.schema.paths import without_credentials
from arenad.schema.process import template_of

FOR_FRONTENDS = (
    "site.pace",
    "site.spacing_s",
    "site.spacing_jitter_percent",
    "site.battle_target",
)
"""Frontends are told of these while they run; instances know nothing of them."""

EFFECTS: dict[str, Effect] = {
    "daemon.user": "restart",
    "daemon.runtime_dir": "restart",
    "daemon.state_dir": "restart",
    "history.enabled": "restart",
    "session.save": "restart",
    "api": "new frontends",
    "api.emulate": "at once",
    "gui": "new frontends",
    "limits": "new instances",
    "limits.required": "restart",
    "browser": "new instances",
    "egress": "new instances",
    "site": "new instances",
    **dict.fromkeys(FOR_FRONTENDS, "at once"),
    "instance_templates": "new instances",
    "demo": "new arena",
    "demo.listen": "new arena and instances",
}

TEMPLATES = "instance_templates."
OF_THE_SITE = ("site.", "the profile ", "the key in ")
"""How the fields begin that mean the instances without a template."""

MAX_SHOWN_CHARS = 60

_USER = re.compile(r"egress\.proxies\..*\.user")
"""Half of a credential; the other half is never in the file."""

_Difference = tuple[str, object, object]
"""A field, what it was and what it will be; None is nothing at all."""


def between(before: Config, after: Config) -> tuple[Change, ...]:
    """Every field that differs, in the order of the file."""
    return tuple(
        Change(field=field, before=was, after=will, effect=effect_of(field))
        for field, old, new in _differences(before, after, "")
        for was, will in (_pair(field, old, new),)
    )


def effect_of(field: str) -> Effect:
    """What a change of this field asks for."""
    if field.startswith(TEMPLATES) and field.endswith((".instances", *FOR_FRONTENDS)):
        return "at once"
    fitting = [name for name in EFFECTS if field == name or field.startswith(f"{name}.")]
    return EFFECTS[max(fitting, key=len)] if fitting else "at once"


def concerns(field: str, instance: str) -> bool:
    """Whether a change of this field means this instance, by its name."""
    template = template_of(instance)
    if field.startswith(TEMPLATES):
        return field.removeprefix(TEMPLATES).partition(".")[0] == template
    return not (template and field.startswith(OF_THE_SITE))


def _pair(field: str, old: object, new: object) -> tuple[str, str]:
    """Both values as they may be shown; of a name that goes with a password only that it is one."""
    if not _USER.fullmatch(field):
        return shown(old), shown(new)
    return "…" if old else shown(old), "another" if old and new else "…" if new else shown(new)


def shown(value: object) -> str:
    """A value in a word or two, as it would stand in the file; never what opens an address."""
    text = without_credentials(msgspec.json.encode(value).decode())
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def applicable(before: Config, after: Config) -> Config:
    """The new configuration, less what only a restart can follow: there the old one still holds."""
    daemon = msgspec.structs.replace(
        after.daemon,
        user=before.daemon.user,
        runtime_dir=before.daemon.runtime_dir,
        state_dir=before.daemon.state_dir,
    )
    limits = msgspec.structs.replace(after.limits, required=before.limits.required)
    history = msgspec.structs.replace(after.history, enabled=before.history.enabled)
    session = msgspec.structs.replace(after.session, save=before.session.save)
    kept = {"daemon": daemon, "limits": limits, "history": history, "session": session}
    return msgspec.structs.replace(after, **kept)


def _differences(before: Record, after: Record, path: str) -> Iterator[_Difference]:
    for field in msgspec.structs.fields(type(before)):
        name = f"{path}{field.name}"
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(before, Config) and isinstance(after, Config) and f"{name}." == TEMPLATES:
            yield from _of_templates(before.instance_templates, after.instance_templates)
        else:
            yield from _difference(old, new, name)


def _difference(old: object, new: object, name: str) -> Iterator[_Difference]:
    """Each field by itself, also of what is named, and of what comes or goes as a whole."""
    one = old if new is None else new
    if isinstance(one, Record) and None in (old, new):
        for field in one.__struct_fields__:
            value = getattr(one, field)
            if value not in ("", ()):
                pair = (None, value) if old is None else (value, None)
                yield from _difference(*pair, f"{name}.{field}")
    elif isinstance(old, Record) and isinstance(new, Record):
        yield from _differences(old, new, f"{name}.")
    elif isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, object]", old), cast("dict[str, object]", new)
        for key in dict.fromkeys((*before, *after)):
            yield from _difference(before.get(key), after.get(key), f"{name}.{key}")
    elif old != new:
        yield name, old, new


def _of_templates(
    before: Sequence[TemplateConfig], after: Sequence[TemplateConfig]
) -> Iterator[_Difference]:
    """By name, wherever in the list it stands; one that comes or goes is a change of its number."""
    old, new = ({each.name: each for each in part} for part in (before, after))
    for name in dict.fromkeys((*old, *new)):
        if name in old and name in new:
            yield from _differences(old[name], new[name], f"{TEMPLATES}{name}.")
        else:
            was, will = (part[name].instances if name in part else 0 for part in (old, new))
            yield f"{TEMPLATES}{name}.instances", was, will
