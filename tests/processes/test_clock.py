"""The wall clock jumps under a whole daemon, in a machine of its own: nobody is the worse for it."""

import json
from pathlib import Path

import own_kernel
import pytest

PROGRAM = """
import asyncio, itertools, json, threading, time
from chats import streamed
from daemon import running
from openai_upstream import Threaded

HOUR_S = 3600
answers, stop, threaded = [], threading.Event(), Threaded()
threaded.upstream.models = ("echo",)

def chat(url, name):
    for number in itertools.count():
        if stop.is_set():
            return
        text = f"chat {number} of {name} " + "word " * 300
        try:
            answers.append("whole" if asyncio.run(streamed(url, "echo", text)) == text else "wrong")
        except Exception as error:
            answers.append(repr(error))

def jump(by_s):
    time.clock_settime(time.CLOCK_REALTIME, time.time() + by_s)
    before = len(answers)
    until_s = time.monotonic() + 60
    while len(answers) < before + 4 and time.monotonic() < until_s:
        time.sleep(0.1)
    return len(answers) - before

with threaded.running() as upstream:
    site = {"profile": "openai-http", "url": upstream.url}
    with running(2, site=site, health={"interval_s": 0.5}) as daemon:
        clients = [threading.Thread(target=chat, args=(daemon.api_url, n)) for n in "ab"]
        for each in clients:
            each.start()
        jumps = [jump(by_s) for by_s in (HOUR_S, -2 * HOUR_S, 48 * HOUR_S, -47 * HOUR_S)]
        stop.set()
        for each in clients:
            each.join(60)
        state = daemon.state()
        found = {
            "jumps": jumps,
            "answers": sorted(set(answers)),
            "word": state["word"],
            "uptime_s": state["uptime_s"],
            "generations": [each["generation"] for each in state["children"]],
            "log": daemon.log()[-4000:],
        }
print("\\n" + json.dumps(found))
"""


@pytest.mark.skipif(bool(own_kernel.WHY_NOT), reason=f"no clock to set: {own_kernel.WHY_NOT}")
def test_chats_go_on_while_the_clock_jumps(tmp_path: Path) -> None:
    """Hours forth and back, two days forth and back: every answer is whole, nobody is replaced."""
    said = own_kernel.run(PROGRAM, tmp_path, 240.0)
    line = next((line for line in said.splitlines() if line.startswith("{")), "")
    assert line, said
    found = json.loads(line)
    assert found["answers"] == ["whole"], found
    assert min(found["jumps"]) >= 4, found
    assert found["word"] == "well"
    assert set(found["generations"]) == {1}, found["log"]
    assert found["uptime_s"] < 600
