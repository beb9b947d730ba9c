"""An instance that fails again and again, beside one that is well: the whole daemon."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from chats import client, said
from daemon import Daemon, running, until
from openai_upstream import Threaded, Upstream


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    """Two of them, with the same model."""
    good, bad = Threaded(), Threaded()
    for each in (good, bad):
        each.upstream.models = ("echo",)
    with good.running() as well, bad.running() as ill:
        yield well, ill


@pytest.fixture(scope="module")
def daemon(upstreams: tuple[Upstream, Upstream]) -> Iterator[Daemon]:
    """An instance on each; its breakers are slow, so that nothing depends on how fast we are."""
    good, bad = upstreams
    site = {"profile": "openai-http", "url": good.url}
    breaker = {"open_s": 600, "open_limit_s": 600}
    with running(1, site=site, breaker=breaker, queue={"strategy": "round_robin"}) as daemon:
        settings = json.loads(daemon.config_path.read_text())
        ill = {"profile": "openai-http", "url": bad.url}
        settings["instance_templates"] = [{"name": "ill", "site": ill, "instances": 1}]
        daemon.config_path.write_text(json.dumps(settings))
        assert daemon.ctl("reload", "--wait").returncode == 0
        until(lambda: len(daemon.children("worker")) == 2, "both")
        daemon.wait_well()
        yield daemon


def _follow(daemon: Daemon, failures: int) -> None:
    """So many failures count from now on, and those before are forgotten."""
    settings = json.loads(daemon.config_path.read_text())
    for number in (0, failures):
        settings["breaker"]["failures"] = number
        daemon.config_path.write_text(json.dumps(settings))
        assert daemon.ctl("reload", "--wait").returncode == 0
    until(lambda: not any(each["asked_last"] for each in daemon.children("worker")), "none is last")


def _attempts(daemon: Daemon, requests: int) -> list[tuple[str, str]]:
    """Who answered each of so many, and how many were asked for it."""

    async def ask() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async with client(daemon.api_url) as each:
            for _ in range(requests):
                raw = await each.chat.completions.with_raw_response.create(
                    model="echo", messages=said("to the letter")
                )
                assert raw.parse().choices[0].message.content == "to the letter"
                headers = raw.headers
                found.append((headers["x-arenad-instance"], headers["x-arenad-attempts"]))
        return found

    return asyncio.run(ask())


def test_it_is_left_alone_until_it_answers_again(
    daemon: Daemon, upstreams: tuple[Upstream, Upstream]
) -> None:
    """Every client is answered; three are late; status and log tell why nobody goes there."""
    _, bad = upstreams
    _follow(daemon, failures=3)
    before = len(bad.asked)
    bad.is_out_of_order = True
    found = _attempts(daemon, 12)
    assert {name for name, _ in found} == {"w1"}
    assert sum(attempts == "2" for _, attempts in found) == 3
    assert len(bad.asked) == before + 3
    why = "asked last: 3 requests in a row failed there"
    until(lambda: daemon.child("ill-1")["asked_last"] == why, "the state to tell it")
    assert daemon.child("ill-1")["condition"] == "ready"
    assert why in daemon.ctl("status").stdout
    assert daemon.log().count("ill-1 is asked last for 600 s: 3 requests in a row") == 1

    bad.is_out_of_order = False
    _follow(daemon, failures=0)
    assert {name for name, _ in _attempts(daemon, 4)} == {"w1", "ill-1"}


def test_where_nobody_else_is_it_is_asked(
    daemon: Daemon, upstreams: tuple[Upstream, Upstream]
) -> None:
    """Both fail, and so both are asked; then both answer, though nobody's time is over."""
    _follow(daemon, failures=1)
    for each in upstreams:
        each.is_out_of_order = True
    with pytest.raises(Exception, match="out of order"):
        _attempts(daemon, 1)
    until(lambda: all(each["asked_last"] for each in daemon.children("worker")), "both to be last")
    for each in upstreams:
        each.is_out_of_order = False
    assert len(_attempts(daemon, 2)) == 2
