"""Real control groups: of this machine, and for limits those of a kernel of its own if need be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import own_kernel
import pytest
from master_program import PRELUDE as MASTER
from master_program import run_master

PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path
from arenad.errors import ConfigError
from arenad.master.cgroup import Groups
from arenad.schema.config import LimitsConfig

def say(**found):
    print("\\n" + json.dumps(found))

def own():
    return next(line[3:] for line in open("/proc/self/cgroup").read().splitlines() if line[:2] == "0:")

def enter(entry):
    with open(entry, "w") as file:
        file.write("0")

def born(entry, live=signal.pause):
    # A child that has entered the group, and does something there.
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.closerange(3, tell)  # as the zygote does: a copy of the lock would outlive the master
            os.closerange(tell + 1, 99)
            enter(entry)
            os.write(tell, b"in")
            live()
        finally:
            os._exit(0)
    assert os.read(told, 2) == b"in"
    return pid

def death(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED).si_status

def claimed(runtime, adopted=None, **limits):
    groups = Groups(LimitsConfig(**limits))
    groups.claim(Path(runtime), adopted)
    return groups
"""


def run(program: str) -> dict:
    """Run the program as the master; what it says. It takes its place at its start."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _why_not() -> str:
    said = run(
        f"groups = claimed('/run/probe-{os.getpid()}'); say(said=groups.sentence); groups.leave()"
    )
    return said["said"] if said["said"].startswith("no control groups") else ""


def _lacks_controllers() -> bool:
    """Whether limits cannot be held on this very machine."""
    limits = "memory_max_bytes=2**26, cpu_percent=20, tasks=8"
    said = run(
        f"groups = claimed('/run/probe-{os.getpid()}', {limits}); say(said=groups.sentence); groups.leave()"
    )
    return "not held" in said["said"]


WHY_NOT = _why_not()
in_groups = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there are groups")


@in_groups
def test_a_group_of_its_own_is_entered_killed_and_removed(tmp_path):
    """A stopped process and its child end at one word; at the end no group is left."""
    found = run(f"""
before = own()
groups = claimed({str(tmp_path)!r})
inside, folder = own(), groups._folder
entry = groups.make("w1", 3)
def parent():
    if os.fork():
        os.kill(os.getpid(), signal.SIGSTOP)
    signal.pause()
pid = born(entry, parent)
os.waitid(os.P_PID, pid, os.WSTOPPED)
while len(open(entry).read().split()) < 2:
    pass
try:
    groups.remove("w1", 3)
    busy = ""
except OSError as error:
    busy = error.strerror
groups.kill("w1", 3)
status = death(pid)
deadline = time.monotonic() + 10
while time.monotonic() < deadline and open(entry).read():
    pass
groups.remove("w1", 3)
groups.remove("w1", 3)
gone = not Path(entry).parent.exists()
groups.make("w2", 1)
groups.leave()
say(before=before, inside=inside, entry=entry, busy=busy, status=status, gone=gone,
    after=own(), left=folder.exists(), made=groups.make("w3", 1))
""")  # fmt: skip
    assert found["inside"].endswith("/daemon")
    assert found["entry"].endswith("/w1.3/cgroup.procs")
    assert (found["busy"], found["status"], found["gone"]) == ("Device or resource busy", 9, True)
    assert found["after"] == found["before"]
    assert (found["left"], found["made"]) == (False, "")


@in_groups
def test_what_a_killed_daemon_left_is_ended_at_the_next_start(tmp_path):
    """Stopped browsers too; but not what the new one says that it has adopted."""
    found = run(f"""
told, tell = os.pipe()
earlier = os.fork()
if not earlier:
    groups = claimed({str(tmp_path)!r})
    pids = [born(groups.make(name, 1), lambda: os.kill(os.getpid(), signal.SIGSTOP)) for name in ("w1", "w2")]
    os.write(tell, json.dumps(pids).encode())
    signal.pause()
w1, w2 = json.loads(os.read(told, 100))
try:
    second = claimed({str(tmp_path)!r})
    while_it_lives, make = second.sentence, second.make("w1", 1)
finally:
    os.kill(earlier, signal.SIGKILL)
