"""dispatch: seats are never lost, failures move on, leaving reaches the worker; over real links."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted import play, roster, stage, until, wish

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
from arenad.frontend.openai import Wish
from arenad.schema.chat import (
    Finish,
    Heartbeat,
    ReasoningDelta,
    SideFailed,
    Target,
    TextDelta,
    failure_of,
)
from arenad.schema.config import ChatConfig, QueueConfig
from arenad.schema.control import Done

WHOLE = [TextDelta("thrée"), Finish("stop")]


def test_a_chat_goes_to_a_worker_and_back(tmp_path: Path) -> None:
    """The events arrive untouched, and the worker was told all it needs."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask("what?")
            ask = await worker.asked()
            assert ask.chat.turns == wish("what?").turns
            assert (ask.chat.model, ask.chat.request_id) == ("echo", "what?")
            assert 0 < ask.chat.total_timeout_s <= scene.dispatch.chat.total_timeout_s
            await ask.say(ReasoningDelta("hm"), Heartbeat(), TextDelta("thrée"))
            ask.finish()
            assert await answer == [ReasoningDelta("hm"), *WHOLE]

    play(story())


@pytest.mark.parametrize(
    "error",
    [UpstreamFailed("cut"), TimedOut("late"), NeedsHuman("a check"), WorkerLost("its own word")],
)
def test_a_failure_before_content_moves_on(tmp_path: Path, error: RequestError) -> None:
    """Heartbeats are no content: the other instance answers, and the client never knows."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            answer = scene.ask()
            await until(lambda: any(worker.is_asked for worker in workers))
            first, second = sorted(workers, key=lambda worker: not worker.is_asked)
            ask = await first.asked()
            await ask.say(Heartbeat())
            ask.fail(error)
            await (await second.asked()).tell("thrée")
            assert await answer == WHOLE
            assert scene.dispatch.counts["retried"] == 1

    play(story())


def test_a_death_before_content_moves_on(tmp_path: Path) -> None:
    """EOF on the link is a death: the chat is asked elsewhere."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            answer = scene.ask()
            await until(lambda: any(worker.is_asked for worker in workers))
            first, second = sorted(workers, key=lambda worker: not worker.is_asked)
            first.die()
            await (await second.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


def test_nothing_moves_after_content(tmp_path: Path) -> None:
    """After the first content, a death is told, not hidden."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
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

    play(story())


@pytest.mark.parametrize("error", [ContentRejected("no"), InvalidRequest("too long")])
def test_some_failures_are_final(tmp_path: Path, error: RequestError) -> None:
    """What another instance would say as well is told at once."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            answer = scene.ask()
            await until(lambda: any(worker.is_asked for worker in workers))
            asked = min(workers, key=lambda worker: not worker.is_asked)
            (await asked.asked()).fail(error)
            with pytest.raises(type(error), match=error.message):
                await answer

    play(story())


def test_attempts_have_a_bound(tmp_path: Path) -> None:
    """After `chat.attempts` failures the last one is told, though others could be asked."""

    async def story() -> None:
        async with stage(tmp_path, chat=ChatConfig(attempts=2)) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2", "w3")]
            await scene.enlist(*workers)
            answer = scene.ask()
            for number in (1, 2):
                await until(lambda: any(worker.is_asked for worker in workers))
                asked = next(worker for worker in workers if worker.is_asked)
                (await asked.asked()).fail(UpstreamFailed(f"failure {number}"))
            with pytest.raises(UpstreamFailed, match="failure 2"):
                await answer
            assert scene.dispatch.counts["retried"] == 1

    play(story())


def test_the_last_real_error_is_told_when_all_were_tried(tmp_path: Path) -> None:
    """With nobody left and nobody starting, what the instance said is what the client hears."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask()
            (await worker.asked()).fail(UpstreamFailed("the site is down"))
            with pytest.raises(UpstreamFailed, match="the site is down"):
                await answer
            assert scene.dispatch.counts["retried"] == 0

    play(story())


def test_the_only_instance_died_and_comes_back(tmp_path: Path) -> None:
    """The request waits over the gap in which the master has not yet said that it restarts it."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
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

    play(story())


def test_the_only_instance_died_for_good(tmp_path: Path) -> None:
    """When the master says that nobody comes, the death itself is told."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask()
            await worker.asked()
            worker.die()
            await until(lambda: scene.dispatch.seats.queued == 1)
            scene.dispatch.on_roster(roster())
            with pytest.raises(WorkerLost, match="w1 died"):
                await answer

    play(story())


def test_busy_goes_back_to_the_queue(tmp_path: Path) -> None:
    """A full worker is asked again later: it is not excluded, and the place in the queue is kept."""

    async def story() -> None:
        async with stage(tmp_path, chat=ChatConfig(attempts=1)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
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

    play(story())


def test_busy_elsewhere_is_asked_at_once(tmp_path: Path) -> None:
    """One full worker does not keep a request from another that has room."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            answer = scene.ask()
            await until(lambda: any(worker.is_asked for worker in workers))
            first, second = sorted(workers, key=lambda worker: not worker.is_asked)
            (await first.asked()).fail(Busy("no slot"))
            await (await second.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


def test_the_queue_has_a_bound(tmp_path: Path) -> None:
    """Who comes when it is full is told at once; a free seat for another model is still given."""

    async def story() -> None:
        async with stage(tmp_path, QueueConfig(limit=1)) as scene:
            worker, poet = await scene.worker("w1"), await scene.worker("w2")
            poet.models = ("poet",)
            await scene.enlist(worker, poet)
            running, queued = scene.ask("running"), scene.ask("queued")
            await worker.asked()
            await until(lambda: scene.dispatch.seats.queued == 1)
            with pytest.raises(Overloaded, match=r"queue\.limit") as told:
                await scene.ask("one too many")
            assert told.value.retry_after_s
            poem = scene.ask("other", model="poet")
            await (await poet.asked()).tell("thrée")
            assert await poem == WHOLE
            assert not running.done()
            assert not queued.done()

    play(story())


def test_the_wait_has_a_deadline(tmp_path: Path) -> None:
    """Nobody waits for longer than `queue.wait_s`; the ticket leaves with its request."""

    async def story() -> None:
        async with stage(tmp_path, QueueConfig(wait_s=0.01)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            running = scene.ask()
            ask = await worker.asked()
            with pytest.raises(Overloaded, match=r"queue\.wait_s"):
                await scene.ask()
            assert scene.dispatch.seats.queued == 0
            await ask.tell("thrée")
            assert await running == WHOLE

    play(story())


def test_a_failure_is_told_when_the_wait_for_another_ends(tmp_path: Path) -> None:
    """An instance starts for too long: the real error is told, not the lack of seats."""

    async def story() -> None:
        async with stage(tmp_path, QueueConfig(wait_s=0.05)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker, starting=1)
            answer = scene.ask()
            (await worker.asked()).fail(UpstreamFailed("the site is down"))
            with pytest.raises(UpstreamFailed, match="the site is down"):
                await answer

    play(story())


def test_cancel_in_the_queue(tmp_path: Path) -> None:
    """A waiting request that leaves takes nothing with it."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            running, waiting, last = scene.ask("one"), scene.ask("two"), scene.ask("three")
            await until(lambda: scene.dispatch.seats.queued == 2)
            waiting.cancel()
            await until(lambda: scene.dispatch.seats.queued == 1)
            await (await worker.asked()).tell("thrée")
            assert await running == WHOLE
            ask = await worker.asked()
            assert ask.chat.request_id == "three"
            await ask.tell("thrée")
            assert await last == WHOLE

    play(story())


@pytest.mark.parametrize("has_begun", [False, True])
def test_cancel_reaches_the_worker(tmp_path: Path, has_begun: bool) -> None:
    """Before the first event and after it: the worker is told, the slot is free for the next."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            leaving = scene.ask("leaving")
            ask = await worker.asked()
            if has_begun:
                await ask.say(TextDelta("a"))
            leaving.cancel()
            await ask.cancelled.wait()
            following = scene.ask("following")
            await (await worker.asked()).tell("thrée")
            assert await following == WHOLE

    play(story())


def test_cancel_in_the_moment_of_being_seated(tmp_path: Path) -> None:
    """A seat given to somebody who leaves in the same step of the loop goes to the next."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            leaving, staying = scene.ask("leaving"), scene.ask("staying")
            await until(lambda: scene.dispatch.seats.queued == 2)
            await scene.enlist(worker)
            assert scene.dispatch.seats.busy() == {"w1": 1}
            leaving.cancel()
            await until(lambda: worker.is_asked)
            ask = await worker.asked()
            if ask.chat.request_id == "leaving":  # it got as far as the worker
                await ask.cancelled.wait()
                ask = await worker.asked()
            assert ask.chat.request_id == "staying"
            await ask.tell("thrée")
            assert await staying == WHOLE

    play(story())


def test_a_silent_worker_is_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that keeps no deadline is given up; the chat there is cancelled."""
    monkeypatch.setattr(dispatch_module, "GRACE_S", 0.01)

    async def story() -> None:
        chat = ChatConfig(first_event_timeout_s=0.01, idle_timeout_s=0.01, attempts=1)
        async with stage(tmp_path, chat=chat) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask()
            ask = await worker.asked()
            with pytest.raises(TimedOut, match="said nothing"):
                await answer
            await ask.cancelled.wait()

    play(story())


def test_the_whole_answer_has_one_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends an answer that never pauses, and no other instance is asked afterwards."""
    monkeypatch.setattr(dispatch_module, "GRACE_S", 0.01)

    async def story() -> None:
        async with stage(tmp_path, chat=ChatConfig(total_timeout_s=0.05)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
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

    play(story())


def test_silence_becomes_a_heartbeat(tmp_path: Path) -> None:
    """While it waits and while the site is silent, the client gets a sign of life."""

    async def story() -> None:
        async with stage(tmp_path, chat=ChatConfig(keepalive_s=0.01)) as scene:
            worker = await scene.worker("w1")
            async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
                assert await anext(events) == Heartbeat()
                await scene.enlist(worker)
                following = asyncio.ensure_future(anext(events))
                ask = await worker.asked()
                while (event := await following) == Heartbeat():
                    following = asyncio.ensure_future(anext(events))
                    if not ask.end.done():
                        await ask.tell("a")
                assert event == TextDelta("a")

    play(story())


@pytest.mark.parametrize("where", ["item", "end"])
def test_a_word_out_of_place_is_a_failure(tmp_path: Path, where: str) -> None:
    """A worker's bug ends as an error, never as a false end."""

    async def story() -> None:
        async with stage(tmp_path, chat=ChatConfig(attempts=1)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask()
            ask = await worker.asked()
            if where == "item":
                await ask.say(Finish("stop"))
            else:
                ask.end.set_result(Done("?"))
            with pytest.raises(UpstreamFailed, match="out of place"):
                await answer

    play(story())


def test_no_seat_leaks_in_any_order_of_events(tmp_path: Path) -> None:
    """Many chats that end, fail, die or leave at every step: all seats are free at the end."""

    async def story() -> None:
        async with stage(tmp_path, QueueConfig(limit=8)) as scene:
            workers = [await scene.worker(name, slots=2) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            answers = [scene.ask(str(number)) for number in range(40)]
            step = 0
            while not all(answer.done() for answer in answers):
                step += 1
                await asyncio.sleep(0)
                for worker in workers:
                    if worker.is_asked:
                        ask = await worker.asked()
                        if step % 3 == 0:
                            ask.fail(UpstreamFailed("cut"))
                        elif step % 3 == 1:
                            await ask.tell("a")
                        else:
                            answers[int(ask.chat.request_id)].cancel()
            await asyncio.gather(*answers, return_exceptions=True)

    play(story())


# -- two answers --------------------------------------------------------------------------------------


def _arena(**given: Any) -> Wish:
    return msgspec.structs.replace(wish(), **given)


@pytest.mark.parametrize(
    ("given", "default", "wanted"),
    [
        ({"model": "echo"}, "A", ("direct", "echo", "", "both")),
        ({"model": "battle"}, "both", ("battle", "battle", "", "both")),
        ({"model": "battle"}, "B", ("battle", "battle", "", "B")),
        ({"model": "battle", "battle_target": "both"}, "B", ("battle", "battle", "", "both")),
        ({"model": "echo,poet"}, "B", ("side_by_side", "echo", "poet", "both")),
        ({"model": "echo,poet", "battle_target": "B"}, "A", ("side_by_side", "echo", "poet", "B")),
    ],
)
def test_a_worker_is_told_the_mode(
    tmp_path: Path, given: dict[str, Any], default: Target, wanted: tuple[str, ...]
) -> None:
    """By the name that was asked for; the operator's target is for battles alone."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            worker.models = ("echo", "poet", "battle")
            await scene.enlist(worker)
            scene.dispatch.battle_target = default
            async with aclosing(scene.dispatch.answer(_arena(**given), "r")) as events:
                asking = asyncio.ensure_future(anext(events))
                ask = await worker.asked()
                chat = ask.chat
                assert (chat.mode, chat.model, chat.model_b, chat.battle_target) == wanted
                await ask.tell("a")
                await asking

    play(story())


def test_the_end_of_one_side_is_passed_on(tmp_path: Path) -> None:
    """As an event, whole or failed; the last finish is the end, whichever side's it is."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            worker.models = ("battle",)
            await scene.enlist(worker)
            failed = SideFailed(failure_of(UpstreamFailed("no")))
            for side_events, last in (
                ((TextDelta("a"), TextDelta("b", 1), Finish("length", 1)), Finish("stop")),
                ((TextDelta("b", 1), failed), Finish("stop", 1)),
            ):
                answer = scene.ask(model="battle")
                ask = await worker.asked()
                await ask.say(*side_events)
                ask.end.set_result(last)
                assert await answer == [*side_events, last]

    play(story())


PATIENT = QueueConfig(wait_s=0.05, wait_for_person_s=20.0)


def test_a_request_waits_for_a_person_if_told_to(tmp_path: Path) -> None:
    """Beyond `queue.wait_s`; once the check is passed it is answered, and nobody hears of it."""

    async def story() -> None:
        async with stage(tmp_path, PATIENT) as scene:
            worker = await scene.worker("w1")
            worker.condition = "needs_human"
            await scene.enlist(worker)
            answer = scene.ask()
            await until(lambda: scene.dispatch.seats.queued == 1)
            await asyncio.wait({answer}, timeout=2 * PATIENT.wait_s)
            assert not answer.done()
            worker.condition = "ready"
            await scene.enlist(worker)
            await (await worker.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


def test_who_meets_a_check_waits_for_the_person_too(tmp_path: Path) -> None:
    """The same instance is asked once more, when it can be."""

    async def story() -> None:
        async with stage(tmp_path, PATIENT) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answer = scene.ask()
            ask = await worker.asked()
            worker.condition = "needs_human"
            await scene.enlist(worker)
            ask.fail(NeedsHuman("a check"))
            await until(lambda: scene.dispatch.seats.queued == 1)
            worker.condition = "ready"
            await scene.enlist(worker)
            await (await worker.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


@pytest.mark.parametrize("patience_s", [0.0, 0.1])
def test_a_person_who_does_not_come_is_told(tmp_path: Path, patience_s: float) -> None:
    """At once without that setting, else after its time: in the error's own words."""

    async def story() -> None:
        async with stage(tmp_path, QueueConfig(wait_for_person_s=patience_s)) as scene:
            worker = await scene.worker("w1")
            worker.condition = "needs_human"
            await scene.enlist(worker)
            with pytest.raises(NeedsHuman, match="w1 shows a human check"):
                await scene.ask()

    play(story())
