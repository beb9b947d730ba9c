"""pacing: what refusals make of the paces of several sites, told to frontends and to people."""

import time
from pathlib import Path

import msgspec

from arenad.master.pacing import Pacing
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.schema.config import Config
from arenad.schema.process import SessionIs

CONFIG = {
    "site": {"pace": 60, "spacing_s": 0.5},
    "instance_templates": [{"name": "other", "site": {"profile": "demo"}}],
}

REFUSED = SessionIs("resting", "the site asks for patience", 4.0)


def _pacing(tmp_path: Path) -> tuple[Pacing, list[str]]:
    config = msgspec.convert({**CONFIG, "daemon": {"runtime_dir": str(tmp_path)}}, Config)
    told: list[str] = []
    return Pacing(Settings(config), lambda about, text: told.append(f"{about}: {text}")), told


def test_only_sites_with_a_pace_are_told_to_frontends(tmp_path: Path) -> None:
    """A site without one costs nobody a look at a file."""
    pacing, _ = _pacing(tmp_path)
    (name, pace), *others = pacing.paces().items()
    assert (name, pace.per_minute, pace.spacing_s, pace.slowed_per_minute) == ("", 60, 0.5, None)
    assert pace.turns_path == str(tmp_path / "workers" / "w.turns")
    assert not others


def test_a_refusal_slows_its_own_site_and_is_told_once(tmp_path: Path) -> None:
    """Two instances refused together are two refusals and one halving."""
    pacing, told = _pacing(tmp_path)
    pacing.heard("w1", REFUSED)
    pacing.heard("w2", REFUSED)
    pacing.heard("w2", SessionIs("away", "the site cannot be reached", 4.0))
    assert pacing.paces()[""].slowed_per_minute == 30
    line = "w1 was refused by the site: 30 of 60 requests a minute from now on"
    assert told == [f"fleet: {line}"]
    assert pacing.standings[""].refusals == 2


def test_refusals_are_counted_without_a_pace_too(tmp_path: Path) -> None:
    """There is nothing to slow, and still it is shown; one of a template that left is nobody's."""
    pacing, told = _pacing(tmp_path)
    pacing.heard("other-1", REFUSED)
    pacing.heard("gone-1", REFUSED)
    own, other = pacing.state(())
    assert (own.template, own.refusals, own.allowed_per_minute) == ("", 0, 60)
    assert (other.template, other.refusals, other.allowed_per_minute) == ("other", 1, 0)
    assert not told
    assert set(pacing.paces()) == {""}


def test_people_see_who_rests_and_for_how_long(tmp_path: Path) -> None:
    """The shortest rest of all that rest is when the site is asked again."""
    pacing, _ = _pacing(tmp_path)
    first, second, third = (Supervised(f"w{number}", "worker") for number in (1, 2, 3))
    for child, rest_s in ((first, 40.0), (second, 20.0)):
        child.condition, child.rest_until_s = "resting", time.monotonic() + rest_s
    (own,) = pacing.state((first, second, third))
    assert own.resting == 2
    assert own.rest_s is not None
    assert 15 < own.rest_s <= 20
