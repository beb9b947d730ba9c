"""Where the daemon is to be found: its sockets, computed alike by arenactl; addresses. No I/O."""

from collections.abc import Mapping
from pathlib import Path

RUNTIME_DIR_VARIABLE = "ARENAD_RUNTIME_DIR"
CONTROL_SOCKET = "control.sock"


def runtime_dir(configured: str, environ: Mapping[str, str], uid: int) -> Path:
    """The folder of sockets and scratch files: as configured, by environment, else by the user.

    root has `/run/arenad` (file-hierarchy(7)); others have their `XDG_RUNTIME_DIR`, or a folder of
    their own below `/tmp` where there is none.
    """
    if named := configured or environ.get(RUNTIME_DIR_VARIABLE, ""):
        return Path(named)
    if uid == 0:
        return Path("/run/arenad")
    if session := environ.get("XDG_RUNTIME_DIR", ""):
        return Path(session) / "arenad"
    return Path(f"/tmp/arenad-{uid}")  # noqa: S108 - checked for its owner and mode before use


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
