"""Where the daemon is to be found, alike for it and for arenactl; its state; addresses. No I/O."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

RUNTIME_DIR_VARIABLE = "ARENAD_RUNTIME_DIR"
STATE_DIR_VARIABLE = "ARENAD_STATE_DIR"
CONTROL_SOCKET = "control.sock"
RECORDER_SOCKET = "recorder.sock"

_CREDENTIALS = re.compile(r"//[^\s/]*@")


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


def state_dir(configured: str, environ: Mapping[str, str], uid: int) -> Path | None:
    """The folder of what outlives the daemon; none when nothing tells where that would be.

    As configured, by environment (systemd's `StateDirectory=` included), `/var/lib/arenad` for
    root, else below `XDG_STATE_HOME` or the home folder.
    """
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd may name several
    if named := configured or environ.get(STATE_DIR_VARIABLE, "") or given:
        return Path(named)
    if uid == 0:
        return Path("/var/lib/arenad")
    if base := environ.get("XDG_STATE_HOME", ""):
        return Path(base) / "arenad"
    home = environ.get("HOME", "")
    return Path(home) / ".local" / "state" / "arenad" if home else None


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def without_credentials(text: str) -> str:
    """A text without what some write into an address before its host: that is never shown."""
    return _CREDENTIALS.sub("//…@", text)


def view_url(gui_url: str, name: str) -> str:
    """The address of an instance's live view, beside the dashboard's."""
    return f"{gui_url.removesuffix('dashboard')}view/{quote(name, safe='')}"
