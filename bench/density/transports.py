"""Each way into a page, through the whole daemon: lateness and processor time."""

import asyncio

from bench.answers import COMMON, LINES, OwnProfile
from bench.density.streaming import Measured, Way, one_answer, outside
from bench.report import Report, Row, spread

PROMPT = "400 100"
ROUNDS = 2


def measure(transport: str) -> Measured:
    """One transport, on the demo arena's page that uses it."""
    OwnProfile.called = "demo"
    OwnProfile.profile = f"version: 1\n{LINES[transport]}{COMMON}"
    daemon = OwnProfile(1, {"site": {"profile": "demo"}, "daemon": {"log_level": "info"}})
    measured = Measured()
    try:
        daemon.wait_well()
        way = Way("arenad", daemon.api_url, lambda: outside(daemon))
        for _ in range(ROUNDS):
            asyncio.run(one_answer(way, PROMPT, measured))
    finally:
        daemon.stop()
    return measured


def rows(report: Report) -> None:
    """One row for each."""
    for transport in LINES:
        found = measure(transport)
        told = {"ms": spread(found.late_ms), **found.cpu()}
        note = "Read as it is drawn, at most every 50 ms." if transport == "dom" else ""
        what = f"by {transport}, 100 chunks/s: lateness; CPU s per 1000 chunks"
        report.add(Row(what, "", {"arenad": told}, note))
