"""The switch that two processes share, with real processes at both ends."""

import os
import select

from arenad import deadman

TIMEOUT_S = 30.0


def test_a_switch_that_nobody_winds_never_runs_down() -> None:
    """A child that has not begun to beat is somebody else's to judge."""
    switch = deadman.create()
    assert not deadman.has_run_down(switch)
    deadman.wind(switch, 0.001)
    assert select.select([switch], [], [], TIMEOUT_S)[0]
    assert deadman.has_run_down(switch)
    os.close(switch)


def test_a_switch_tells_of_each_standstill_once() -> None:
    """Watched by edges, as the master does; wound again, it has not run down, and is told anew."""
    switch = deadman.create()
    with select.epoll() as epoll:
        epoll.register(switch, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            deadman.wind(switch, 0.001)
            assert epoll.poll(TIMEOUT_S)
            assert deadman.has_run_down(switch)
            assert not epoll.poll(0)
            deadman.wind(switch, 60.0)
            assert not deadman.has_run_down(switch)
            assert not epoll.poll(0)
    os.close(switch)


def test_a_dead_childs_switch_runs_down() -> None:
    """The timer is the kernel's: whoever wound it need not run for it to go off."""
    switch = deadman.create()
    if (pid := os.fork()) == 0:
        deadman.wind(switch, 0.2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert select.select([switch], [], [], TIMEOUT_S)[0]
    os.close(switch)
