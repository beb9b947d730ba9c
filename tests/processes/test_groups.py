"""A real daemon whose instances have control groups: a stopped browser, an upgrade."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from daemon import Daemon, running, until


@pytest.fixture(scope="module")
def grouped() -> Iterator[Daemon]:
    """One instance, in a group of its own."""
    with running(1) as daemon:
        if "no control groups" in daemon.log():
            pytest.skip("no control group is ours to use here")
        yield daemon


def group_of(pid: int) -> str:
    """The last part of a process's control group."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if line.startswith("0::")).rpartition("/")[2]


def test_a_stopped_browser_ends_with_its_worker(grouped: Daemon) -> None:
    """All of an instance is in its group, nobody else is, and all of it ends."""
    worker = grouped.child("w1")
    assert group_of(grouped.process.pid) == group_of(grouped.children("frontend")[0]["pid"])
    tree = psutil.Process(worker["pid"]).children(recursive=True)
    assert {group_of(each.pid) for each in tree} == {f"w1.{worker['generation']}"}
    for process in tree:
        process.suspend()
    psutil.Process(worker["pid"]).kill()
    _, alive = psutil.wait_procs(tree, timeout=20)
    assert not alive
    grouped.wait_well()
    again = grouped.child("w1")
    assert group_of(again["pid"]) == f"w1.{again['generation']}" != f"w1.{worker['generation']}"


def test_an_upgrade_ends_nobody_but_replaces_in_turn(grouped: Daemon) -> None:
    """The new program knows the groups that it goes on with; successors get new ones."""
    before = grouped.child("w1")
    story = grouped.log()
    assert grouped.ctl("upgrade", "--wait").returncode == 0
    until(lambda: grouped.child("w1")["generation"] > before["generation"], "w1 is replaced")
    since = grouped.log()[len(story) :]
    assert "died" not in since
    assert "ended what an earlier daemon left" not in since
    grouped.wait_well()
    after = grouped.child("w1")
    assert group_of(after["pid"]) == f"w1.{after['generation']}"
    assert group_of(grouped.process.pid) == "daemon"
