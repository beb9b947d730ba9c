"""An instance that echoes, behind the whole daemon."""

import asyncio

from chats import all_streamed, whole
from daemon import running, until


def test_one_instance_answers_many_at_once() -> None:
    """No site, no browser, and as many chats at a time as have slots."""
    with running(1, site={"profile": "echo"}, browser={"path": "/nonexistent"}) as daemon:
        texts = [f"this is text {number}\n\nand its end" for number in range(20)]
        assert asyncio.run(all_streamed(daemon.api_url, "echo-20ms", texts)) == texts
        assert asyncio.run(whole(daemon.api_url, "echo", texts[0])) == texts[0]
        until(lambda: daemon.child("w1")["answered"] == 21, "its beat tells of all")
        assert daemon.child("w1")["slots"] == 512
        assert daemon.state()["site"] == "echo"
