"""The configuration file: load it, and say everything that is wrong with it at once.

Only the master reads the file; its children are sent their part (`schema.process.Welcome`).
"""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from arenad import document
from arenad.errors import ConfigError
from arenad.schema import engine
from arenad.schema.config import Config, EgressConfig, SiteConfig
from arenad.schema.paths import split_address

MAX_PORT = 65535
MAX_USER_BYTES = 255
PROXY_NAME = re.compile("[A-Za-z0-9_-]{1,40}")


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises `ConfigError` with all its faults."""
    text = document.read(path)
    try:
        config = parse(text)
    except ConfigError as error:
        raise ConfigError([f"{path}: {fault}" for fault in error.faults]) from error
    folder = _profiles_dir(config.site.profiles_dir, path.parent)

    def at_home(site: SiteConfig) -> SiteConfig:
        own = _profiles_dir(site.profiles_dir, path.parent) if site.profiles_dir else folder
        return replace(site, profiles_dir=own)

    templates = tuple(replace(each, site=at_home(each.site)) for each in config.instance_templates)
    return replace(config, site=at_home(config.site), instance_templates=templates)


def _profiles_dir(given: str, beside: Path) -> str:
    """Where own profiles are: as given, seen from the file's folder; else `profiles` in it."""
    if given:
        return str(beside.absolute() / given)
    folder = beside.absolute() / "profiles"
    return str(folder) if folder.is_dir() else ""


def parse(text: bytes) -> Config:
    """Check a configuration's text. Raises `ConfigError` with all its faults."""
    tree = document.tree_of(text)
    faults: list[str] = []
    config = document.section(Config, {} if tree is None else tree, "", faults)
    if isinstance(config, Config):
        faulty = {fault.partition(":")[0] for fault in faults}
        found = _contradictions(config, _given(tree))
        faults += [text for fields, text in found if not faulty & fields]
        if not faults:
            return config
    raise ConfigError(faults)


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
    fleet, life, health, files = config.fleet, config.life, config.health, config.files
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
        ("files.max_bytes", files.max_bytes, "files.keep_bytes", files.keep_bytes),
    )
    for small, value, large, limit in pairs:
        if value > limit:
            yield {small, large}, _contrast((small, value, "over"), (large, limit, "below"), given)
    yield from _template_faults(config)
    yield from _engine_faults(config)
    yield from _egress_faults(config)
    aim, less = scale.utilisation_percent, scale.hysteresis_percent
    if less >= aim:
        small, large = "autoscale.hysteresis_percent", "autoscale.utilisation_percent"
        told = _contrast((small, less, "not below"), (large, aim, "not above"), given)
        yield {small, large}, told


def _template_faults(config: Config) -> Iterator[tuple[set[str], str]]:
    """Names are unique, the fleet has room for all, and one load drives one kind of instances."""
    field, fleet = "instance_templates", config.fleet
    names = [each.name for each in config.instance_templates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield {field}, f"{field}: {twice[0]} is there twice; each needs a name of its own"
    total = fleet.instances + sum(each.instances for each in config.instance_templates)
    if names and total > fleet.max_instances:
        limit = f"fleet.max_instances ({fleet.max_instances})"
        told = f"are {total} instances with fleet.instances, over {limit}"
        yield {field, "fleet.instances"}, f"{field}: {told}; lower the one or raise the other"
    if names and config.autoscale.enabled:
        why = "requests that wait are counted for all instances together"
        told = f"autoscale.enabled: is true, but there are {field}, and {why}; use only one of them"
        yield {field, "autoscale.enabled"}, told


def _egress_faults(config: Config) -> Iterator[tuple[set[str], str]]:
    """What Chromium cannot do, and assignments that lead nowhere."""
    egress = config.egress
    for name, proxy in egress.proxies.items():
        field = f"egress.proxies.{name}"
        if not PROXY_NAME.fullmatch(name):
            must = "must be up to 40 letters, digits, - and _"
            yield {"egress.proxies"}, f"egress.proxies: a proxy is named {name!r}; {must}"
        if bool(proxy.user) != bool(proxy.password_from):
            yield {field}, f"{field}: user and password_from go together; give both or neither"
        elif len(proxy.user.encode()) > MAX_USER_BYTES:
            why = f"takes more than {MAX_USER_BYTES} bytes, which SOCKS5 has no room for"
            yield {field}, f"{field}.user: {why}; give a shorter one"
    yield from _rotation_faults(egress)
    for instance, name in egress.instances.items():
        if name not in egress.proxies:
            field = f"egress.instances.{instance}"
            yield {field}, f"{field}: is {name}, which is none of egress.proxies; name one of them"


def _rotation_faults(egress: EgressConfig) -> Iterator[tuple[set[str], str]]:
    """A plan without a choice."""
    why = ""
    if egress.assign != "per_instance":
        why = f"egress.assign is {egress.assign}; set it to per_instance"
    elif len(egress.proxies) < 2:  # noqa: PLR2004 - there is no turn among fewer
        why = "there are not two egress.proxies to turn among; name more"
    if egress.rotation_interval_s and why:
        field = "egress.rotation_interval_s"
        yield {field, "egress.assign"}, f"{field}: is set, but {why}, or leave it at 0"


def _engine_faults(config: Config) -> Iterator[tuple[set[str], str]]:
    """Engines that nothing here drives, or not as wanted, of all instances and of templates."""
    chosen: dict[str, engine.Engine] = {"browser.engine": config.browser.engine}
    for at, each in enumerate(config.instance_templates):
        if each.browser is not None:
            chosen[f"instance_templates[{at}].browser.engine"] = each.browser.engine
    for field, name in chosen.items():
        if why := engine.fault(name):
            yield {field}, f"{field}: {why}"
        elif config.egress.proxies and (why := engine.needs(name, "proxies", "there are some")):
            yield {field, "egress.proxies"}, f"{field}: {why} (egress.proxies)"


_Side = tuple[str, float, str]
"""A field, its value, and how that stands to the other one."""


def _contrast(small: _Side, large: _Side, given: set[str]) -> str:
    """The fault of two fields, told from the side of one that the file names."""
    is_large = large[0] in given and small[0] not in given
    (field, value, how), (other, limit, _) = (large, small) if is_large else (small, large)
    remedy = "raise the one or lower the other" if is_large else "lower the one or raise the other"
    return f"{field}: is {value:.12g}, {how} {other} ({limit:.12g}); {remedy}"


def _address_faults(addresses: dict[str, str]) -> Iterator[tuple[set[str], str]]:
    taken: dict[str, str] = {}
    for name, address in addresses.items():
        host, port = split_address(address)
        if not 1 <= port <= MAX_PORT:
            yield {name}, f"{name}: is {address}; a port must be from 1 to {MAX_PORT}"
        elif name == "demo.listen" and not is_loopback(host):
            must = f"{name}: is {address}; must be a loopback address such as 127.0.0.1:{port}"
            yield {name}, f"{must}: it is there for trying out"
        if (other := taken.setdefault(address, name)) != name:
            yield {name, other}, f"{name}: is {address}, as {other} is; each needs its own"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
