"""pool: roster and links, with real sockets at both ends."""

import pytest
from scripted import WHOLE, Stage, Worker, roster, staged, until

from arenad.errors import LinkLost
from arenad.frontend import pool


@staged("w1")
async def test_a_dead_seat_is_not_chosen_before_news(scene: Stage, worker: Worker) -> None:
    """After EOF nobody is sent there, until a newer roster lists it still and it can be reached."""
    worker.links[0].close()
    await until(lambda: not scene.dispatch.is_ready())
    answer = scene.ask()
    await until(lambda: scene.dispatch.seats.queued == 1)
    assert len(worker.links) == 1
    await scene.enlist(worker)
    await (await worker.asked()).tell("thrée")
    assert await answer == WHOLE


@staged("w1")
async def test_a_link_that_is_lost_comes_back(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No roster comes for an instance that lives on: nothing has changed for the master."""
    monkeypatch.setattr(pool, "RELINK_S", 0.05)
    worker.links[0].close()
    await until(lambda: not scene.dispatch.is_ready())
    answer = scene.ask()
    await (await worker.asked()).tell("thrée")
    assert await answer == WHOLE


@staged()
async def test_a_first_connect_that_fails_is_tried_again(scene: Stage) -> None:
    """The roster may be quicker than the worker's socket."""
    worker = Worker(scene.folder, "w1")
    scene.workers.append(worker)
    scene.dispatch.on_roster(roster(worker))
    answer = scene.ask()
    await until(lambda: scene.dispatch.seats.queued == 1)
    await worker.listen()
    await (await worker.asked()).tell("thrée")
    assert await answer == WHOLE


@staged()
async def test_models_are_listed_once(scene: Stage) -> None:
    """Each model that some instance offers, by name."""
    workers = [await scene.worker(name) for name in ("w1", "w2")]
    workers[1].models = ("poet", "echo")
    await scene.enlist(*workers)
    assert [model.id for model in scene.dispatch.models()] == ["echo", "poet"]
    assert scene.dispatch.is_ready()


@staged()
async def test_there_is_no_link_to_a_stranger(scene: Stage) -> None:
    """An instance that died between its choice and its link is a lost one."""
    with pytest.raises(LinkLost, match="w1"):
        scene.dispatch.pool.link_to(Worker(scene.folder, "w1").seat)
