"""Browser engines: what arenad does with a browser, and which engine lets it.

The interfaces: Chromium's own debugging pipe; of Firefox (140) WebDriver BiDi. Only what is in
`DRIVEN` has a driver here.
"""

from typing import Literal

from msgspec.structs import replace

from arenad.schema.profile import Modes, Profile

Engine = Literal["chromium", "firefox", "webkit"]
Feature = Literal[
    "reading of answers from the network",
    "reading of answers from the page",
    "reading of streams in workers and other sites' frames",
    "two answers side by side",
    "files by an input of the page",
    "files by a dialog or a paste",
    "saved logins",
    "proxies",
    "live view",
    "check of the sandbox",
    "watch over each process",
]

DRIVEN: tuple[Engine, ...] = ("chromium", "firefox")

_EVERYWHERE: tuple[Feature, ...] = (
    "reading of answers from the page",
    "files by an input of the page",
    "saved logins",
    "check of the sandbox",
    "watch over each process",
)
_CHROMIUM_ALONE: tuple[Feature, ...] = (
    "reading of answers from the network",
    "reading of streams in workers and other sites' frames",
    "two answers side by side",
    "files by a dialog or a paste",
    "proxies",
    "live view",
)
CAPABILITIES: dict[Engine, tuple[Feature, ...]] = {
    "chromium": (*_EVERYWHERE, *_CHROMIUM_ALONE),
    "firefox": _EVERYWHERE,
    "webkit": (),
}


def lacking(engine: Engine) -> tuple[Feature, ...]:
    """What needs Chromium."""
    return tuple(each for each in CAPABILITIES["chromium"] if each not in CAPABILITIES[engine])


def fault(engine: Engine) -> str:
    """Why instances cannot have this engine; empty if they can."""
    if engine in DRIVEN:
        return ""
    told = f"is {engine}, but this version has a driver for {' and '.join(DRIVEN)} alone"
    return f"{told}; set one of them"


def needs(engine: Engine, feature: Feature, what: str) -> str:
    """Why `what` of the configuration cannot be had with this engine; empty if it can."""
    if feature in CAPABILITIES[engine]:
        return ""
    return f"is {engine}, which has no {feature}, but {what}; leave that out, or set chromium"


def fitted(profile: Profile, engine: Engine) -> tuple[Profile, str]:
    """A profile as this engine follows it, and why it cannot.

    One that reads answers from the page alone is given the profile's way to do so, and no modes of
    two answers, which cannot be told apart there.
    """
    stream = profile.stream
    if profile.kind != "page" or "reading of answers from the network" in CAPABILITIES[engine]:
        return profile, ""
    if any(step.paste for step in profile.attach):
        what = f"the profile {profile.name} pastes files (attach)"
        return profile, needs(engine, "files by a dialog or a paste", what)
    if stream.transport not in ("dom", "any"):
        if stream.dom is None:
            what = f"the profile {profile.name} names no other way (stream.dom: {{element: CSS}})"
            return profile, needs(engine, "reading of answers from the network", what)
        stream = replace(stream, transport="dom")
    return replace(profile, stream=stream, modes=Modes()), ""
