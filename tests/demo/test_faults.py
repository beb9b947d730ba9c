"""The table of faults, how they are asked for, and that the manual shows the table."""

from pathlib import Path
from typing import Any

import pytest

from arenad.demo import faults, refusals
from arenad.demo.faults import FAULTS
from arenad.demo.protocol import Refusal

MANUAL = Path(__file__).parent.parent.parent / "docs/demo-arena.md"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        ("cut", {"cut": 60}),
        ("cut=100", {"cut": 100}),
        (" cut = 100 , split=2,crlf", {"cut": 100, "split": 2, "crlf": 0}),
        ("slow-start=0.5", {"slow-start": 0.5}),
    ],
)
def test_faults_are_read_from_text(text: str, wanted: dict[str, float]) -> None:
    """Names with or without a value, separated by commas."""
    assert faults.read(text) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("smoke", "smoke: there are moved, block"),
        ("cut=many", "'many' is no number"),
        ("cut=-1", "cut: is -1, has to be 0 to"),
        ("cut=nan", "cut: is nan"),
        ("crlf=1", "crlf: takes no value"),
    ],
)
def test_what_is_no_fault_is_told(text: str, told: str) -> None:
    """The refusal names the fault, and what there is instead."""
    with pytest.raises(Refusal, match=f"400.*{told}"):
        faults.read(text)


def test_json_may_say_true() -> None:
    """`true` and null are the default, `false` is off."""
    wish: dict[str, Any] = {"cut": True, "split": None, "crlf": False, "429": 7}
    assert faults.check(wish) == {"cut": 60, "split": 1, "429": 7}


@pytest.mark.parametrize(
    ("prompt", "split"),
    [
        ("say it [[demo:cut=9, crlf]]", ("say it", "cut=9, crlf")),
        ("say it\n[[demo:cut]]\n", ("say it", "cut")),
        ("[[demo:cut]] say it", ("[[demo:cut]] say it", "")),
        ("a [[wiki link]]", ("a [[wiki link]]", "")),
        (" " * 500_000 + "a", (" " * 500_000 + "a", "")),
    ],
)
def test_a_marker_ends_a_prompt(prompt: str, split: tuple[str, str]) -> None:
    """Only at the very end: an older turn in a folded prompt asks for nothing."""
    assert faults.split_marker(prompt) == split


def test_every_refusal_is_a_fault() -> None:
    """What refuses by name is in the table."""
    assert set(refusals.REFUSALS) | set(refusals.ODD) <= set(FAULTS)


def test_the_manual_shows_the_table() -> None:
    """One row for each fault, in the order of the code, with the same words."""
    rows = [
        f"| `{each.name}` | {each.stage} | {_value(each)} | {each.meaning} |"
        for each in FAULTS.values()
    ]
    shown = [line for line in MANUAL.read_text().splitlines() if line.startswith("| `")]
    assert [line for line in shown if line.count("|") == 5] == rows


def _value(fault: faults.Fault) -> str:
    return f"{fault.unit}, {fault.default:g}" if fault.unit else ""
