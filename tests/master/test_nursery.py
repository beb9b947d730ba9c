"""Births and burials, with real zygotes below a program that plays the master."""

from master_program import run_master

NURSERY = """
acts(demo="")
rules = settings(life={"backoff_first_s": 0.05, "backoff_limit_s": 0.2}).rules
born, unborn, known, links = [], [], set(), []

def on_born(forked):
    born.append(forked)
    known.add(forked.pid)

nest = nursery.Nursery(loop, rules, on_born, lambda order, why: unborn.append((order.name, why)), lambda: known)

def fork(name):
    ours, theirs = socket.socketpair()
    links.append(ours)
    order = ForkOrder(role="demo", name=name, generation=1, uid=os.getuid(), gid=os.getgid())
    nest.fork(blank.Birth(order, theirs, deadman.create(), ()))
    return order

def lives(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
"""


def test_a_newborn_is_never_swept():
    """Sweeps between the order and its answer leave the child alone, whenever they come."""
    found = run_master(NURSERY + """
for name in "abcdefgh":
    fork(name)
def sweep():
    nest.sweep()
    if len(born) < 8:
        loop.after(0.0, sweep)
sweep()
wake = sigchld(nest.sweep)
run_until(lambda: len(born) == 8)
nest.sweep()
say(alive=sum(lives(each.pid) for each in born), unborn=unborn)
""")  # fmt: skip
    assert found == {"alive": 8, "unborn": []}


def test_a_hung_zygote_is_replaced():
    """An order that is not answered in time ends the zygote; the next order is carried out."""
    found = run_master(NURSERY + """
fork("first")
run_until(lambda: born)
nursery.FORK_TIMEOUT_S = 0.2
os.kill(nest._zygote.pid, signal.SIGSTOP)
fork("second"); fork("third")
run_until(lambda: len(unborn) == 2)
nursery.FORK_TIMEOUT_S = 20.0
fork("fourth")
run_until(lambda: len(born) == 2)
say(born=[each.name for each in born], unborn=unborn, alive=lives(born[0].pid))
""")  # fmt: skip
    assert found["born"] == ["first", "fourth"]
    assert found["unborn"] == [["second", "the zygote died"], ["third", "the zygote died"]]
    assert found["alive"]


def test_a_zygote_that_dies_again_and_again_is_started_ever_later():
    """The waits double up to the limit; orders wait meanwhile and can be called off."""
    found = run_master(NURSERY + """
fork("a")
run_until(lambda: born)
zygote.ROLES["demo"] = "no_such_role"
nest._zygote.kill()
run_until(lambda: len(told("the next zygote")) >= 6 and nest._zygote is None)
order = fork("b")
called_off = nest.call_off(order), nest.call_off(order)
waiting = fork("c")
zygote.ROLES["demo"] = "acting_role"
run_until(lambda: len(born) == 2)
say(waits=told("the next zygote")[:6], called_off=called_off, unborn=unborn, born=[e.name for e in born])
""")  # fmt: skip
    waits = [text.split()[-2] for text in found["waits"]]
    assert waits == ["0.0", "0.1", "0.1", "0.2", "0.2", "0.2"]
    assert found["called_off"] == [True, False]
    assert found["unborn"] == [["b", "there was no zygote to fork it"]]
    assert found["born"] == ["a", "c"]


def test_strays_are_killed_with_their_stopped_children():
    """A stopped tree in a session of its own does not outlive the child that left it."""
    found = run_master(NURSERY.replace('demo=""', 'demo="orphan die"') + """
wake = sigchld(nest.sweep)
fork("a")
run_until(lambda: born and not lives(born[0].pid))
known.clear()
nest.sweep()
run_until(lambda: kernel.child_pids() == [nest._zygote.pid])
say(killed=len(told("killed the stray process")))
""")  # fmt: skip
    assert found["killed"] >= 2


def test_at_the_end_everything_goes():
    """Zygote and children, whatever state they are in."""
    found = run_master(NURSERY + """
fork("a"); fork("b")
run_until(lambda: len(born) == 2)
os.kill(born[0].pid, signal.SIGSTOP)
os.kill(nest._zygote.pid, signal.SIGSTOP)
deadline_s = time.monotonic() + 20
while nest.end_all():
    assert time.monotonic() < deadline_s
say(left=kernel.child_pids())
""")  # fmt: skip
    assert found["left"] == []
