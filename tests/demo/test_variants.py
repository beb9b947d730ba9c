"""The dated variants as a table, and that the manual shows it."""

from pathlib import Path

import pytest

from arenad.demo import variants
from arenad.demo.protocol import Refusal
from arenad.demo.variants import VARIANTS

MANUAL = Path(__file__).parent.parent.parent / "docs/demo-arena.md"


def test_the_manual_shows_the_variants() -> None:
    """One row each, with the summary of the code."""
    rows = [f"| `{each.name}` | {each.summary} |" for each in VARIANTS.values()]
    shown = [line for line in MANUAL.read_text().splitlines() if line.startswith("| `")]
    assert [line for line in shown if line.count("|") == 3] == rows


def test_only_timed_variants_look_at_the_time() -> None:
    """The rules of a body carry the site's time where ids are held against it."""
    timed = {each.name for each in VARIANTS.values() if each.rules(5).now_ms == 5}
    assert timed == {"2025-11", "2026"}


def test_an_unknown_variant_is_told() -> None:
    """With the names that there are."""
    with pytest.raises(Refusal, match=r"400.*2024: there are demo, 2025-07"):
        variants.named("2024")


@pytest.mark.parametrize(
    ("name", "path", "served"),
    [
        ("demo", "/", True),
        ("demo", "/text/direct", True),
        ("2025-07", "/", True),
        ("2025-07", "/text/direct", False),
        ("2025-09", "/c/new", True),
        ("2026", "/image/direct", True),
        ("2026", "/c/new", False),
    ],
)
def test_each_variant_has_its_own_pages(name: str, path: str, served: bool) -> None:
    """Paths of another date are not there."""
    assert variants.serves(VARIANTS[name], path) is served
