"""The watch over real processes that hang in different ways, in a program that plays the master."""

import pytest
from master_program import run_master

WATCH = """
acts(frontend="hello ready", worker="hello ready " + ACT)
made = settings(
    fleet={"instances": 1},
    health={"silent_s": 1.2, "hung_s": 1.6},
    life={"stop_timeout_s": 0.5, "backoff_first_s": 0.01, "backoff_limit_s": 0.02, "deaths": 50},
)
boss = Supervisor(loop, made, lambda role: (), lambda: None)
wake = sigchld(boss.on_sigchld)

def worker():
    return boss.child("w1")

def until_ready():
    run_until(lambda: worker() and worker().life.phase == "ready" and worker().pid)

def story():
    return [line.text for line in boss.ledger.story_of("w1")]

def leave():
    boss.shutdown()
    run_until(lambda: all(c.phase == "stopped" for c in boss.state().children))
    while boss.end_all():
        pass
"""


@pytest.mark.parametrize(
    ("act", "does"), [("deaf", "its process sleeps"), ("busy", "its process is busy")]
)
def test_a_loop_that_stands_still(act: str, does: str):
    """Marked, out of the roster, asked where it hangs, killed; the reason says what it did."""
    found = run_master(f"ACT = {act!r}" + WATCH + """
boss.start()
until_ready()
first = worker().life.generation
run_until(lambda: worker().is_silent)
seat, coming, state = worker().seat(1), worker().is_coming, boss.state()
run_until(lambda: worker().life.generation > first)
say(seat=seat, coming=coming, verdict=state.verdict, last=worker().last_death, story=story())
leave()
""")  # fmt: skip
    assert found["seat"] is None
    assert found["coming"] is True
    assert "w1 is broken (gives no beat)" in found["verdict"]
    assert found["last"].startswith("gave no beat for ")
    assert f"; {does}, its event loop stands still; killed by SIG" in found["last"]
    assert any(line.startswith("gave no beat for") for line in found["story"])


def test_a_stopped_child_is_told_of_by_the_kernel():
    """Long before a beat is late: SIGCHLD marks it, and it is killed while it is still stopped."""
    found = run_master("ACT = ''" + WATCH.replace('"silent_s": 1.2, "hung_s": 1.6', '"silent_s": 60, "hung_s": 60') + """
boss.start()
until_ready()
first = worker().life.generation
worker().signal(signal.SIGSTOP)
run_until(lambda: worker().is_silent)
run_until(lambda: worker().life.generation > first)
say(last=worker().last_death, story=story())
leave()
""")  # fmt: skip
    assert found["last"].endswith("; its process is stopped; killed by SIGKILL")
    assert "its process was stopped" in found["story"]


def test_a_stop_that_ends_at_once_costs_nothing():
    """Stopped and continued, as Ctrl-Z and `fg` do: marked, and back in the roster."""
    found = run_master("ACT = ''" + WATCH + """
boss.start()
until_ready()
worker().signal(signal.SIGSTOP)
run_until(lambda: worker().is_silent)
worker().signal(signal.SIGCONT)
run_until(lambda: not worker().is_silent)
say(generation=worker().life.generation, seat=worker().seat(1) is not None, last=worker().last_death)
leave()
""")  # fmt: skip
    assert found == {"generation": 1, "seat": True, "last": ""}


def test_our_own_hang_is_nobodys_silence():
    """A master that did not look for a while reads what came meanwhile, and kills nobody."""
    found = run_master("ACT = ''" + WATCH + """
boss.start()
until_ready()
worker().signal(signal.SIGSTOP)  # its beats are missing for as long as we are
time.sleep(2.5)
worker().signal(signal.SIGCONT)
began_s = time.monotonic()
run_until(lambda: time.monotonic() - began_s > 1.0)
say(generation=worker().life.generation)
leave()
""")  # fmt: skip
    assert found == {"generation": 1}