death(earlier)
groups = claimed({str(tmp_path)!r}, ["w2.1"])
folder = groups._folder
states = [open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[0] if os.path.exists(f"/proc/{{pid}}") else "X" for pid in (w1, w2)]
exists = [(folder / name).exists() for name in ("w1.1", "w2.1")]
groups.leave()
say(while_it_lives=while_it_lives, make=make, said=groups.sentence, states=states, exists=exists,
    left=folder.exists(), w2=os.path.exists(f"/proc/{{w2}}"))
""")  # fmt: skip
    assert "another arenad is in" in found["while_it_lives"]
    assert found["make"] == ""
    assert found["said"].endswith("; ended what an earlier daemon left in w1.1")
    assert found["states"][0] in "XZ"
    assert found["states"][1] == "T"
    assert found["exists"] == [False, True]
    assert not found["left"], "at its own end it leaves nothing, adopted or not"


@in_groups
def test_a_program_that_replaces_itself_finds_its_place(tmp_path):
    """It is in the inner group by then, and keeps it with the groups that it knows of."""
    second = f"""
groups = claimed({str(tmp_path)!r}, ["w1.1"])
found = dict(inside=own(), folder=str(groups._folder), kept=(groups._folder / "w1.1").exists())
groups.leave()
say(after=own(), **found)
"""
    found = run(f"""
groups = claimed({str(tmp_path)!r})
groups.make("w1", 1)
os.execv(sys.executable, [sys.executable, "-c", {PRELUDE + second!r}])
""")
    assert found["inside"].startswith(found["after"].rstrip("/") + "/arenad-")
    assert found["inside"].count("/daemon") == 1
    assert found["folder"].count("arenad-") == 1
    assert found["kept"]


@in_groups
def test_deserted_folders_go_and_inhabited_ones_stay(tmp_path):
    """Of a daemon that was killed for good; one that lives holds its lock."""
    found = run(f"""
told, tell = os.pipe()
lives, killed = os.fork(), 0
if not lives:
    groups = claimed({str(tmp_path / "lives")!r})
    os.write(tell, str(groups._folder).encode())
    signal.pause()
folders = [Path(os.read(told, 1000).decode())]
killed = os.fork()
if not killed:
    groups = claimed({str(tmp_path / "killed")!r})
    os.write(tell, str(groups._folder).encode())
    signal.pause()
folders.append(Path(os.read(told, 1000).decode()))
os.kill(killed, signal.SIGKILL)
death(killed)
groups = claimed({str(tmp_path)!r})
exists = [folder.exists() for folder in folders]
os.kill(lives, signal.SIGKILL)
death(lives)
groups.leave()
claimed({str(tmp_path)!r}).leave()
say(exists=exists, left=folders[0].exists())
""")
    assert found["exists"] == [True, False]
    assert not found["left"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_where_nothing_is_delegated_it_says_so_and_goes_without(tmp_path):
    """The remedy is named; limits that are required are a fault of the configuration."""
    found = run(f"""
os.setgid(65534)
os.setuid(65534)
groups = claimed({str(tmp_path)!r}, tasks=100)
groups.kill("w1", 1)
groups.remove("w1", 1)
made = groups.make("w1", 1), groups.verdict("w1", 1)
faults = []
for limits in (dict(tasks=100), dict()):
    try:
        claimed({str(tmp_path)!r}, required=True, **limits)
    except ConfigError as error:
        faults += error.faults
say(said=groups.sentence, made=made, faults=faults)
""")
    assert found["said"].startswith("no control groups: ")
    assert "Delegate=yes" in found["said"] or "there is no cgroup v2" in found["said"]
    assert found["said"].endswith("; limits.tasks is not held")
    assert found["made"] == ["", ""]
    assert [fault.partition(":")[0] for fault in found["faults"]] == [
        "limits.tasks",
        "limits.required",
    ]


HELD = """
groups = claimed("/run/limits", memory_max_bytes=2**26, cpu_percent=50, tasks=8, required=True)

def hoard():
    os.fork()  # whoever meets the limit takes the other one along
    held = bytearray(b"x") * 2**27
    os._exit(3)

def multiply():
    born = 0
    try:
        for _ in range(20):
            if not os.fork():
                signal.pause()
            born += 1
    except OSError as error:
        os._exit(born)

