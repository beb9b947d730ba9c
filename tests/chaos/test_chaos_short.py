"""A short run of what `make chaos` does at length: one seed, one minute, no fault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 40


@pytest.mark.timeout(300)
def test_a_short_chaos() -> None:
    """Forty seconds of trouble under load: every answer is whole or honestly none."""
    paths = os.pathsep.join(str(ROOT / "tests" / each) for each in ("processes", "chaos"))
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--seconds", str(SECONDS), "--seed", "7"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "| wrong | 0 |" in done.stdout
