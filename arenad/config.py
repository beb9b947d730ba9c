"""The configuration file: load it, and say everything that is wrong with it at once.

Only the master reads the file; its children are sent their part (`schema.process.Welcome`).
"""

import difflib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml
from msgspec import inspect

from arenad.errors import ConfigError
from arenad.schema.base import Record
from arenad.schema.config import Config
from arenad.schema.paths import split_address
from arenad.schema.profile import Profile

MAX_FILE_BYTES = 1024 * 1024
MAX_PORT = 65535
MAX_SHOWN_CHARS = 60
PROFILES = Path(__file__).parent / "worker" / "sites" / "profiles"


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises `ConfigError` with all its faults."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: is over {MAX_FILE_BYTES} bytes; that is no configuration"])
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError([f"{path}: {fault}" for fault in error.faults]) from error


def parse(text: bytes) -> Config:
    """Check a configuration's text. Raises `ConfigError` with all its faults."""
    tree = _tree(text)
    faults: list[str] = []
    config = _section(Config, {} if tree is None else tree, "", faults)
    if isinstance(config, Config):
        faulty = {fault.partition(":")[0] for fault in faults}
        found = _contradictions(config, _given(tree))
        faults += [text for fields, text in found if not faulty & fields]
        if not faults:
            return config
    raise ConfigError(faults)


def load_profile(name: str) -> Profile:
    """A shipped site profile. Raises `ConfigError`."""
    known = {path.stem: path for path in sorted(PROFILES.glob("*.yaml"))}
    if name not in known:
        raise ConfigError([f"site.profile: is {_shown(name)}; must be one of {', '.join(known)}"])
    faults: list[str] = []
    profile = _section(Profile, _tree(known[name].read_bytes()), "", faults)
    if faults or not isinstance(profile, Profile):
        raise ConfigError([f"{known[name]}: {fault}" for fault in faults])
    return profile


# -- text to tree ---------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Plain YAML: no key given twice (YAML lets the later one win in silence), no tags, no aliases.

    Tags turn values into what no field is, and aliases let a short file stand for an endless one.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("yaml.NodeEvent", self.peek_event())  # pyright: ignore[reportUnknownMemberType] - yaml's stubs say nothing
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="& * and ! have no meaning here; put text that begins with them in quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 - yaml's own signature
        try:
            return cast("object", super().construct_object(node, deep=deep))  # pyright: ignore[reportUnknownMemberType] - yaml's stubs say nothing
        except ValueError as error:  # of int(), float() and date(): 0x_, 2026-13-45
            raise yaml.MarkedYAMLError(
                problem=f"{_shown(node.value)} is no value ({error}); put text in quotes",
                problem_mark=node.start_mark,
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's own signature
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{name} is given twice; keep one", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _tree(text: bytes) -> object:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError([f"{where}{error.problem or error.context}"]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"]) from error
    except RecursionError as error:
        raise ConfigError(["is nested far too deeply; this is no configuration"]) from error


# -- tree to values -------------------------------------------------------------------------------


def _section(kind: type[Record], tree: object, path: str, faults: list[str]) -> Record | None:
    """Check one section field by field, so that one fault does not hide the next.

    A field that is at fault takes its default, so that the rest can still be compared.
    """
    if not isinstance(tree, dict):
        must = "must be a section, with lines of `name: value`"
        faults.append(f"{path or 'the file'}: is {_shown(tree)}; {must}")
        return None
    given = cast("dict[object, object]", tree)
    below = f"{path}." if path else ""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    faults += [_unknown(str(name), below, list(fields)) for name in given if name not in fields]
    values: dict[str, object] = {}
    lacks_required = False
    for name, field in fields.items():
        if name in given:
            value = _value(field.type, given[name], f"{below}{name}", faults)
        else:
            value = msgspec.UNSET
            if field.required:
                faults.append(f"{below}{name}: is missing; must be {_words(field.type)}")
        if value is not msgspec.UNSET:
            values[name] = value
        lacks_required |= field.required and value is msgspec.UNSET
    return None if lacks_required else kind(**values)


def _value(kind: Any, given: object, path: str, faults: list[str]) -> object:
    """The value as its field wants it; `UNSET`, and one more fault, if it cannot be that."""
    if isinstance(kind, type) and issubclass(kind, Record):
        section = _section(kind, {} if given is None else given, path, faults)
        return msgspec.UNSET if section is None else section
    try:
        return msgspec.convert(given, cast("type[object]", kind))
    except msgspec.ValidationError:
        faults.append(f"{path}: is {_shown(given)}; must be {_words(kind)}")
        return msgspec.UNSET


