"""Which proxies an instance uses, in which order; and their passwords, from where they stand."""

import re
from collections.abc import Mapping, Sequence

from arenad.errors import ConfigError
from arenad.master import secrets
from arenad.schema.config import EgressConfig
from arenad.schema.process import Proxy
from arenad.schema.profile import Kind


def passwords(
    egress: EgressConfig, kinds: Sequence[Kind], environment: Mapping[str, str]
) -> dict[str, str]:
    """Each proxy's password, by its name. Raises `ConfigError`."""
    if egress.proxies and "openai-http" in kinds:
        why = "are for pages, and an openai-http site is asked directly"
        raise ConfigError([f"egress.proxies: {why}; leave them out, or run it in a daemon without"])
    return {
        name: secrets.read(f"egress.proxies.{name}.password_from", proxy.password_from, environment)
        for name, proxy in egress.proxies.items()
    }


def proxies_of(egress: EgressConfig, instance: str, known: Mapping[str, str]) -> tuple[Proxy, ...]:
    """All that an instance may use, its own first: always the same ones for the same name.

    Instances are dealt out over the proxies by their numbers. With `manual` an instance that is not
    named has none.
    """
    names = list(egress.proxies)
    if egress.assign == "manual":
        own = egress.instances.get(instance)
        first = names.index(own) if own is not None else len(names)
        names = [] if own is None else names[first:] + names[:first]
    elif names:
        digits = re.search(r"[0-9]+\Z", instance)
        first = (int(digits[0]) - 1) % len(names) if digits else 0
        names = names[first:] + names[:first]
    return tuple(
        Proxy(name=name, url=config.url, user=config.user, password=known.get(name, ""))
        for name in names
        for config in (egress.proxies[name],)
    )
