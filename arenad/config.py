"""The configuration file: load it, and say everything that is wrong with it at once.

Only the master reads the file; its children are sent their part (`schema.process.Welcome`).
"""

import difflib
import ipaddress
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from arenad.errors import ConfigError
from arenad.schema.base import Record
from arenad.schema.config import Config
from arenad.schema.profile import Profile

MAX_FILE_BYTES = 1024 * 1024
PROFILES = Path(__file__).parent / "worker" / "sites" / "profiles"


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises `ConfigError` with all its faults."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: is over {MAX_FILE_BYTES} bytes; this is no configuration file"])
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError([f"{path}: {fault}" for fault in error.faults]) from error


def parse(text: bytes) -> Config:
    """Check a configuration's text. Raises `ConfigError` with all its faults."""
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses double keys
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"is not YAML: {error}"]) from error
    faults: list[str] = []
    config = _section(Config, {} if tree is None else tree, "", faults)
    if not isinstance(config, Config):
        raise ConfigError(faults)
    if contradictions := _contradictions(config):
        raise ConfigError(contradictions)
    return config


def load_profile(name: str) -> Profile:
    """A shipped site profile. Raises `ConfigError`."""
    path = PROFILES / f"{name}.yaml"
    if not path.is_file() or path.parent != PROFILES:
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.yaml")))
        raise ConfigError([f"site.profile: there is no profile {name!r}; known here: {known}"])
    faults: list[str] = []
    profile = _section(Profile, yaml.safe_load(path.read_bytes()), "", faults)
    if not isinstance(profile, Profile):
        raise ConfigError([f"{path}: {fault}" for fault in faults])
    return profile


class _Loader(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one in silence; an operator wants to be told."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's own signature
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} is given twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _section(kind: type[Record], tree: object, path: str, faults: list[str]) -> Record | None:
    """Check one section field by field, so that one fault does not hide the next."""
    if not isinstance(tree, dict):
        faults.append(f"{path or 'the file'}: is {_shown(tree)}; must be a section of `name: value`")
        return None
    given = cast("dict[str, object]", tree)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    faults += [_unknown(name, path, list(fields)) for name in given if name not in fields]
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name in given:
            values[name] = _value(field.type, given[name], f"{path}{name}", faults)
    return None if faults else kind(**values)


def _value(kind: Any, given: object, path: str, faults: list[str]) -> object:
    if isinstance(kind, type) and issubclass(kind, Record):
        return _section(kind, {} if given is None else given, f"{path}.", faults)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        faults.append(f"{path}: is {_shown(given)}; {_remedy(str(error))}")
        return None


def _unknown(name: str, path: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"{path}{name}: no such field; {meant}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _remedy(complaint: str) -> str:
    """msgspec's complaint, turned towards the operator."""
    return complaint.replace("Expected", "must be", 1).replace(", got", ", not", 1)


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _contradictions(config: Config) -> list[str]:
    """Faults that no single field shows."""
    faults: list[str] = []
    addresses = {
        "api.listen": config.api.listen,
        "gui.listen": config.gui.listen,
        "demo.listen": config.demo.listen,
    }
    for name, address in addresses.items():
        host, port = split_address(address)
        if not _is_loopback(host):
            faults.append(
                f"{name}: is {address}; must be a loopback address such as 127.0.0.1:{port}, "
                "since requests carry no key yet: put a reverse proxy with access control before it"
            )
        if port > 65535:  # noqa: PLR2004 - the largest TCP port
            faults.append(f"{name}: is {address}; a port is at most 65535")
    if len(set(addresses.values())) < len(addresses):
        faults.append(f"{', '.join(addresses)}: two of them are the same address; each needs its own")
    if config.fleet.instances > config.fleet.max_instances:
        faults.append(
            f"fleet.instances: is {config.fleet.instances}, over fleet.max_instances "
            f"({config.fleet.max_instances}); lower the one or raise the other"
        )
    return faults


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
