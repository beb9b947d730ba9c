"""`arenactl reload` on a real daemon: what is taken at once, what is replaced, what is refused."""

import json
import os
import signal
import socket
from typing import Any

import pytest
from small_daemon import SmallDaemon, free_ports, small_daemon, until

from arenad.schema.chat import Failure
from arenad.schema.control import Change, Reload, Reloaded, State


@pytest.fixture
def daemon():
    """One that may be changed at will."""
    with small_daemon() as running:
        yield running


def edit(daemon: SmallDaemon, /, **sections: dict[str, Any]) -> None:
    config = json.loads(daemon.config.read_text())
    for section, fields in sections.items():
        config.setdefault(section, {}).update(fields)
    daemon.config.write_text(json.dumps(config))


def reload(daemon: SmallDaemon, *, dry_run: bool = False) -> dict[str, Change]:
    with daemon.client() as client:
        told = client.ask(Reload(dry_run))
    assert isinstance(told, Reloaded), told
    return {each.field: each for each in told.changes}


def refusal(daemon: SmallDaemon) -> str:
    with daemon.client() as client:
        answer = client.ask(Reload(dry_run=False))
    assert isinstance(answer, Failure)
    return answer.message


def is_settled(state: State) -> bool:
    return all(child.phase == "ready" and not child.outdated for child in state.children)


def generations(daemon: SmallDaemon) -> dict[str, int]:
    state = until(lambda: is_settled(now := daemon.state()) and now)
    return {child.name: child.generation for child in state.children if child.role != "recorder"}


def is_served(port: int) -> bool:
    with socket.socket() as end:
        end.settimeout(30)
        if end.connect_ex(("127.0.0.1", port)):
            return False
        end.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return end.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_unchanged_file_changes_nothing(daemon: SmallDaemon):
    """Nobody is replaced."""
    before = generations(daemon)
    assert reload(daemon) == {}
    assert generations(daemon) == before


def test_a_rehearsal_only_tells(daemon: SmallDaemon):
    """The answer is that of the real thing, twice."""
    edit(daemon, queue={"limit": 7}, api={"max_body_bytes": 4096})
    told = reload(daemon, dry_run=True)
    assert {name: each.effect for name, each in told.items()} == {
        "api.max_body_bytes": "new frontends",
        "queue.limit": "at once",
    }
    assert daemon.state().traffic.queue_limit == 256
    assert reload(daemon) == told
    assert reload(daemon) == {}


def test_some_changes_are_taken_at_once(daemon: SmallDaemon):
    """Limits, log level, rules: every process goes on, with the new ones."""
    before = generations(daemon)
    edit(daemon, queue={"limit": 7}, fleet={"max_instances": 5}, daemon={"log_level": "warning"})
    reload(daemon)
    assert generations(daemon) == before
    state = daemon.state()
    assert (state.traffic.queue_limit, state.instances_max) == (7, 5)
    edit(daemon, daemon={"log_level": "debug"})
    reload(daemon)
    with daemon.client() as client:
        client.state()
    assert "reloaded; changed: queue.limit" not in daemon.log()  # said at a level that was off
    assert "reloaded; changed: daemon.log_level" in daemon.log()


def test_frontends_move_to_another_address(daemon: SmallDaemon):
    """The successor serves there; then the old address is closed, and only then."""
    (port,) = free_ports(1)
    edit(daemon, api={"listen": f"127.0.0.1:{port}"})
    reload(daemon)
    assert is_served(port)
    assert generations(daemon) == {"demo": 1, "frontend-2": 1}
    assert not is_served(daemon.api)
    assert daemon.state().api_url == f"http://127.0.0.1:{port}/v1"


def test_more_and_fewer_frontends(daemon: SmallDaemon):
    """Their number is followed both ways, and all accept from the same socket."""
    edit(daemon, frontend={"processes": 3})
    reload(daemon)
    assert set(generations(daemon)) == {"demo", "frontend-1", "frontend-2", "frontend-3"}
    edit(daemon, frontend={"processes": 1})
    reload(daemon)
    until(lambda: len(generations(daemon)) == 2)
    assert is_served(daemon.api)


