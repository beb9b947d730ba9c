"""The meter on this very process and a child of its own."""

import subprocess
import sys

from arenad.worker.meter import Meter

CHILD = (
    "held = bytearray(b'x' * 50_000_000); files = [open('/dev/null') for _ in range(40)];"
    "sum(range(3_000_000)); print('up', flush=True); input()"
)


def test_a_child_is_counted_with_its_memory_and_work() -> None:
    """What a descendant holds and did since the last reading is the instance's."""
    meter = Meter()
    alone = meter.take(0.0)
    assert alone.cpu_percent == 0
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both = meter.take(1.0)
        again = meter.take(1000.0)
        child.communicate(b"\n")
    assert both.processes == alone.processes + 1
    assert both.memory_bytes > alone.memory_bytes + 50_000_000
    assert both.descriptors > alone.descriptors + 40
    assert both.cpu_percent > 0
    assert again.cpu_percent < both.cpu_percent
    after = meter.take(1.0)
    assert after.processes == alone.processes
    assert after.cpu_percent >= 0
