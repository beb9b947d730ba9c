"""What the processes of a browser tell of its health: a brain that sees stops and losses.

A stopped process gives no event, and some are missed by nobody for long: a stopped network process
fails only the next request. What is seen once is suspected; what is seen again is so.
"""

from collections.abc import Iterable

import msgspec

MISSING_LOOKS = 4
"""The browser starts a new network process by itself; missing in so many looks, it does not."""

FIREFOX_CHILD = "-contentproc"

NAMES = {
    "": "main process",
    "network": "network process",
    "gpu-process": "GPU process",
}
"""How processes are called in a reason; others by their `--type`."""


class Part(msgspec.Struct, frozen=True):
    """One process of a browser: what it is for, and whether it is stopped."""

    pid: int
    kind: str
    is_stopped: bool


class Suspicion(msgspec.Struct, frozen=True):
    """What the last looks showed."""

    stopped: frozenset[int] = frozenset()
    had_network: bool = False
    missing: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the next look should come soon."""
        return bool(self.stopped or self.missing)


def look(before: Suspicion, parts: Iterable[Part]) -> tuple[Suspicion, str]:
    """One look at all parts: what is suspected now, and what is certain, in words."""
    parts = tuple(parts)
    stopped = frozenset(part.pid for part in parts if part.is_stopped)
    has_network = any(part.kind == "network" for part in parts)
    missing = before.missing + 1 if before.had_network and not has_network else 0
    now = Suspicion(stopped, before.had_network or has_network, missing)
    certain = before.stopped & stopped
    for part in parts:
        if part.pid in certain:
            return now, f"the browser's {name_of(part.kind)} is stopped"
    if missing >= MISSING_LOOKS:
        return now, f"the browser's {name_of('network')} is gone and does not come back"
    return now, ""


def kind_of(words: Iterable[str]) -> str:
    """What a browser's process is for, by its command line; empty for the main one."""
    words = tuple(words)
    if FIREFOX_CHILD in words:  # the last word says it; those that show pages are a "tab"
        kind = next((word for word in reversed(words) if word), "")
        return "renderer" if kind == "tab" else kind
    kind = ""
    for word in words:
        if word == "--utility-sub-type=network.mojom.NetworkService":
            return "network"
        if word.startswith("--type="):
            kind = word.removeprefix("--type=")
    return kind


def name_of(kind: str) -> str:
    """A process in words."""
    return NAMES.get(kind, f"{kind} process")
