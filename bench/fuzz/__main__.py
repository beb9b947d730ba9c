"""Requests of every kind, right and wrong, made of our own OpenAPI document, on a running daemon.

    make fuzz
    make fuzz ARGS='--seconds 600 --seed 7'

A daemon of its own, with instances that echo and no browser. schemathesis draws the requests: no
answer may be a 500, come too late, or be other than the document says, events of streams included,
and what the document does not allow has to be refused. Then the daemon must be as it was after
half of them: slots free, nobody started anew, memory and sockets back; and no bug is in its log.
Ends with 1 where that is not so.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from daemon import Daemon, running

from bench import costs
from bench.install import NotInstalled, install

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".cache" / "fuzz"
ANSWER_TIMEOUT_S = 30
GRACE_S = 300
SETTLE_S = 3.0
WARM_UP = 200
INSTANCES = 2
SAID = {"content", "input", "prompt", "system", "text"}
WORDS = ["hello", "one two three four", "\u00fc \U0001f600"]

ANSWERS = ("--include-tag", "Answers")

MORE_MEMORY = 1.1
MORE_DESCRIPTORS = 4


Json = dict[str, Any]


class Schemathesis(NamedTuple):
    """The one that is installed: pinned, and apart from what tests need of the same packages."""

    name: str = "schemathesis"
    packages: tuple[str, ...] = ("schemathesis==4.32.5",)
    python: str = "3.11"
    is_npm: bool = False


class Standing(NamedTuple):
    """How a daemon stands: its processes, what they hold, what runs."""

    born: dict[str, tuple[int, int]]
    descriptors: dict[str, int]
    memory_mib: float
    under_way: int

    @classmethod
    def of(cls, daemon: Daemon) -> "Standing":
        """Now."""
        state = daemon.state()
        children = state["children"]
        traffic = state["traffic"]
        held = {
            each["name"]: len(list(Path(f"/proc/{each['pid']}/fd").iterdir())) for each in children
        }
        return cls(
            {each["name"]: (each["pid"], each["restarts"]) for each in children},
            held,
            costs.memory(daemon.processes()).uss,
            traffic["running"] + traffic["queued"] + sum(each["busy"] for each in children),
        )

    def faults(self, before: "Standing") -> list[str]:
        """What is not as it was."""
        found = [f"{self.under_way} requests are still under way"] if self.under_way else []
        if self.born != before.born:
            found.append(f"children were {before.born}, and are {self.born}")
        found += [
            f"{name} held {before.descriptors[name]} descriptors, and holds {count}"
            for name, count in self.descriptors.items()
            if count > before.descriptors.get(name, 0) + MORE_DESCRIPTORS
        ]
        if self.memory_mib > MORE_MEMORY * before.memory_mib:
            found.append(f"memory was {before.memory_mib:.1f} MiB, and is {self.memory_mib:.1f}")
        return found


def chat(daemon: Daemon) -> None:
    """One that has to be answered; the tool has the judge of schemas loaded."""
    messages = [{"role": "user", "content": "hello"}]
    tool = {"name": "add", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": tool}]
    body = json.dumps({"model": "echo", "messages": messages, "tools": tools})
    request = urllib.request.Request(
        f"{daemon.api_url}/v1/chat/completions",
        body.encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
        told: Json = json.load(answer)
    assert told["choices"][0]["message"]["content"] == "hello", told


def fetched(daemon: Daemon, path: str) -> Json:
    """What stands at a path."""
    with urllib.request.urlopen(f"{daemon.api_url}{path}", timeout=ANSWER_TIMEOUT_S) as answer:
        return json.load(answer)


def helped(document: Json, models: list[str]) -> Json:
    """The document, narrowed to what gets as far as an instance: it says something to a model.

    A schema cannot say that, so that nearly all that is drawn of the whole one is refused.
    """
    schemas: Json = document["components"]["schemas"]
    asked = [name for name in schemas if name.endswith("Request")]
    for schema in map(schemas.get, _reached(schemas, asked)):
        properties: Json = schema.get("properties", {})
        if schema["title"].endswith("Request") and "model" in properties:
            properties["model"] = {"enum": models}
        for name in SAID & properties.keys():
            ways = properties[name].get("anyOf", [properties[name]])
            spoken = [{"enum": WORDS} if way.get("type") == "string" else way for way in ways]
            if spoken != ways:
                properties[name] = {"anyOf": [way for way in spoken if way.get("type") != "null"]}
                schema["required"] = sorted({*schema.get("required", ()), name})
    return document


def _reached(schemas: Json, names: list[str]) -> list[str]:
    """These, and all that they refer to."""
    found: list[str] = []
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.append(name)
            left += re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schemas[name]))
    return found


def drawn(daemon: Daemon, there: Path, seconds: int, seed: int) -> int:
    """Have schemathesis ask, by the whole document and then by the narrow one; its exit code."""
    models = [each["id"] for each in fetched(daemon, "/v1/models")["data"]]
    whole, narrow = there / "openapi.json", there / "narrow.json"
    document = fetched(daemon, "/openapi.json")
    whole.write_text(json.dumps(document))
    narrow.write_text(json.dumps(helped(document, models)))
    common = (
        *("--url", daemon.api_url, "--no-color", "--continue-on-failure", "--warnings", "off"),
        *("--seed", str(seed), "--generation-database", "none", "--suppress-health-check", "all"),
        *("--request-timeout", str(ANSWER_TIMEOUT_S)),
        *("--max-time", str(max(1, seconds // 2))),
    )
    parts = (
        ("run", whole, "--phases", "coverage,fuzzing", *common),
        ("run", narrow, "--phases", "fuzzing", "--mode", "positive", *ANSWERS, *common),
    )
    beside = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": "", "SCHEMATHESIS_HOOKS": str(beside / "checks.py")}
    program = (there / "venv/bin/schemathesis", "--config-file", beside / "schemathesis.toml")
    limit_s = seconds + GRACE_S
    codes = [
        subprocess.run(
            [*program, *part], cwd=there, env=env, timeout=limit_s, check=False
        ).returncode
        for part in parts
    ]
    return max(codes)


def bugs(daemon: Daemon) -> list[str]:
    """What its log tells of our own faults."""
    marks = ("ended with a bug", "Traceback", "internal error")
    return [line for line in daemon.log().splitlines() if any(mark in line for mark in marks)]


def main() -> None:
    """Read the arguments, start a daemon, ask, look."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=240, help="how long requests are drawn")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    wish = parser.parse_args()
    print(
        f"seed {wish.seed}: make fuzz ARGS='--seconds {wish.seconds} --seed {wish.seed}'",
        flush=True,
    )
    try:
        there = install(HOME, Schemathesis())
    except NotInstalled as error:
        sys.exit(str(error))
    half_s = max(2, wish.seconds // 2)
    rules = {"daemon": {"log_level": "info"}, "api": {"emulate": True}}
    with running(INSTANCES, site={"profile": "echo"}, **rules) as daemon:
        for _ in range(WARM_UP):
            chat(daemon)
        codes = [drawn(daemon, there, half_s, wish.seed)]  # what is made once is made by then
        time.sleep(SETTLE_S)
        before = Standing.of(daemon)
        codes.append(drawn(daemon, there, half_s, wish.seed + 1))
        time.sleep(SETTLE_S)
        chat(daemon)
        after = Standing.of(daemon)
        faults = after.faults(before) + bugs(daemon)
        traffic = daemon.state()["traffic"]
    print(f"Chats: {traffic['answered']} answered, {traffic['failed']} failed.")
    print(f"Memory: {before.memory_mib:.1f} MiB before, {after.memory_mib:.1f} after.")
    print("\n".join(faults) or "The daemon is as it was.")
    sys.exit(1 if faults or any(codes) else 0)


if __name__ == "__main__":
    main()
