"""Engines: the table of what each allows, and what is said of those without a driver."""

from typing import get_args

import pytest

from arenad.schema import engine


def test_the_table_is_whole() -> None:
    """Every engine has a row, Chromium's has every feature, and nobody has more than Chromium."""
    assert set(engine.CAPABILITIES) == set(get_args(engine.Engine))
    assert set(engine.CAPABILITIES["chromium"]) == set(get_args(engine.Feature))
    assert engine.lacking("chromium") == ()


@pytest.mark.parametrize("name", get_args(engine.Engine))
def test_only_what_is_driven_is_taken(name: engine.Engine) -> None:
    """The others are refused with the remedy, and with what would be missed."""
    said = engine.fault(name)
    assert bool(said) == (name not in engine.DRIVEN)
    if said:
        assert "a driver for chromium alone; set that" in said
        assert "no live view" in said
