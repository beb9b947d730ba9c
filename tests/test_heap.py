"""What large pieces of memory are made of, once they are to be given back."""

import subprocess
import sys

LOOK = """
import re
from pathlib import Path
from arenad import heap

def is_kept(size):
    piece = bytes(size)
    found = re.search(r"(\\w+)-(\\w+) .*\\[heap\\]", Path("/proc/self/maps").read_text())
    return int(found[1], 16) <= id(piece) < int(found[2], 16)

{before}
bytes(8_000_000)
print(is_kept(4_000_000))
"""


def _is_kept(before: str) -> str:
    words = [sys.executable, "-c", LOOK.replace("{before}", before).replace("\\\\", "\\")]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_large_pieces_are_mapped_by_themselves() -> None:
    """A program in which nobody said so keeps as much as was free once: this sees a difference."""
    assert _is_kept("heap.give_back()") == "False"
    assert _is_kept("") == "True"
