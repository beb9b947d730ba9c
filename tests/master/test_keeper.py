"""Single lives, kept by the real keeper in a program that plays the master."""

from master_program import run_master

KEEPER = """
made = settings(life={"stop_timeout_s": 0.3, "start_timeout_s": 20})
keeper.LINKLESS_S = 0.2
acts(demo="", worker="")
story = []
keep = keeper.Keeper(loop, made, lambda role: (), lambda about, text: story.append(text))
wake = sigchld(keep.sweep)

def phase(name="demo"):
    return keep.children[name].life.phase
"""


def test_a_kill_before_there_is_a_pid_is_not_forgotten():
    """The deadline of the start comes before the answer of the fork: the newborn is killed."""
    found = run_master(KEEPER + """
keep.add("demo", "demo")
child = keep.children["demo"]
keep.event(child, Event.DEADLINE)
before = child.pid, child.life.forced
keep._settings.config  # still the same child
exits = []
keep.on_exit = lambda child: exits.append(child.last_death)
run_until(lambda: exits)
say(before=before, exits=exits, deaths=len(child.life.deaths))
""")  # fmt: skip
    assert found["before"] == [0, True]
    assert found["exits"] == ["killed by SIGKILL"]
    assert found["deaths"] == 2


def test_a_stop_before_there_is_a_pid_is_heard():
    """The word waits in the link; the newborn reads it and leaves in order."""
    found = run_master(KEEPER + """
keep.add("demo", "demo")
child = keep.children["demo"]
keep.event(child, Event.STOP)
run_until(lambda: phase() == "stopped")
say(deaths=child.life.deaths, last=child.last_death, generation=child.life.generation)
""")  # fmt: skip
    assert found == {"deaths": [], "last": "", "generation": 1}


def test_a_restart_before_there_is_a_pid():
    """The first process ends, the second is begun: never two."""
    found = run_master(KEEPER + """
keep.add("demo", "demo")
child = keep.children["demo"]
keep.event(child, Event.RESTART)
run_until(lambda: child.life.generation == 2 and child.pid)
blanks = bool(keep._nursery._blanks.pid)
say(children=len(kernel.child_pids()) - blanks, deaths=child.life.deaths)
""")  # fmt: skip
    assert found == {"children": 2, "deaths": []}


def test_a_child_that_waits_for_a_zygote_can_be_stopped():
    """With no zygote the order is called off, and the child is stopped at once."""
    found = run_master(KEEPER + """
keep._nursery._start_zygote = lambda: None
keep._nursery._zygote.kill()
run_until(lambda: keep._nursery._zygote is None)
keep.add("demo", "demo")
child = keep.children["demo"]
keep.event(child, Event.STOP)
run_until(lambda: phase() == "stopped")
say(pid=child.pid, last=child.last_death)
""")  # fmt: skip
    assert found == {"pid": 0, "last": ""}


def test_a_child_without_its_link_is_killed():
    """It hung up and did not end: of no use any more."""
    found = run_master(KEEPER.replace('demo=""', 'demo="hang-up"') + """
keep.add("demo", "demo")
child = keep.children["demo"]
run_until(lambda: child.last_death)
say(last=child.last_death, said=told("did not end; killing it"))
""")  # fmt: skip
    assert found["last"] == "killed by SIGKILL"
    assert len(found["said"]) == 1


def test_a_child_that_ignores_its_stop_is_killed():
    """Asked, waited for, killed; since nobody wants it any more it stays down."""
    found = run_master(KEEPER.replace('demo=""', 'demo="deaf"') + """
keep.add("demo", "demo")
child = keep.children["demo"]
run_until(lambda: child.pid)
keep.event(child, Event.STOP)
run_until(lambda: phase() == "stopped")
say(last=child.last_death)
""")  # fmt: skip
    assert found["last"] == "killed by SIGKILL"


def test_out_of_descriptors_a_birth_fails_and_the_master_lives():
    """No link can be made: the child waits for its next try, which succeeds."""
    found = run_master(KEEPER + """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
keep.add("demo", "demo")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
child = keep.children["demo"]
run_until(lambda: child.pid)
say(last=child.last_death, generation=child.life.generation)
""")  # fmt: skip
    assert found["last"].startswith("no link could be made (")
    assert found["generation"] == 2


def test_what_a_worker_left_is_removed_when_its_browser_has_ended():
    """A folder that is still written to is tried again, a moment later."""
    found = run_master(KEEPER.replace('worker=""', 'worker="die"') + """
keeper.TIDY_AGAIN_S = 0.05
scratch = made.scratch("w1", 1)
scratch.mkdir(parents=True)
tries = []
remove = made.remove_scratch
def remove_scratch(name, generation):
    tries.append(generation)
    if len(tries) == 1:
        raise OSError(39, "Directory not empty")
    remove(name, generation)
made.remove_scratch = remove_scratch
keep.add("w1", "worker")
run_until(lambda: tries.count(1) == 2)
say(left=scratch.exists())
""")  # fmt: skip
    assert found == {"left": False}
