"""breaker: properties over all that may happen to instances and their ways."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import WHOLE, Stage, Worker, staged, until, wish

from arenad.errors import (
    Away,
    Busy,
    ContentRejected,
    Expired,
    InvalidRequest,
    NeedsHuman,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    TimedOut,
    UpstreamFailed,
    WorkerLost,
)
from arenad.frontend import dispatch as dispatch_module
from arenad.frontend.balance import Load, Look
from arenad.frontend.breaker import Breakers, Outcome, outcome_of, pause_s
from arenad.schema.chat import Heartbeat, TextDelta
from arenad.schema.config import BreakerConfig, ChatConfig, QueueConfig
from arenad.schema.process import Model, Seat

NAMES = ("w1", "w2", "w3", "other-1")
PROXIES = ("", "p1")
OUTCOMES: tuple[Outcome, ...] = ("", "answered", "failed", "unreachable")


def _seat(name: str = "w1", proxy: str = "", generation: int = 1) -> Seat:
    return Seat(
        name=name,
        generation=generation,
        socket_path="",
        slots=1,
        condition="ready",
        models=(Model(id="echo"),),
        proxy=proxy,
    )


SEATS = st.builds(_seat, st.sampled_from(NAMES), st.sampled_from(PROXIES))
ENDS = st.tuples(SEATS, st.sampled_from(OUTCOMES), st.floats(0, 30))
RULES = st.builds(
    BreakerConfig,
    failures=st.integers(0, 4),
    egress_failures=st.integers(0, 3),
    open_s=st.floats(0.1, 20),
    open_limit_s=st.floats(0.1, 60),
)


def _fails(breakers: Breakers, *seats: Seat, outcome: Outcome = "failed", at_s: float = 0.0) -> int:
    """Ask each of them in turn, all of which end so; gives how many changes were told."""
    told = 0
    for number, seat in enumerate(seats, start=int(at_s * 1000) + 1):
        told += len(breakers.begins(seat, number, at_s))
        told += len(breakers.ended(seat, number, outcome, at_s))
    return told


@given(RULES, st.lists(ENDS, max_size=40))
def test_whatever_happens_everybody_is_tried_again_in_time(
    rules: BreakerConfig, ends: list[tuple[Seat, Outcome, float]]
) -> None:
    """No breaker stays open beyond the bound, and one answer closes it at once."""
    breakers, now_s = Breakers(rules), 0.0
    for number, (seat, outcome, later_s) in enumerate(ends, start=1):
        now_s += later_s
        breakers.begins(seat, number, now_s)
        breakers.ended(seat, number, outcome, now_s)
        if outcome == "answered":
            assert not breakers.is_open(seat, now_s)
            assert seat.name not in breakers.told([seat], now_s)
        bound_s = max(rules.open_s, rules.open_limit_s)
        assert not any(breakers.is_open(each, now_s + bound_s) for each, *_ in ends)


@given(RULES, st.lists(ENDS, max_size=40))
def test_only_failures_in_a_row_open_it(
    rules: BreakerConfig, ends: list[tuple[Seat, Outcome, float]]
) -> None:
    """Where fewer were seen than the rule says since the last answer, nobody is asked last."""
    breakers, now_s = Breakers(rules), 0.0
    seen: dict[str, int] = {}
    unreached: dict[tuple[str, bool], set[str]] = {}
    for number, (seat, outcome, later_s) in enumerate(ends, start=1):
        now_s += later_s
        breakers.begins(seat, number, now_s)
        breakers.ended(seat, number, outcome, now_s)
        way = (seat.proxy, seat.name in NAMES[:3])
        if outcome == "answered":
            seen[seat.name], unreached[way] = 0, set()
        seen[seat.name] = seen.get(seat.name, 0) + (outcome == "failed")
        unreached.setdefault(way, set()).update({seat.name} if outcome == "unreachable" else ())
        fails = 0 < rules.failures <= seen[seat.name]
        is_cut_off = 0 < rules.egress_failures <= len(unreached[way])
        if not (fails or is_cut_off):
            assert not breakers.is_open(seat, now_s)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans()), max_size=6))
def test_no_breaker_makes_a_pool_refuse(pool: list[tuple[str, bool, bool]]) -> None:
    """Who is asked last is asked when nobody else could; and else never, however busy all are."""
    loads = [
        Load(_seat(name), int(is_busy), is_last=is_last)
        for name, is_busy, is_last in {each[0]: each for each in pool}.values()
    ]
    seat = Look(loads).choose("echo", (), 0.5)
    others = [load for load in loads if not load.is_last]
    free = [load.seat for load in (others or loads) if load.has_room]
    assert seat in free if free else seat is None


def test_one_request_tries_it() -> None:
    """When its time is over; all others go elsewhere until that one has ended, whatever way."""
    breakers, seat = Breakers(BreakerConfig(failures=2, open_s=10)), _seat()
    assert _fails(breakers, seat) == 0
    assert _fails(breakers, seat, at_s=1) == 1
    assert breakers.told([seat], 10.9) == {"w1": "asked last: 2 requests in a row failed there"}
    assert breakers.next_s(10.0) == 1.0
    assert breakers.is_open(seat, 10.9)
    assert not breakers.is_open(seat, 11.0)
    for ending in ("", "answered"):
        (change,) = breakers.begins(seat, 7, 11.0)
        assert change.text == "w1 is tried by one request"
        assert breakers.is_open(seat, 500.0)
        assert breakers.begins(seat, 8, 11.0) == []
        breakers.ended(seat, 8, "", 11.0)
        assert breakers.is_open(seat, 11.0)
        changes = breakers.ended(seat, 7, ending, 11.0)
        assert not breakers.is_open(seat, 11.0)
    assert [(each.text, each.is_warning) for each in changes] == [("w1 answers again", False)]
    assert breakers.next_s(11.0) is None


def test_each_try_that_fails_doubles_the_time() -> None:
    """Up to the bound; what fails meanwhile, for want of others, makes it no longer."""
    rules = BreakerConfig(failures=1, open_s=5, open_limit_s=30)
    breakers, seat, now_s, lasted_s = Breakers(rules), _seat(), 0.0, []
    for _ in range(5):
        assert _fails(breakers, seat, at_s=now_s) == 1 + bool(lasted_s)
        lasted_s.append(breakers.next_s(now_s))
        assert _fails(breakers, seat, seat, seat, at_s=now_s + 1) == 0
        now_s += lasted_s[-1] or 0.0
    assert lasted_s == [5, 10, 20, 30, 30]
    assert pause_s(10**6, rules) == 30
    assert pause_s(1, BreakerConfig(open_s=9, open_limit_s=3)) == 9


def test_only_the_trial_judges_what_is_tried() -> None:
    """A request from before it opened may fail at any later time: it says nothing new."""
    breakers, seat = Breakers(BreakerConfig(failures=1, open_s=5, open_limit_s=60)), _seat()
    breakers.begins(seat, 1, 0.0)
    breakers.begins(seat, 2, 0.0)
    assert _fails(breakers, seat, at_s=1) == 1
    assert breakers.ended(seat, 1, "failed", 7.0) == []
    assert len(breakers.begins(seat, 3, 7.0)) == 1
    assert breakers.ended(seat, 2, "failed", 8.0) == []
    assert breakers.begins(seat, 4, 30.0) == []
    (change,) = breakers.ended(seat, 3, "failed", 30.0)
    assert change.text == "w1 is asked last for 10 s: it was tried, and failed"


def test_a_way_is_judged_by_several_instances() -> None:
    """One that does not get through has its own trouble; two in a row, and all there are last."""
    breakers = Breakers(BreakerConfig(egress_failures=2))
    first, second, third = (_seat(name, "p1") for name in ("w1", "w2", "w3"))
    assert _fails(breakers, first, first, first, outcome="unreachable") == 0
    assert _fails(breakers, third, outcome="answered") == 0
    assert _fails(breakers, first, outcome="unreachable") == 0
    (change,) = breakers.ended(second, 9, "unreachable", 1.0)
    told = (
        "the proxy p1 to the site is asked last for 5 s: 2 instances in a row did not get through"
    )
    assert change.text == told
    elsewhere = (_seat("w1"), _seat("other-1", "p1"))
    assert [breakers.is_open(each, 1.0) for each in (first, second, third)] == [True] * 3
    assert [breakers.is_open(each, 1.0) for each in elsewhere] == [False] * 2
    assert len(breakers.begins(third, 10, 6.0)) == 1
    assert breakers.is_open(first, 6.0)
    assert len(breakers.ended(third, 10, "answered", 6.5)) == 1
    assert not breakers.is_open(first, 6.5)
    _fails(breakers, _seat("other-1"), _seat("other-2"), outcome="unreachable")
    (why,) = breakers.told([_seat("other-3")], 0.0).values()
    assert why == "asked last: 2 instances in a row did not get through"


def test_a_fresh_process_is_tried_at_once_the_first_time() -> None:
    """It may do better than the one that failed; where it does not, the next one has to wait."""
    breakers = Breakers(BreakerConfig(failures=1))
    _fails(breakers, _seat())
    breakers.keep([_seat()], 1.0)
    assert breakers.is_open(_seat(), 1.0)
    breakers.keep([], 1.5)
    heir = _seat(generation=2)
    breakers.keep([heir], 2.0)
    assert not breakers.is_open(heir, 2.0)
    _fails(breakers, heir, at_s=2.0)
    breakers.keep([_seat(generation=3)], 3.0)
    assert breakers.is_open(_seat(generation=3), 3.0)


def test_who_left_for_good_is_forgotten() -> None:
    """After the longest time that anybody would be asked last."""
    breakers = Breakers(BreakerConfig(failures=1, open_limit_s=10))
    _fails(breakers, _seat())
    breakers.keep([_seat("w2")], 14.0)
    assert breakers.told([_seat()], 14.0)
    breakers.keep([_seat("w2")], 16.0)
    assert not breakers.told([_seat()], 16.0)


def test_a_breaker_that_is_switched_off_is_closed() -> None:
    """A reload counts at once, for instances and ways each by itself."""
    breakers, seats = Breakers(BreakerConfig(failures=1)), (_seat(), _seat("w2"))
    _fails(breakers, seats[0])
    _fails(breakers, *seats, outcome="unreachable")
    assert breakers.told(seats, 0.0).keys() == {"w1", "w2"}
    breakers.adjust(BreakerConfig(failures=0))
    assert breakers.is_open(seats[0], 0.0)
    breakers.adjust(BreakerConfig(failures=0, egress_failures=0))
    assert not breakers.told(seats, 0.0)
    assert _fails(breakers, *seats * 3) + _fails(breakers, *seats, outcome="unreachable") == 0
    assert not breakers.told(seats, 0.0)


def test_what_speaks_against_whom() -> None:
    """Neither the request's own faults nor what the site says: for those there are other means."""
    instance = (UpstreamFailed, TimedOut, WorkerLost, RequestError)
    nobody = (
        *(Busy, ContentRejected, Expired, InvalidRequest),
        *(NeedsHuman, NeedsLogin, ProfileOutdated, Resting),
    )
    assert {outcome_of(kind("")) for kind in instance} == {"failed"}
    assert {outcome_of(kind("")) for kind in nobody} == {""}
    assert outcome_of(Away("")) == "unreachable"


