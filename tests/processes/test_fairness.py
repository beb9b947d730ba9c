"""A key that floods, beside one that asks now and then: who is asked when, in a whole daemon."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from daemon import Daemon, running, until
from keyed import call, make
from openai_upstream import Threaded

FLOOD = 24


@pytest.fixture(scope="module")
def threaded() -> Iterator[Threaded]:
    """An upstream that answers when the test lets it."""
    threaded = Threaded()
    threaded.upstream.models = ("gated",)
    with threaded.running():
        yield threaded


@pytest.fixture(scope="module")
def daemon(threaded: Threaded) -> Iterator[Daemon]:
    """One instance, so that seats are given one after another."""
    site = {"profile": "openai-http", "url": threaded.upstream.url}
    with running(1, site=site, queue={"wait_s": 600}) as daemon:
        yield daemon


class Scene:
    """Who has been asked, and who waits."""

    def __init__(self, daemon: Daemon, threaded: Threaded, pool: ThreadPoolExecutor) -> None:
        self._daemon, self._threaded, self._pool = daemon, threaded, pool
        self._before = len(threaded.upstream.asked)

    @property
    def asked(self) -> list[str]:
        """Of each seat since the beginning, the key that it was given to."""
        asked = self._threaded.upstream.asked[self._before :]
        return [each["messages"][-1]["content"] for each in asked]

    def send(self, name: str, key: str) -> Future[int]:
        body = {"model": "gated", "messages": [{"role": "user", "content": name}], "stream": True}
        url = f"{self._daemon.api_url}/v1/chat/completions"
        return self._pool.submit(lambda: _status(url, key, body))

    def waits(self, **counts: int) -> None:
        """So many of each wait, and one is being answered."""
        until(lambda: self._daemon.state()["traffic"]["waiting"] == counts, f"{counts} to wait")

    def next_seat(self) -> str:
        """One is answered; who is asked then."""
        before = len(self.asked)
        self._threaded.let_one_go()
        until(lambda: len(self.asked) == before + 1, "the next one to be asked")
        return self.asked[-1]


def _status(url: str, key: str, body: object) -> int:
    try:
        return call(url, key, body)[0]
    except ValueError:
        return 200  # events, and no object


def test_a_flood_takes_no_more_than_its_share(daemon: Daemon, threaded: Threaded) -> None:
    """Whoever asks now and then has every second seat, however many of the other one wait."""
    flooder, light = make(daemon, "flooder"), make(daemon, "light")
    with ThreadPoolExecutor(FLOOD + 2) as pool:
        scene = Scene(daemon, threaded, pool)
        floods = [scene.send("flood", flooder) for _ in range(FLOOD)]
        scene.waits(flooder=FLOOD - 1)
        left, behind = FLOOD - 1, []
        for _ in range(5):
            answer = scene.send("light", light)
            scene.waits(flooder=left, light=1)
            seats = [scene.next_seat()]
            while seats[-1] != "light":
                seats.append(scene.next_seat())
            behind.append(seats.count("flood"))
            left -= seats.count("flood")
            seat = scene.next_seat()
            assert seat == "flood"
            left -= 1
            assert answer.result(20) == 200
        assert max(behind) <= 1, "it was never more than one turn behind"
        for _ in range(left + 1):
            threaded.let_one_go()
        assert {each.result(60) for each in floods} == {200}


def test_two_that_flood_share_alike(daemon: Daemon, threaded: Threaded) -> None:
    """Seat by seat in turn, though one came long before the other, with three times as many."""
    first, second = make(daemon, "first"), make(daemon, "second")
    with ThreadPoolExecutor(16) as pool:
        scene = Scene(daemon, threaded, pool)
        answers = [scene.send("first", first) for _ in range(10)]
        scene.waits(first=9)
        answers += [scene.send("second", second) for _ in range(3)]
        scene.waits(first=9, second=3)
        seats = [scene.next_seat() for _ in range(6)]
        assert sorted(seats) == ["first"] * 3 + ["second"] * 3
        assert "".join(each[0] for each in seats) in ("fsfsfs", "sfsfsf")
        for _ in range(len(answers) - len(seats)):
            threaded.let_one_go()
        assert {each.result(60) for each in answers} == {200}
