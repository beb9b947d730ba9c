"""Calls to the real kernel, each in a process of its own."""

import subprocess
import sys


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    ).stdout


def test_a_subreaper_adopts_its_grandchildren():
    """An orphan of a child becomes a child: listed, waited for."""
    assert run("""
import os, sys
from arenad.master import kernel
kernel.become_subreaper()
read, write = os.pipe()
if os.fork() == 0:
    orphan = os.fork()
    if orphan == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(7)
    os._exit(0)
os.close(read)
os.wait()
(orphan,) = kernel.child_pids()
os.close(write)
print(os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]), kernel.child_pids())
""").split(maxsplit=1) == ["7", "[]\n"]  # fmt: skip


def test_children_are_found_without_the_kernels_list():
    """Kernels without CONFIG_PROC_CHILDREN: by the parent in each process's status."""
    assert run("""
import os
from pathlib import Path
from arenad.master import kernel
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
found = [int(e.name) for e in Path("/proc").iterdir() if kernel._parent_of(e) == os.getpid()]
print(found == [pid] == kernel.child_pids())
""") == "True\n"  # fmt: skip


def test_die_with_tells_a_dead_parent():
    """The parent-death signal is set, and a parent that is gone already is said."""
    assert run("""
import ctypes, os
from arenad.master import kernel
print(kernel.die_with(os.getppid()), kernel.die_with(1 if os.getppid() != 1 else 2))
signal = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(signal))
print(signal.value)
""") == "True False\n9\n"  # fmt: skip


def test_closed_standard_streams_are_opened():
    """Nothing of ours gets a number that others write to."""
    assert run("""
import os
from arenad.master import kernel
os.close(0); os.close(2)
kernel.open_standard_streams()
print([os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 2)])
""") == "['/dev/null', '/dev/null']\n"  # fmt: skip


def test_a_process_is_seen():
    """Its state by letter; a stopped one, and one that is gone; and how long it waited to run."""
    assert run("""
import os, signal, time
from arenad.master import kernel
child = os.fork()
if child == 0:
    time.sleep(3600)
os.kill(child, signal.SIGSTOP)
os.waitpid(child, os.WUNTRACED)
stopped = kernel.seen(child)[0]
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
state, waited_s = kernel.seen(os.getpid())
print(stopped, *kernel.seen(child), state, 0.0 <= waited_s < 60.0)
""").split() == ["T", "X", "0.0", "R", "True"]  # fmt: skip


def test_freed_memory_is_given_back():
    """What a start has taken and no longer needs does not stay with the master."""
    program = """
from pathlib import Path
from arenad.master import kernel
def rss_kib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
kept = [[bytes(1000) for _ in range(20_000)], bytes(1000)]
large = rss_kib()
del kept[0]
kernel.trim()
assert rss_kib() < large - 10_000, (large, rss_kib())
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
