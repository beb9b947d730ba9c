"""seats: roster, links and reservations, with real sockets at both ends."""

import asyncio
from pathlib import Path

import pytest
from scripted import Worker, play, roster, stage, until

from arenad.errors import LinkLost, NeedsHuman, RequestError, Unavailable
from arenad.schema.chat import Finish, TextDelta

WHOLE = [TextDelta("thrée"), Finish("stop")]


def test_a_seat_survives_a_change_of_the_roster(tmp_path: Path) -> None:
    """A drained instance leaves the roster; its chat goes on, and its seat is given back."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker, other = await scene.worker("w1"), await scene.worker("w2")
            await scene.enlist(worker)
            answer = scene.ask()
            ask = await worker.asked()
            await scene.enlist(other)
            assert scene.dispatch.beat().busy == {"w1": 1}
            await ask.tell("thrée")
            assert await answer == WHOLE
            assert scene.dispatch.beat().busy == {}

    play(story())


def test_a_dead_seat_is_not_chosen_before_news(tmp_path: Path) -> None:
    """After EOF nobody is sent there, until a newer roster lists it still and it can be reached."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            worker.links[0].close()
            await until(lambda: not scene.dispatch.is_ready())
            answer = scene.ask()
            await until(lambda: scene.dispatch.seats.queued == 1)
            assert len(worker.links) == 1
            await scene.enlist(worker)
            await (await worker.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


def test_the_longest_wait_is_told(tmp_path: Path) -> None:
    """While somebody waits it grows; once nobody does it is 0."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            first = scene.ask()
            ask = await worker.asked()
            second = scene.ask()
            await until(lambda: scene.dispatch.beat().queue_wait_s > 0)
            await ask.tell("thrée")
            await (await worker.asked()).tell("thrée")
            assert [await first, await second] == [WHOLE, WHOLE]
            assert scene.dispatch.beat().queue_wait_s == 0

    play(story())


def test_a_first_connect_that_fails_is_tried_again(tmp_path: Path) -> None:
    """The roster may be quicker than the worker's socket."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = Worker(tmp_path, "w1")
            scene.workers.append(worker)
            scene.dispatch.on_roster(roster(worker))
            answer = scene.ask()
            await until(lambda: scene.dispatch.seats.queued == 1)
            await worker.listen()
            await (await worker.asked()).tell("thrée")
            assert await answer == WHOLE

    play(story())


@pytest.mark.parametrize(
    ("models", "condition", "kind", "told"),
    [
        (None, "ready", Unavailable, "arenactl scale"),
        (("other",), "ready", RequestError, "there is no 'echo'"),
        (("echo",), "needs_human", NeedsHuman, "w1 shows a human check"),
    ],
)
def test_no_hope_is_told_at_once(
    tmp_path: Path,
    models: tuple[str, ...] | None,
    condition: str,
    kind: type[RequestError],
    told: str,
) -> None:
    """Nobody waits for what cannot come, neither who comes nor who waits already."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
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

    play(story())


def test_models_are_listed_once(tmp_path: Path) -> None:
    """Each model that some instance offers, by name."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name) for name in ("w1", "w2")]
            workers[1].models = ("poet", "echo")
            await scene.enlist(*workers)
            assert [model.id for model in scene.dispatch.models()] == ["echo", "poet"]
            assert scene.dispatch.is_ready()

    play(story())


def test_the_least_busy_instance_is_asked(tmp_path: Path) -> None:
    """Two instances of two slots get two chats each, in turn."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            workers = [await scene.worker(name, slots=2) for name in ("w1", "w2")]
            await scene.enlist(*workers)
            for round_ in (1, 2):
                answers = [scene.ask(), scene.ask()]
                del answers
                for worker in workers:
                    await worker.asked()
                assert scene.dispatch.beat().busy == {"w1": round_, "w2": round_}

    play(story())


def test_who_waits_is_seated_in_order(tmp_path: Path) -> None:
    """With one slot, three requests are performed one after the other, as they came."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            answers = [scene.ask(text) for text in ("one", "two", "three")]
            for text in ("one", "two", "three"):
                ask = await worker.asked()
                assert ask.chat.request_id == text
                assert not worker.is_asked
                await ask.tell("thrée")
            assert await asyncio.gather(*answers) == [WHOLE] * 3

    play(story())


def test_there_is_no_link_to_a_stranger(tmp_path: Path) -> None:
    """An instance that died between its choice and its link is a lost one."""

    async def story() -> None:
        async with stage(tmp_path) as scene:
            with pytest.raises(LinkLost, match="w1"):
                scene.dispatch.seats.link_to(Worker(tmp_path, "w1").seat)

    play(story())
