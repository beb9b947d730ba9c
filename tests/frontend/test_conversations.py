"""Conversations find the instance that holds them, over real links; or go elsewhere before long."""

import pytest
from msgspec.structs import replace
from scripted import Stage, Worker, staged, until, wish

from arenad.conversation import key_of
from arenad.errors import Overloaded
from arenad.frontend.openai import Wish
from arenad.schema.chat import Finish, TextDelta, Turn
from arenad.schema.config import QueueConfig

WHOLE = [TextDelta("ok"), Finish("stop")]
PAST = (Turn(role="user", text="a"), Turn(role="assistant", text="b"))
KEY = key_of("echo", PAST)


def later(text: str = "c") -> Wish:
    """A message with a history."""
    return replace(wish(), turns=(*PAST, Turn(role="user", text=text)))


@staged()
async def test_a_conversation_goes_where_it_is_held(scene: Stage) -> None:
    """However many others are free; who holds it no more, or another history, gets no key."""
    workers = [await scene.worker(f"w{number}") for number in range(4)]
    await scene.enlist(*workers)
    home = workers[2]
    home.hold("other", KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    for number in range(4):
        answer = scene.send(later(str(number)))
        ask = await home.asked()
        assert (ask.chat.conversation, ask.chat.turns[-1].text) == (KEY, str(number))
        await ask.tell("ok")
        assert await answer == WHOLE
    home.hold()
    await until(lambda: not scene.dispatch.pool.holds(home.seat, KEY))
    answer = scene.send(later())
    ask = await _asked(workers)
    assert ask.chat.conversation == ""
    await ask.tell("ok")
    assert await answer == WHOLE


async def _asked(workers: list[Worker]):
    await until(lambda: any(worker.is_asked for worker in workers))
    return await next(worker for worker in workers if worker.is_asked).asked()


@staged("w1", "w2", queue=QueueConfig(conversation_wait_s=60))
async def test_a_busy_home_is_waited_for(scene: Stage, home: Worker, other: Worker) -> None:
    """Another one is free, and takes whoever comes later; the conversation goes home."""
    home.hold(KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    first = scene.send(later("first"))
    busy = await home.asked()
    second = scene.send(later("second"))
    await until(lambda: scene.dispatch.seats.queued == 1)
    third = scene.ask()
    await (await other.asked()).tell("ok")
    assert await third == WHOLE
    assert scene.dispatch.seats.queued == 1
    await busy.tell("ok")
    ask = await home.asked()
    assert (ask.chat.conversation, ask.chat.turns[-1].text) == (KEY, "second")
    await ask.tell("ok")
    assert [await first, await second] == [WHOLE, WHOLE]


@staged("w1", queue=QueueConfig(limit=1, conversation_wait_s=60))
async def test_who_is_refused_waits_for_no_home(scene: Stage, home: Worker) -> None:
    """A full queue is an answer: nothing of the request stays behind."""
    home.hold(KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    first, second = scene.send(later("first")), scene.send(later("second"))
    await until(lambda: scene.dispatch.seats.queued == 1)
    with pytest.raises(Overloaded, match=r"queue\.limit"):
        await scene.send(later("third"))
    assert sum(each.home_timer is not None for each in scene.dispatch.seats._places.values()) == 2
    for _ in (first, second):
        await (await home.asked()).tell("ok")
    assert [await first, await second] == [WHOLE, WHOLE]


@staged("w1", "w2", queue=QueueConfig(conversation_wait_s=0.1))
async def test_a_home_that_stays_busy_is_given_up(
    scene: Stage, home: Worker, other: Worker
) -> None:
    """After `queue.conversation_wait_s` another instance gets all of the history, to fold it."""
    home.hold(KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    first = scene.send(later("first"))
    busy = await home.asked()
    second = scene.send(later("second"))
    ask = await other.asked()
    assert (ask.chat.conversation, len(ask.chat.turns)) == ("", 3)
    for each in (ask, busy):
        await each.tell("ok")
    assert [await first, await second] == [WHOLE, WHOLE]


@staged("w1", "w2", queue=QueueConfig(conversation_wait_s=60))
async def test_a_home_that_dies_is_gone(scene: Stage, home: Worker, other: Worker) -> None:
    """Who waits for it is folded elsewhere at once."""
    home.hold(KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    first = scene.send(later("first"))
    await home.asked()
    second = scene.send(later("second"))
    await until(lambda: scene.dispatch.seats.queued == 1)
    home.die()
    asks = [await other.asked()]
    await asks[0].tell("ok")
    asks.append(await other.asked())
    await asks[1].tell("ok")
    assert [ask.chat.conversation for ask in asks] == ["", ""]
    assert [await first, await second] == [WHOLE, WHOLE]


@staged("w1")
async def test_who_wants_a_fold_gets_one(scene: Stage, home: Worker) -> None:
    """The worker is told of the wish, and of no key."""
    home.hold(KEY)
    await until(lambda: scene.dispatch.pool.holds(home.seat, KEY))
    answer = scene.send(replace(later(), strategy="fold"))
    ask = await home.asked()
    assert (ask.chat.conversation, ask.chat.strategy) == ("", "fold")
    await ask.tell("ok")
    assert await answer == WHOLE