def _unknown(name: str, below: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"{below}{name}: no such field; {meant}"


def _shown(value: object) -> str:
    """A value as the operator wrote it, more or less; never all of a big one."""
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def _words(kind: Any) -> str:
    """What a field takes, in an operator's words, from its type."""
    match inspect.type_info(kind):
        case inspect.Metadata(extra_json_schema={"description": str(description)}):
            return description
        case inspect.IntType() as number:
            return f"a whole number{_bounds(number)}"
        case inspect.FloatType() as number:
            return f"a number{_bounds(number)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case info:
            return _PLAIN_WORDS.get(type(info), type(info).__name__)


_PLAIN_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.StrType: "text; put numbers and words like yes and no in quotes",
    inspect.StructType: "a section",
    inspect.VarTupleType: "a list of texts; put numbers and words like yes and no in quotes",
}


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    bounds = {"of at least": number.ge, "above": number.gt, "at most": number.le}
    said = [f"{word} {bound:.0f}" for word, bound in bounds.items() if bound is not None]
    return f" {' and '.join(said)}" if said else ""


# -- values against each other --------------------------------------------------------------------


def _given(tree: object) -> set[str]:
    """The fields that the file itself names."""
    sections = cast("dict[str, object]", tree) if isinstance(tree, dict) else {}
    return {
        f"{section}.{name}"
        for section, fields in sections.items()
        if isinstance(fields, dict)
        for name in cast("dict[str, object]", fields)
    }


def _contradictions(config: Config, given: set[str]) -> Iterator[tuple[set[str], str]]:
    """Faults that types do not show, each with the fields that it compares.

    Each begins with a field that is `given`: the other one may have its default.
    """
    addresses = {
        "api.listen": config.api.listen,
        "gui.listen": config.gui.listen,
        "demo.listen": config.demo.listen,
    }
    yield from _address_faults(dict(sorted(addresses.items(), key=lambda each: each[0] in given)))
    fleet, life, health = config.fleet, config.life, config.health
    scale = config.autoscale
    most = scale.max or fleet.max_instances
    pairs = (
        ("fleet.instances", fleet.instances, "fleet.max_instances", fleet.max_instances),
        ("autoscale.max", scale.max, "fleet.max_instances", fleet.max_instances),
        ("autoscale.min", scale.min, "autoscale.max" if scale.max else "fleet.max_instances", most),
        (
            "life.backoff_first_s",
            life.backoff_first_s,
            "life.backoff_limit_s",
            life.backoff_limit_s,
        ),
        ("health.silent_s", health.silent_s, "health.hung_s", health.hung_s),
    )
    for small, value, large, limit in pairs:
        if value > limit:
            yield {small, large}, _contrast((small, value, "over"), (large, limit, "below"), given)
    aim, less = scale.utilisation_percent, scale.hysteresis_percent
    if less >= aim:
        small, large = "autoscale.hysteresis_percent", "autoscale.utilisation_percent"
        told = _contrast((small, less, "not below"), (large, aim, "not above"), given)
        yield {small, large}, told


_Side = tuple[str, float, str]
"""A field, its value, and how that stands to the other one."""


def _contrast(small: _Side, large: _Side, given: set[str]) -> str:
    """The fault of two fields, told from the side of one that the file names."""
    is_large = large[0] in given and small[0] not in given
    (field, value, how), (other, limit, _) = (large, small) if is_large else (small, large)
    remedy = "raise the one or lower the other" if is_large else "lower the one or raise the other"
    return f"{field}: is {value:g}, {how} {other} ({limit:g}); {remedy}"


def _address_faults(addresses: dict[str, str]) -> Iterator[tuple[set[str], str]]:
    taken: dict[str, str] = {}
    for name, address in addresses.items():
        host, port = split_address(address)
        if not 1 <= port <= MAX_PORT:
            yield {name}, f"{name}: is {address}; a port must be from 1 to {MAX_PORT}"
        elif not _is_loopback(host):
            must = f"{name}: is {address}; must be a loopback address such as 127.0.0.1:{port}"
            why = "requests carry no key yet, so put a reverse proxy with access control before it"
            yield {name}, f"{must}; {why}"
        if (other := taken.setdefault(address, name)) != name:
            yield {name, other}, f"{name}: is {address}, as {other} is; each needs its own"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
