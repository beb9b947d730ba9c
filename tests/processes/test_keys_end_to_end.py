"""Keys in a whole daemon, without browsers: made by arenactl, held by several frontends together."""

import fcntl
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, running, until
from keyed import call, make

ECHO = {"profile": "echo"}
README = (Path(__file__).parent.parent.parent / "README.md").read_text()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Three frontends, and an instance that says the last message back."""
    with running(1, site=ECHO, frontend={"processes": 3}) as daemon:
        yield daemon


def chat(daemon: Daemon, key: str, text: str = "hello", **headers: str) -> tuple[int, Any, Any]:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    return call(f"{daemon.api_url}/v1/chat/completions", key, body, **headers)


def flood(daemon: Daemon, key: str, number: int) -> Counter[int]:
    """So many chats at once, each on a connection of its own; how many ended how."""
    with ThreadPoolExecutor(number) as pool:
        return Counter(pool.map(lambda _: chat(daemon, key)[0], range(number)))


def test_a_limit_is_exact_over_frontends(daemon: Daemon) -> None:
    """Of 64 chats at once as many are answered as may be, whoever took them."""
    key = make(daemon, "alice", "--requests-per-minute", "20")
    assert flood(daemon, key, 64) == {200: 20, 429: 44}
    status, headers, body = chat(daemon, key)
    assert (status, headers["x-ratelimit-remaining-requests"]) == (429, "0")
    assert body["error"]["code"] == "rate_limit_exceeded"


def test_operators_see_what_is_used(daemon: Daemon) -> None:
    """Over all frontends, of a key with limits; for people and for programs."""
    key = make(daemon, "ivan", "--requests-per-day", "1000")
    assert flood(daemon, key, 20) == {200: 20}
    until(lambda: _use(daemon, "ivan")["running"] == 0, "all have ended")
    use = _use(daemon, "ivan")
    assert use["minute_requests"] == use["day_requests"] == 20
    assert use["minute_tokens"] == use["day_tokens"] > 20
    assert "20 requests, " in daemon.ctl("keys", "show", "ivan").stdout
    make(daemon, "judy")
    assert _use(daemon, "judy") is None


def _use(daemon: Daemon, name: str) -> Any:
    return json.loads(daemon.ctl("keys", "show", name, "--json").stdout)["use"]


def test_a_budget_is_exact_over_reload_and_upgrade(daemon: Daemon) -> None:
    """Under load all the while: frontends and the master are replaced, what was used stays used."""
    key = make(daemon, "bob", "--requests-per-day", "60")
    got: Counter[int] = Counter()

    def go_on() -> None:
        while got[429] < 200 and not ended:
            got[chat(daemon, key)[0]] += 1

    ended: list[bool] = []
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(go_on) for _ in range(2)]
        config = json.loads(daemon.config_path.read_text())
        config["api"]["max_body_bytes"] = 1_000_000
        daemon.config_path.write_text(json.dumps(config))
        assert daemon.ctl("reload", "--wait").returncode == 0
        assert daemon.ctl("upgrade", "--wait").returncode == 0
        until(lambda: got[429] >= 5 or all(each.done() for each in asking), "the budget is used")
        ended.append(True)
        for each in asking:
            each.result()
    assert got[200] == 60
    assert set(got) == {200, 429}


def test_a_name_and_no_key_is_remembered(daemon: Daemon) -> None:
    """In history, log and status; the file of keys holds no key either."""
    key = make(daemon, "carol")
    assert chat(daemon, key)[0] == 200

    def owners() -> set[str]:
        lines = daemon.ctl("history", "-n", "20", "--json").stdout.splitlines()
        return {json.loads(line)["owner"] for line in lines}

    until(lambda: "carol" in owners(), "the request is recorded")
    secret = key.rpartition("-")[2]
    places = [path.read_bytes() for path in daemon.state_dir.iterdir() if path.is_file()]
    assert not any(secret.encode() in content for content in places)
    assert secret not in daemon.log()
    assert "keys: carol is made" in daemon.log()
    assert secret not in daemon.ctl("keys", "show", "carol", "--json").stdout


def test_a_locked_store_stops_no_valid_key(daemon: Daemon) -> None:
    """Chats go on, `/readyz` says so, and a change is refused until it is free."""
    key = make(daemon, "dave")
    with (daemon.state_dir / "keys.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert chat(daemon, key)[0] == 200
        status, _, body = call(f"{daemon.api_url}/readyz")
        assert (status, body["status"]) == (200, "ready")
        assert "held locked" in body["keys"]
        refused = daemon.ctl("keys", "create", "eve")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "held locked" in refused.stderr
        assert daemon.ctl("restart", "frontend-1", "--wait").returncode == 0
        assert flood(daemon, key, 8) == {200: 8}
    assert "keys" not in call(f"{daemon.api_url}/readyz")[2]


def test_a_read_only_store_stops_no_valid_key() -> None:
    """Nor does a frontend or a master that begins meanwhile lose one."""
    with running(1, site=ECHO, frontend={"processes": 2}) as daemon:
        key = make(daemon, "alice", "--requests-per-minute", "10")
        (daemon.state_dir / "keys.json").chmod(0o400)
        assert daemon.ctl("restart", "frontend-2", "--wait").returncode == 0
        assert flood(daemon, key, 30) == {200: 10, 429: 20}
        assert "read-only" in call(f"{daemon.api_url}/readyz")[2]["keys"]
        assert daemon.ctl("keys", "revoke", "alice").returncode == 1
        assert daemon.ctl("upgrade", "--wait").returncode == 0
        assert chat(daemon, key)[0] == 429
        (daemon.state_dir / "keys.json").chmod(0o600)
        assert daemon.ctl("keys", "revoke", "alice").returncode == 0
        until(lambda: chat(daemon, "")[0] == 200, "no key is needed any more")


def test_one_answer_over_frontends() -> None:
    """The same request with the same `Idempotency-Key`, many times at once: one chat."""
    with running(1, site=ECHO, frontend={"processes": 3}) as daemon:  # nobody else's are counted
        key = make(daemon, "frank")

        def one(_: int) -> tuple[int, str]:
            status, _, body = chat(daemon, key, Idempotency_Key="order-7")
            return status, body["id"]

        with ThreadPoolExecutor(16) as pool:
            answers = set(pool.map(one, range(16)))
        assert len(answers) == 1
        assert chat(daemon, key, "other", Idempotency_Key="order-7")[0] == 422
        until(lambda: daemon.state()["traffic"]["accepted"] == 1, "one chat was counted")


def test_a_revoked_key_is_refused(daemon: Daemon) -> None:
    """By every frontend, within a moment; the others go on."""
    key, other = make(daemon, "grace"), make(daemon, "heidi")
    assert chat(daemon, key)[0] == 200
    assert daemon.ctl("keys", "revoke", "grace").returncode == 0
    until(lambda: flood(daemon, key, 12) == {401: 12}, "all frontends refuse it")
    assert flood(daemon, other, 12) == {200: 12}


def test_what_the_readme_says_works() -> None:
    """Every line of its part about keys, in its order."""
    part = README.partition("## Keys\n")[2].partition("\n## ")[0]
    lines = part.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(lines) == 5
    with running(1, site=ECHO) as daemon:
        for line in lines:
            program, *words = shlex.split(line)
            assert program == ".venv/bin/arenactl"
            done = daemon.ctl(*words)
            assert done.returncode == 0, (line, done.stderr)
        names = [
            key["name"] for key in json.loads(daemon.ctl("keys", "list", "--json").stdout)["keys"]
        ]
        assert names == ["ops"]


def test_the_dashboard_takes_a_key_for_it() -> None:
    """Once there is one: a page, its feed and its orders."""
    with running(1, site=ECHO) as daemon:
        url = f"{daemon.gui_url}/gui/api/scale"
        assert call(url, "", {"instances": 1})[0] == 200
        chatting, key = make(daemon, "alice"), make(daemon, "root", "--scopes", "admin")
        until(lambda: call(url, "", {"instances": 1})[0] == 401, "the frontend knows the key")
        assert call(url, chatting, {"instances": 1})[0] == 403
        assert call(url, key, {"instances": 1})[0] == 200
        assert "the dashboard of root commands" in daemon.log()
