"""What an instance and a chunk cost: memory, processor, lateness, beside a floor and peers.

    make bench
    make bench BENCH_ARGS='streaming memory'

Starts daemons of its own with real browsers, and the peers of `bench/peers` on the same demo arena.
Prints each row as it is measured; the whole as a Markdown table and as JSON in `bench/results`.
"""

import subprocess
from importlib.metadata import version

from arenad.worker import finder
from bench import report
from bench.density import holding, memory, starts, stopped, streaming, transports

PARTS: report.Parts = {
    "memory": memory.rows,
    "starts": starts.rows,
    "stopped": stopped.rows,
    "streaming": streaming.rows,
    "transports": transports.rows,
    "holding": holding.rows,
}
WAYS = ("arenad", "floor", "expose_binding", "plain Playwright", "single-tab bridge")
"""Columns: ours, the site's stream without a browser, and three other designs."""


def versions() -> dict[str, str]:
    """Of what the pages run in."""
    browser = [str(finder.find("")), "--version"]
    said = subprocess.run(browser, capture_output=True, text=True, check=False).stdout.strip()
    return {"browser": said, "playwright": version("playwright")}


if __name__ == "__main__":
    report.measure(PARTS, report.Report("density", WAYS, versions()), str(__doc__))
