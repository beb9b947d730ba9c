"""dispatch: what fails at one instance goes on at another, or is told; over real links."""

import asyncio
from contextlib import aclosing

import pytest
from api_scene import chat
from scripted import WHOLE, Stage, Wire, Worker, api_serving, roster, staged, until, wish

from arenad.errors import (
    Busy,
    ContentRejected,
    InvalidRequest,
    NeedsHuman,
    Overloaded,
    RequestError,
    TimedOut,
    UpstreamFailed,
    WorkerLost,
)
from arenad.frontend import dispatch as dispatch_module
from arenad.schema.chat import (
    Began,
    Finish,
    Heartbeat,
    TextDelta,
)
from arenad.schema.config import ChatConfig, QueueConfig
from arenad.schema.control import Done
from arenad.schema.frame import Body


@pytest.mark.parametrize(
    "error",
    [UpstreamFailed("cut"), TimedOut("late"), NeedsHuman("a check"), WorkerLost("its own word")],
)
@staged("w1", "w2")
async def test_a_failure_before_content_moves_on(
    scene: Stage, *workers: Worker, error: RequestError
) -> None:
    """Heartbeats are no content: the other instance answers, and the client never knows."""
    answer = scene.ask()
    first, second = await scene.busy_first()
    ask = await first.asked()
    await ask.say(Heartbeat())
    ask.fail(error)
    await (await second.asked()).tell("thrée")
    assert await answer == WHOLE
    assert scene.dispatch.counts["retried"] == 1


@staged("w1", "w2")
async def test_who_answered_is_told(scene: Stage, *workers: Worker) -> None:
    """In headers: the instance, and how many were asked, of an answer as of an error."""
    async with api_serving(scene) as (_, address):
        for ends_well in (True, False):
            wire = await Wire.to(address)
            chat(wire)
            first, second = await scene.busy_first()
            (await first.asked()).fail(UpstreamFailed("cut"))
            last = await second.asked()
            if ends_well:
                await last.tell("a")
            else:
                last.fail(ContentRejected("no"))
            status, headers, _ = await wire.answer()
            assert status == (200 if ends_well else 400)
            assert headers["x-arenad-attempts"] == "2"
            assert headers["x-arenad-instance"] == second.name


@staged("w1", "w2")
async def test_a_death_before_content_moves_on(scene: Stage, *workers: Worker) -> None:
    """EOF on the link is a death: the chat is asked elsewhere."""
    answer = scene.ask()
    first, second = await scene.busy_first()
    first.die()
    await (await second.asked()).tell("thrée")
    assert await answer == WHOLE


@staged()
async def test_nothing_moves_after_content(scene: Stage) -> None:
    """After the first content, a death is told, not hidden."""
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    await scene.enlist(worker)
    async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
        opening = asyncio.ensure_future(anext(events))
        await (await worker.asked()).say(TextDelta("a"))
        assert await opening == TextDelta("a")
        await scene.enlist(worker, other)
        worker.die()
        with pytest.raises(WorkerLost, match="w1"):
            await anext(events)
    assert not other.is_asked


@pytest.mark.parametrize("error", [ContentRejected("no"), InvalidRequest("too long")])
@staged("w1", "w2")
async def test_some_failures_are_final(scene: Stage, *workers: Worker, error: RequestError) -> None:
    """What another instance would say as well is told at once."""
    answer = scene.ask()
    asked, *_ = await scene.busy_first()
    (await asked.asked()).fail(error)
    with pytest.raises(type(error), match=error.message):
        await answer


@staged("w1", "w2", "w3", chat=ChatConfig(attempts=2))
async def test_attempts_have_a_bound(scene: Stage, *workers: Worker) -> None:
    """After `chat.attempts` failures the last one is told, though others could be asked."""
    answer = scene.ask()
    for number in (1, 2):
        await until(lambda: any(worker.is_asked for worker in workers))
        asked = next(worker for worker in workers if worker.is_asked)
        (await asked.asked()).fail(UpstreamFailed(f"failure {number}"))
    with pytest.raises(UpstreamFailed, match="failure 2"):
        await answer
    assert scene.dispatch.counts["retried"] == 1


@staged("w1")
async def test_the_last_real_error_is_told_when_all_were_tried(
    scene: Stage, worker: Worker
) -> None:
    """With nobody left and nobody starting, what the instance said is what the client hears."""
    answer = scene.ask()
    (await worker.asked()).fail(UpstreamFailed("the site is down"))
    with pytest.raises(UpstreamFailed, match="the site is down"):
        await answer
    assert scene.dispatch.counts["retried"] == 0


