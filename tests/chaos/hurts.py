"""What the chaos run does to a daemon: one function for each kind of trouble.

Each kind has a name, says what it hit, and undoes what does not end by itself.
"""

import asyncio
import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from answers import ask, slow_wish, vanishing_wish
from battered import Battered

STALL_S = (1.0, 5.0)
"""How long a stopped process stays so, unless it is replaced before."""

GARBAGE = (
    b"\x00\x00\x00\x05hello",
    b"\xff\xff\xff\xff" + bytes(64),
    b"\x00\x00\x00\x01\xc1",
    b"GET / HTTP/1.1\r\n\r\n",
)
"""Not MessagePack, far too long, a byte that MessagePack never uses, another protocol."""


@dataclass
class Hurt:
    """One trouble: when it began, what was hit, and whether somebody's death follows of need."""

    kind: str
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = float("inf")
    hit: str = ""
    replaced: tuple[str, int] | None = None
    """A child and its generation that must be followed by another one."""

    skipped: str = ""


Do = Callable[[Battered, random.Random, Hurt], Awaitable[None]]


# -- processes: killed, or stopped for a while ------------------------------------------------------


def _role(role: str) -> Callable[[Battered, random.Random, Hurt], psutil.Process]:
    def choose(daemon: Battered, draw: random.Random, hurt: Hurt) -> psutil.Process:
        child = draw.choice([each for each in daemon.children(role) if each["phase"] == "ready"])
        hurt.hit, hurt.replaced = child["name"], (child["name"], child["generation"])
        return psutil.Process(child["pid"])

    return choose


def _browser(*words: str) -> Callable[[Battered, random.Random, Hurt], psutil.Process]:
    """A process of some instance's browser, by words of its command line; none: its main one."""

    def choose(daemon: Battered, draw: random.Random, hurt: Hurt) -> psutil.Process:
        child = draw.choice([c for c in daemon.children("worker") if c["phase"] == "ready"])
        found = daemon.browser_process(child["pid"], words)
        hurt.hit = child["name"]
        if not words or words == ("--type=renderer",):
            hurt.replaced = (child["name"], child["generation"])
        return found

    return choose


def _zygote(daemon: Battered, _draw: random.Random, hurt: Hurt) -> psutil.Process:
    """The oldest of the name: what it forks bears its title until it knows its own."""
    found = [psutil.Process(pid) for pid in daemon.titled("arenad: zygote")]
    zygote = min(found, key=psutil.Process.create_time)
    hurt.hit = str(zygote.pid)
    return zygote


VICTIMS = {
    "worker": _role("worker"),
    "frontend": _role("frontend"),
    "recorder": _role("recorder"),
    "demo arena": _role("demo"),
    "zygote": _zygote,
    "browser main": _browser(),
    "renderer": _browser("--type=renderer"),
    "network process": _browser("--type=utility", "network.mojom"),
    "GPU process": _browser("--type=gpu-process"),
}


