"""The plan: from any start to the wish, broken off anywhere and made anew."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.master.fleet import (
    LEAVING_LIMIT,
    Member,
    Part,
    Plan,
    enlist,
    lone,
    name_of,
    number_of,
    plan,
    plan_all,
    relay,
    renew,
)
from arenad.schema.process import template_of

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


def test_each_template_is_planned_for_itself():
    """Its own names and numbers; all share what may start at a time; one that has gone is drained."""
    ready = Member("ready", wanted=True)
    members = {"w1": ready, "up-1": ready, "up-2": ready, "old-1": ready}
    assert plan_all(members, {"": 2, "up": 1, "new": 3}, 2) == Plan(
        start=("w2", "new-1"), drain=("up-2", "old-1")
    )
    starting = Member("starting", wanted=True)
    assert plan_all({"w1": starting}, {"": 2, "up": 1}, 2).start == ("w2",)
    assert plan_all({"up-1": starting}, {"": 1, "up": 2}, 1).start == ()


def test_templates_have_no_spares():
    """All of them are in the roster, whatever is wanted of the others."""
    seats = {"w1": True, "w2": True, "up-1": True, "up-2": False}
    assert enlist(seats, (), 1) == {"w1", "up-1", "up-2"}


def test_names_and_numbers():
    """Numbers survive the name; other processes have none."""
    assert number_of(name_of(12)) == 12
    assert number_of("frontend-1") == number_of("recorder") == number_of("web") == 0
    assert (name_of(2, "up"), number_of("up-2"), template_of("up-2")) == ("up-2", 2, "up")
    assert template_of("w2") == ""


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


# -- replacements -----------------------------------------------------------------------------------


def part(phase="ready", *, wanted=True, is_old=False, serves=None):
    return Part(phase, wanted, is_old=is_old, serves=phase == "ready" if serves is None else serves)


def parts():
    """Any process that a plan may find; only a ready one serves."""
    return st.builds(
        lambda phase, wanted, is_old, serves: part(
            phase,
            wanted=GOALS.get(phase, wanted),
            is_old=is_old,
            serves=serves and phase == "ready",
        ),
        *(st.sampled_from(PHASES), st.booleans(), st.booleans(), st.booleans()),
    )


CREWS = st.dictionaries(st.integers(1, 12).map(name_of), parts(), max_size=12)


@given(CREWS)
def test_never_all_instances_are_replaced_at_once(crew):
    """Of those that serve, a quarter at most is away at any time, and one always may be."""
    chosen = renew(crew, 4)
    assert all(crew[name].is_old and crew[name].phase == "ready" for name in chosen)
    serving = [name for name in chosen if crew[name].serves]
    assert len(serving) <= max(1, len(crew) // 4)


def test_instances_are_replaced_in_turn():
    """The next one goes when the last one is back; in the end all are new."""
    crew = {name_of(number): part(is_old=True) for number in range(1, 4)}
    for name in list(crew):
        assert renew(crew, 4) == (name,)
        crew[name] = part("draining", is_old=True)
        assert renew(crew, 4) == ()
        crew[name] = part("starting")
        assert renew(crew, 4) == ()
        crew[name] = part()
    assert renew(crew, 4) == ()


def test_what_does_not_come_up_is_the_last_that_is_replaced():
    """A change that instances cannot live with takes one of them, not all."""
    crew = {"w1": part("backoff"), "w2": part(is_old=True), "w3": part(is_old=True)}
    assert renew(crew, 4) == ()
    assert renew({**crew, "w1": part(serves=False)}, 4) == ()  # up, but its page is not ready


def test_an_outdated_instance_of_no_use_is_replaced_at_once():
    """It may be what the change mends; and one that failed before holds nobody up."""
    crew = {"w1": part(is_old=True, serves=False), "w2": part(is_old=True)}
    assert renew(crew, 4) == ("w1",)
    assert renew({"w1": part("failed", is_old=True), "w2": part(is_old=True)}, 4) == ("w2",)


def test_as_many_are_replaced_as_may_start_at_a_time():
    """However many are of no use, or serve: the machine is not asked for more than it may be."""
    useless = {name_of(number): part(is_old=True, serves=False) for number in range(1, 17)}
    assert len(renew(useless, 4)) == 4
    useless["w1"] = part("starting")
    assert len(renew(useless, 4)) == 3
    assert len(renew({name_of(number): part(is_old=True) for number in range(1, 33)}, 4)) == 4


def fronts():
    return st.dictionaries(
        st.integers(1, 20).map(lambda number: f"frontend-{number}"), parts(), max_size=12
    )


@given(fronts(), st.integers(1, 4))
def test_frontends_that_serve_stay_until_others_do(crew, wanted):
    """After the drains there are as many that serve as are wanted, or as many as there were."""
    orders = relay(crew, wanted)
    serving = {name for name, each in crew.items() if each.wanted and each.serves}
    assert len(serving - set(orders.drain)) == min(wanted, len(serving))
    assert set(orders.start).isdisjoint(crew)
    assert all(not crew[name].wanted and crew[name].phase == "stopped" for name in orders.forget)


@given(fronts(), st.integers(1, 4))
def test_frontends_end_as_wanted(crew, wanted):
    """However it begins: with time, there are just as many as wanted, none of them outdated."""
    for _ in range(40):
        orders = relay(crew, wanted)
        for name in orders.forget:
            del crew[name]
        for name in orders.drain:
            phase = "draining" if crew[name].phase == "ready" else "stopping"
            crew[name] = part(phase, wanted=False, is_old=crew[name].is_old)
        for name in orders.start:
            crew[name] = part("starting")
        for name, each in crew.items():
            crew[name] = after_a_while(each)
    assert len(crew) == wanted
    assert all(each.phase == "ready" and not each.is_old for each in crew.values())


def after_a_while(each: Part) -> Part:
    """A process that starts is new; whatever is on its way arrives."""
    if each.phase in ("draining", "stopping") and not each.wanted:
        return part("stopped", wanted=False, is_old=each.is_old)
    if each.phase == "ready":
        return part("ready", is_old=each.is_old)
    return part("ready") if each.wanted else each


def test_few_frontends_leave_at_a_time():
    """Streams that last hold a successor up before there are too many generations."""
    leaving = {f"frontend-{n}": part("draining", wanted=False) for n in range(LEAVING_LIMIT)}
    crew = {**leaving, "frontend-20": part(is_old=True)}
    assert relay(crew, 1).start == ()
    del crew["frontend-0"]
    assert relay(crew, 1).start == ("frontend-8",)


def test_a_lone_process_comes_goes_and_is_renewed():
    """Started when it is wanted, drained when it is not, restarted when it is outdated."""
    assert lone("demo", None, is_wanted=True) == Plan(start=("demo",))
    assert lone("demo", None, is_wanted=False) == Plan()
    assert lone("demo", part(), is_wanted=True) == Plan()
    assert lone("demo", part(is_old=True), is_wanted=True) == Plan(renew=("demo",))
    assert lone("demo", part("starting", is_old=True), is_wanted=True) == Plan()
    assert lone("demo", part(), is_wanted=False) == Plan(drain=("demo",))
    gone = part("stopped", wanted=False)
    assert lone("demo", gone, is_wanted=False) == Plan(forget=("demo",))
