"""Read a site's model list out of its HTML: JSON, often inside JSON."""

import html
import json
import re
from collections.abc import Iterable
from typing import Any, cast

from msgspec.structs import replace

from arenad.errors import ProfileOutdated
from arenad.schema.chat import Mode
from arenad.schema.path import VALUE, parse_all
from arenad.schema.process import Model
from arenad.schema.profile import Capability, ModelRules, Profile
from arenad.worker.sites.grammars import walk
from arenad.worker.sites.grammars.json_text import IN_STRING, field, whole

MAX_ESCAPES = 4
"""How often the list may have been put into a JSON string again."""

ANYWHERE = "*"
"""As an anchor: the models stand in the page without a key of their own."""

BATTLE: Mode = "battle"
"""The mode, and the model that stands for it: who asks does not say who answers."""

_OBJECT = re.compile(r'\{"id":')
_REST_OF_STRING = re.compile(IN_STRING, re.DOTALL)
_LIST = re.compile(r"\s*+(?=\[)")

READINGS = 20
"""A page may hold the key again and again; of all that is behind it no more is read than so many
times its length."""


def models_in(page_html: str, rules: ModelRules) -> tuple[Model, ...]:
    """The models behind the key `anchor`. Raises `ProfileOutdated` when there are none."""
    anchors = (rules.anchor,) if isinstance(rules.anchor, str) else rules.anchor
    for anchor in anchors:
        for text in (page_html, html.unescape(page_html)):
            if models := _Search(anchor, rules, READINGS * len(text)).models(text):
                return tuple(models.values())
    if ANYWHERE in anchors and (models := _scattered(page_html, rules)):
        return tuple(models.values())
    shown = " or ".join(map(repr, anchors))
    raise ProfileOutdated(f"the landmark models: the page has no model list behind {shown}")


def models_of(value: object, rules: ModelRules) -> tuple[Model, ...]:
    """The models in a JSON value, at `json_list`. Raises `ProfileOutdated` when there are none."""
    paths = parse_all(rules.json_list or VALUE)
    entries: list[Any] = []
    for each in walk.found(walk.Received(value), paths):
        entries += cast("list[Any]", each) if isinstance(each, list) else [each]
    if models := _by_name(entries, rules):
        return tuple(models.values())
    where = f"{rules.json_path} has no list at {rules.json_list or 'its top'}"
    raise ProfileOutdated(f"the landmark models: {where}")


def models_named(names: Iterable[str], rules: ModelRules) -> tuple[Model, ...]:
    """The models of these names. Raises `ProfileOutdated` when there are none."""
    if models := _by_name(list(names), rules):
        return tuple(models.values())
    raise ProfileOutdated("the landmark models: the page shows no options")


def with_aliases(models: tuple[Model, ...], rules: ModelRules) -> tuple[Model, ...]:
    """The models, and their further names; an alias of what is not there is no model."""
    known = {model.id: model for model in models}
    further = [
        replace(known[name], id=alias)
        for alias, name in rules.aliases.items()
        if name in known and alias not in known
    ]
    return (*models, *further)


def with_modes(models: tuple[Model, ...], profile: Profile) -> tuple[Model, ...]:
    """The models, each with the modes in which it can be asked; and a battle, as one more."""
    offered = profile.modes_offered()
    modes = tuple(mode for mode in offered if mode != BATTLE)
    listed = tuple(replace(model, modes=modes) for model in models)
    if BATTLE not in offered or any(model.id == BATTLE for model in models):
        return listed
    told = profile.models.capabilities.get(BATTLE, ("text",))
    return (*listed, Model(id=BATTLE, capabilities=told, modes=(BATTLE,)))


def _scattered(page_html: str, rules: ModelRules) -> dict[str, Model]:
    """Objects that begin with an `id` and have a name, wherever they stand, under any escapes."""
    text = page_html
    for _ in range(MAX_ESCAPES):
        starts = (found.start() for found in _OBJECT.finditer(text))
        entries = [entry for start in starts if (entry := _value_at(text, start)) is not None]
        if models := _by_name(entries, rules):
            return models
        text = text.replace('\\"', '"').replace("\\\\", "\\")
    return {}


def _value_at(text: str, start: int) -> object:
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):  # also for a number of too many digits
        return None


def _by_name(entries: list[Any], rules: ModelRules) -> dict[str, Model]:
    """By name: a name that stands there twice (two kinds of one model) is one for clients."""
    found = (_model(entry, rules) for entry in entries)
    return {model.id: model for model in found if model is not None}


class _Search:
    """For the models behind a key, in a text and in the JSON strings in it."""

    def __init__(self, anchor: str, rules: ModelRules, most_chars: int) -> None:
        self._key = re.compile(rf'(\\{{0,16}})"{re.escape(anchor)}\1"\s*:')
        self._rules = rules
        self._left_chars = most_chars

    def models(self, text: str, escapes: int = MAX_ESCAPES) -> dict[str, Model]:
        """The first list that has any; `escapes` may still be taken off."""
        searched_to = 0
        for key in self._key.finditer(text):
            if key.start() < searched_to:
                continue
            if self._left_chars <= 0:
                break
            if not key[1]:
                entries, ended = _list_at(text, key.end())
                models = _by_name(entries, self._rules)
            elif escapes:
                inner, ended = _unescaped(text, key.start())
                searched_to = ended if inner else 0
                models = self.models(inner, escapes - 1)
            else:
                continue
            if models:
                return models
            self._left_chars -= ended - key.end()
        return {}


def _unescaped(text: str, start: int) -> tuple[str, int]:
    """The rest of the JSON string in which `start` lies, one level of escapes off; its end."""
    rest = _REST_OF_STRING.match(text, start)
    try:
        inner = str(json.loads(f'"{rest[0]}"' if rest else '""', strict=False))
    except json.JSONDecodeError:
        inner = ""
    return inner, rest.end() if rest else start


def _list_at(text: str, start: int) -> tuple[list[Any], int]:
    """The objects of the list that stands there, if one does; and how far it was read."""
    if not (found := _LIST.match(text, start)):
        return [], start
    try:
        value, ended = json.JSONDecoder().raw_decode(text, found.end())
    except json.JSONDecodeError as error:  # which looks for the line ends before it
        return [], error.pos + len(text) // 200
    except (ValueError, RecursionError):  # also for a number of too many digits
        return [], len(text)
    return [entry for entry in cast("list[Any]", value) if isinstance(entry, dict)], ended


def _model(entry: object, rules: ModelRules) -> Model | None:
    """A model from its name, or from an object; a field of another type counts as none."""
    name = entry if isinstance(entry, str) else field(entry, rules.id_field)
    if not isinstance(name, str) or not name:
        return None
    owner = field(entry, rules.owner_field)
    told = rules.capabilities.get(name) or _capabilities(field(entry, "capabilities"))
    owner = whole(owner) if isinstance(owner, str) else ""
    return Model(id=whole(name), owner=owner, capabilities=told)


def _capabilities(value: object) -> tuple[Capability, ...]:
    """What a chat arena says of a model; text where it says nothing."""
    takes, gives = field(value, "inputCapabilities"), field(value, "outputCapabilities")
    searches = field(gives, "search") or field(gives, "web")
    said: dict[Capability, object] = {
        "text": field(gives, "text") or not gives,
        "image_in": field(takes, "image"),
        "image_out": field(gives, "image"),
        "search": searches,
    }
    return tuple(name for name, has in said.items() if has)
