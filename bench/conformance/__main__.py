"""Real clients of many makers against a running arenad with real browsers.

    make conformance BENCH_ARGS='"openai (Python)" litellm --answers 100'

Each client gets an environment of its own below `.cache/clients`, with pinned versions, and its
tests (`clients/`) run against one daemon on the demo arena. Between them a tap has every
answer judged by OpenAI's and Anthropic's own descriptions. Then as many answers more are streamed,
of all vocabularies, and each event is judged. What is not tried again keeps its row of the last
report. Ends with 1 for a failure that has no reason.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import official
from daemon import running

from bench.conformance.answers import stream
from bench.conformance.catalog import CATALOG
from bench.conformance.report import Judged, Report, row
from bench.conformance.tap import Tap, tapping
from bench.conformance.trying import NotRun, tried
from bench.install import NotInstalled, install, version
from bench.obedient import Obedient
from bench.upstream import MODELS, serving

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".cache" / "clients"
RESULTS = Path(__file__).parents[1] / "results"
OBEDIENT = "demo-upstream"
LARGE_BYTES = 20_000


def judged(what: str, tap: Tap) -> Judged:
    """What passed through a tap."""
    return Judged(what, dict(tap.answers), dict(tap.events), tap.faults)


def try_clients(report: Report, target: str, names: list[str]) -> None:
    """Each client's tests; what is not installed has failed."""
    with tapping(target) as tap:
        for client in CATALOG:
            if names and client.name not in names:
                continue
            report.say(f"{client.name} …")
            try:
                there = install(ENVIRONMENTS, client)
                found = tried(client, there, tap.address, OBEDIENT)
                report.add(row(client, version(there, client), found))
            except (NotInstalled, NotRun) as error:
                sys.exit(f"{client.name}: {error}")
    report.judge(judged("the clients' requests", tap))


def main() -> None:
    """Read the arguments, start a daemon, and try."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="clients; all if none is named")
    parser.add_argument(
        "--answers", type=int, default=1000, help="answers streamed and judged; may be 0"
    )
    parser.add_argument("--instances", type=int, default=2)
    wish = parser.parse_args()
    if unknown := set(wish.names) - {each.name for each in CATALOG}:
        known = ", ".join(each.name for each in CATALOG)
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {known}")
    report = Report()
    with serving(large_bytes=LARGE_BYTES, kind=Obedient) as upstream:
        demo = {
            "upstream_url": upstream.address,
            "upstream_model": MODELS[0],
            "chunks_per_s": 100,
        }
        rules = {"queue": {"limit": 64}, "api": {"emulate": True}}
        with running(wish.instances, demo=demo, **rules) as daemon:
            try_clients(report, daemon.api_url, wish.names)
            if wish.answers:
                with tapping(daemon.api_url) as tap:
                    faults = asyncio.run(
                        stream(tap.address, upstream, wish.answers, wish.instances)
                    )
                told = judged("answers streamed of all vocabularies", tap)
                told.faults += faults
                report.judge(told)
    is_whole, documents = report.is_whole, official.documents()
    report.keep(RESULTS)
    report.write(RESULTS, documents)
    print(report.as_table(documents))
    sys.exit(0 if is_whole else 1)


if __name__ == "__main__":
    main()
