"""seats: reservations, and who waits, with real sockets at both ends."""

import asyncio

import pytest
from msgspec.structs import replace
from scripted import WHOLE, Stage, Worker, roster, staged, until, wish

from arenad.errors import NeedsHuman, RequestError, Unavailable
from arenad.frontend import balance
from arenad.frontend.balance import offers
from arenad.schema.chat import Turn
from arenad.schema.process import Pace, Seat


@staged()
async def test_a_seat_survives_a_change_of_the_roster(scene: Stage) -> None:
    """A drained instance leaves the roster; its chat goes on, and its seat is given back."""
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    await scene.enlist(worker)
    answer = scene.ask()
    ask = await worker.asked()
    await scene.enlist(other)
    assert scene.dispatch.beat().busy == {"w1": 1}
    await ask.tell("thrée")
    assert await answer == WHOLE
    assert scene.dispatch.beat().busy == {}


@staged("w1")
async def test_the_longest_wait_is_told(scene: Stage, worker: Worker) -> None:
    """While somebody waits it grows; once nobody does it is 0."""
    first = scene.ask()
    ask = await worker.asked()
    second = scene.ask()
    await until(lambda: scene.dispatch.beat().queue_wait_s > 0)
    await ask.tell("thrée")
    await (await worker.asked()).tell("thrée")
    assert [await first, await second] == [WHOLE, WHOLE]
    assert scene.dispatch.beat().queue_wait_s == 0


@pytest.mark.parametrize(
    ("models", "condition", "kind", "told"),
    [
        (None, "ready", Unavailable, "arenactl scale"),
        (("other",), "ready", RequestError, "there is no 'echo'"),
        (("echo",), "needs_human", NeedsHuman, "w1 shows a human check"),
    ],
)
@staged()
async def test_no_hope_is_told_at_once(
    scene: Stage,
    *,
    models: tuple[str, ...] | None,
    condition: str,
    kind: type[RequestError],
    told: str,
) -> None:
    """Nobody waits for what cannot come, neither who comes nor who waits already."""
    waiting = scene.ask()
    await until(lambda: scene.dispatch.seats.queued == 1)
    workers: list[Worker] = []
    if models:
        workers = [await scene.worker("w1")]
        workers[0].models, workers[0].condition = models, condition
    await scene.enlist(*workers)
    for answer in (waiting, scene.ask()):
        with pytest.raises(kind, match=told):
            await answer


@staged()
async def test_the_least_busy_instance_is_asked(scene: Stage) -> None:
    """Two instances of two slots get two chats each, in turn."""
    workers = [await scene.worker(name, slots=2) for name in ("w1", "w2")]
    await scene.enlist(*workers)
    for round_ in (1, 2):
        answers = [scene.ask(), scene.ask()]
        del answers
        for worker in workers:
            await worker.asked()
        assert scene.dispatch.beat().busy == {"w1": round_, "w2": round_}


@staged("w1")
async def test_who_waits_is_seated_in_order(scene: Stage, worker: Worker) -> None:
    """With one slot, three requests are performed one after the other, as they came."""
    answers = [scene.ask(text) for text in ("one", "two", "three")]
    for text in ("one", "two", "three"):
        ask = await worker.asked()
        assert ask.chat.request_id == text
        assert not worker.is_asked
        await ask.tell("thrée")
    assert await asyncio.gather(*answers) == [WHOLE] * 3


@staged("w1")
async def test_who_cannot_join_for_a_fault_of_ours_leaves_nothing(
    scene: Stage, worker: Worker
) -> None:
    """Whatever is raised: nobody else would take its ticket back."""
    pace = Pace(1.0, 0.0, jitter_percent=0.0, turns_path="no path has a\0 in it")
    scene.dispatch.on_roster(replace(roster(worker), paces={"": pace}))
    with pytest.raises(ValueError, match="null byte"):
        await scene.ask()
    assert not scene.dispatch.seats._places


@staged("w1", "w2")
async def test_hundreds_who_want_the_same_cost_one_look(
    scene: Stage, *workers: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that go on with a conversation: each instance is looked at once, not by each."""
    asked: list[str] = []

    def counted(seat: Seat, model: str) -> bool:
        asked.append(seat.name)
        return offers(seat, model)

    monkeypatch.setattr(balance, "offers", counted)
    turns = (Turn(role="user", text="a"), Turn(role="assistant", text="b"), *wish("go on").turns)
    answers = [scene.send(replace(wish(), turns=turns)) for _ in range(100)]
    asks = [await worker.asked() for worker in workers]
    await until(lambda: scene.dispatch.seats.queued == 98)
    asked.clear()
    scene.dispatch.on_roster(roster(*workers))
    assert len(asked) <= 2 * len(workers)
    asked.clear()
    scene.dispatch.seats.refused(workers[0].seat)
    await asks[1].tell("thrée")
    await until(lambda: scene.dispatch.seats.queued == 97)
    assert len(asked) <= 2 * len(workers)
    del answers
