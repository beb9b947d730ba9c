"""The pace of a site over a whole daemon: two frontends, two instances, a refusal, a reload."""

import json
import threading
import time
from typing import Any

from daemon import Daemon, running, until
from test_sites import _request, ask

PACE = 120


def _paces(daemon: Daemon) -> dict[str, Any]:
    (pace,) = daemon.state()["paces"]
    return pace


def _ask_all(daemon: Daemon, chats: int) -> tuple[list[int], float]:
    """Their status, and how long all of them took together."""
    codes: list[int] = []
    begun_s = time.monotonic()
    asks = [threading.Thread(target=lambda: codes.append(ask(daemon).status)) for _ in range(chats)]
    for each in asks:
        each.start()
    for each in asks:
        each.join()
    return codes, time.monotonic() - begun_s


def _reload(daemon: Daemon, pace: int) -> str:
    """With another pace; what is told of that."""
    config = json.loads(daemon.config_path.read_text())
    config["site"]["pace"] = pace
    daemon.config_path.write_text(json.dumps(config))
    return daemon.ctl("reload").stdout


def test_a_pace_is_one_for_all_and_follows_refusal_and_reload() -> None:
    """Six chats take five gaps whoever carries them; a 429 halves the pace; a reload lifts it."""
    wished = {"site": {"pace": PACE}, "queue": {"wait_s": 20}, "frontend": {"processes": 2}}
    with running(2, **wished) as daemon:
        daemon.wait_well()
        codes, took_s = _ask_all(daemon, 6)
        assert codes == [200] * 6
        assert took_s >= 5 * 60 / PACE
        assert _paces(daemon)["allowed_per_minute"] == PACE

        fault = {"faults": "429=3", "times": 1}
        _request("PUT", f"{daemon.demo_url}/demo/faults", fault).close()
        ask(daemon)
        until(lambda: _paces(daemon)["refusals"] == 1, "the refusal is counted")
        assert PACE / 2 <= _paces(daemon)["allowed_per_minute"] < PACE
        page = daemon.ctl("status").stdout
        assert "of 120 requests/min, 1 refusal" in page
        assert "was refused by the site: 60 of 120 requests a minute from now on" in (
            daemon.ctl("story", "fleet").stdout
        )

        pids = [child["pid"] for child in daemon.state()["children"]]
        until(lambda: daemon.state()["word"] == "well", "the end of the rest")
        assert "site.pace: 120 -> 1 (at once)" in _reload(daemon, 1)
        assert _ask_all(daemon, 6)[0] == [429] * 6, "no turn comes within queue.wait_s"
        assert "site.pace: 1 -> 0 (at once)" in _reload(daemon, 0)
        assert _ask_all(daemon, 6)[0] == [200] * 6
        assert [child["pid"] for child in daemon.state()["children"]] == pids
