"""Secrets, read from where they stand: a file of the operator's, the environment, systemd.

The configuration names the place and never holds the secret. Whoever writes one there by mistake
is told so without it being shown.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from arenad.errors import ConfigError

PLACES = "file:PATH, env:NAME or credential:NAME"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""systemd puts here the folder of what `LoadCredential=` names."""

MAX_BYTES = 64 * 1024


def read(field: str, place: str, environment: Mapping[str, str]) -> str:
    """The secret whose place the field names; empty for an empty place. Raises `ConfigError`."""
    if not place:
        return ""
    kind, _, name = place.partition(":")
    if kind == "file" and name:
        return in_file(field, Path(name), is_private=True)
    if kind == "env" and name:
        if not (found := environment.get(name, "").strip()):
            raise ConfigError([f"{field}: the environment has no {name}; set it before the start"])
        return found
    if kind == "credential" and name and "/" not in name:
        if not (folder := environment.get(CREDENTIALS)):
            why = "systemd has passed none; add LoadCredential= to the unit"
            raise ConfigError([f"{field}: is the credential {name}, but {why}"])
        return in_file(field, Path(folder) / name, is_private=False)
    raise ConfigError([f"{field}: is no place of a secret; must be {PLACES}"])


def in_file(field: str, path: Path, *, is_private: bool) -> str:
    """What systemd holds ready it guards itself; any other file is to be its owner's alone.

    Raises `ConfigError`.
    """
    try:
        found = _content(field, path, is_private=is_private).decode().strip()
    except OSError as error:
        raise ConfigError([f"{field}: {path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{field}: {path} is not text"]) from error
    if not found or not found.isprintable():
        raise ConfigError([f"{field}: {path} holds no key; must be one line of text"])
    return found


def _content(field: str, path: Path, *, is_private: bool) -> bytes:
    """All of it. Nobody waits for what a pipe or a device may never give."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError([f"{field}: {path} is no regular file; name one that is"])
        if is_private and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError([f"{field}: others may read {path}; run chmod 600 {path}"])
        content = os.read(file, MAX_BYTES + 1)
    finally:
        os.close(file)
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{field}: {path} is over {MAX_BYTES} bytes; that is no key"])
    return content
