"""Browser engines: what arenad does with a browser, and which engine's interface allows it.

The interfaces: Chromium's own debugging pipe; for others Playwright, whose documentation the flags
are from. Only what is in `DRIVEN` has a driver here.
"""

from typing import Literal

Engine = Literal["chromium", "firefox", "webkit"]
Feature = Literal[
    "reading of answers from the network",
    "reading of answers from the page",
    "reading of streams in workers and other sites' frames",
    "live view",
    "check of the sandbox",
    "watch over each process",
]

DRIVEN: tuple[Engine, ...] = ("chromium",)

_EVERYWHERE: tuple[Feature, ...] = ("reading of answers from the page",)
_CHROMIUM_ALONE: tuple[Feature, ...] = (
    "reading of answers from the network",
    "reading of streams in workers and other sites' frames",
    "live view",
    "check of the sandbox",
    "watch over each process",
)
CAPABILITIES: dict[Engine, tuple[Feature, ...]] = {
    "chromium": (*_EVERYWHERE, *_CHROMIUM_ALONE),
    "firefox": _EVERYWHERE,
    "webkit": _EVERYWHERE,
}


def lacking(engine: Engine) -> tuple[Feature, ...]:
    """What needs Chromium."""
    return tuple(each for each in CAPABILITIES["chromium"] if each not in CAPABILITIES[engine])


def fault(engine: Engine) -> str:
    """Why instances cannot have this engine; empty if they can."""
    if engine in DRIVEN:
        return ""
    return (
        f"is {engine}, but this version has a driver for {' and '.join(DRIVEN)} alone; set that "
        f"(with {engine} there would be no {'; no '.join(lacking(engine))})"
    )
