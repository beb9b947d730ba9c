"""A real zygote below a real subreaper, each in a program of its own; roles are tiny."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import json, os, resource, select, signal, socket, sys
sys.path.insert(0, {folder!r})
from arenad import deadman
from arenad.master import kernel, zygote
from arenad.schema.process import ForkOrder
from tiny_role import tell
zygote.ROLES.clear()
zygote.ROLES["demo"] = {role!r}
kernel.become_subreaper()
answers = []

def ready(fd):
    assert select.select([fd], [], [], 20)[0], "nothing came"

def order(name="a", uid=os.getuid(), gid=os.getgid()):
    return ForkOrder(role="demo", name=name, generation=3, uid=uid, gid=gid)

def fork(nest, *args, **kwargs):
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    switch = deadman.create()
    nest.fork(order(*args, **kwargs), [switch, theirs.fileno()])
    os.close(switch)
    theirs.close()
    ready(nest.end)
    nest.read()
    return ours, answers[-1]

def say(**found):
    print(json.dumps(found))
"""


def run(program: str, role: str = "tiny_role") -> dict:
    """Run the program as the master of a zygote; what it says, and nothing on standard error."""
    text = PRELUDE.format(folder=str(Path(__file__).parent), role=role) + program
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def test_a_role_is_born_clean():
    """Adopted, dying with its parent, with the named descriptors only, no signal, no thread."""
    found = run("""
# What a master has about it and no child may have: open files, handlers, a mask, a wake-up fd.
extra = [open("/dev/null") for _ in range(5)]
wake = socket.socketpair()
wake[1].setblocking(False)
signal.set_wakeup_fd(wake[1].fileno())
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
    signal.signal(number, lambda *_: None)
nest = zygote.Zygote(answers.append)
ours, forked = fork(nest)
role = tell(ours)
tasks = len(os.listdir(f"/proc/{nest.pid}/task"))
fds = [os.readlink(f"/proc/{nest.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{nest.pid}/fd")]
children = kernel.child_pids()
ours.close()
ending = os.waitid(os.P_PID, forked.pid, os.WEXITED)
say(role=role, forked=forked.pid, me=os.getpid(), status=ending.si_status, zygote=nest.pid,
    tasks=tasks, zygote_sockets=sum("socket" in fd for fd in fds), zygote_fds=len(fds),
    children=children, pending=len(nest.pending), masked=len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
""")  # fmt: skip
    role = found["role"]
    assert (role["pid"], role["parent"]) == (found["forked"], found["me"])
    assert role["session"] == role["pid"]
    assert role["death_signal"] == 9
    assert role["fds"] == [0, 1, 2, *role["sockets"]]
    assert role["switch"] == "anon_inode:[timerfd]"
    assert (role["masked"], role["handled"], role["wakeup_fd"]) == ([], [], -1)
    assert role["sigpipe_ignored"], "a write to a peer that vanished would kill the role"
    assert (role["threads"], role["tasks"], role["name"]) == (1, 1, "a")
    assert found["status"] == 5
    assert sorted(found["children"]) == sorted([found["zygote"], found["forked"]])
    assert (found["tasks"], found["zygote_sockets"], found["zygote_fds"]) == (1, 1, 4)
    assert (found["pending"], found["masked"]) == (0, 0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_role_drops_roots_rights():
    """As another user it still dies with its master, and root's groups are gone."""
    found = run("""
nest = zygote.Zygote(answers.append)
ours, forked = fork(nest, "b", uid=65534, gid=65534)
role = tell(ours)
status = open(f"/proc/{forked.pid}/status").read()
groups = next(line for line in status.splitlines() if line.startswith("Groups:"))
say(role=role, groups=groups.split()[1:])
""")  # fmt: skip
    assert (found["role"]["uid"], found["role"]["death_signal"]) == (65534, 9)
    assert found["groups"] == []


def test_many_children_leave_the_zygote_as_it_was():
    """Descriptors and children of the zygote do not grow, failed forks included."""
    found = run("""
nest = zygote.Zygote(answers.append)
counts = []
for number in range(20):
    ours, forked = fork(nest)
    tell(ours)
    ours.close()
    os.waitid(os.P_PID, forked.pid, os.WEXITED)
    counts.append(len(os.listdir(f"/proc/{nest.pid}/fd")))
say(counts=counts, last=answers[-1].pid > 0)
""")  # fmt: skip
    assert set(found["counts"]) == {4}
    assert found["last"]


def test_a_fork_that_fails_is_answered_and_leaks_nothing():
    """Out of descriptors or processes, the zygote says so and lives on."""
    found = run("""
nest = zygote.Zygote(answers.append)
fork(nest)[0].close()
_, hard = resource.prlimit(nest.pid, resource.RLIMIT_NOFILE)
resource.prlimit(nest.pid, resource.RLIMIT_NOFILE, (6, hard))
failed = [fork(nest)[1] for _ in range(5)]
resource.prlimit(nest.pid, resource.RLIMIT_NOFILE, (3, hard))
failed.append(fork(nest)[1])  # here not even the role's socket gets through
count = len(os.listdir(f"/proc/{nest.pid}/fd"))
say(errors=sorted({each.error for each in failed}), pids=[each.pid for each in failed], count=count)
""")  # fmt: skip
    assert found["errors"] == ["Too many open files", "its sockets did not get through"]
    assert set(found["pids"]) == {0}
    assert found["count"] == 4


def test_a_zygotes_death_is_seen_and_its_children_live():
    """By pidfd; a role that runs does not notice, and orders fail."""
    found = run("""
nest = zygote.Zygote(answers.append)
ours, forked = fork(nest)
tell(ours)
nest.kill()
ready(nest.pidfd)
ending = os.waitid(os.P_PIDFD, nest.pidfd, os.WEXITED)
lives = os.path.exists(f"/proc/{forked.pid}/stat") and os.getpgid(forked.pid) == forked.pid
try:
    nest.fork(order(), [])
    refused = ""
except OSError as error:
    refused = type(error).__name__
nest.close()
say(status=ending.si_status, lives=lives, refused=refused, answered=nest.read())
""")  # fmt: skip
    assert found["status"] == 9
    assert found["lives"]
    assert found["refused"] in ("BrokenPipeError", "ConnectionResetError")
    assert not found["answered"]


def test_a_zygote_leaves_with_its_masters_end():
    """A closed end is the word to go."""
    found = run("""
nest = zygote.Zygote(answers.append)
nest.close()
say(status=os.waitid(os.P_PID, nest.pid, os.WEXITED).si_status)
""")  # fmt: skip
    assert found["status"] == 0


def test_children_die_with_a_killed_master():
    """SIGKILL of the master ends zygote and role, a stopped role too."""
    found = run("""
read, write = os.pipe()
if os.fork() == 0:
    kernel.become_subreaper()
    nest = zygote.Zygote(answers.append)
    pids = [nest.pid]
    for name in ("a", "hung"):
        ours, forked = fork(nest, name)
        tell(ours)
        pids.append(forked.pid)
    os.write(write, json.dumps(pids).encode())
    os.kill(os.getpid(), signal.SIGKILL)
os.close(write)
pids = json.loads(os.read(read, 1000))
ends = [os.waitid(os.P_ALL, 0, os.WEXITED) for _ in range(4)]
say(all_ended={end.si_pid for end in ends} >= set(pids), signals=[end.si_status for end in ends])
""")  # fmt: skip
    assert found["all_ended"]
    assert found["signals"].count(9) >= 2  # some may have left by themselves, the hung one not


def test_a_role_that_cannot_be_imported_is_said():
    """The zygote's end names the reason, for the log."""
    found = run(
        """
nest = zygote.Zygote(answers.append)
say(status=os.waitid(os.P_PID, nest.pid, os.WEXITED).si_status)
""",
        role="no_such_role",
    )
    assert "No module named 'no_such_role'" in found["stderr"]


def test_a_role_that_cannot_begin_is_said():
    """Its exit code is 1 and the reason is in the log."""
    found = run("""
zygote.ROLES["demo"] = "json"
nest = zygote.Zygote(answers.append)
ours, forked = fork(nest)
say(status=os.waitid(os.P_PID, forked.pid, os.WEXITED).si_status)
""")  # fmt: skip
    assert found["status"] == 1
    assert "a could not begin its life" in found["stderr"]


def test_work_apart_leaves_nothing_but_its_result():
    """More than a pipe holds comes back; its process, its imports and its descriptors are gone."""
    found = run("""
before = len(os.listdir("/proc/self/fd"))
def work():
    import fractions
    return b"x" * 300_000 + str(os.getpid()).encode()
got = zygote.apart(work, 20)
say(size=len(got.rstrip(b"0123456789")), other=int(got.strip(b"x")) != os.getpid(),
    imported="fractions" in sys.modules, children=kernel.child_pids(),
    fds=len(os.listdir("/proc/self/fd")) - before)
""")  # fmt: skip
    assert found["size"] == 300_000
    assert found["other"]
    assert (found["imported"], found["children"], found["fds"]) == (False, [], 0)


def test_work_apart_that_fails_or_hangs_is_ended():
    """A bug is said and gives nothing; what takes too long is killed, and that is an error."""
    found = run("""
nothing = zygote.apart(lambda: 1 / 0, 20)
try:
    zygote.apart(lambda: select.select([], [], []), 0.2)
    hung = ""
except TimeoutError:
    hung = "ended"
say(nothing=nothing.decode(), hung=hung, children=kernel.child_pids())
""")  # fmt: skip
    assert (found["nothing"], found["hung"], found["children"]) == ("", "ended", [])
    assert "ZeroDivisionError" in found["stderr"]