def _killer(victim: str) -> Do:
    async def kill(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
        process = await asyncio.to_thread(VICTIMS[victim], daemon, draw, hurt)
        process.suspend()  # so that what it holds can be seen before it is gone
        if victim == "frontend":
            daemon.note_held(process)
        process.kill()

    return kill


def _staller(victim: str) -> Do:
    async def stall(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
        process = await asyncio.to_thread(VICTIMS[victim], daemon, draw, hurt)
        hurt.replaced = None
        process.suspend()
        if victim == "frontend":
            held = daemon.ports_of(process)
        until_s = time.monotonic() + draw.uniform(*STALL_S)
        while time.monotonic() < until_s and process.is_running():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
        if process.is_running():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        elif victim == "frontend":
            daemon.held |= held  # the daemon took it for dead, which is its right

    return stall


# -- resources -------------------------------------------------------------------------------------


async def full_disk(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """No byte is left in the runtime folder for a while; an instance must start in it."""
    if not daemon.is_mounted:
        hurt.skipped = "needs root, to mount a small file system"
        return
    hurt.hit = draw.choice(daemon.names("worker"))
    filler = daemon.runtime / "workers" / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    try:
        await daemon.order("restart", hurt.hit)
        await asyncio.sleep(draw.uniform(2, 5))
    finally:
        filler.unlink()


async def full_state_disk(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """The recorder can write nothing for a while, and says so; nobody else needs the disk.

    Where none can be mounted, a limit of the size of its files does the same to it.
    """
    (child,) = daemon.children("recorder")
    hurt.hit = "recorder"
    until_s = time.monotonic() + draw.uniform(2, 5)
    with contextlib.ExitStack() as stack:
        if daemon.is_mounted:
            filler = daemon.state_dir / "filler"
            stack.callback(filler.unlink)
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(64 * 1024))
        else:
            _limit_files(child["pid"], "4096")
            stack.callback(_limit_files, child["pid"], "unlimited")
        while time.monotonic() < until_s:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
    await asyncio.to_thread(_await_recording, daemon)


def _await_recording(daemon: Battered) -> None:
    """The recorder tries again by itself, ever more seldom; not longer than this."""
    until_s = time.monotonic() + 40.0
    while any(child["condition"] == "broken" for child in daemon.children("recorder")):
        if time.monotonic() > until_s:
            raise AssertionError("history is not being recorded again")
        time.sleep(0.1)


def _limit_files(pid: int, size: str) -> None:
    subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={size}:"], check=False)


async def few_descriptors(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """A worker or a frontend may open nothing more for a while."""
    role = draw.choice(["worker", "frontend"])
    process = _role(role)(daemon, draw, hurt)
    hurt.replaced = None
    path = Path(f"/proc/{process.pid}/fd")
    descriptors = await asyncio.to_thread(lambda: [int(each.name) for each in path.iterdir()])
    before = process_limit(process.pid)
    await asyncio.to_thread(_limit, process, max(descriptors) + 1)
    await asyncio.sleep(draw.uniform(2, 4))
    if process.is_running():
        await asyncio.to_thread(_limit, process, before)


def process_limit(pid: int) -> int:
    """How many descriptors a process may have, as the kernel says."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3])
    raise LookupError("no limit of open files")


def _limit(process: psutil.Process, count: int) -> None:
    """As the user of that process: root itself may lack the right, its own user never does."""
    uid = process.uids().real if os.getuid() == 0 else None
    gid = process.gids().real if os.getuid() == 0 else None
    command = ["prlimit", "--pid", str(process.pid), f"--nofile={count}:"]
    groups = [] if os.getuid() == 0 else None
    subprocess.run(command, user=uid, group=gid, extra_groups=groups, check=False)


# -- who talks to it -------------------------------------------------------------------------------


async def slow_client(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """A megabyte, read at 200 kB a second."""
    hurt.hit = "one answer"
    daemon.answers.append(await ask(daemon.api_url, slow_wish(draw)))


async def vanishing_client(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """Three clients that leave in the middle."""
    hurt.hit = "three answers"
    asking = [ask(daemon.api_url, vanishing_wish(draw)) for _ in range(3)]
    daemon.answers += await asyncio.gather(*asking)


async def bad_frame_to_master(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """Garbage on the control socket."""
    hurt.hit = "master"
    await asyncio.to_thread(_send_garbage, daemon.runtime / "control.sock", draw)


async def bad_frame_to_worker(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """Garbage on the socket of an instance."""
    path = draw.choice(sorted((daemon.runtime / "workers").glob("*.sock")))
    hurt.hit = path.name
    await asyncio.to_thread(_send_garbage, path, draw)


async def bad_frame_to_recorder(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """Garbage on the socket of the recorder."""
    hurt.hit = "recorder"
    await asyncio.to_thread(_send_garbage, daemon.runtime / "recorder.sock", draw)


def _send_garbage(path: Path, draw: random.Random) -> None:
    with socket.socket(socket.AF_UNIX) as end, contextlib.suppress(ConnectionError):
        end.settimeout(5)
        end.connect(str(path))
        end.sendall(draw.choice(GARBAGE))
        while end.recv(4096):
            pass  # until it hangs up on us


# -- what operators do -----------------------------------------------------------------------------


async def scale(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """One instance more, or one less, and back again."""
    other = daemon.instances + draw.choice([-1, 1])
    hurt.hit = f"{daemon.instances} to {other} and back"
    await daemon.order("scale", str(other))
    await asyncio.sleep(draw.uniform(0, 3))
    await daemon.order("scale", str(daemon.instances))


async def restart(daemon: Battered, draw: random.Random, hurt: Hurt) -> None:
    """An instance is drained and started anew."""
    hurt.hit = draw.choice(daemon.names("worker"))
    await daemon.order("restart", hurt.hit)


async def clock_jump(_daemon: Battered, _draw: random.Random, hurt: Hurt) -> None:
    """No kernel has a namespace for the wall clock, and the machine's own is not ours to set."""
    hurt.skipped = "the wall clock has no namespace; the machine's own is not ours to set: tests/processes/test_clock.py has one of its own"


KINDS: dict[str, Do] = {
    **{f"kill {victim}": _killer(victim) for victim in VICTIMS},
    **{f"stop {victim}": _staller(victim) for victim in VICTIMS},
    "full disk": full_disk,
    "full disk in the state folder": full_state_disk,
    "no descriptors": few_descriptors,
    "slow client": slow_client,
    "vanishing clients": vanishing_client,
    "bad frame to master": bad_frame_to_master,
    "bad frame to worker": bad_frame_to_worker,
    "bad frame to recorder": bad_frame_to_recorder,
    "scale": scale,
    "restart": restart,
    "clock jump": clock_jump,
}

SITE = ("kill demo arena", "stop demo arena")
"""What hurts the site itself: while it is away, an honest error is all that can be given."""


def program(draw: random.Random) -> Iterator[str]:
    """Kinds without end: all of them in a new order, again and again."""
    while True:
        kinds = list(KINDS)
        draw.shuffle(kinds)
        yield from kinds
