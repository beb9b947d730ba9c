"""Wishes as conversations: states in, looks out."""

from stand_in import child, state, worker

from arenactl import progress

READY = worker("w1")
STARTING = worker("w2", phase="starting", condition=None)


def looks(wish, *shown):
    return [wish(each)[:2] for each in shown]


def test_scale_up_is_done_when_all_are_ready():
    """The new one starts, opens its session and is ready."""
    wish = progress.scaled(2, state(READY))
    assert looks(
        wish,
        state(READY, STARTING),
        state(READY, worker("w2", condition="opening")),
        state(READY, worker("w2")),
    ) == [
        ("open", "1 of 2 ready, 1 starting"),
        ("open", "1 of 2 ready, 1 opening"),
        ("done", "2 of 2 ready"),
    ]


def test_scale_down_waits_for_the_one_that_leaves():
    """Enough are ready at once, but one still finishes its request."""
    wish = progress.scaled(1, state(READY, worker("w2")))
    leaving = worker("w2", phase="draining")
    assert looks(wish, state(READY, leaving, instances_wanted=1), state(READY)) == [
        ("open", "1 of 1 ready, 1 draining"),
        ("done", "1 of 1 ready"),
    ]


def test_a_spare_is_no_instance_that_was_wished():
    """It does not count as ready, and a spare that starts is waited for."""
    spare = worker("w3", spare=True)
    wish = progress.scaled(2, state(READY))
    crew = READY, worker("w2")
    opening = worker("w3", phase="starting", condition=None)
    before, after = (state(*crew, each, instances_wanted=2) for each in (opening, spare))
    assert looks(wish, before, after) == [
        ("open", "2 of 2 ready, 1 starting"),
        ("done", "2 of 2 ready, 1 spare"),
    ]


def test_a_restart_may_end_as_a_spare():
    """Another took its place meanwhile: it is up again all the same."""
    wish = progress.restarted("w1", state(READY))
    assert wish(state(worker("w1", generation=2, spare=True))).end == "done"


def test_scale_is_not_done_with_too_many():
    """More ready ones than wished is not what was wished."""
    wish = progress.scaled(1, state(READY))
    assert wish(state(READY, worker("w2"))).end == "open"


def test_scale_ends_when_a_worker_fails():
    """A worker that goes to failed ends the wait, with its reason."""
    wish = progress.scaled(2, state(READY))
    failed = worker("w2", phase="failed", last_death="no browser")
    assert looks(wish, state(READY, failed)) == [("failed", "w2 is failed (no browser)")]


def test_scale_does_not_blame_an_old_failure():
    """A worker that had failed before the command does not end it; its next failure does."""
    old = worker("w2", phase="failed")
    again = worker("w2", phase="failed", generation=2)
    wish = progress.scaled(2, state(READY, old))
    assert [look[0] for look in looks(wish, state(READY, old), state(READY, again))] == [
        "open",
        "failed",
    ]


def test_scale_to_none_is_done_with_none():
    """An empty pool is a wish like another."""
    assert looks(progress.scaled(0, state(READY)), state()) == [("done", "0 of 0 ready")]


def test_scale_tells_of_a_change_of_mind():
    """When somebody else scales meanwhile, the line says what the daemon wants now."""
    look = progress.scaled(5, state(READY))(state(READY, instances_wanted=1))
    assert look.line == "1 of 5 ready, but the daemon now wants 1"


def test_scale_names_what_is_missing():
    """What a timeout will tell is each instance that is not ready, and why."""
    look = progress.scaled(2, state(READY))(
        state(READY, worker("w2", condition="needs_login", condition_reason="a login wall"))
    )
    assert look.missing == "w2 is needs_login (a login wall)"


def test_restart_is_done_in_a_later_life():
    """The old generation being ready does not count."""
    wish = progress.restarted("w1", state(READY))
    assert looks(
        wish,
        state(READY),
        state(worker("w1", phase="draining")),
        state(worker("w1", phase="starting", generation=2)),
        state(worker("w1", generation=2)),
    ) == [
        ("open", "w1 is ready, generation 1"),
        ("open", "w1 is draining, generation 1"),
        ("open", "w1 is starting, generation 2"),
        ("done", "w1 is ready, generation 2"),
    ]


def test_restart_fails_with_its_child():
    """A later life that fails, or a child that is gone, ends the wait."""
    wish = progress.restarted("w1", state(READY))
    failed = worker("w1", phase="failed", generation=2, last_death="exit 1")
    assert looks(wish, state(failed), state()) == [
        ("failed", "w1 is failed (exit 1)"),
        ("failed", "w1 is gone"),
    ]


def test_restart_of_a_failed_child_waits_for_its_next_life():
    """That it had failed is why it is restarted, and no answer."""
    failed = child("demo", "demo", phase="failed")
    wish = progress.restarted("demo", state(failed))
    assert wish(state(failed)).end == "open"
    assert wish(state(child("demo", "demo", generation=2))).end == "done"


def test_drain_is_done_when_stopped_or_gone():
    """Either way it takes no more requests."""
    wish = progress.drained("w1", state(READY))
    assert looks(
        wish,
        state(worker("w1", phase="draining", busy=1)),
        state(worker("w1", phase="stopping", busy=0)),
        state(worker("w1", phase="stopped")),
        state(),
    ) == [
        ("open", "w1 is draining, 1 request running"),
        ("open", "w1 is stopping, 0 requests running"),
        ("done", "w1 is stopped"),
        ("done", "w1 is gone"),
    ]


def test_drain_ends_when_the_instance_fails():
    """An instance that fails while draining is not stopped in order."""
    wish = progress.drained("w1", state(READY))
    assert wish(state(worker("w1", phase="failed"))).end == "failed"


def test_a_restarted_frontend_comes_back_under_another_name():
    """Done when its successor serves and it is gone; not failed because it is."""
    old = child("frontend-1", "frontend", outdated=True)
    wish = progress.restarted("frontend-1", state(child("frontend-1", "frontend")))
    coming = child("frontend-2", "frontend", phase="starting")
    assert looks(
        wish,
        state(old, coming),
        state(child("frontend-1", "frontend", phase="draining"), child("frontend-2", "frontend")),
        state(child("frontend-2", "frontend")),
    ) == [
        ("open", "1 to be replaced, 1 starting or leaving"),
        ("open", "0 to be replaced, 1 starting or leaving"),
        ("done", "every process is up to date"),
    ]
