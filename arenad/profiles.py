"""Site profiles: find one by name, put it on top of what it extends, say all that is wrong with it.

Files come in, a `Profile` or a `ConfigError` comes out; nothing is kept between two calls.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import urlsplit

import msgspec

from arenad import document
from arenad.config import is_loopback
from arenad.errors import ConfigError
from arenad.schema.chat import Mode
from arenad.schema.config import SiteConfig
from arenad.schema.profile import (
    API_FIELDS,
    API_MODEL_FIELDS,
    Kind,
    Landmarks,
    ModelRules,
    ModeRules,
    Places,
    Profile,
    Sign,
    Step,
)

SHIPPED = Path(__file__).parent / "worker" / "sites" / "profiles"
MAX_EXTENDS = 8
MODEL_PLACE = "{model}"
PAGELESS = get_args(Kind)[1:]
"""The kinds of sites that are no pages."""

STEPS = ("opening", "choose_model", "choose_model_b", "attach", "send", "new_chat", "stop")
WITH_SIDES = ("arena-lines",)
"""Grammars that tell by themselves which of two answers a piece belongs to."""

BRINGING = ("choose", "paste", "drop")
ACTIONS = ("press", "press_if", "wait", "gone", "key", "write", "open", *BRINGING)
LANDMARKS = tuple(field.name for field in msgspec.structs.fields(Landmarks))

Tree = dict[str, Any]


def load(name: str, folder: Path | None = None) -> Profile:
    """The profile of this name: from `folder` if it is there, else a shipped one.

    Raises `ConfigError` with all its faults, each with the file in which the fault stands.
    """
    chain = _chain(name, folder)
    tree: Tree = {}
    for _, part in reversed(chain):
        tree = _merged(tree, part)
    own = chain[0][1]
    tree |= {"name": own.get("name", name), "version": own.get("version", 1)}
    tree = _with_whole_streams(tree)
    faults: list[str] = []
    if tree.get("kind") in PAGELESS:
        tree = _without_page(tree, faults)
    profile = document.section(Profile, tree, "", faults)
    if isinstance(profile, Profile):
        faulty = {fault.partition(":")[0] for fault in faults}
        faults += [fault for fault in _contradictions(profile) if _field(fault) not in faulty]
        if profile.name != name:
            faults.append(f"name: is {profile.name!r}; must be {name!r}, as the file is called")
        if not faults:
            return profile
    raise ConfigError([f"{_origin(_field(fault), chain)}: {fault}" for fault in faults])


def for_site(site: SiteConfig) -> Profile:
    """The profile that a configuration names, for a site that may be opened. Raises `ConfigError`.

    The built-in demo arena has an address of its own; sites of others need the operator's word.
    """
    profile = load(site.profile, Path(site.profiles_dir) if site.profiles_dir else None)
    url = site.url or profile.url
    if not url and profile.name != "demo" and profile.kind != "echo":
        raise ConfigError(
            [f"site.url: is empty, and the profile {site.profile} has no address; give the site's"]
        )
    if url and not site.terms_accepted and not is_loopback(urlsplit(url).hostname or ""):
        why = f"{url} is a site of others; read its terms of use"
        remedy = "set this to true once you have, and they allow what you do"
        raise ConfigError([f"site.terms_accepted: is false, but {why}, and {remedy}"])
    return profile


def known(folder: Path | None = None) -> dict[str, Path]:
    """Every profile's file by the profile's name; those in `folder` stand before shipped ones."""
    found = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
    if folder is not None:
        found |= {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return dict(sorted(found.items()))


# -- files ----------------------------------------------------------------------------------------


def _chain(name: str, folder: Path | None) -> list[tuple[Path, Tree]]:
    """The profile's own file first, then what it extends, and so on."""
    files = known(folder)
    if name not in files:
        must = f"must be one of {', '.join(files)}"
        where = f"; own ones are looked for in {folder}" if folder is not None else ""
        raise ConfigError([f"site.profile: is {document.shown(name)}; {must}{where}"])
    chain = [(files[name], _tree(files[name]))]
    while parent := chain[-1][1].get("extends"):
        path = chain[-1][0]
        parent_path = _parent(str(parent), path, files)
        if parent_path is None:
            raise ConfigError(
                [f"{path}: extends: is {document.shown(parent)}; known: {', '.join(files)}"]
            )
        if len(chain) > MAX_EXTENDS or parent_path in (each for each, _ in chain):
            raise ConfigError([f"{path}: extends: {parent} extends this one again; break the ring"])
        chain.append((parent_path, _tree(parent_path)))
    return chain


def _parent(name: str, child: Path, files: dict[str, Path]) -> Path | None:
    """A profile that has the name of what it extends is meant to change the shipped one."""
    if name == child.stem:
        shipped = SHIPPED / f"{name}.yaml"
        return shipped if shipped.is_file() and shipped != child else None
    return files.get(name)


