"""Reads configuration files in a process of their own, so that the master need not be able to.

What reading takes (YAML, the checks, the words for faults) is as large as half of the rest of the
master, and of use for a moment. A file that cannot be read to its end holds nobody up, either.
"""

import importlib
from pathlib import Path
from typing import TypeVar

import msgspec

from arenad.errors import ConfigError
from arenad.master import zygote
from arenad.schema.config import Config, SiteConfig
from arenad.schema.profile import Profile

READ_TIMEOUT_S = 8.0
"""It takes a tenth of a second, but the disk may not answer; systemd's watchdog waits for 20 s."""

_PACKAGE = "arenad"
_Read = TypeVar("_Read", Config, Profile)


class _Answer(msgspec.Struct):
    """What the reading process found: the value packed, or its faults."""

    packed: bytes = b""
    faults: tuple[str, ...] = ()


def read(path: Path | None, timeout_s: float = READ_TIMEOUT_S) -> Config:
    """A checked configuration, by default the built-in one. Raises `ConfigError` with all faults.

    May be called at any time, in a running master too; it waits for at most `timeout_s`.
    """
    if path is None:
        return _apart("config.parse", b"", Config, "the built-in configuration", timeout_s)
    return _apart("config.load", path, Config, str(path), timeout_s)


def load_profile(site: SiteConfig, timeout_s: float = READ_TIMEOUT_S) -> Profile:
    """The profile of a site that may be opened. Raises `ConfigError`."""
    return _apart("profiles.for_site", site, Profile, "site.profile", timeout_s)


def _apart(
    reader: str, argument: bytes | Path | SiteConfig, kind: type[_Read], what: str, timeout_s: float
) -> _Read:
    """`reader` is the function that reads, with its module in arenad."""

    def work() -> bytes:
        module, _, function = reader.partition(".")
        try:
            read = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), function)
            answer = _Answer(msgspec.msgpack.encode(read(argument)))
        except ConfigError as error:
            answer = _Answer(faults=tuple(error.faults))
        return msgspec.msgpack.encode(answer)

    try:
        packed = zygote.apart(work, timeout_s)
        answer = msgspec.msgpack.decode(packed, type=_Answer)
    except TimeoutError as error:
        raise ConfigError([f"{what}: could not be read within {timeout_s:g} s"]) from error
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError([f"{what}: the process that was to read it failed ({error})"]) from error
    if answer.faults:
        raise ConfigError(list(answer.faults))
    return msgspec.msgpack.decode(answer.packed, type=kind)
