"""Reloads and upgrades under load: is any request lost? Prints a table, ends with 1 if one is.

    make renewals BENCH_ARGS='--reloads 50 --upgrades 10'

Clients are the real `openai` package without retries, with connections that are kept and used
again: one streams answers of half a minute, one streams short ones, one asks for whole ones.
Each reload changes something: what is taken at once, what replaces frontends, what replaces
instances, in turn. Each answer is held to the byte.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from typing import Any

import openai
from chats import client, said
from daemon import Daemon, running

from arenad.demo import models
from arenad.demo.protocol import Turn

PAUSE_S = (0.5, 3.0)
LONG_WORDS = 600
"""Half a minute at the arena's twenty words a second."""

WAYS: tuple[tuple[str, str, str], ...] = (
    ("queue", "limit", "at once"),
    ("api", "max_body_bytes", "new frontends"),
    ("chat", "keepalive_s", "at once"),
    ("browser", "args", "new instances"),
)


class Load:
    """Clients that never pause, and what came of their requests."""

    def __init__(self, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.longest_s = 0.0
        self.is_over = False
        self._url = url

    async def run(self, kind: str) -> None:
        """Ask, one request after another, until it is over."""
        draw = random.Random(kind)
        async with client(self._url) as each:
            while not self.is_over:
                await self._one(each, kind, draw)

    async def _one(self, each: openai.AsyncOpenAI, kind: str, draw: random.Random) -> None:
        words = LONG_WORDS if kind == "long stream" else draw.randrange(1, 30)
        model = "demo-echo" if kind != "whole" else draw.choice(["demo-eliza", "demo-long"])
        text = " ".join(str(draw.randrange(1000)) for _ in range(words))
        expected = "".join(p.text for p in models.pieces(model, [Turn("user", text)], 1000.0))
        began_s = time.monotonic()
        try:
            if kind == "whole":
                whole = await each.chat.completions.create(model=model, messages=said(text))
                answer = whole.choices[0].message.content or ""
            else:
                answer = await _streamed(each, model, text)
        except openai.OpenAIError as error:
            self.faults.append(f"{kind}: {error!r} ({error.__cause__!r})")
            return
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        self.counts[kind] += 1
        if answer != expected:
            self.faults.append(f"{kind}: {len(answer)} of {len(expected)} characters")


async def _streamed(each: openai.AsyncOpenAI, model: str, text: str) -> str:
    pieces: list[str] = []
    reason = None
    stream = await each.chat.completions.create(model=model, messages=said(text), stream=True)
    async for chunk in stream:
        pieces.append(chunk.choices[0].delta.content or "")
        reason = chunk.choices[0].finish_reason or reason
    return "".join(pieces) if reason == "stop" else f"no end: {reason}"


def _edit(daemon: Daemon, number: int) -> None:
    section, name, _ = WAYS[number % len(WAYS)]
    value: Any = 1000 + number if name != "args" else [f"--arenad-renewal={number}"]
    config = json.loads(daemon.config_path.read_text())
    config.setdefault(section, {})[name] = value * 1000 if name == "max_body_bytes" else value
    daemon.config_path.write_text(json.dumps(config))


async def renew(daemon: Daemon, reloads: int, upgrades: int) -> Load:
    """Mixed reloads and upgrades while the clients go on."""
    load = Load(daemon.api_url)
    kinds = ("long stream", "short stream", "short stream 2", "whole")
    clients = [asyncio.create_task(load.run(kind)) for kind in kinds]
    draw = random.Random(1)
    steps = ["reload"] * reloads + ["upgrade"] * upgrades
    draw.shuffle(steps)
    for number, step in enumerate(steps):
        await asyncio.sleep(draw.uniform(*PAUSE_S))
        if step == "reload":
            _edit(daemon, number)
        done = await asyncio.to_thread(daemon.ctl, step)
        print(f"  {number + 1}: {step}: {(done.stdout + done.stderr).strip()}", flush=True)
        if done.returncode:
            load.faults.append(f"{step}: {done.stderr}")
    await asyncio.to_thread(daemon.ctl, "reload", "--wait", "--timeout", "300", timeout_s=320)
    await asyncio.sleep(2.0)
    load.is_over = True
    await asyncio.gather(*clients)
    return load


def main() -> int:
    """Run, tell; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--upgrades", type=int, default=10)
    parser.add_argument("--instances", type=int, default=5)
    given = parser.parse_args()
    patience = {"drain_timeout_s": 120}
    with running(given.instances, fleet=patience, queue={"wait_s": 100}) as daemon:
        began_s = time.monotonic()
        load = asyncio.run(renew(daemon, given.reloads, given.upgrades))
        took_s = time.monotonic() - began_s
        restarts = Counter({c["role"]: c["generation"] for c in daemon.state()["children"]})
    with contextlib.suppress(OSError):
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| what | measured |\n|---|---|")
    print(f"| reloads and upgrades | {given.reloads} and {given.upgrades} in {took_s:.0f} s |")
    print(f"| requests answered whole | {sum(load.counts.values())} ({dict(load.counts)}) |")
    print(f"| longest answer | {load.longest_s:.1f} s |")
    print(f"| generations reached | {dict(restarts)} |")
    print(f"| requests lost | {len(load.faults)} |")
    for fault in load.faults:
        print(f"FAULT {fault}")
    return 1 if load.faults else 0


if __name__ == "__main__":
    sys.exit(main())
