"""Processors and memory as /proc tells them."""

from arenad.master.machine import Ticks, busy_percent, memory_available_bytes, ticks

STAT = "cpu  100 20 30 400 50 0 0 0 7 9\ncpu0 1 1 1 1 1 0 0 0 0 0\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:     600 kB\n"


def test_the_first_line_of_stat_is_read(tmp_path):
    """Guest time is in user time already; waiting for a disk is idle."""
    (tmp_path / "stat").write_text(STAT)
    assert ticks(tmp_path) == Ticks(total=600, idle=450)


def test_busy_is_what_is_not_idle():
    """A share of the time in between, over all processors."""
    assert busy_percent(Ticks(100, 80), Ticks(200, 105)) == 75.0
    assert busy_percent(Ticks(100, 80), Ticks(100, 80)) == 0.0


def test_available_memory_is_read(tmp_path):
    """In bytes; a kernel that does not tell it has none to give."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert memory_available_bytes(tmp_path) == 600 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\n")
    assert memory_available_bytes(tmp_path) == 0


def test_this_machine_tells():
    """The real files have these fields."""
    assert ticks().total > ticks().idle > 0
    assert memory_available_bytes() > 0
