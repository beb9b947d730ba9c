"""What was measured: rows with a cell for each way, as a Markdown table and as JSON."""

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from bench.costs import MIB

RESULTS = Path(__file__).parent / "results"

log = logging.getLogger("bench")


class Spread(NamedTuple):
    """Median, 99th percentile and greatest of some numbers, and how many they are."""

    p50: float
    p99: float
    most: float
    count: int


def spread(numbers: Iterable[float]) -> Spread:
    """Of at least one number."""
    ordered = sorted(numbers)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Spread(statistics.median(ordered), late, ordered[-1], len(ordered))


Figure = float | Spread | str
"""A number, a spread of numbers, or words."""


class Row(msgspec.Struct):
    """One line: what, in which unit, the aim, and each way's figures by a short name."""

    what: str
    aim: str
    cells: dict[str, dict[str, Figure]]
    note: str = ""


def cell(figures: Mapping[str, Figure]) -> str:
    """One way's figures as text."""
    return ", ".join(f"{name} {_shown(each)}".strip() for name, each in figures.items())


def _shown(figure: Figure) -> str:
    if isinstance(figure, Spread):
        return f"p50 {_number(figure.p50)} / p99 {_number(figure.p99)}"
    return figure if isinstance(figure, str) else _number(figure)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Where it was measured; no path and no name of the machine."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / MIB / 1024, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "arenad": version("arenad"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


class Report:
    """Rows as they are measured, printed at once, and the whole at the end."""

    def __init__(self, name: str, ways: Sequence[str], versions: Mapping[str, str]) -> None:
        """Nothing is measured. `ways` are the columns; `versions` are of what else there is."""
        self._name, self._ways = name, ways
        self._machine = {**machine(), **versions}
        self.rows: list[Row] = []
        self._began_s = time.monotonic()
        self._load_before = os.getloadavg()

    def say(self, words: str) -> None:
        """What is under way."""
        print(f"[{time.monotonic() - self._began_s:4.0f} s] {words}", flush=True)

    def add(self, *rows: Row) -> None:
        """Keep rows, and show them."""
        for row in rows:
            self.rows.append(row)
            for way, figures in row.cells.items():
                self.say(f"  {row.what}: {way}: {cell(figures)}")

    def as_table(self) -> str:
        """Markdown."""
        ways = [way for way in self._ways if any(way in row.cells for row in self.rows)]
        lines = [f"| what | aim | {' | '.join(ways)} |", "|---" * (len(ways) + 2) + "|"]
        for row in self.rows:
            cells = [cell(row.cells.get(way, {})) or "-" for way in ways]
            lines.append(f"| {row.what} | {row.aim or '-'} | {' | '.join(cells)} |")
        notes = [f"- {row.what}: {row.note}" for row in self.rows if row.note]
        told = ", ".join(f"{name} {value}" for name, value in self._machine.items())
        before, after = (" ".join(f"{x:.1f}" for x in each) for each in self._loads())
        took_s = time.monotonic() - self._began_s
        ending = [f"{told}.", "", f"Load average {before} before, {after} after; {took_s:.0f} s."]
        return "\n".join([*lines, "", *notes, "", *ending, ""])

    def _loads(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self._load_before, os.getloadavg()

    def write(self, folder: Path) -> None:
        """Its name with `.json` and `.md`."""
        folder.mkdir(exist_ok=True)
        before, after = self._loads()
        whole = {
            "machine": self._machine,
            "load_average": {"before": before, "after": after},
            "took_s": round(time.monotonic() - self._began_s),
            "rows": msgspec.to_builtins(self.rows),
        }
        (folder / f"{self._name}.json").write_text(json.dumps(whole, indent=1) + "\n")
        (folder / f"{self._name}.md").write_text(self.as_table())


Parts = Mapping[str, Callable[[Report], None]]
"""What can be measured, by name."""


def measure(parts: Parts, report: Report, about: str) -> None:
    """Read the arguments, measure, write the report after each part. `about`: its own docstring."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the report")
    wish = parser.parse_args()
    if unknown := set(wish.parts) - parts.keys():
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(parts)}")
    failed = False
    for name in wish.parts or parts:
        report.say(name)
        try:
            parts[name](report)
        except Exception:  # what the other parts show is worth having all the same
            failed = True
            log.exception("%s could not be measured", name)
        report.write(wish.results)
    print(f"\n{report.as_table()}")
    sys.exit(failed)
