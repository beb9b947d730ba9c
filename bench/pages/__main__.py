"""Chat pages of other makers through a whole daemon, each answer held to what was sent.

    make pages BENCH_ARGS='chainlit streamlit --count 12'

Each page is installed from its registry into a scratch folder (`--folder`), started there, and
asks an upstream with known answers. A daemon drives it by the profile in `bench/pages/profiles`
(or, with `--generic`, by the shipped `generic`; with `--learn`, by what `arenactl site learn`
drafts); the client is the real `openai` package, and streams. Ends with 1 if an answer differs.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from daemon import free_ports

from bench import upstream as upstreams
from bench.answers import OwnProfile
from bench.install import NotInstalled, install, version
from bench.pages.asking import Told, ask, fault_of, wanted
from bench.pages.catalog import APPS, PAGES, Third
from bench.upstream import Upstream

START_S = 90.0
LARGE_BYTES = 20_000
HEAD = ("page", "version", "transport", "profile", "answers", "equal", "chunks", "first s", "all s")
WIDTHS = (26, 9, 24, 9, 8, 6, 7, 8, 6)


@contextlib.contextmanager
def running_page(third: Third, there: Path, upstream: Upstream) -> Iterator[str]:
    """The page's own server; its address."""
    (port,) = free_ports(1)
    places = {"port": str(port), "apps": str(APPS), "home": str(there), "bin": f"{there}/venv/bin"}
    places["upstream"] = upstream.address

    def filled(text: str) -> str:
        for name, value in places.items():
            text = text.replace("{" + name + "}", value)
        return text

    for name, text in third.files:
        (there / name).write_text(filled(text))
    own = {"PORT": str(port), "UPSTREAM": upstream.address, "PYTHONPATH": str(APPS)}
    env = {**os.environ, **own, "HOME": str(there), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {name: filled(value) for name, value in third.env}
    log = there / f"{third.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [filled(word) for word in third.run],
            cwd=there, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, log)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        _end_all_at_home(there)
        process.wait(5)


def _end_all_at_home(home: Path) -> None:
    """Some servers start others in sessions of their own; all have got the page's home."""
    left: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("HOME") == str(home):
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=5)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers. Raises `NotInstalled` with the end of its log when it does not."""
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    raise NotInstalled(f"it does not start: {log.read_text(errors='replace')[-600:]}")


def _profile(third: Third, way: str, address: str, folder: Path) -> str:
    """The profile by which it is driven. Raises `NotInstalled` when none could be learnt."""
    if way == "own":
        return third.profile.read_text()
    if way == "generic":
        return "extends: generic\n"
    draft = folder / "draft.yaml"
    draft.unlink(missing_ok=True)
    words = ("site", "learn", address, "--out", str(draft), "--prompt", "answer 3")
    command = [sys.executable, "-m", "arenactl", *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    if not draft.exists() or not draft.read_text():
        raise NotInstalled(f"learn: {ran.stderr.strip()[-300:]}")
    return draft.read_text().replace("name: draft\n", "")


def drive(third: Third, folder: Path, wish: argparse.Namespace) -> bool:
    """One row; whether all answers are equal."""
    there = install(folder, third)
    if third.never is not None:
        for old in there.glob(third.never[0]):
            old.unlink()
    options = {
        "spared": third.spared,
        "is_plain_form": third.is_plain_form or wish.plain,
        "pause_s": wish.pause,
    }
    with (
        upstreams.serving(large_bytes=LARGE_BYTES, **options) as upstream,
        running_page(third, there, upstream) as address,
        tempfile.TemporaryDirectory() as drafts,
    ):
        profile = _profile(third, wish.way, address, Path(drafts))
        if wish.show:
            print(profile)
        OwnProfile.profile = profile
        if third.profile.exists():
            for each in third.profile.parent.glob("*.yaml"):
                OwnProfile.beside[each.stem] = each.read_text()
        daemon = OwnProfile(1, {"site": {"profile": "own", "url": address}})
        found: dict[str, list[Told]] = {}
        try:
            daemon.wait_well()
            for asked in (third.asks if wish.way == "own" else ()) or ("own",):
                found[asked] = asyncio.run(_all(daemon.api_url, asked, wish.count))
        finally:
            daemon.stop()
        shutil.copy(daemon.log_path, folder / f"{third.name}.daemon.log")
        lines = sum(bool(line.strip()) for line in profile.splitlines())
        of, whole = (version(there, third), f"{wish.way} {lines}"), True
        for asked, each in found.items():
            allowed = [wanted(upstream, number, asked) for number in range(1, wish.count + 1)]
            name = f"{third.name} {asked}" if len(found) > 1 else third.name
            whole &= _row(third, (name, *of), each, allowed)
    return whole & _is_unspoken(third, there)


async def _all(url: str, asked: str, count: int) -> list[Told]:
    """One request after the other."""
    return [await ask(url, f"answer {number}", asked) for number in range(1, count + 1)]


def _row(
    third: Third, of: tuple[str, str, str], found: list[Told], allowed: list[list[list[str]]]
) -> bool:
    faults = [(n, fault_of(a, b)) for n, (a, b) in enumerate(zip(found, allowed, strict=True), 1)]
    wrong = [(number, each) for number, each in faults if each]
    good = [each for each in found if not each.error]
    first_s = sorted(each.first_s for each in good)[len(good) // 2] if good else 0.0
    chunks, all_s = sum(len(each.order) for each in good), sum(each.took_s for each in good)
    name, number, way = of
    row = (name, number, third.transport, way, len(found), len(found) - len(wrong), chunks)
    _print((*row, f"{first_s:.2f}", f"{all_s:.1f}"))
    for at, each in wrong:
        print(f"  answer {at}: {each}")
    return not wrong


def _is_unspoken(third: Third, there: Path) -> bool:
    """Whether the page's own records have nothing of what nobody may do, such as to vote."""
    if third.never is None:
        return True
    glob, pattern = third.never
    lines = [line for file in there.glob(glob) for line in file.read_text().splitlines()]
    done = sum(bool(re.search(pattern, line)) for line in lines)
    print(f"  {third.name}: {len(lines)} lines in its own record, {done} with {pattern}")
    return bool(lines) and not done


def _print(row: tuple[object, ...]) -> None:
    cells = (f"{cell!s:<{wide}}" for cell, wide in zip(row, WIDTHS, strict=True))
    print("  ".join(cells), flush=True)


def main() -> None:
    """Read the arguments, and drive each page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="pages; all if none is named")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "third")
    parser.add_argument("--count", type=int, default=12, help="answers of each page")
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between two pieces")
    parser.add_argument("--plain", action="store_true", help="only what HTML can bring back")
    parser.add_argument("--show", action="store_true", help="print each profile")
    ways = parser.add_mutually_exclusive_group()
    for way in ("generic", "learn"):
        ways.add_argument(f"--{way}", dest="way", action="store_const", const=way, default="own")
    wish = parser.parse_args()
    if unknown := set(wish.names) - {each.name for each in PAGES}:
        parser.error(f"no such page: {', '.join(sorted(unknown))}")
    wish.folder.mkdir(parents=True, exist_ok=True)
    _print(HEAD)
    whole = True
    for third in PAGES:
        if wish.names and third.name not in wish.names:
            continue
        if third.own_only and wish.way != "own":
            print(f"{third.name}: only by its own profile: {third.own_only}", flush=True)
            continue
        try:
            whole &= drive(third, wish.folder, wish)
        except (NotInstalled, AssertionError) as error:
            print(f"{third.name}: {error}", flush=True)
            whole = False
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
