"""The supervisor with real processes that act, in a program that plays the master."""

from master_program import SUPERVISOR, run_master


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


def test_scaling_takes_back_what_was_drained_of_its_own_kind():
    """The number of one template says nothing of what was drained of another."""
    found = run_master(SUPERVISOR + """
others = [{"name": n, "site": {"url": "http://127.0.0.1:9/"}} for n in ("up", "local")]
sections = {"site": {"url": "http://127.0.0.1:9/"}, "history": {"enabled": False},
            "fleet": {"instances": 1}, "instance_templates": others}
made.take(Settings(msgspec.convert(sections, Config)))
begin()
crew = "w1", "up-1", "local-1"
def held():
    return [name for name in crew if boss.child(name).held]
run_until(lambda: [phases().get(name) for name in crew] == ["ready"] * 3)
for name in crew:
    boss.drain(boss.child(name))
run_until(lambda: [phases()[name] for name in crew] == ["stopped"] * 3)
boss.scale(1)
first = held()
boss.scale_template("up", 1)
second = held()
leave()
say(first=first, second=second)
""")  # fmt: skip
    assert found == {"first": ["up-1", "local-1"], "second": ["local-1"]}


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
