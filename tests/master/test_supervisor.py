"""The supervisor with real processes that act, in a program that plays the master."""

import pytest
from master_program import run_master

SUPERVISOR = """
made = settings(
    fleet={"instances": 3, "start_parallel": 2},
    life={"stop_timeout_s": 0.5, "backoff_first_s": 0.01, "backoff_limit_s": 0.02, "deaths": 4},
)
acts(frontend="hello ready", worker="hello ready")

def fleet(**changed):
    changed = msgspec.structs.replace(made.config.fleet, **changed)
    made.config = msgspec.structs.replace(made.config, fleet=changed)

def begin():
    global boss, wake
    boss = Supervisor(loop, made, lambda role: (), lambda: None)
    wake = sigchld(boss.on_sigchld)
    boss.start()

def phases():
    return {child.name: child.phase for child in boss.state().children}

def leave():
    boss.shutdown()
    run_until(lambda: not [p for p in phases().values() if p != "stopped"])
    while boss.end_all():
        pass
"""


def test_a_fleet_comes_up_and_leaves_in_order():
    """All ready, never more than two starting; frontends leave before workers."""
    found = run_master(SUPERVISOR + """
most = []
begin()
def look():
    most.append(sum(p == "starting" for n, p in phases().items() if n.startswith("w")))
    return set(phases().values()) == {"ready"} and len(phases()) == 4
run_until(look)
conditions = [child.condition for child in boss.state().children if child.role == "worker"]
leave()
stopped = [line.text for line in lines if line.text.endswith(": stopped")]
say(most=max(most), conditions=conditions, stopped=stopped, left=kernel.child_pids())
""")  # fmt: skip
    assert found["most"] <= 2
    assert found["conditions"] == ["opening"] * 3, "ready always has a condition"
    assert found["stopped"][0] == "frontend-1: stopped"
    assert len(found["stopped"]) == 4
    assert found["left"] == []


def test_scaling_down_over_failed_instances():
    """Several that have no process are forgotten in one go; names come back with new generations."""
    found = run_master(SUPERVISOR + """
acts(worker="die")
begin()
run_until(lambda: list(phases().values()).count("failed") == 3)
boss.scale(0)
after = phases()
boss.scale(1)
state = {child.name: child for child in boss.state().children}["w1"]
leave()
say(after=after, generation=state.generation, restarts=state.restarts)
""")  # fmt: skip
    assert set(found["after"]) == {"frontend-1"}
    assert found["generation"] > 1
    assert found["restarts"] == 0


def test_a_held_instance_stays_down_until_somebody_wants_it():
    """Drained by an operator it stays stopped; a restart takes it back."""
    found = run_master(SUPERVISOR + """
begin()
run_until(lambda: set(phases().values()) == {"ready"} and len(phases()) == 4)
boss.drain(boss.child("w2"))
run_until(lambda: phases()["w2"] == "stopped")
verdict = boss.state().verdict
boss.restart(boss.child("w2"))
now = phases()["w2"]
leave()
say(verdict=verdict, now=now)
""")  # fmt: skip
    assert "w2 is drained" in found["verdict"]
    assert found["now"] == "starting"


def test_a_spare_stands_in_and_whoever_comes_back_is_the_spare():
    """Two wanted, three up; one is killed: two in the roster all the time, and no new name."""
    found = run_master(SUPERVISOR + """
fleet(instances=2, spares=1)
acts(worker="hello ready well")
begin()
def spares():
    return [child.name for child in boss.state().children if child.spare]
run_until(lambda: spares() and boss.state().word == "well")
first, before = spares(), boss.state()
lost = next(n for n in ("w1", "w2", "w3") if n not in first)
os.kill(boss.child(lost).pid, signal.SIGKILL)
run_until(lambda: boss.child(lost).life.phase != "ready" or boss.child(lost).life.generation > 1)
during = boss.state()
run_until(lambda: spares() == [lost])
after = boss.state()
boss.scale(3)
run_until(lambda: boss.state().verdict == "well: 3 of 3 instances ready, +1 spare")
names = sorted(n for n in boss.names if n.startswith("w"))
leave()
say(words=[s.word for s in (before, during, after)], verdicts=[before.verdict, after.verdict],
    listed=sum(not c.spare and c.condition == "ready" for c in during.children),
    wanted=after.instances_wanted, names=names, told=len(told("a spare no more")))
""")  # fmt: skip
    assert found["verdicts"] == ["well: 2 of 2 instances ready, +1 spare"] * 2
    assert found["words"] == ["well"] * 3
    assert found["listed"] == found["wanted"] == 2
    assert found["names"] == ["w1", "w2", "w3", "w4"]
    assert found["told"] == 2


def test_a_budget_cuts_the_start_and_refuses_more():
    """Four of 300 MiB are affordable at first; a fifth is refused by name of the field."""
    found = run_master(SUPERVISOR + """
from arenad.errors import Refused
fleet(instances=6, memory_budget_bytes=4 * 300 * 1024 * 1024)
begin()
wanted = boss.wanted
try:
    boss.scale(5)
except Refused as error:
    refused = error.message
fewer = boss.scale(2), boss.wanted
leave()
say(wanted=wanted, refused=refused, fewer=fewer, said=told("6 would take about 1800 MiB"))
""")  # fmt: skip
    assert found["wanted"] == 4
    assert "fleet.memory_budget_bytes (1200 MiB); ask for at most 4" in found["refused"]
    assert found["fewer"] == ["", 2]
    assert len(found["said"]) == 1


def test_last_words_tell_the_reason():
    """What a worker said before its end stands in its last death."""
    found = run_master(SUPERVISOR + """
acts(worker="hello ready broken say die")
begin()
run_until(lambda: boss.child("w1").last_death)
say(last=boss.child("w1").last_death, log=[line.text for line in boss.ledger.log][:1])
leave()
""")  # fmt: skip
    assert found["last"] == "the page is gone; exit code 3"
    assert found["log"] == ["said by a child"]


@pytest.mark.parametrize(
    ("acts", "said"),
    [
        ("old-hello", "it is not the one we started"),
        ("hello command", "a worker commands Scale"),
        ("garbage deaf", "broke the protocol"),
    ],
)
def test_a_child_that_breaks_the_rules_is_ended_loudly(acts: str, said: str):
    """Only the child is ended; the daemon and its plan go on."""
    found = run_master(SUPERVISOR + f"""
keeper.LINKLESS_S = 0.1
acts(worker={acts!r})
begin()
run_until(lambda: boss.child("w1") and boss.child("w1").last_death)
say(last=boss.child("w1").last_death, wanted=boss.wanted, said=len(told({said!r})))
leave()
""")  # fmt: skip
    assert found["last"] == "killed by SIGKILL"
    assert found["wanted"] == 3
    assert found["said"]