# -- where instances are chosen --------------------------------------------------------------------


async def _fail(scene: Stage, worker: Worker, times: int) -> None:
    """So many requests, one after another, that all fail there."""
    for _ in range(times):
        answer = scene.ask()
        (await worker.asked()).fail(UpstreamFailed("a bad day"))
        with pytest.raises(UpstreamFailed):
            await answer


@staged("w1", chat=ChatConfig(attempts=1))
async def test_the_only_one_is_asked_as_ever(scene: Stage, worker: Worker) -> None:
    """However often it fails; and its first answer makes it one like others again."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(open_s=600.0, open_limit_s=600.0))
    await _fail(scene, worker, times=5)
    assert scene.dispatch.beat().asked_last.keys() == {"w1"}
    answer = scene.ask()
    await (await worker.asked()).tell("thrée")
    assert await answer == WHOLE
    assert not scene.dispatch.beat().asked_last


@staged("w1", chat=ChatConfig(attempts=1))
async def test_others_are_waited_for(scene: Stage, worker: Worker) -> None:
    """Who failed too often is left alone, though it is free and the other one is busy."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(open_s=600.0, open_limit_s=600.0))
    await _fail(scene, worker, times=3)
    other = await scene.worker("w2")
    await scene.enlist(worker, other)
    for _ in range(4):
        first, second = scene.ask("first"), scene.ask("second")
        ask = await other.asked()
        await until(lambda: scene.dispatch.seats.queued == 1)
        await ask.tell("thrée")
        await (await other.asked()).tell("thrée")
        assert [await first, await second] == [WHOLE, WHOLE]
    assert not worker.is_asked


