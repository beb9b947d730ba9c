"""Where sockets are, computed alike by daemon and operator."""

from pathlib import Path

import pytest

from arenad.schema.paths import RUNTIME_DIR_VARIABLE, runtime_dir, split_address

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


def test_an_address_is_split_into_host_and_port() -> None:
    """Brackets belong to the writing, not to the host."""
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:443") == ("::1", 443)
