"""A real blank of a real zygote: forked in time of rest, it becomes the next child."""

from master_program import run_master

BLANK = """
acts(demo="hello")
blank.REST_S = 0.01
born, unborn, ends = [], [], []
rules = settings().rules
known = lambda: {each.pid for each in born}
nest = nursery.Nursery(loop, rules, born.append, lambda order, why: unborn.append(why), known)
wake = sigchld(nest.sweep)

def fork(name):
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    ends.append(ours)
    order = ForkOrder(role="demo", name=name, generation=1, uid=os.getuid(), gid=os.getgid())
    before = len(born)
    nest.fork(blank.Birth(order, theirs, deadman.create()))
    run_until(lambda: len(born) > before)
    return born[-1].pid

def title(pid):
    return open(f"/proc/{pid}/cmdline").read().strip("\\0 ")

def rest():
    run_until(lambda: nest._blanks.pid and title(nest._blanks.pid) == "arenad: blank")
    return nest._blanks.pid

def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
"""


def test_a_blank_becomes_the_next_child():
    """The first is forked on order, the second by becoming; then another blank is made."""
    found = run_master(BLANK + """
first = fork("a")
waiting = rest()
was, of = title(waiting), parent(waiting)
second = fork("b")
hello = ends[-1].recv(999)
now = title(waiting)
third = rest()
nest.sweep()
began_s = time.monotonic()
run_until(lambda: time.monotonic() - began_s > 2 * nursery.SWEEP_AFTER_S)
say(pids=[first, waiting, second, third], was=was, now=now, hello=b"Hello" in hello, of=of,
    me=os.getpid(), fds=len(os.listdir("/proc/self/fd")), lives=title(third), unborn=unborn)
""")  # fmt: skip
    first, waiting, second, third = found["pids"]
    assert len({first, waiting, third}) == 3
    assert second == waiting
    assert found["of"] == found["me"]
    assert (found["was"], found["now"]) == ("arenad: blank", "arenad: demo b")
    assert found["hello"]
    assert found["lives"] == "arenad: blank"
    assert found["unborn"] == []


def test_a_blank_that_was_killed_is_missed_by_nobody():
    """It is buried, the next child is forked on order, and there is another blank after that."""
    found = run_master(BLANK + """
fork("a")
waiting = rest()
os.kill(waiting, signal.SIGKILL)
run_until(lambda: not nest._blanks.pid and waiting not in kernel.child_pids())
second = fork("b")
again = rest()
say(pids=[waiting, second, again], hello=b"Hello" in ends[-1].recv(999), unborn=unborn)
""")  # fmt: skip
    assert len(set(found["pids"])) == 3
    assert found["hello"]
    assert found["unborn"] == []


def test_a_blank_that_dies_at_the_order_is_replaced_by_a_fork():
    """Its death is not yet known when somebody is wanted: nobody waits for a dead one."""
    found = run_master(BLANK + """
fork("a")
waiting = rest()
os.kill(waiting, signal.SIGKILL)
os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
second = fork("b")
say(pids=[waiting, second], hello=b"Hello" in ends[-1].recv(999))
""")  # fmt: skip
    assert len(set(found["pids"])) == 2
    assert found["hello"]


def test_a_zygotes_death_costs_no_blank_that_waits():
    """The blank lives on and is used; one that was only ordered is made again later."""
    found = run_master(BLANK + """
fork("a")
waiting = rest()
signal.pidfd_send_signal(nest._zygote.pidfd, signal.SIGKILL)
run_until(lambda: told("the zygote died"))
second = fork("b")
say(pids=[waiting, second], again=rest() not in (0, waiting))
""")  # fmt: skip
    assert found["pids"][0] == found["pids"][1]
    assert found["again"]


def test_a_blank_leaves_with_its_masters_end():
    """A closed end is the word to go, as for the zygote."""
    found = run_master(BLANK + """
fork("a")
waiting = rest()
nest._blanks._end.close()
say(status=os.waitid(os.P_PID, waiting, os.WEXITED).si_status)
""")  # fmt: skip
    assert found["status"] == 0