def test_the_arena_comes_and_goes_with_the_site(daemon: SmallDaemon):
    """Its process and its socket are there only while it is the target."""
    edit(daemon, site={"url": "http://127.0.0.1:9/"})
    reload(daemon)
    until(lambda: set(generations(daemon)) == {"frontend-1"})
    with socket.socket() as end:
        assert end.connect_ex(("127.0.0.1", daemon.demo)) != 0
    edit(daemon, site={"url": ""})
    reload(daemon)
    assert set(generations(daemon)) == {"frontend-1", "demo"}


def test_the_arena_is_replaced_in_place(daemon: SmallDaemon):
    """Who connects meanwhile waits in its socket."""
    edit(daemon, demo={"chunks_per_s": 99})
    assert reload(daemon)["demo.chunks_per_s"].effect == "new arena"
    assert generations(daemon) == {"demo": 2, "frontend-1": 1}


def test_a_faulty_file_changes_nothing(daemon: SmallDaemon):
    """All its faults are told at once; what was right in it is not taken either."""
    before = generations(daemon)
    edit(daemon, queue={"limit": 0, "wait_s": "soon"}, fleet={"max_instances": 5})
    told = refusal(daemon)
    assert told.startswith("nothing was changed: ")
    first, *faults = told.split("\n")
    assert first == "nothing was changed: 2 faults"
    assert "queue.limit: is 0; must be" in faults[0]
    assert "queue.wait_s: is 'soon'" in faults[1]
    assert generations(daemon) == before
    assert daemon.state().instances_max == 32


def test_an_address_in_use_changes_nothing(daemon: SmallDaemon):
    """It is tried before anything else is touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edit(daemon, api={"listen": f"127.0.0.1:{port}"}, queue={"limit": 7})
        assert f"api.listen: cannot listen at 127.0.0.1:{port}" in refusal(daemon)
    assert daemon.state().traffic.queue_limit == 256
    assert is_served(daemon.api)


def test_what_needs_a_restart_is_said_each_time(daemon: SmallDaemon):
    """It is not followed, and not forgotten."""
    edit(daemon, daemon={"runtime_dir": str(daemon.folder / "other")})
    for _ in range(2):
        assert reload(daemon)["daemon.runtime_dir"].effect == "restart"
    assert not (daemon.folder / "other").exists()
    assert generations(daemon) == {"demo": 1, "frontend-1": 1}


def test_another_key_is_noticed_and_not_shown(daemon: SmallDaemon):
    """The file's name is told, never what is in it."""
    key = daemon.folder / "key"
    key.write_text("first-secret")
    edit(daemon, demo={"upstream_key_file": str(key)})
    assert "demo.upstream_key_file" in reload(daemon)
    key.write_text("second-secret")
    told = reload(daemon)
    assert list(told) == [f"the key in {key}"]
    assert "secret" not in repr(told)
    assert "secret" not in daemon.log()


def test_a_template_comes_with_a_reload_and_its_key_is_watched(daemon: SmallDaemon):
    """By its name; of its files what they are called, never what is in them."""
    key = daemon.folder / "key"
    key.write_text("first-secret")
    key.chmod(0o600)
    site = {"profile": "openai-http", "url": "http://127.0.0.1:9/v1", "key_from": f"file:{key}"}
    config = json.loads(daemon.config.read_text())
    config["instance_templates"] = [{"name": "up", "instances": 0, "site": site}]
    daemon.config.write_text(json.dumps(config))
    assert "up: openai-http (http://127.0.0.1:9/v1)" not in daemon.state().site
    reload(daemon)
    assert "up: openai-http (http://127.0.0.1:9/v1)" in daemon.state().site
    key.write_text("second-secret")
    told = reload(daemon)
    assert list(told) == ["instance_templates.up.site: the profile openai-http, or its key"]
    assert "secret" not in repr(told)
    key.chmod(0o644)
    assert f"instance_templates.up: site.key_from: others may read {key}" in refusal(daemon)


def test_sighup_reloads(daemon: SmallDaemon):
    """As daemons do; a faulty file is said in the log."""
    edit(daemon, queue={"limit": 9})
    os.kill(daemon.process.pid, signal.SIGHUP)
    until(lambda: daemon.state().traffic.queue_limit == 9)
    edit(daemon, queue={"limit": 0})
    os.kill(daemon.process.pid, signal.SIGHUP)
    until(lambda: "the configuration is not taken: nothing was changed: " in daemon.log())
    assert daemon.state().traffic.queue_limit == 9
