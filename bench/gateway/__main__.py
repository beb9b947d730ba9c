"""What arenad costs as a gateway: latency, processor, streams, memory, beside others in one run.

    make bench-gateway
    make bench-gateway BENCH_ARGS='cpu streams'

Starts daemons of its own without any browser: one with an instance that echoes, one with instances
over an upstream; beside them, over the same upstream, a bare aiohttp server and LiteLLM's proxy,
which is installed below `.cache/bench` the first time. `memory` is worth most after the others.
"""

import contextlib
from functools import partial

from bench import report
from bench.gateway import leaving, memory, speed, streams
from bench.gateway.ways import LITELLM_VERSION, WAYS, Ways

PARTS = {
    "latency": speed.latency,
    "cpu": speed.cpu,
    "streams": streams.rows,
    "memory": memory.rows,
    "left": leaving.left,
    "broken": leaving.broken,
}

if __name__ == "__main__":
    with contextlib.ExitStack() as stack:
        ways = Ways(stack)
        parts = {name: partial(rows, ways) for name, rows in PARTS.items()}
        versions = {"litellm": LITELLM_VERSION}
        report.measure(parts, report.Report("gateway", WAYS, versions), str(__doc__))