@staged("w1", chat=ChatConfig(attempts=1))
async def test_who_waits_tries_it_when_it_is_time(scene: Stage, worker: Worker) -> None:
    """Nothing else happens then: the busy one stays busy, and nobody comes."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(open_s=0.2))
    await _fail(scene, worker, times=3)
    other = await scene.worker("w2")
    await scene.enlist(worker, other)
    answers = [scene.ask(), scene.ask()]
    asks = [await other.asked(), await worker.asked()]
    for ask, answer in zip(asks, answers, strict=True):
        await ask.tell("thrée")
        assert await answer == WHOLE
    assert not scene.dispatch.beat().asked_last


@staged("w1", "w2", chat=ChatConfig(attempts=2))
async def test_a_retry_goes_where_nobody_else_would(scene: Stage, *workers: Worker) -> None:
    """When all others have failed the same request, who is asked last is asked at last."""
    bad, good = workers
    scene.dispatch.seats.breakers.adjust(
        BreakerConfig(failures=1, open_s=600.0, open_limit_s=600.0)
    )
    await scene.enlist(bad)
    first = scene.ask()
    (await bad.asked()).fail(TimedOut("late"))
    with pytest.raises(TimedOut):
        await first
    await scene.enlist(bad, good)
    second = scene.ask()
    (await good.asked()).fail(UpstreamFailed("cut"))
    await (await bad.asked()).tell("thrée")
    assert await second == WHOLE


@staged("w1", "w2", chat=ChatConfig(attempts=1))
async def test_a_client_that_leaves_says_nothing(scene: Stage, *workers: Worker) -> None:
    """Nobody failed it; a try that is left is free for the next one."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(failures=1))
    answer = scene.ask()
    asked, _ = await scene.busy_first()
    ask = await asked.asked()
    answer.cancel()
    await ask.cancelled.wait()
    await until(lambda: not scene.dispatch.beat().busy)
    assert not scene.dispatch.beat().asked_last


