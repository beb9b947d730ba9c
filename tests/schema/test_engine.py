"""Engines: the table of what each allows, and what is said of those without a driver."""

from typing import get_args

import pytest

from arenad.schema import engine
from arenad.schema.profile import (
    DomRules,
    Landmarks,
    ModeRules,
    Modes,
    Profile,
    Step,
    StreamRules,
)


def test_the_table_is_whole() -> None:
    """Every engine has a row, Chromium's has every feature, and nobody has more than Chromium."""
    assert set(engine.CAPABILITIES) == set(get_args(engine.Engine))
    assert set(engine.CAPABILITIES["chromium"]) == set(get_args(engine.Feature))
    assert engine.lacking("chromium") == ()


@pytest.mark.parametrize("name", get_args(engine.Engine))
def test_only_what_is_driven_is_taken(name: engine.Engine) -> None:
    """The others are refused with the remedy."""
    said = engine.fault(name)
    assert bool(said) == (name not in engine.DRIVEN)
    assert not said or "a driver for chromium and firefox alone; set one of them" in said


def _profile(stream: StreamRules, *attach: Step) -> Profile:
    marks = Landmarks(prompt="textarea")
    modes = Modes(battle=ModeRules(start_path="/battle"))
    return Profile(version=1, name="x", landmarks=marks, stream=stream, modes=modes, attach=attach)


HEARD = StreamRules(url_pattern="/ask")
BOTH = StreamRules(url_pattern="/ask", dom=DomRules(element="p"))
SHOWN = StreamRules(transport="dom", dom=DomRules(element="p"))
ANY = StreamRules(transport="any")


@pytest.mark.parametrize("stream", [BOTH, SHOWN, ANY], ids=["both", "shown", "any"])
def test_a_profile_is_read_from_the_page_where_nothing_else_can_be(stream: StreamRules) -> None:
    """By the way that it names for that, and without the modes that cannot be read so."""
    profile = _profile(stream)
    assert engine.fitted(profile, "chromium") == (profile, "")
    read, why = engine.fitted(profile, "firefox")
    assert why == ""
    assert read.stream.transport == ("any" if stream is ANY else "dom")
    assert list(read.modes_offered()) == ["direct"]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (_profile(HEARD), "no reading of answers from the network, but the profile x names no"),
        (_profile(BOTH, Step(paste="textarea")), "but the profile x pastes files (attach)"),
    ],
    ids=["read", "paste"],
)
def test_what_an_engine_lacks_is_told_beforehand(profile: Profile, said: str) -> None:
    """With the engine, the field and the remedy."""
    _, why = engine.fitted(profile, "firefox")
    assert why.startswith("is firefox, which has no ")
    assert said in why
    assert why.endswith("leave that out, or set chromium")


def test_without_a_browser_no_engine_matters() -> None:
    """An upstream is asked over HTTP."""
    profile = Profile(version=1, name="x", kind="openai-http", landmarks=Landmarks(), stream=HEARD)
    assert engine.fitted(profile, "firefox") == (profile, "")
