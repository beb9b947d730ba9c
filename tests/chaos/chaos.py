"""A seeded run against the real thing: steady load, random trouble, every answer held to the byte.

    make chaos SECONDS_=600 SEED=1

prints what it does, then tables, and ends with 1 when anything was not as it must be: a wrong or
cut answer, one lost before its first event (apart from those whose frontend or site was killed), a
daemon that is not well again in time, a process that nobody keeps, memory or descriptors that grew.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections import Counter

import answers
import psutil
from answers import Answer
from battered import Battered
from hurts import KINDS, SITE, Hurt, program

RECOVERY_S = 60.0
PAUSE_S = 2.0
SITE_GRACE_S = 2.0
UNWRITTEN_S = 15.0
MORE_FDS = 4
MORE_MIB = {"master": 6.0, "frontend": 30.0, "recorder": 15.0}
"""How much a process may have grown: its logs and buffers are bounded, and were empty before."""


class Run:
    """One run: what was done, what came back, what was wrong."""

    def __init__(self, daemon: Battered, seed: int, seconds: float, clients: int) -> None:
        self.daemon = daemon
        self.seed = seed
        self.clients = clients
        self.end_s = time.monotonic() + seconds
        self.hurts: list[Hurt] = []
        self.recoveries: dict[str, list[float]] = {}
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.remembered = 0

    async def perform(self) -> None:
        """Load and trouble until the time is up; then the reckoning."""
        before = self.daemon.sizes()
        loads = [asyncio.create_task(self._load(number)) for number in range(self.clients)]
        await self._trouble()
        self.end_s = 0.0
        await asyncio.gather(*loads)
        await self._reckon(before)

    async def _load(self, number: int) -> None:
        draw = random.Random(f"{self.seed} client {number}")
        while time.monotonic() < self.end_s:
            self.daemon.answers.append(await answers.ask(self.daemon.api_url, answers.wish(draw)))
            await asyncio.sleep(draw.uniform(0, 0.3))

    async def _trouble(self) -> None:
        draw = random.Random(f"{self.seed} trouble")
        kinds = program(draw)
        while time.monotonic() < self.end_s:
            await asyncio.sleep(draw.uniform(0, PAUSE_S))
            count = 2 if draw.random() < 0.25 else 1  # sometimes two at once
            await asyncio.gather(*(self._hurt(next(kinds), draw) for _ in range(count)))

    async def _hurt(self, kind: str, draw: random.Random) -> None:
        hurt = Hurt(kind)
        self.hurts.append(hurt)
        try:
            await KINDS[kind](self.daemon, draw, hurt)
        except (LookupError, psutil.NoSuchProcess) as error:
            hurt.skipped = f"no victim ({error})"
        if hurt.skipped:
            hurt.ended_s = hurt.began_s
            print(f"  {kind}: skipped, {hurt.skipped}", flush=True)
            return
        undone_s = time.monotonic()
        if not await self.daemon.settled(hurt.replaced, RECOVERY_S):
            self.faults.append(f"{kind} ({hurt.hit}): not well within {RECOVERY_S:g} s")
        hurt.ended_s = time.monotonic()
        took_s = hurt.ended_s - undone_s
        self.recoveries.setdefault(kind, []).append(took_s)
        print(f"  {kind} ({hurt.hit}): well after {took_s:.2f} s", flush=True)

    # -- the reckoning ------------------------------------------------------------------------------

    async def _reckon(self, before: dict[str, tuple[int, float]]) -> None:
        if not await self.daemon.settled(None, RECOVERY_S):
            self.faults.append(f"not well at the end: {self.daemon.state().get('verdict')}")
        log = self.daemon.log()
        for answer in self.daemon.answers:
            self.counts[self._kind_of(answer, log)] += 1
        if not await self._none(self.daemon.strays):
            self.faults += self.daemon.strays()
        if not await self._none(self._busy):
            self.faults += self._busy()
        await self._reckon_history()
        for name, (fds, mib) in self.daemon.sizes().items():
            print(f"  {name}: {fds} descriptors, {mib:.1f} MiB; before {before[name]}")
            if fds > before[name][0] + MORE_FDS:
                self.faults.append(f"{name} has {fds} descriptors, it had {before[name][0]}")
            if mib > before[name][1] + MORE_MIB[name.partition("-")[0]]:
                self.faults.append(f"{name} has {mib:.1f} MiB, it had {before[name][1]:.1f}")

    async def _reckon_history(self) -> None:
        """Every request is in the history, but those whose frontend was hurt before it was told."""
        ended = [a for a in self.daemon.answers if a.request_id and a.outcome != "hung"]

        def missing() -> list[Answer]:
            known = self.daemon.remembered()
            self.remembered = sum(answer.request_id in known for answer in ended)
            unknown = [answer for answer in ended if answer.request_id not in known]
            return [answer for answer in unknown if not self._lost_its_frontend(answer)]

        if not await self._none(missing):
            for answer in missing():
                self.faults.append(f"not in the history: {_told(answer)}")
        print(f"  {self.remembered} of {len(ended)} requests are in the history")

    def _lost_its_frontend(self, answer: Answer) -> bool:
        """A frontend holds what the recorder has not written; a killed one takes that along."""
        return any(
            hurt.kind in ("kill frontend", "stop frontend")
            and answer.began_s <= hurt.ended_s
            and hurt.began_s <= answer.ended_s + UNWRITTEN_S
            for hurt in self.hurts
        )

    @staticmethod
    async def _none(look) -> bool:
        """Whether nothing of this is left after a moment."""
        until_s = time.monotonic() + 15.0
        while await asyncio.to_thread(look):
            if time.monotonic() > until_s:
                return False
            await asyncio.sleep(0.2)
        return True

    def _busy(self) -> list[str]:
        """What nobody asked for any more, but still runs or waits."""
        state = self.daemon.state()
        traffic = state["traffic"]
        found = [f"{each} requests {each}" for each in ("queued", "running") if traffic[each]]
        return found + [f"{c['name']} is still busy" for c in state["children"] if c["busy"]]

    def _kind_of(self, answer: Answer, log: str) -> str:
        """What the answer counts as; a fault is noted."""
        if answer.outcome in ("ok", "vanished"):
            return answer.outcome
        is_cut = answer.outcome in ("cut", "refused")
        if answer.outcome != "wrong" and is_cut and answer.port in self.daemon.held:
            return "lost with its frontend"
        if answer.outcome == "honest error":
            if self._has_begun(answer, log):
                return "honest error after the answer began"
            if self._site_was_away(answer):
                return "honest error while the site was away"
        kind = {"honest error": "lost before its first event"}.get(answer.outcome, answer.outcome)
        self.faults.append(f"{kind}: {_told(answer)}; meanwhile: {self._meanwhile(answer)}")
        return kind

    def _has_begun(self, answer: Answer, log: str) -> bool:
        """The frontend says in its log when the first content of a request arrives."""
        return bool(answer.text) or f"request {answer.request_id}: the answer of" in log

    def _site_was_away(self, answer: Answer) -> bool:
        return any(
            hurt.kind in SITE and not hurt.skipped and self._overlap(hurt, answer)
            for hurt in self.hurts
        )

    @staticmethod
    def _overlap(hurt: Hurt, answer: Answer) -> bool:
        return hurt.began_s <= answer.ended_s and answer.began_s <= hurt.ended_s + SITE_GRACE_S

    def _meanwhile(self, answer: Answer) -> str:
        return ", ".join(f"{h.kind} ({h.hit})" for h in self.hurts if self._overlap(h, answer))

    # -- the tables ---------------------------------------------------------------------------------

    def report(self) -> str:
        """Troubles, answers, faults."""
        times = Counter(hurt.kind for hurt in self.hurts if not hurt.skipped)
        lines = ["", "| trouble | times | well again: median, longest (s) |", "|---|---|---|"]
        for kind in KINDS:
            took = self.recoveries.get(kind, [])
            skipped = [hurt.skipped for hurt in self.hurts if hurt.kind == kind and hurt.skipped]
            words = f"{statistics.median(took):.2f}, {max(took):.2f}" if took else ""
            if skipped:
                words = f"{words} skipped {len(skipped)}: {skipped[0]}".strip()
            lines.append(f"| {kind} | {times[kind]} | {words} |")
        lines += ["", "| answers | count |", "|---|---|"]
        for kind, count in sorted(self.counts.items(), key=lambda each: -each[1]):
            lines.append(f"| {kind} | {count} |")
        for kind in ("wrong", "hung", "cut", "refused", "lost before its first event"):
            if kind not in self.counts:
                lines.append(f"| {kind} | 0 |")
        took = [a.ended_s - a.began_s for a in self.daemon.answers if a.outcome == "ok"]
        if len(took) > 1:
            median_s, late_s = statistics.median(took), statistics.quantiles(took, n=100)[98]
            lines += ["", f"answers: median {median_s:.2f} s, p99 {late_s:.2f} s"]
        lines += [f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", ""]
        return "\n".join(lines + [f"FAULT {fault}" for fault in self.faults])


def _told(answer: Answer) -> str:
    way = "stream" if answer.wish.streams else "whole"
    took_s = answer.ended_s - answer.began_s
    return (
        f"{answer.request_id or 'no id'} {answer.wish.model} {way}, "
        f"{len(answer.text)} characters in {took_s:.2f} s: {answer.error}"
    )


def _end(daemon: Battered, run: Run) -> None:
    """Stop the daemon; nothing of it may be left."""
    known = daemon.processes()
    if (code := daemon.stop()) != 0:
        run.faults.append(f"arenad ended with {code}")
    _, alive = psutil.wait_procs(known, timeout=5)
    run.faults += [f"left running: {each}" for each in alive]
    run.faults += [f"orphan: {each}" for each in daemon.leftovers()]


def main() -> int:
    """Read the arguments, run, tell; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--clients", type=int, default=5)
    given = parser.parse_args()
    daemon = Battered(given.instances)
    print(f"seed {given.seed}, {given.seconds:g} s; log: {daemon.log_path}", flush=True)
    run = Run(daemon, given.seed, given.seconds, given.clients)
    try:
        daemon.wait_well()
        run.end_s = time.monotonic() + given.seconds
        asyncio.run(run.perform())
    finally:
        _end(daemon, run)
    print(run.report())
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())