def _tree(path: Path) -> Tree:
    try:
        tree = document.tree_of(document.read(path))
    except ConfigError as error:
        raise ConfigError([f"{path}: {fault}" for fault in error.faults]) from error
    if not isinstance(tree, dict):
        raise ConfigError([f"{path}: is {document.shown(tree)}; must be lines of `name: value`"])
    return cast("Tree", tree)


def _merged(below: Tree, above: Tree) -> Tree:
    """Sections are merged field by field; anything else above takes the place of what is below."""
    merged = dict(below)
    for name, value in above.items():
        old: Any = merged.get(name)
        are_sections = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merged(cast("Tree", old), cast("Tree", value)) if are_sections else value
    return merged


def _with_whole_streams(tree: Tree) -> Tree:
    """A mode says of its `stream` only what is different; each mode gets the whole of it."""
    modes: Any = tree.get("modes")
    if not isinstance(modes, dict):
        return tree
    below = {"stream": tree.get("stream")}
    whole = {
        name: rules | {"stream": _merged(below, rules)["stream"]} if _has_stream(rules) else rules
        for name, rules in cast("dict[str, Any]", modes).items()
    }
    return tree | {"modes": whole}


def _has_stream(rules: object) -> bool:
    return isinstance(rules, dict) and isinstance(cast("Tree", rules).get("stream"), dict)


def _field(fault: str) -> str:
    return fault.partition(":")[0]


def _origin(field: str, chain: list[tuple[Path, Tree]]) -> Path:
    """The file in which a field stands: the first on the way up that gives it; else the first."""
    keys = re.split(r"[.\[]", field)
    for path, tree in chain:
        at: Any = tree
        for key in keys:
            at = cast("Tree", at).get(key) if isinstance(at, dict) else at
        if at is not None:
            return path
    return chain[0][0]


# -- kinds ----------------------------------------------------------------------------------------

_PAGELESS: Tree = {"landmarks": {"prompt": []}, "stream": {"url_pattern": ".", "grammar": "sse"}}
"""What stands for the parts that every page has, where there is none."""


def _without_page(tree: Tree, faults: list[str]) -> Tree:
    """A profile as if it had a page; what only a page has is a fault."""
    models: Any = tree.get("models")
    fields = Profile.__struct_fields__
    given = [name for name in tree if name in fields and name not in API_FIELDS]
    if isinstance(models, dict):
        keys = cast("Tree", models)
        given += [f"models.{key}" for key in keys if key not in API_MODEL_FIELDS]
    why = f"is given, but a site of the kind {tree['kind']} has no page; leave it out"
    faults += [f"{name}: {why}" for name in given]
    return {name: value for name, value in tree.items() if name not in given} | _PAGELESS


# -- fields against each other --------------------------------------------------------------------


def places(given: Places) -> tuple[str, ...]:
    """The selectors of a place, in order."""
    return (given,) if isinstance(given, str) else given


def _contradictions(profile: Profile) -> Iterator[str]:
    """Faults that types do not show."""
    if profile.kind in PAGELESS:
        return
    marks = _places_of(profile.landmarks)
    if not marks["prompt"]:
        yield "landmarks.prompt: is empty; must be where prompts are written"
    for name, selectors in marks.items():
        yield from _selector_faults(f"landmarks.{name}", selectors)
    yield from _selector_faults("dismiss", profile.dismiss)
    yield from _all_step_faults("", profile, marks)
    yield from _model_faults(profile.models, profile)
    yield from _selector_faults("conversation.shows", places(profile.conversation.shows))
    yield from _attach_faults(profile.attach, marks)
    for name, sign in profile.signs.items():
        yield from _sign_faults(f"signs.{name}", sign)
    for mode, rules in profile.modes_offered().items():
        if mode != "direct":
            yield from _mode_faults(mode, rules, profile.in_mode(mode))


def _places_of(landmarks: Landmarks) -> dict[str, tuple[str, ...]]:
    return {name: places(getattr(landmarks, name)) for name in LANDMARKS}


def _mode_faults(mode: Mode, rules: ModeRules, whole: Profile) -> Iterator[str]:
    """What is wrong with what a mode itself says, and with what it lacks for two answers."""
    path = f"modes.{mode}"
    for name, selectors in _places_of(rules.landmarks).items():
        yield from _selector_faults(f"{path}.landmarks.{name}", selectors)
    yield from _option_faults(f"{path}.", rules.landmarks)
    yield from _all_step_faults(f"{path}.", rules, _places_of(whole.landmarks))
    stream = whole.stream
    if stream.transport == "dom":
        yield f"{path}: is read in the page (transport dom), where two answers cannot be told apart"
    elif stream.grammar not in WITH_SIDES and stream.answer_b is None:
        yield f"{path}.stream.answer_b: is missing; it says where the second answer stands"
    marks = whole.landmarks
    if mode == "side_by_side" and not (
        whole.choose_model_b or marks.model_picker_b or marks.model_option_b
    ):
        remedy = "give choose_model_b, or landmarks.model_picker_b"
        yield f"{path}: nothing chooses the second model; {remedy}"


