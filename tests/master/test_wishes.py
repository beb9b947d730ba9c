"""How many instances are wished for, of each kind."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from arenad.errors import Refused
from arenad.master.settings import Settings
from arenad.master.wishes import Wishes
from arenad.schema.config import Config

MIB = 1024**2
GIB = 1024**3


def _config(**fleet: Any) -> Config:
    up = {"name": "up", "site": {"url": "http://127.0.0.1:9/"}, "instances": 2}
    return msgspec.convert({"fleet": fleet, "instance_templates": [up]}, Config)


def _settings(runtime: Path, **fleet: Any) -> Settings:
    settings = Settings(Config())
    settings.config = _config(**fleet)
    return settings


@pytest.fixture
def told() -> list[str]:
    """The lines of the story."""
    return []


def _wishes(tmp_path: Path, told: list[str], **fleet: Any) -> Wishes:
    return Wishes(_settings(tmp_path, **fleet), dict, lambda _about, text: told.append(text))


def test_wishes_begin_as_configured(tmp_path: Path, told: list[str]) -> None:
    """Spares come on top on the site itself; the fleet's limit is of all together."""
    wishes = _wishes(tmp_path, told, instances=3, spares=1, max_instances=10)
    assert wishes.of_each == {"": 4, "up": 2}
    assert (wishes.total, wishes.most) == (5, 8)


def test_an_operator_wants_others_of_a_template(tmp_path: Path, told: list[str]) -> None:
    """Up to the limit of all; what there is none of is told with what there is."""
    wishes = _wishes(tmp_path, told, instances=3, max_instances=10)
    wishes.want_of("up", 7)
    assert (wishes.of_each, wishes.most) == ({"": 3, "up": 7}, 3)
    for template, instances, why in (("up", 8, "must be 0 to 7"), ("nope", 1, "there are up")):
        with pytest.raises(Refused, match=why):
            wishes.want_of(template, instances)
    assert wishes.others == {"up": 7}


def test_the_budget_is_of_all(tmp_path: Path, told: list[str]) -> None:
    """Instances of templates take their part of it, and are refused beyond it."""
    wishes = _wishes(tmp_path, told, instances=1, memory_budget_bytes=GIB)  # 3 as a first guess
    assert wishes.room().affordable == 1
    with pytest.raises(Refused, match="with 3 of up all would take about 1200 MiB"):
        wishes.want_of("up", 3)
    wishes.want(5)
    assert wishes.first == 1
    assert "5 beside 600 MiB of templates would take about 2100 MiB" in told[0]


def test_each_kind_costs_what_its_own_do(tmp_path: Path, told: list[str]) -> None:
    """Browsers cost as browsers, and upstreams without one as such."""
    readings = {"w1": 400 * MIB, "up-1": 30 * MIB, "up-2": 50 * MIB}
    settings = _settings(tmp_path, instances=1, memory_budget_bytes=GIB)
    wishes = Wishes(settings, lambda: readings, lambda _about, text: told.append(text))
    assert wishes.room().affordable == 2
    wishes.want_of("up", 15)
    with pytest.raises(Refused, match="about 1040 MiB"):
        wishes.want_of("up", 16)


def test_an_upgrade_keeps_what_operators_said(tmp_path: Path, told: list[str]) -> None:
    """Of the templates that there still are: one that has left the file meanwhile stays away."""
    wishes = _wishes(tmp_path, told, instances=1)
    wishes.resume(3, {"up": 4, "gone": 2})
    assert wishes.of_each == {"": 3, "up": 4}


@pytest.mark.parametrize(
    ("limit", "holds", "line"),
    [
        (6, {"": 2, "up": 4}, "3 instances beside 4 of up are over fleet.max_instances (6); 2 are"),
        (3, {"": 1, "up": 2}, "4 of up are over fleet.max_instances (3); what the file says"),
    ],
)
def test_an_upgrade_goes_by_a_limit_that_has_come_down(
    tmp_path: Path, told: list[str], limit: int, holds: dict[str, int], line: str
) -> None:
    """What the file says by then holds, and what it cuts is said."""
    wishes = _wishes(tmp_path, told, instances=1, max_instances=limit)
    wishes.resume(3, {"up": 4})
    assert wishes.of_each == holds
    assert told[0].startswith(line)


@pytest.mark.parametrize(
    ("fleet", "changed", "holds", "line"),
    [
        (
            {"instances": 5, "max_instances": 10},
            {"fleet.instances"},
            {"": 3, "up": 7},
            "5 instances beside 7 of up are over fleet.max_instances (10); 3 are kept",
        ),
        (
            {"instances": 3, "max_instances": 9},
            {"fleet.max_instances"},
            {"": 2, "up": 7},
            "3 instances beside 7 of up are over fleet.max_instances (9); 2 are kept",
        ),
        (
            {"instances": 3, "max_instances": 6},
            {"fleet.max_instances"},
            {"": 3, "up": 2},
            "7 of up are over fleet.max_instances (6); what the file says of templates holds again",
        ),
    ],
)
def test_a_reload_says_what_the_limit_cuts(
    tmp_path: Path,
    told: list[str],
    fleet: dict[str, int],
    changed: set[str],
    holds: dict[str, int],
    line: str,
) -> None:
    """Where an operator's number of a template leaves no room for what the file says."""
    settings = _settings(tmp_path, instances=3, max_instances=10)
    wishes = Wishes(settings, dict, lambda _about, text: told.append(text))
    wishes.want_of("up", 7)
    settings.config = _config(**fleet)
    wishes.follow(changed)
    assert (wishes.of_each, told) == (holds, [line])


def test_a_reload_keeps_what_operators_said(tmp_path: Path, told: list[str]) -> None:
    """But for the numbers that the file changes."""
    settings = _settings(tmp_path, instances=1)
    wishes = Wishes(settings, dict, lambda _about, text: told.append(text))
    wishes.want_of("up", 4)
    wishes.follow({"queue.limit"})
    assert wishes.others == {"up": 4}
    wishes.follow({"instance_templates.up.instances"})
    assert wishes.others == {"up": 2}
    settings.config = Config()
    wishes.follow({"instance_templates.up.instances", "fleet.instances"})
    assert wishes.of_each == {"": 2}
