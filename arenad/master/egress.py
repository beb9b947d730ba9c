"""Which proxies an instance uses, in which order; and their passwords, from where they stand."""

import re
from collections.abc import Mapping, Sequence

from arenad.errors import ConfigError
from arenad.master import secrets
from arenad.schema.config import EgressConfig
from arenad.schema.process import Proxy
from arenad.schema.profile import Kind

MAX_PASSWORD_BYTES = 255


def passwords(
    egress: EgressConfig, kinds: Sequence[Kind], environment: Mapping[str, str]
) -> dict[str, str]:
    """Each proxy's password, by its name. Raises `ConfigError`."""
    others = [name for name, proxy in egress.proxies.items() if not proxy.url.startswith("http:")]
    if others and "openai-http" in kinds:
        why = "a site of the kind openai-http is asked through http:// proxies only"
        remedy = "use its http:// port, or run that site in a daemon without"
        raise ConfigError([f"egress.proxies.{each}.url: {why}; {remedy}" for each in others])
    known: dict[str, str] = {}
    for name, proxy in egress.proxies.items():
        field = f"egress.proxies.{name}.password_from"
        known[name] = secrets.read(field, proxy.password_from, environment)
        if proxy.url.startswith("socks5:") and len(known[name].encode()) > MAX_PASSWORD_BYTES:
            why = f"what stands there takes more than {MAX_PASSWORD_BYTES} bytes"
            raise ConfigError([f"{field}: {why}, which SOCKS5 has no room for; use a shorter one"])
    return known


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
