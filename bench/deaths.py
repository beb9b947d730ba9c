"""Whether the master grows by deaths: it loses a child ten thousand times. Prints a table.

    PYTHONPATH=tests/master .venv/bin/python -m bench.deaths --kills 10000

runs a real master (loop, control socket, zygote) and its recorder; the other roles are
`tests/master/acting_role.py`: they say hello and ready, beat, and are killed by SIGKILL as soon as
the master knows their pid.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from small_daemon import Client, SmallDaemon

INSTANCES = 4
WARM_UP = 5000
"""So many deaths until every bounded history is full, and nothing may grow any more."""

PROGRAM = """
import sys
from pathlib import Path
from arenad.master import reading, run, zygote
zygote.LATE_IMPORTS = ()
zygote.ROLES.update(dict.fromkeys(("frontend", "worker", "demo"), "acting_role"))
sys.exit(run.run(lambda: reading.read(Path(sys.argv[1]))))
"""


class Dummies(SmallDaemon):
    """A daemon whose children do nothing but live."""

    def start(self) -> None:
        """As the real one, with other roles."""
        acts = {f"ACTS_{role}": "hello ready" for role in ("frontend", "worker", "demo")}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **acts},
            )


def kill(client: Client, kills: int) -> float:
    """Kill so many workers, each process once; gives the seconds that it took."""
    killed: dict[str, int] = {}
    began_s = time.monotonic()
    while kills:
        for child in client.state().children:
            is_new = child.pid not in (0, killed.get(child.name))
            if child.role == "worker" and child.phase == "ready" and is_new and kills:
                os.kill(child.pid, signal.SIGKILL)
                killed[child.name] = child.pid
                kills -= 1
    return time.monotonic() - began_s


def weigh(daemon: SmallDaemon) -> tuple[float, int]:
    """The master's memory in MiB (PSS) once it is at rest, and its open descriptors."""
    daemon.wait_up()
    time.sleep(2.0)
    master = psutil.Process(daemon.process.pid)
    return master.memory_full_info().pss / 2**20, master.num_fds()


def main() -> None:
    """Kill, and look at the master before, after the warm-up, and afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000)
    kills = parser.parse_args().kills
    calm = {
        "deaths": 100,
        "deaths_window_s": 0.1,
        "backoff_first_s": 0.001,
        "backoff_limit_s": 0.002,
    }
    with tempfile.TemporaryDirectory(prefix="arenad-deaths-") as folder:
        daemon = Dummies(Path(folder), fleet={"instances": INSTANCES}, life=calm)
        daemon.start()
        weights = [weigh(daemon)]
        with daemon.client() as client:
            kill(client, min(WARM_UP, kills))
            weights.append(weigh(daemon))
            took_s = kill(client, kills)
            weights.append(weigh(daemon))
        daemon.stop()
    whens = ("at first", f"after {WARM_UP} kills", f"after {kills} more")
    print("| the master | memory (PSS) | descriptors |\n|---|---|---|")
    for when, (mib, fds) in zip(whens, weights, strict=True):
        print(f"| {when} | {mib:.2f} MiB | {fds} |")
    print(f"\n{kills / took_s:.0f} deaths and births a second, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
