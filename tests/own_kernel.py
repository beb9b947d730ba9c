"""A Linux kernel of its own for a test program: user-mode Linux, a plain process of this machine.

It sees this machine's files and has every controller in cgroup v2, which a machine that still binds
them to version 1 does not offer. It boots in a second, and needs no rights.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

KERNEL = shutil.which("linux.uml")


def _why_not() -> str:
    """Why there can be none here; empty if there can.

    It keeps its processes' registers by ptrace(2), of which it knows no more than 4 kB; those of a
    processor with AMX are larger, and putting them back fails (EFAULT): it panics, or stands still.
    """
    if KERNEL is None:
        return "no linux.uml (Debian: user-mode-linux)"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "user-mode Linux does not run on a processor with AMX" if "amx_tile" in flags else ""


WHY_NOT = _why_not()

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs run /run
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
export TMPDIR=/run
ip link set lo up
cd {folder}
PYTHONPATH={path} PYTHONDONTWRITEBYTECODE=1 {python} {program} 2>&1
poweroff -f
"""


def run(program: str, folder: Path, timeout_s: float = 90.0) -> str:
    """Run a Python program as root of that machine; gives all that it printed."""
    assert KERNEL is not None
    assert not WHY_NOT
    script, source = folder / "init", folder / "program.py"
    source.write_text(program)
    script.write_text(
        INIT.format(
            folder=folder, python=sys.executable, program=source, path=os.pathsep.join(sys.path)
        )
    )
    script.chmod(0o755)
    options = [f"init={script}", "mem=1G", "con=null", "con0=fd:0,fd:1", "quiet"]
    with subprocess.Popen(
        [KERNEL, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
        text=True,
        errors="replace",
    ) as kernel:
        try:
            return kernel.communicate(timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            os.killpg(kernel.pid, signal.SIGKILL)
            raise AssertionError(f"no end of it: {kernel.communicate()[0]}") from None
