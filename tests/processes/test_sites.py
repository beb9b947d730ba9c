"""What a site refuses, and what it changes, as clients and operators of a whole daemon see it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from daemon import Daemon, running, until


class Reply(NamedTuple):
    """A status, the error's code and message if there is one, and when to ask again."""

    status: int
    code: str
    message: str
    retry_after: str | None


def ask(daemon: Daemon) -> Reply:
    """One chat."""
    wish = {"model": "demo-echo-instant", "messages": [{"role": "user", "content": "hi"}]}
    try:
        with _request("POST", f"{daemon.api_url}/v1/chat/completions", wish) as answer:
            return Reply(answer.status, "", "", None)
    except urllib.error.HTTPError as refused:
        error: dict[str, Any] = json.load(refused)["error"]
        after = refused.headers["Retry-After"]
        return Reply(refused.code, error["code"], error["message"], after)


def _request(method: str, url: str, body: object = None) -> Any:
    packed = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, packed, headers, method=method)
    return urllib.request.urlopen(request, timeout=60)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One instance."""
    with running(1) as daemon:
        yield daemon


def _condition(daemon: Daemon) -> str:
    (worker,) = [child for child in daemon.state()["children"] if child["role"] == "worker"]
    return str(worker["condition"] if worker["phase"] == "ready" else worker["phase"])


def test_a_refusal_is_passed_on_with_its_time(daemon: Daemon) -> None:
    """The one who met it and those after it are told when to ask again; then all is well."""
    fault = {"faults": "429=4", "times": 1}
    _request("PUT", f"{daemon.demo_url}/demo/faults", fault).close()
    first = ask(daemon)
    assert first[:2] == (429, "rate_limit_exceeded")
    assert first.retry_after == "4"
    until(lambda: _condition(daemon) == "resting", "the rest")
    second = ask(daemon)
    assert second[:2] == (429, "rate_limit_exceeded")
    assert 1 <= int(second.retry_after or 0) <= 4
    assert "rate limit exceeded" in second.message
    until(lambda: ask(daemon).status == 200, "the end of the rest")


def test_a_changed_page_is_told_and_mended_by_a_reload(daemon: Daemon) -> None:
    """Status, story and clients name the landmark; the mended profile heals it with no restart."""
    pid = daemon.state()["pid"]
    own = daemon.folder / "profiles"
    own.mkdir()
    (own / "demo.yaml").write_text("extends: demo\nlandmarks: {prompt: '#gone'}")
    assert daemon.ctl("reload").returncode == 0
    until(lambda: _condition(daemon) == "outdated", "the landmark to be missed", 80.0)
    reply = ask(daemon)
    assert reply[:2] == (502, "profile_outdated")
    assert "the landmark prompt (#gone) is not on the page" in reply.message
    assert "the landmark prompt (#gone)" in daemon.state()["verdict"]
    assert "outdated: the landmark prompt (#gone)" in daemon.ctl("story", "w1").stdout
    (own / "demo.yaml").write_text("extends: demo\nversion: 3")
    assert daemon.ctl("reload").returncode == 0
    until(lambda: ask(daemon).status == 200, "the mended profile", 80.0)
    assert daemon.state()["pid"] == pid
