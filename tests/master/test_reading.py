"""Configurations that another process reads: the same values, the same faults, no trace of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arenad import config, profiles
from arenad.errors import ConfigError
from arenad.master import reading
from arenad.schema.config import SiteConfig

SAMPLE = Path(__file__).parents[2] / "etc/arenad.yaml"


def test_what_is_read_apart_is_what_is_read_here() -> None:
    """File, built-in configuration and profile come back whole."""
    assert reading.read(SAMPLE) == config.load(SAMPLE)
    assert reading.read(None) == config.parse(b"")
    assert reading.load_profile(SiteConfig()) == profiles.load("demo")


def test_all_faults_come_back(tmp_path: Path) -> None:
    """Word for word as the reader says them, of a file and of a profile."""
    path = tmp_path / "arenad.yaml"
    path.write_text("fleet: {instances: -1}\nhealth: {silent_s: no}\n")
    with pytest.raises(ConfigError) as here:
        config.load(path)
    with pytest.raises(ConfigError) as apart:
        reading.read(path)
    assert len(apart.value.faults) == 2
    assert apart.value.faults == here.value.faults
    with pytest.raises(ConfigError, match=r"site\.profile: is 'nowhere'; must be one of"):
        reading.load_profile(SiteConfig(profile="nowhere"))


def test_a_file_that_does_not_end_holds_nobody_up(tmp_path: Path) -> None:
    """A pipe that nobody writes to, as a disk that does not answer: given up, and said."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"/pipe: could not be read within 0\.3 s"):
        reading.read(path, 0.3)


def test_a_reader_that_breaks_is_a_fault_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback reaches the one who asked; the reader has written it to the log."""
    monkeypatch.setattr(reading, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="the process that was to read it failed"):
        reading.read(None)


def test_the_master_knows_nothing_of_yaml() -> None:
    """What reading takes is never imported by the master: that is what the process apart is for."""
    program = f"""
import sys
from pathlib import Path
import arenad.__main__
from arenad.master import reading
from arenad.schema.config import SiteConfig
reading.read(Path({str(SAMPLE)!r}))
assert not {{"yaml", "difflib", "arenad.config"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
