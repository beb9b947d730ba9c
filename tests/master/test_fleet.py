"""The plan: from any start to the wish, broken off anywhere and made anew."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.fleet import Member, Plan, enlist, name_of, number_of, plan

PHASES = ("starting", "ready", "draining", "stopping", "backoff", "failed", "stopped")
GOALS = {"starting": True, "ready": True, "backoff": True, "failed": True, "stopped": False}


@st.composite
def members(draw):
    """Any fleet that a supervisor can be in: the phase says what is wanted, or either may be."""
    fleet = {}
    for number in draw(st.sets(st.integers(1, 8))):
        phase = draw(st.sampled_from(PHASES))
        wanted = GOALS[phase] if phase in GOALS else draw(st.booleans())
        held = not wanted and draw(st.booleans())
        fleet[name_of(number)] = Member(phase, wanted, held)
    return fleet


def start(fleet, name):
    before = fleet.get(name, Member("stopped", wanted=False))
    phase = "starting" if before.phase == "stopped" else before.phase
    fleet[name] = Member(phase, wanted=True)


def drain(fleet, name):
    before = fleet[name]
    phase = {"ready": "draining", "starting": "stopping", "backoff": "stopped", "failed": "stopped"}
    fleet[name] = Member(phase.get(before.phase, before.phase), wanted=False, held=before.held)


def carry_out(fleet, orders: Plan, steps: int):
    """The first `steps` orders only: a plan may be broken off."""
    todo = [
        *((drain, name) for name in orders.drain),
        *((lambda fleet, name: fleet.pop(name), name) for name in orders.forget),
        *((start, name) for name in orders.start),
    ]
    for act, name in todo[:steps]:
        act(fleet, name)


def time_passes(fleet):
    """What is under way comes to its end."""
    for name, member in list(fleet.items()):
        phase = {"starting": "ready", "draining": "stopping", "backoff": "starting"}.get(
            member.phase, member.phase
        )
        if member.phase == "failed" and member.wanted:
            phase = "starting"
        if member.phase == "stopping":
            phase = "starting" if member.wanted else "stopped"
        fleet[name] = Member(phase, member.wanted, member.held)


@given(members(), st.integers(0, 10), st.integers(1, 4), st.lists(st.integers(0, 5), max_size=10))
def test_any_start_converges_to_the_wish(fleet, wanted, start_parallel, broken_off):
    """Plans broken off after any step, then carried out, end with exactly the wished instances."""
    for steps in broken_off:
        carry_out(fleet, plan(fleet, wanted, start_parallel), steps)
        time_passes(fleet)
    for _ in range(30):
        carry_out(fleet, plan(fleet, wanted, start_parallel), 1000)
        time_passes(fleet)
    assert plan(fleet, wanted, start_parallel) == Plan()
    held = {name for name, member in fleet.items() if member.held}
    assert {name for name, m in fleet.items() if m.phase == "ready"} == {
        name_of(number) for number in range(1, wanted + 1)
    } - held
    assert all(number_of(name) <= wanted for name in fleet)
    assert all(fleet[name].phase == "stopped" for name in held)


@given(members(), st.integers(0, 10), st.integers(1, 4))
def test_no_plan_starts_more_than_its_share(fleet, wanted, start_parallel):
    """Starts of a plan and those under way stay within `start_parallel`."""
    starting = sum(member.phase == "starting" for member in fleet.values())
    orders = plan(fleet, wanted, start_parallel)
    assert len(orders.start) <= max(0, start_parallel - starting)


@given(members(), st.integers(0, 10), st.integers(1, 4))
def test_a_plan_is_consistent(fleet, wanted, start_parallel):
    """Nobody is started and drained; only the surplus is drained; only the stopped is forgotten."""
    orders = plan(fleet, wanted, start_parallel)
    assert not set(orders.start) & {*orders.drain, *orders.forget}
    assert all(number_of(name) > wanted for name in (*orders.drain, *orders.forget))
    assert all(fleet[name].phase == "stopped" for name in orders.forget)


@given(members(), st.integers(0, 10), st.integers(1, 4))
def test_a_held_instance_stays_down(fleet, wanted, start_parallel):
    """What an operator drained is not started by any plan."""
    orders = plan(fleet, wanted, start_parallel)
    assert not any(fleet[name].held for name in orders.start if name in fleet)


def test_instances_start_in_order():
    """From nothing, the first instances come first."""
    assert plan({}, 5, 2) == Plan(start=("w1", "w2"))


def test_names_and_numbers():
    """Numbers survive the name; other processes have none."""
    assert number_of(name_of(12)) == 12
    assert number_of("frontend-1") == 0


seated = st.dictionaries(st.integers(1, 9).map(name_of), st.booleans())


@given(seated, st.sets(st.integers(1, 9).map(name_of)), st.integers(0, 9))
def test_the_roster_is_as_full_as_it_can_be(able, before, wanted):
    """As many as are wanted, the able first; nobody able leaves it while there is room."""
    listed = enlist(able, before, wanted)
    assert listed <= set(able)
    assert len(listed) == min(wanted, len(able))
    ready = {name for name in able if able[name]}
    assert len(listed & ready) == min(wanted, len(ready))
    if len(ready & before) <= wanted:
        assert ready & before <= listed
    assert enlist(able, listed, wanted) == listed


def test_a_spare_takes_the_place_and_keeps_it():
    """w3 stands in for w1; when w1 is back, it is the spare."""
    crew = {"w1": True, "w2": True, "w3": True}
    first = enlist(crew, (), 2)
    assert first == {"w1", "w2"}
    second = enlist({"w2": True, "w3": True}, first, 2)
    assert second == {"w2", "w3"}
    assert enlist(crew, second, 2) == second