def _all_step_faults(
    path: str, given: Profile | ModeRules, marks: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    for name in STEPS:
        for number, step in enumerate(getattr(given, name)):
            yield from _step_faults(f"{path}{name}[{number}]", step, marks)


def _step_faults(path: str, step: Step, marks: dict[str, tuple[str, ...]]) -> Iterator[str]:
    given = [action for action in ACTIONS if getattr(step, action)]
    if len(given) != 1:
        does = " and ".join(given) or "nothing"
        yield f"{path}: does {does}; must do exactly one of {', '.join(ACTIONS)}"
        return
    if given[0] in BRINGING and not path.startswith("attach["):
        yield f"{path}.{given[0]}: brings files; that is for the steps of attach alone"
    if step.or_key and not step.press:
        yield f"{path}.or_key: belongs to press, and there is none"
    if step.into and not step.write:
        yield f"{path}.into: belongs to write, and there is none"
    for name in ("into", "when"):
        yield from _place_faults(f"{path}.{name}", getattr(step, name), marks)
    if given[0] not in ("key", "write", "open"):
        yield from _place_faults(f"{path}.{given[0]}", getattr(step, given[0]), marks)


def _place_faults(path: str, value: Places, marks: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """A place of a step may be a landmark's name."""
    if isinstance(value, str) and value in LANDMARKS:
        if not marks[value]:
            yield f"{path}: is the landmark {value}, which is empty; give landmarks.{value}"
        return
    yield from _selector_faults(path, places(value))


def _attach_faults(steps: Sequence[Step], marks: dict[str, tuple[str, ...]]) -> Iterator[str]:
    if steps and not any(getattr(step, action) for step in steps for action in BRINGING):
        yield f"attach: brings no file; one of its steps must be {', '.join(BRINGING)}"
    if (steps or marks["attach"]) and not marks["uploaded"]:
        why = "without it a message may be sent before its files are there"
        yield f"landmarks.uploaded: is empty; must be what shows for each file; {why}"


def _model_faults(rules: ModelRules, profile: Profile) -> Iterator[str]:
    sources = ("anchor", "json_path", "options", "names")
    given = [name for name in sources if getattr(rules, name)]
    if len(given) > 1:
        yield f"models: has {' and '.join(given)}; keep one of them, and set inherited ones to ''"
    if rules.json_path and not rules.json_path.startswith("/"):
        must = "must be a path of the site, such as /models"
        yield f"models.json_path: is {rules.json_path!r}; {must}"
    yield from _selector_faults("models.options", places(rules.options))
    yield from _option_faults("", profile.landmarks)
    option = places(profile.landmarks.model_option)
    chooses = profile.choose_model or option or profile.landmarks.model_picker
    if given and rules.names[1:] and not chooses:
        yield "models.names: are several, but nothing chooses one; give choose_model or landmarks"


def _option_faults(path: str, landmarks: Landmarks) -> Iterator[str]:
    for name in ("model_option", "model_option_b"):
        option = places(getattr(landmarks, name))
        if option and not any(MODEL_PLACE in each for each in option):
            yield f"{path}landmarks.{name}: does not say which model; must contain {MODEL_PLACE}"


def _sign_faults(path: str, sign: Sign) -> Iterator[str]:
    shows = ("selector", "text", "url")
    given = [name for name in shows if getattr(sign, name)]
    if len(given) != 1:
        has = " and ".join(given) or "nothing"
        yield f"{path}: has {has}; must have exactly one of {', '.join(shows)}"
    yield from _selector_faults(f"{path}.selector", places(sign.selector))
    yield from _pattern_faults(f"{path}.url", sign.url)


def _pattern_faults(path: str, pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"{path}: is {document.shown(pattern)}, no regular expression ({error})"


ROLE = re.compile(
    r"""role=[a-z]+(\[(name|description)\*?=("(\\.|[^"\\])*"|/(\\.|[^/\\])+/i?)\])*\Z"""
)
TEXT = re.compile(r"""text=\s*\S""")
ENGINE = re.compile(r"([a-z]+)=")


def _selector_faults(path: str, selectors: tuple[str, ...]) -> Iterator[str]:
    """What no page could ever match; CSS itself is for the browser to judge."""
    for selector in selectors:
        for part in selector.split(" >> "):
            engine = ENGINE.match(part)
            kind = engine[1] if engine else "css"
            fault = {
                "css": "" if part.strip() else "is empty",
                "role": "" if ROLE.match(part) else 'must be like role=button[name="Send"]',
                "text": "" if TEXT.match(part) else "must be like text=Send",
            }.get(kind, "must begin with css=, role= or text=, or be plain CSS")
            if fault:
                yield f"{path}: is {document.shown(selector)}; {fault}"