@staged("w1")
async def test_the_only_instance_died_and_comes_back(scene: Stage, worker: Worker) -> None:
    """The request waits over the gap in which the master has not yet said that it restarts it."""
    answer = scene.ask()
    await worker.asked()
    worker.die()
    await until(lambda: scene.dispatch.seats.queued == 1)
    scene.dispatch.on_roster(roster(starting=1))
    assert scene.dispatch.seats.queued == 1
    heir = await scene.worker("w1", generation=2)
    await scene.enlist(heir)
    await (await heir.asked()).tell("thrée")
    assert await answer == WHOLE


@staged("w1")
async def test_the_only_instance_died_for_good(scene: Stage, worker: Worker) -> None:
    """When the master says that nobody comes, the death itself is told."""
    answer = scene.ask()
    await worker.asked()
    worker.die()
    await until(lambda: scene.dispatch.seats.queued == 1)
    scene.dispatch.on_roster(roster())
    with pytest.raises(WorkerLost, match="w1 died"):
        await answer


@staged("w1", chat=ChatConfig(attempts=1))
async def test_busy_goes_back_to_the_queue(scene: Stage, worker: Worker) -> None:
    """A full worker is asked again later: it is not excluded, and the place in the queue is kept."""
    first, second = scene.ask("first"), scene.ask("second")
    for _ in range(3):
        ask = await worker.asked()
        assert ask.chat.request_id == "first"
        ask.fail(Busy("no slot"))
        await until(lambda: scene.dispatch.seats.queued == 2)
    for answer in (first, second):
        await (await worker.asked()).tell("thrée")
        assert await answer == WHOLE
    assert scene.dispatch.counts["retried"] == 0


@staged("w1", "w2")
async def test_busy_elsewhere_is_asked_at_once(scene: Stage, *workers: Worker) -> None:
    """One full worker does not keep a request from another that has room."""
    answer = scene.ask()
    first, second = await scene.busy_first()
    (await first.asked()).fail(Busy("no slot"))
    await (await second.asked()).tell("thrée")
    assert await answer == WHOLE


@staged("w1", queue=QueueConfig(wait_s=0.05))
async def test_who_is_busy_for_too_long_is_too_late(scene: Stage, worker: Worker) -> None:
    """The wait has its limit also where there always seems to be a seat."""
    answer = scene.ask()

    async def refuse() -> None:
        while True:
            (await worker.asked()).fail(Busy("no slot"))

    refusing = asyncio.ensure_future(refuse())
    with pytest.raises(Overloaded, match="no instance was free"):
        await answer
    refusing.cancel()


@staged(queue=QueueConfig(wait_s=0.05))
async def test_a_failure_is_told_when_the_wait_for_another_ends(scene: Stage) -> None:
    """An instance starts for too long: the real error is told, not the lack of seats."""
    worker = await scene.worker("w1")
    await scene.enlist(worker, starting=1)
    answer = scene.ask()
    (await worker.asked()).fail(UpstreamFailed("the site is down"))
    with pytest.raises(UpstreamFailed, match="the site is down"):
        await answer


@staged("w1", chat=ChatConfig(first_event_timeout_s=0.01, idle_timeout_s=0.01, attempts=1))
async def test_a_silent_worker_is_called_lost(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that keeps no deadline is given up; the chat there is cancelled."""
    monkeypatch.setattr(dispatch_module, "GRACE_S", 0.01)
    answer = scene.ask()
    ask = await worker.asked()
    with pytest.raises(TimedOut, match="said nothing"):
        await answer
    await ask.cancelled.wait()


@staged("w1", chat=ChatConfig(total_timeout_s=0.05))
async def test_the_whole_answer_has_one_deadline(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends an answer that never pauses, and no other instance is asked afterwards."""
    monkeypatch.setattr(dispatch_module, "GRACE_S", 0.01)
    answer = scene.ask()
    ask = await worker.asked()

    async def beat() -> None:
        while True:
            await ask.say(Heartbeat())
            await asyncio.sleep(0)

    beating = asyncio.ensure_future(beat())
    with pytest.raises(TimedOut, match="the whole answer"):
        await answer
    await ask.cancelled.wait()
    beating.cancel()


@pytest.mark.parametrize("said", [Done("?"), Heartbeat(), Began("continued")])
@staged("w1", chat=ChatConfig(attempts=1))
async def test_a_word_out_of_place_is_a_failure(
    scene: Stage, worker: Worker, *, said: Body
) -> None:
    """A worker's bug ends as an error, never as a false end."""
    answer = scene.ask()
    await (await worker.asked()).say(Finish("stop"))
    with pytest.raises(UpstreamFailed, match="out of place"):
        await answer
    answer = scene.ask()
    ask = await worker.asked()
    await ask.say(TextDelta("a"))
    ask.end.set_result(said)
    with pytest.raises(UpstreamFailed, match="out of place"):
        await answer
