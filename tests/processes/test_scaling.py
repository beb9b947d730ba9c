"""The pool follows the load, spares stand in at once, worn instances are replaced: real browsers."""

import asyncio
import itertools
import os
import re
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chats import all_streamed, streamed
from daemon import Daemon, running, until

BURST = 8
WORDS = " ".join(f"word{place}" for place in range(60))
"""Three seconds at the demo's pace of 20 a second."""

REFUSAL = (
    r"400 and 1 spare would take about \d+ MiB \(\d+ MiB each, measured\), over "
    r"fleet.memory_budget_bytes \(3072 MiB\); ask for at most \d+, or raise the budget"
)


def _wishes(daemon: Daemon) -> list[tuple[int, int]]:
    """Every change of the wish, as the log tells it."""
    return [
        (int(before), int(after))
        for before, after in re.findall(r"fleet: from (\d+) to (\d+):", daemon.log())
    ]


def test_a_burst_from_one_to_max_and_back() -> None:
    """Eight paced chats at once: 1 to 3 instances and back to 1, with one change of direction."""
    rules = {
        "enabled": True, "max": 3, "window_s": 3, "queue_wait_s": 0.5,
        "up_cooldown_s": 1, "down_cooldown_s": 3, "cpu_veto_percent": 100, "memory_veto_bytes": 0,
    }  # fmt: skip
    with running(1, autoscale=rules) as daemon:
        texts = [f"{place} {WORDS}" for place in range(BURST)]
        assert asyncio.run(all_streamed(daemon.api_url, "demo-echo", texts)) == texts
        until(lambda: len(daemon.children("worker")) == 1, "back to one instance", 60)
        wishes = _wishes(daemon)
        assert max(after for _, after in wishes) == 3
        assert wishes[-1][1] == 1
        ups = [after > before for before, after in wishes]
        assert sum(a != b for a, b in itertools.pairwise(ups)) == 1, wishes
        assert "a request has waited" in daemon.log() or "utilisation" in daemon.log()
        assert asyncio.run(streamed(daemon.api_url, "demo-echo", "and after")) == "and after"


@pytest.fixture(scope="module")
def spared() -> Iterator[Daemon]:
    """Two instances, a spare, and a budget that affords not many more."""
    fleet = {"spares": 1, "max_instances": 400, "memory_budget_bytes": 3 * 2**30}
    with running(2, fleet=fleet, life={"deaths": 50}, health={"interval_s": 0.5}) as daemon:
        until(lambda: "+1 spare" in daemon.state()["verdict"], "the spare is ready")
        yield daemon


def test_a_spare_takes_a_lost_place_at_once(spared: Daemon) -> None:
    """SIGKILL of an instance: the spare is in the roster before the dead one is up again."""
    (spare,) = [each["name"] for each in spared.children("worker") if each["spare"]]
    lost = next(each for each in spared.children("worker") if not each["spare"])
    assert spared.state()["instances_wanted"] == 2
    begun = len(spared.log())
    os.kill(lost["pid"], signal.SIGKILL)
    texts = [f"chat {place} meanwhile" for place in range(4)]
    assert asyncio.run(all_streamed(spared.api_url, "demo-echo", texts)) == texts
    name = lost["name"]
    until(lambda: spared.child(name)["spare"], "the one that was lost is the spare now")
    log = spared.log()[begun:]
    order = [
        log.index(text) for text in (f"{name}: died", f"{spare}: a spare no more", f"{name}: ready")
    ]
    assert order == sorted(order)
    assert spared.state()["word"] == "well"


def test_a_scale_up_takes_the_spare_first(spared: Daemon) -> None:
    """The spare serves at once, and a new one is started behind it; --wait sees both through."""
    begun = len(spared.log())
    assert spared.ctl("scale", "3", "--wait").returncode == 0
    until(lambda: "3 of 3 instances ready, +1 spare" in spared.state()["verdict"], "a new spare")
    log = spared.log()[begun:]
    assert log.index("a spare no more") < log.index("w4: starting")
    assert spared.ctl("scale", "2", "--wait").returncode == 0
    until(lambda: len(spared.children("worker")) == 3, "two and their spare")


