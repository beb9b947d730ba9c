"""A whole daemon behind a real proxy: chats go through it, and its password is nowhere to be seen."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from chats import streamed
from daemon import Daemon, running
from proxies import PASSWORD, USER, Seen, http_proxy, socks_proxy


@pytest.fixture(params=["http", "socks5"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Seen]:
    """A proxy that wants credentials, in a thread."""
    told: list[Seen] = []
    is_up, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with http_proxy() if request.param == "http" else socks_proxy(PASSWORD) as seen:
            told.append(seen)
            is_up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert is_up.wait(10)
    yield told[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _all_that_is_told(daemon: Daemon) -> str:
    """Command lines of all processes, log, state, history, and what a reload would change."""
    lines: list[str] = []
    for process in daemon.processes():
        with contextlib.suppress(psutil.Error):
            lines += process.cmdline()
    words = [
        ["status", "--json"],
        ["logs"],
        ["instances"],
        ["history"],
        ["reload", "--dry-run"],
    ]
    answers = [daemon.ctl(*each) for each in words]
    assert [each.returncode for each in answers] == [0] * len(words)
    return "\n".join([*lines, daemon.log(), *(each.stdout + each.stderr for each in answers)])


def test_chats_go_through_the_proxy_and_nobody_sees_its_password(
    proxy: Seen, tmp_path: Path
) -> None:
    """Only the proxy's name is told; a reload finds a new password and does not show it either."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    lisbon = {"url": proxy.url, "user": USER, "password_from": f"file:{secret}"}
    with running(1, egress={"proxies": {"lisbon": lisbon}}) as daemon:
        daemon.wait_well()
        assert asyncio.run(streamed(daemon.api_url, "demo-echo-instant", "one 🙂")) == "one 🙂"
        assert set(proxy.passed) == {daemon.demo_url.removeprefix("http://")}
        secret.write_text("ANOTHER-PASSWORD")
        told = _all_that_is_told(daemon)
        assert "through the proxy lisbon" in told
        workers = [each for each in daemon.state()["children"] if each["role"] == "worker"]
        assert [each["proxy"] for each in workers] == ["lisbon"]
        assert "the password of egress.proxies.lisbon" in told
        assert PASSWORD not in told
        assert "ANOTHER-PASSWORD" not in told
