"""What limits mean to the kernel and to people."""

import pytest

from arenad.master.limits import Missing, limits_of, sentence, verdict
from arenad.schema.config import LimitsConfig

MIB = 1024 * 1024
ALL = LimitsConfig(memory_max_bytes=500 * MIB, cpu_percent=150, tasks=400)


def test_each_limit_has_its_controller_and_its_files():
    """What is written where; nothing for a limit that is not set."""
    written = {limit.controller: dict(limit.files) for limit in limits_of(ALL)}
    assert written == {
        "memory": {"memory.max": "524288000", "memory.oom.group": "1"},
        "cpu": {"cpu.max": "150000 100000"},
        "pids": {"pids.max": "400"},
    }
    assert limits_of(LimitsConfig()) == ()
    assert limits_of(LimitsConfig(cpu_percent=1))[0].files == (("cpu.max", "1000 100000"),)


def test_every_limit_that_can_be_set_is_one():
    """A new field of the section is a limit here too, or it holds nothing."""
    fields = {f"limits.{name}" for name in LimitsConfig.__struct_fields__ if name != "required"}
    assert {limit.field for limit in limits_of(ALL)} == fields


def test_the_start_says_what_is_held_and_what_is_not():
    """One line, to be read aloud."""
    held = limits_of(LimitsConfig(memory_max_bytes=500 * MIB, tasks=400))
    missing = [Missing("limits.cpu_percent", "there is no controller `cpu` in /x")]
    assert sentence("/x/arenad-1", (), ()) == (
        "each instance has a control group of its own in /x/arenad-1"
    )
    assert sentence("/x/arenad-1", held, missing) == (
        "each instance has a control group of its own in /x/arenad-1; limited to 500 MiB of memory,"
        " 400 processes and threads; limits.cpu_percent is not held: there is no controller `cpu` in /x"
    )


@pytest.mark.parametrize(
    ("memory", "pids", "words"),
    [
        ({}, {}, ""),
        ({"oom": 3, "oom_kill": 0}, {"max": 0}, ""),
        (
            {"oom": 1, "oom_kill": 9},
            {"max": 2},
            "its memory limit of 500 MiB (limits.memory_max_bytes) ended it",
        ),
        (
            {"oom": 0, "oom_kill": 1},
            {},
            "the machine, or a group above its own, was out of memory, and the kernel ended it",
        ),
        ({"oom_kill": 0}, {"max": 1}, "it wanted more than its 400 processes and threads (limits.tasks)"),
    ],
)  # fmt: skip
def test_a_death_by_a_limit_is_told_from_others(memory, pids, words):
    """Its own limit of memory, somebody else's want of memory, its limit of processes, or none."""
    assert verdict(ALL, memory, pids) == words


def test_a_limit_that_is_no_whole_number_of_mebibytes():
    """It is said to the digit that matters, not rounded to another."""
    [limit] = limits_of(LimitsConfig(memory_max_bytes=3 * MIB // 2))
    assert limit.words == "1.5 MiB of memory"