def burn():
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        pass

groups.follow(LimitsConfig())
free = Path(groups.make("w2", 1))
unlimited = (free.parent / "memory.max").read_text(), (free.parent / "pids.max").read_text()
groups.follow(LimitsConfig(memory_max_bytes=2**26, cpu_percent=50, tasks=8, required=True))
statuses, verdicts, throttled = [], [], 0
for number, live in enumerate((hoard, multiply, burn)):
    entry = groups.make("w1", number)
    statuses.append(death(born(entry, live)))
    verdicts.append(groups.verdict("w1", number))
    groups.kill("w1", number)
    stat = dict(map(str.split, open(Path(entry).parent / "cpu.stat").read().splitlines()))
    throttled = int(stat["nr_throttled"])
folder = groups._folder
groups.leave()
say(said=groups.sentence, unlimited=unlimited, statuses=statuses, verdicts=verdicts, throttled=throttled, left=folder.exists())
"""


KEEPER = """
def kept(**limits):
    made = settings(limits=limits)
    made.groups.claim(made.runtime)
    story = []
    return made, story, keeper.Keeper(loop, made, lambda _role: (), lambda _about, text: story.append(text))

def end(made, keep):
    folder = made.groups._folder
    while keep.end_all():
        pass
    made.groups.leave()
    return folder.exists()
"""
MET = """
acts(worker="enter hello hoard")
made, story, keep = kept(memory_max_bytes=2**26, required=True)
wires = sigchld(keep.sweep)
keep.add("w1", "worker")
run_until(lambda: any("died" in line for line in story), 60)
say(story=story, left=end(made, keep))
"""

HAS_LIMITS = not WHY_NOT and not _lacks_controllers()
in_limits = pytest.mark.skipif(
    not HAS_LIMITS and bool(own_kernel.WHY_NOT),
    reason=f"no controllers in cgroup v2 here, and {own_kernel.WHY_NOT}",
)


def run_in_own_kernel(program: str, folder) -> dict:
    said = own_kernel.run(program, folder)
    line = next((line for line in said.splitlines() if line.startswith("{")), "")
    assert line, said
    return json.loads(line)


@in_groups
def test_a_worker_enters_its_group_without_rights_and_leaves_nothing_in_it():
    """A keeper's worker is another user by then; its stopped orphan ends with it, and the group too."""
    found = run_master(
        KEEPER
        + """
acts(worker="enter hello orphan die")
made, story, keep = kept()
keep.add("w1", "worker")  # no SIGCHLD here, so no sweep but that of the death itself
first = made.groups._folder / "w1.1"
run_until(lambda: any("died" in line for line in story))
acts(worker="hello")
run_until(lambda: not first.exists())
say(story=story, left=end(made, keep))
"""
    )
    assert "died: exit code 3" in found["story"]
    assert not found["left"]


@in_limits
def test_the_story_says_that_a_limit_ended_it(tmp_path):
    """A keeper's worker hoards; the reason of its death is the limit, in figures."""
    if HAS_LIMITS:
        found = run_master(KEEPER + MET)
    else:
        master = MASTER.format(folder=str(Path(__file__).parent), runtime="/run/kept")
        found = run_in_own_kernel(master + KEEPER + MET, tmp_path)
    limit = "its memory limit of 64 MiB (limits.memory_max_bytes) ended it"
    assert f"died: {limit}; killed by SIGKILL" in found["story"]
    assert not found["left"]


@in_limits
def test_limits_bite_and_are_told(tmp_path):
    """Memory ends all of an instance, processes run out, the processor is shared out."""
    found = run(HELD) if HAS_LIMITS else run_in_own_kernel(PRELUDE + HELD, tmp_path)
    assert (
        "limited to 64 MiB of memory, 50 % of a processor, 8 processes and threads" in found["said"]
    )
    assert found["unlimited"] == ["max\n", "max\n"], "for who is born while there is no limit"
    assert found["verdicts"] == [
        "its memory limit of 64 MiB (limits.memory_max_bytes) ended it",
        "it wanted more than its 8 processes and threads (limits.tasks)",
        "",
    ]
    assert found["statuses"] == [9, 7, 0]
    assert found["throttled"] > 2
    assert not found["left"]