def test_what_cannot_be_afforded_is_refused(spared: Daemon) -> None:
    """The answer names the numbers, to arenactl and the dashboard; and nothing has changed."""
    until(lambda: all(c["memory_bytes"] for c in spared.children("worker")), "all are measured")
    answer = spared.ctl("scale", "400")
    assert answer.returncode == 1
    assert re.search(REFUSAL, " ".join((answer.stderr + answer.stdout).split()))
    request = urllib.request.Request(
        f"{spared.gui_url}/gui/api/scale",
        data=b'{"instances": 400}',
        headers={"Content-Type": "application/json", "Origin": spared.gui_url},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as page:
        assert page.code == 409
        assert re.search(REFUSAL, page.read().decode())
    assert spared.state()["instances_wanted"] == 2


class _BusyPage(BaseHTTPRequestHandler):
    """A page that lets its browser never rest, as a broken script would."""

    def do_GET(self) -> None:
        """Any address: it computes for a third of the time."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            b"<textarea></textarea><script>setInterval(() => { const end = Date.now() + 20;"
            b" while (Date.now() < end); }, 60)</script>"
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the tests' output free of requests."""


@pytest.fixture
def busy_site(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The section `site` for instances on such a page."""
    told = "landmarks: {prompt: textarea}\nstream: {transport: dom, dom: {element: p}}"
    (tmp_path / "busy.yaml").write_text(told)
    with ThreadingHTTPServer(("127.0.0.1", 0), _BusyPage) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        yield {"profile": "busy", "url": url, "profiles_dir": str(tmp_path)}
        server.shutdown()


def _assert_recycled(daemon: Daemon, words: str) -> None:
    until(lambda: daemon.child("w1")["generation"] > 1, "w1 is replaced")
    assert re.search(rf"w1: recycled: {words}", daemon.log())
    assert "w1: died" not in daemon.log()


def test_recycling_by_descriptors() -> None:
    """A limit that a healthy browser exceeds at rest, measured often: it is drained and replaced."""
    with running(1, recycle={"descriptors": 50}, health={"interval_s": 0.2}) as daemon:
        _assert_recycled(daemon, r"it has \d+ descriptors open \(recycle.descriptors 50\)")


def test_recycling_by_what_an_idle_instance_computes(busy_site: dict[str, str]) -> None:
    """A page whose script never rests: its browser is drained and replaced by a fresh one."""
    rule, often = {"idle_cpu_percent": 10}, {"interval_s": 0.2}
    with running(1, site=busy_site, recycle=rule, health=often) as daemon:
        _assert_recycled(daemon, r"it has no chat and uses \d+ % of a processor")


def test_recycling_by_requests_loses_no_chat() -> None:
    """Each is drained and replaced after some chats, never two at a time; every answer is whole."""
    rules = {"requests": 6, "jitter_percent": 50}
    with running(2, recycle=rules, health={"interval_s": 0.3}) as daemon:

        async def client(number: int) -> None:
            for place in range(12):
                text = f"chat {place} of client {number}, one two three four"
                assert await streamed(daemon.api_url, "demo-echo", text) == text

        async def clients() -> None:
            await asyncio.gather(*(client(number) for number in range(3)))

        asyncio.run(clients())
        daemon.wait_well()
        told = re.findall(r"(w\d): (recycled|draining|ready)\b", daemon.log())
        recycled = [name for name, word in told if word == "recycled"]
        assert set(recycled) == {"w1", "w2"}
        for place, (name, word) in enumerate(told):
            if word == "recycled":
                assert told[place + 1] == (name, "draining"), "drained first, and nobody else yet"
        gone = None
        for name, word in told:
            assert not (word == "recycled" and gone), f"{name} went before {gone} was back"
            gone = name if word == "recycled" else None if (name, word) == (gone, "ready") else gone
        # A frontend tells its counters once a second, and what a chat left busy a moment later.
        until(lambda: daemon.state()["traffic"]["answered"] == 36, "all 36 chats are counted")
        assert daemon.state()["traffic"]["failed"] == 0
