"""The planner with real processes that act: replacements in turn, and the way out in order."""

from master_program import run_master

CREW = """
made = settings(fleet={"instances": 2, "spares": 1}, frontend={"processes": 2})
acts(frontend="hello ready", worker="hello ready well")
boss = Supervisor(loop, made, lambda role: (), lambda: None)
wake = sigchld(boss.on_sigchld)
boss.start()

def lives():
    return {child.name: child.life.generation for child in boss.children}

def are_up(names):
    return {c.name for c in boss.children} == set(names) and all(
        c.serves and not c.outdated for c in boss.children)

FIRST = ["frontend-1", "frontend-2", "w1", "w2", "w3"]
run_until(lambda: are_up(FIRST))
"""


def test_instances_are_replaced_in_turn():
    """Never two of three are away at the same time, and nobody is replaced twice."""
    found = run_master(CREW + """
from arenad.schema.control import Change
serving = []
def look():
    serving.append(sum(c.serves for c in boss.children if c.role == "worker"))
    return are_up(FIRST) and lives()["w3"] == 2
boss.renew([Change(field="browser.path", before="", after="x", effect="new instances")])
run_until(look)
say(lives=lives(), fewest=min(serving))
""")  # fmt: skip
    assert found["lives"] == {"frontend-1": 1, "frontend-2": 1, "w1": 2, "w2": 2, "w3": 2}
    assert found["fewest"] == 2


def test_frontends_are_relayed():
    """At any moment as many serve as are wanted; their successors have names of their own."""
    found = run_master(CREW + """
from arenad.schema.control import Change
serving = []
def look():
    serving.append(sum(c.serves for c in boss.children if c.role == "frontend"))
    return are_up(["frontend-3", "frontend-4", "w1", "w2", "w3"])
boss.renew([Change(field="api.listen", before="", after="x", effect="new frontends")])
run_until(look)
say(lives=lives(), fewest=min(serving))
""")  # fmt: skip
    assert found["lives"] == {"w1": 1, "w2": 1, "w3": 1, "frontend-3": 1, "frontend-4": 1}
    assert found["fewest"] == 2


def test_the_way_out_begins_with_those_who_ask():
    """Frontends drain, then instances stop, then the loop ends with nobody left."""
    found = run_master(CREW + """
order = []
before = boss.on_life
def note():
    order.extend(c.role for c in boss.children if c.life.phase == "stopped")
    before()
boss._keeper.on_change = lambda _: note()
boss.shutdown()
run_until(lambda: not [c for c in boss.children if c.life.phase != "stopped"])
say(first=order[0], last=order[-1], leaving=boss.leaving)
""")  # fmt: skip
    assert found == {"first": "frontend", "last": "worker", "leaving": True}


def test_who_is_to_stay_down_is_not_outdated():
    """An operator drained it: nobody waits for a replacement that will not come."""
    found = run_master(CREW + """
from arenad.schema.control import Change
boss.drain(boss.child("w2"))
run_until(lambda: boss.child("w2").life.phase == "stopped")
boss.renew([Change(field="browser.path", before="", after="x", effect="new instances")])
run_until(lambda: lives()["w3"] == 2 and all(c.serves for c in boss.children if c.name != "w2"))
say(outdated=[c.name for c in boss.children if c.outdated], lives=lives())
""")  # fmt: skip
    assert found["outdated"] == []
    assert found["lives"]["w2"] == 1
