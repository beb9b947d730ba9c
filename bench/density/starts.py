"""How soon an instance is ready: a cold one, a spare in the place of a lost one."""

import time

from daemon import Daemon, running

from arenactl.client import connect
from arenad.schema import control
from bench.report import Report, Row, spread
from bench.supervisor import Records, lost_to_listed, says

COLD = 8
LOST = 8


def cold(daemon: Daemon) -> list[float]:
    """Milliseconds from the order for one instance more to its page being ready, each time."""
    records = Records(daemon)
    times_ms: list[float] = []
    with connect(daemon.runtime / "control.sock") as client:
        for _ in range(COLD):
            began_s = time.time()
            client.ask(control.Scale(2), control.Done)
            ready = records.first(says("master", "w2: ready"), began_s, "w2 is ready")
            times_ms.append((ready.at_unix_s - began_s) * 1000)
            client.ask(control.Scale(1), control.Done)
            daemon.wait_well()
            time.sleep(1.0)
    return times_ms


def rows(report: Report) -> None:
    """Both."""
    calm = {"deaths": 100, "deaths_window_s": 0.1}
    with running(1, life=calm) as daemon:
        cells = {"arenad": {"ms": spread(cold(daemon))}}
    report.add(Row("one instance more: order -> page ready", "<= 1.2 s", cells))
    with running(1, life=calm, fleet={"spares": 1}) as daemon:
        times_s = lost_to_listed(daemon, LOST)
    cells = {"arenad": {"ms": spread(each * 1000 for each in times_s)}}
    report.add(Row("SIGKILL of a worker -> its spare takes requests", "<= 50 ms", cells))
