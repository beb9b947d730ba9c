"""dispatch: the way of a request to a worker and back, and no seat is lost; over real links."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from scripted import WHOLE, Stage, Worker, staged, wish

from arenad.errors import (
    UpstreamFailed,
)
from arenad.frontend.vocabulary import Wish
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


@staged("w1")
async def test_a_chat_goes_to_a_worker_and_back(scene: Stage, worker: Worker) -> None:
    """The events arrive untouched, and the worker was told all it needs."""
    answer = scene.ask("what?")
    ask = await worker.asked()
    assert ask.chat.turns == wish("what?").turns
    assert (ask.chat.model, ask.chat.request_id) == ("echo", "what?")
    assert 0 < ask.chat.total_timeout_s <= scene.dispatch.chat.total_timeout_s
    await ask.say(ReasoningDelta("hm"), Heartbeat(), TextDelta("thrée"))
    ask.finish()
    assert await answer == [ReasoningDelta("hm"), *WHOLE]


@pytest.mark.parametrize("has_begun", [False, True])
@staged("w1")
async def test_cancel_reaches_the_worker(scene: Stage, worker: Worker, *, has_begun: bool) -> None:
    """Before the first event and after it: the worker is told, the slot is free for the next."""
    leaving = scene.ask("leaving")
    ask = await worker.asked()
    if has_begun:
        await ask.say(TextDelta("a"))
    leaving.cancel()
    await ask.cancelled.wait()
    following = scene.ask("following")
    await (await worker.asked()).tell("thrée")
    assert await following == WHOLE


@staged(chat=ChatConfig(keepalive_s=0.01))
async def test_silence_becomes_a_heartbeat(scene: Stage) -> None:
    """While it waits and while the site is silent, the client gets a sign of life."""
    worker = await scene.worker("w1")
    async with aclosing(scene.dispatch.answer(wish(), "r")) as events:
        assert await anext(events) == Heartbeat(ahead=0)
        await scene.enlist(worker)
        following = asyncio.ensure_future(anext(events))
        ask = await worker.asked()
        while isinstance(event := await following, Heartbeat):
            following = asyncio.ensure_future(anext(events))
            if not ask.end.done():
                await ask.tell("a")
        assert event == TextDelta("a")


@staged(queue=QueueConfig(limit=8))
async def test_no_seat_leaks_in_any_order_of_events(scene: Stage) -> None:
    """Many chats that end, fail, die or leave at every step: all seats are free at the end."""
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
@staged()
async def test_a_worker_is_told_the_mode(
    scene: Stage, *, given: dict[str, Any], default: Target, wanted: tuple[str, ...]
) -> None:
    """By the name that was asked for; the operator's target is its site's, and for battles alone."""
    worker = await scene.worker("up-1")
    worker.models = ("echo", "poet", "battle")
    await scene.enlist(worker)
    scene.dispatch.battle_targets = {"": "A", "up": default}
    one_side = wanted[0] == "direct" or wanted[3] != "both"
    assert scene.dispatch.sides(_arena(**given)) == (1 if one_side else 2)
    async with aclosing(scene.dispatch.answer(_arena(**given), "r")) as events:
        asking = asyncio.ensure_future(anext(events))
        ask = await worker.asked()
        chat = ask.chat
        assert (chat.mode, chat.model, chat.model_b, chat.battle_target) == wanted
        await ask.tell("a")
        await asking


@staged()
async def test_the_end_of_one_side_is_passed_on(scene: Stage) -> None:
    """As an event, whole or failed; the last finish is the end, whichever side's it is."""
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
