"""dispatch: who waits, for how long, and leaves; nothing of it stays behind; over real links."""

import asyncio
from pathlib import Path

import pytest
from scripted import WHOLE, Stage, Worker, play, stage, staged, until

from arenad.errors import (
    NeedsHuman,
    Overloaded,
)
from arenad.schema.config import QueueConfig


@staged(queue=QueueConfig(limit=1))
async def test_the_queue_has_a_bound(scene: Stage) -> None:
    """Who comes when it is full is told at once; a free seat for another model is still given."""
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


@staged("w1", queue=QueueConfig(limit=4))
async def test_a_flood_neither_delays_nor_shuts_out_another(scene: Stage, worker: Worker) -> None:
    """A full queue of one key: the other key's request goes in for the flood's last, and is next."""
    running = scene.ask("f0", owner="flood")
    ask = await worker.asked()
    flood = [scene.ask(f"f{number}", owner="flood") for number in (1, 2, 3, 4)]
    await until(lambda: scene.dispatch.seats.queued == 4)
    assert scene.dispatch.beat().waiting == {"flood": 4}
    light = scene.ask("l1", owner="light")
    with pytest.raises(Overloaded, match=r"queue\.limit"):
        await flood.pop()
    order = []
    for _ in range(4):
        await ask.tell("thrée")
        ask = await worker.asked()
        order.append(ask.chat.request_id)
    await ask.tell("thrée")
    assert order[:2] == ["l1", "f1"]
    assert order[2:] == ["f2", "f3"]
    assert await asyncio.gather(running, light, *flood) == [WHOLE] * 5


@staged("w1", queue=QueueConfig(wait_s=0.01))
async def test_the_wait_has_a_deadline(scene: Stage, worker: Worker) -> None:
    """Nobody waits for longer than `queue.wait_s`; the ticket leaves with its request."""
    running = scene.ask()
    ask = await worker.asked()
    with pytest.raises(Overloaded, match=r"queue\.wait_s"):
        await scene.ask()
    assert scene.dispatch.seats.queued == 0
    await ask.tell("thrée")
    assert await running == WHOLE


@staged("w1")
async def test_cancel_in_the_queue(scene: Stage, worker: Worker) -> None:
    """A waiting request that leaves takes nothing with it."""
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


@staged()
async def test_cancel_in_the_moment_of_being_seated(scene: Stage) -> None:
    """A seat given to somebody who leaves in the same step of the loop goes to the next."""
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


PATIENT = QueueConfig(wait_s=0.05, wait_for_person_s=20.0)


@staged(queue=PATIENT)
async def test_a_request_waits_for_a_person_if_told_to(scene: Stage) -> None:
    """Beyond `queue.wait_s`; once the check is passed it is answered, and nobody hears of it."""
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


@staged("w1", queue=PATIENT)
async def test_who_meets_a_check_waits_for_the_person_too(scene: Stage, worker: Worker) -> None:
    """The same instance is asked once more, when it can be."""
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
