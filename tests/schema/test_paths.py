"""Where sockets are, computed alike by daemon and operator; where the daemon's state is."""

from pathlib import Path

import pytest

from arenad.schema.paths import (
    RUNTIME_DIR_VARIABLE,
    STATE_DIR_VARIABLE,
    runtime_dir,
    split_address,
    state_dir,
)

SESSION = {"XDG_RUNTIME_DIR": "/run/user/1000"}
NAMED = {RUNTIME_DIR_VARIABLE: "/srv/arenad", **SESSION}


@pytest.mark.parametrize(
    ("configured", "environ", "uid", "expected"),
    [
        ("/opt/run", NAMED, 0, "/opt/run"),
        ("", NAMED, 0, "/srv/arenad"),
        ("", SESSION, 0, "/run/arenad"),
        ("", SESSION, 1000, "/run/user/1000/arenad"),
        ("", {}, 1000, "/tmp/arenad-1000"),
        ("", {"XDG_RUNTIME_DIR": "", RUNTIME_DIR_VARIABLE: ""}, 1000, "/tmp/arenad-1000"),
    ],
)
def test_the_nearest_word_decides(
    configured: str, environ: dict[str, str], uid: int, expected: str
) -> None:
    """Configuration, then environment, then who asks; an empty variable is none."""
    assert runtime_dir(configured, environ, uid) == Path(expected)


SERVICE = {"STATE_DIRECTORY": "/var/lib/arenad:/var/lib/other", "HOME": "/var/lib/arenad"}
HOME = {"HOME": "/home/me"}


@pytest.mark.parametrize(
    ("configured", "environ", "uid", "expected"),
    [
        ("/opt/state", {STATE_DIR_VARIABLE: "/srv/arenad", **SERVICE}, 0, "/opt/state"),
        ("", {STATE_DIR_VARIABLE: "/srv/arenad", **SERVICE}, 0, "/srv/arenad"),
        ("", SERVICE, 999, "/var/lib/arenad"),
        ("", HOME, 0, "/var/lib/arenad"),
        ("", {"XDG_STATE_HOME": "/home/me/state", **HOME}, 1000, "/home/me/state/arenad"),
        ("", HOME, 1000, "/home/me/.local/state/arenad"),
        (
            "",
            {STATE_DIR_VARIABLE: "", "STATE_DIRECTORY": "", **HOME},
            1000,
            "/home/me/.local/state/arenad",
        ),
    ],
)
def test_state_is_where_such_things_are(
    configured: str, environ: dict[str, str], uid: int, expected: str
) -> None:
    """Configuration, environment, systemd's word, then who it is."""
    assert state_dir(configured, environ, uid) == Path(expected)


def test_without_a_home_there_is_no_state() -> None:
    """Nothing is guessed."""
    assert state_dir("", {}, 1000) is None


def test_an_address_is_split_into_host_and_port() -> None:
    """Brackets belong to the writing, not to the host."""
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:443") == ("::1", 443)
