"""What importing the package costs, seen from a program of its own."""

import subprocess
import sys


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_msgspec_brings_nothing_along() -> None:
    """Neither typing_extensions nor what that imports: master and arenactl use nothing of it."""
    _run("""
import sys
import arenad.schema.frame
assert "msgspec" in sys.modules
assert not {"typing_extensions", "inspect"} & set(sys.modules)
""")


def test_typing_extensions_can_be_imported_later() -> None:
    """Libraries of the roles use it; keeping it out lasts for one import only."""
    _run("""
import arenad
import typing_extensions
assert typing_extensions.get_type_hints
""")


def test_types_are_read_as_ever() -> None:
    """Required fields of a typed dictionary are what msgspec looks up by those two names."""
    _run("""
import arenad
import msgspec
from typing import NotRequired, TypedDict
Kind = TypedDict("Kind", {"a": int, "b": NotRequired[int]})
assert msgspec.json.decode('{"a": 1}', type=Kind) == {"a": 1}
""")
