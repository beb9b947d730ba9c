"""Memory of each gateway's whole process tree, at rest and after load."""

import time

from bench import costs
from bench.gateway.ways import ECHO, HTTP, LITELLM, SETTLE_S, Ways
from bench.report import Figure, Report, Row


def rows(ways: Ways, report: Report) -> None:
    """As they were at rest, and as they are now that the other parts have been measured."""
    time.sleep(SETTLE_S)
    cells: dict[str, dict[str, Figure]] = {}
    for way in ways.of(ECHO, HTTP, LITELLM):
        idle, now = ways.idle[way.name], costs.memory(way.processes())
        cells[way.name] = {
            "idle MiB USS": idle.uss,
            "after": now.uss,
            "change %": 100 * (now.uss / idle.uss - 1),
            "PSS idle": idle.pss,
            "PSS after": now.pss,
        }
    note = "arenad: all processes, one instance that echoes; over HTTP eight instances."
    report.add(Row("memory without browsers", "<= 100 MiB; back within 10 %", cells, note))