@pytest.mark.parametrize("says_something", [True, False])
def test_clients_that_leave_one_that_is_silent(tmp_path: Path, *, says_something: bool) -> None:
    """It is free as soon as they leave, and would be asked again and again."""

    @staged("w1", chat=ChatConfig(first_event_timeout_s=1))
    async def story(scene: Stage, worker: Worker) -> None:
        scene.dispatch.seats.breakers.adjust(BreakerConfig(failures=1))
        answer = scene.ask()
        ask = await worker.asked()
        await asyncio.sleep(0.6)
        if says_something:
            await ask.say(Heartbeat())
            await asyncio.sleep(0.02)
        answer.cancel()
        await ask.cancelled.wait()
        await until(lambda: not scene.dispatch.beat().busy)
        assert bool(scene.dispatch.beat().asked_last) is not says_something

    story(tmp_path=tmp_path)


@staged("w1", chat=ChatConfig(first_event_timeout_s=1, keepalive_s=0.01))
async def test_a_client_that_does_not_listen_says_nothing(scene: Stage, worker: Worker) -> None:
    """It is that client which is silent, not the instance."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(failures=1))
    async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
        assert await anext(events) == Heartbeat()
        await worker.asked()
        await asyncio.sleep(0.6)
    assert not scene.dispatch.beat().asked_last


@staged("w1", chat=ChatConfig(attempts=1))
async def test_a_client_that_has_heard_enough_speaks_for_it(scene: Stage, worker: Worker) -> None:
    """It answers, whoever left before the end; but what breaks off in the middle has failed."""
    scene.dispatch.seats.breakers.adjust(BreakerConfig(failures=2, open_s=600.0))
    for ends_well in (True, False):
        await _fail(scene, worker, times=1)
        async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
            opening = asyncio.ensure_future(anext(events))
            ask = await worker.asked()
            await ask.say(TextDelta("a"))
            assert await opening == TextDelta("a")
            if not ends_well:
                ask.fail(UpstreamFailed("cut"))
                with pytest.raises(UpstreamFailed):
                    await anext(events)
        assert bool(scene.dispatch.beat().asked_last) is not ends_well


@staged(chat=ChatConfig(attempts=1))
async def test_a_way_that_fails_spares_the_others_on_it(scene: Stage) -> None:
    """Two do not get through a proxy: a third one behind it waits until no other way has room."""
    near, *behind = [await scene.worker(f"w{number}") for number in range(1, 5)]
    for each in behind:
        each.proxy = "p1"
    scene.dispatch.seats.breakers.adjust(BreakerConfig(open_s=600.0, open_limit_s=600.0))
    for each in behind[:2]:
        await scene.enlist(each)
        answer = scene.ask()
        (await each.asked()).fail(Away("the proxy p1 is silent"))
        with pytest.raises(Away):
            await answer
    await scene.enlist(near, *behind)
    assert scene.dispatch.beat().asked_last.keys() == {"w2", "w3", "w4"}
    first, second = scene.ask(), scene.ask()
    for answer in (first, second):
        await (await near.asked()).tell("thrée")
        assert await answer == WHOLE
    await scene.enlist(*behind)
    answer = scene.ask()
    found, *_ = await scene.busy_first()
    await (await found.asked()).tell("thrée")
    assert await answer == WHOLE
    assert not scene.dispatch.beat().asked_last


@staged("w1", chat=ChatConfig(attempts=1))
async def test_who_waits_profits_from_a_reload(scene: Stage, worker: Worker) -> None:
    """Without breakers, the free one is asked at once; with shorter pauses, after such a one."""
    seats, queue = scene.dispatch.seats, QueueConfig()
    for changed in (BreakerConfig(failures=0), BreakerConfig(open_s=0.01, open_limit_s=0.01)):
        seats.adjust(queue, BreakerConfig(open_s=600.0, open_limit_s=600.0))
        await _fail(scene, worker, times=3)
        other = await scene.worker("w2")
        await scene.enlist(worker, other)
        first, second = scene.ask("first"), scene.ask("second")
        ask = await other.asked()
        await until(lambda: seats.queued == 1)
        seats.adjust(queue, changed)
        await (await worker.asked()).tell("thrée")
        await ask.tell("thrée")
        assert [await first, await second] == [WHOLE, WHOLE]
        other.die()
        await scene.enlist(worker)


@staged("w1", chat=ChatConfig(total_timeout_s=0.05))
async def test_a_slow_reader_speaks_against_nobody(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for the whole answer may pass with its reader; the instance was answering."""
    monkeypatch.setattr(dispatch_module, "GRACE_S", 0.01)
    scene.dispatch.seats.adjust(QueueConfig(), BreakerConfig(failures=1))
    async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
        opening = asyncio.ensure_future(anext(events))
        ask = await worker.asked()
        await ask.say(TextDelta("a"))
        assert await opening == TextDelta("a")
        await asyncio.sleep(0.1)  # the reader
        await ask.say(TextDelta("b"))
        with pytest.raises(TimedOut, match="the whole answer"):
            await anext(events)
    assert not scene.dispatch.beat().asked_last
