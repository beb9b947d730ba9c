"""What the clients met: a row for each, and each failure with its reason."""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.conformance.catalog import Client
from bench.conformance.trying import Tried
from bench.report import machine

T = TypeVar("T")


class Row(msgspec.Struct):
    """One client. `known`: failures with a known reason; `failed`: all others, faults."""

    client: str
    version: str
    tests: int
    passed: int
    skipped: dict[str, str]
    known: dict[str, str]
    failed: dict[str, str]


class Judged(msgspec.Struct):
    """What passed by the official descriptions."""

    what: str
    answers: dict[str, int]
    events: dict[str, int]
    faults: list[str]


def row(client: Client, version: str, all_: list[Tried]) -> Row:
    """What became of a client's tests. One that passes against its reason is a fault as well."""
    made = Row(client.name, version, len(all_), 0, {}, {}, {})
    names = {each.name for each in all_}
    for each in all_:
        reason = client.known.get(each.name)
        if each.verdict == "skipped":
            made.skipped[each.name] = each.why
        elif each.verdict == "failed" and reason:
            made.known[each.name] = reason
        elif each.verdict == "failed":
            made.failed[each.name] = each.why
        elif reason:
            made.failed[each.name] = f"it passes, and was expected not to: {reason}"
        else:
            made.passed += 1
    made.failed |= {name: "there is no such test" for name in client.known if name not in names}
    return made


class Report:
    """Rows as they come, printed at once, and the whole at the end."""

    def __init__(self) -> None:
        """Nothing was tried."""
        self.rows: list[Row] = []
        self.judged: list[Judged] = []
        self._began_s = time.monotonic()
        self._load_before = os.getloadavg()

    def say(self, words: str) -> None:
        """What is under way."""
        print(f"[{time.monotonic() - self._began_s:4.0f} s] {words}", flush=True)

    def add(self, row: Row) -> None:
        """Keep a row, and show it."""
        self.rows.append(row)
        self.say(f"{row.client} {row.version}: {row.passed} of {row.tests} passed")
        for kind in ("known", "failed"):
            told: Mapping[str, str] = getattr(row, kind)
            for name, why in told.items():
                self.say(f"  {kind}: {name}: {why}")

    def judge(self, judged: Judged) -> None:
        """Keep what was judged, and show it."""
        self.judged.append(judged)
        answers, events = sum(judged.answers.values()), sum(judged.events.values())
        self.say(f"{judged.what}: {answers} answers, {events} events, {len(judged.faults)} faults")
        for each in judged.faults[:20]:
            self.say(f"  {each}")

    @property
    def is_whole(self) -> bool:
        """Whether nothing failed that should not."""
        return not any(row.failed for row in self.rows) and not any(x.faults for x in self.judged)

    def as_table(self, documents: str) -> str:
        """Markdown."""
        lines = [
            "| client | version | tests | passed | failed, for a known reason | skipped | failed |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            counts = (len(row.known), len(row.skipped), len(row.failed))
            cells = (row.client, row.version, row.tests, row.passed, *counts)
            lines.append(f"| {' | '.join(map(str, cells))} |")
        lines += [
            "",
            "| by the official descriptions | answers | events | faults |",
            "|---|---|---|---|",
        ]
        for each in self.judged:
            by_path = ", ".join(f"{path} {n}" for path, n in sorted(each.events.items()))
            answers, events = sum(each.answers.values()), sum(each.events.values())
            lines.append(f"| {each.what} | {answers} | {events} ({by_path}) | {len(each.faults)} |")
        lines += ["", *self._reasons(), ""]
        told = ", ".join(f"{name} {value}" for name, value in machine().items())
        before, after = (" ".join(f"{x:.1f}" for x in each) for each in self._loads())
        took_s = time.monotonic() - self._began_s
        ending = [f"{documents}.", "", f"{told}.", ""]
        ending += [f"Load average {before} before, {after} after; {took_s:.0f} s.", ""]
        return "\n".join([*lines, *ending])

    def _reasons(self) -> list[str]:
        """A line for each reason that tests did not pass for, and one for each failure."""
        lines: list[str] = []
        for row in self.rows:
            for kind, told in (("known", row.known), ("skipped", row.skipped)):
                for why in dict.fromkeys(told.values()):
                    names = ", ".join(f"`{name}`" for name, each in told.items() if each == why)
                    lines.append(f"- {row.client}, {kind}: {names}: {why}")
            lines += [
                f"- {row.client}, failed: `{name}`: {why}" for name, why in row.failed.items()
            ]
        return lines

    def _loads(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self._load_before, os.getloadavg()

    def keep(self, folder: Path) -> None:
        """Take over what an earlier report has, and was not tried now."""
        path = folder / "conformance.json"
        if not path.exists():
            return
        before = msgspec.json.decode(path.read_bytes(), type=_Kept)
        self.rows = _merged(before.clients, self.rows, lambda row: row.client)
        self.judged = _merged(before.judged, self.judged, lambda judged: judged.what)

    def write(self, folder: Path, documents: str) -> None:
        """`conformance.json` and `conformance.md`."""
        folder.mkdir(exist_ok=True)
        before, after = self._loads()
        whole: dict[str, Any] = {
            "machine": machine(),
            "documents": documents,
            "load_average": {"before": before, "after": after},
            "took_s": round(time.monotonic() - self._began_s),
            "clients": msgspec.to_builtins(self.rows),
            "judged": msgspec.to_builtins(self.judged),
        }
        (folder / "conformance.json").write_text(json.dumps(whole, indent=1) + "\n")
        (folder / "conformance.md").write_text(self.as_table(documents))


class _Kept(msgspec.Struct):
    """What of an earlier report is kept."""

    clients: list[Row]
    judged: list[Judged]


def _merged(old: list[T], new: list[T], name: Callable[[T], str]) -> list[T]:
    """The old ones in their order, each in its newest form, and what is new."""
    newest = {name(each): each for each in [*old, *new]}
    return list(newest.values())
