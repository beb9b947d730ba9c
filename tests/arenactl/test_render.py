"""The pages: always 80 columns, never an exception, and the answer first."""

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import child, state, worker

from arenactl import render
from arenad.schema.control import ChildState, Happening, State, StoryOf, Traffic
from arenad.schema.process import LogLine

NASTY = st.text() | st.text("東🦊e\u0301\x1b\n\u202e x", max_size=200) | st.just("long " * 50)
WHOLE = st.integers(-(2**63), 2**63)
FRACTION = st.floats()

CHILDREN = st.builds(
    ChildState,
    name=NASTY,
    pid=WHOLE,
    generation=WHOLE,
    phase_age_s=FRACTION,
    restarts=WHOLE,
    last_death=NASTY,
    next_try_s=st.none() | FRACTION,
    condition_reason=NASTY,
    proxy=NASTY,
    slots=WHOLE,
    busy=WHOLE,
    answered=WHOLE,
    memory_bytes=WHOLE,
    processes=WHOLE,
    descriptors=WHOLE,
    cpu_percent=FRACTION,
    models=st.lists(NASTY, max_size=2).map(tuple),
)
STATES = st.builds(
    State,
    verdict=NASTY,
    version=NASTY,
    pid=WHOLE,
    uptime_s=FRACTION,
    site=NASTY,
    api_url=NASTY,
    gui_url=NASTY,
    children=st.lists(CHILDREN, max_size=4).map(tuple),
    traffic=st.builds(Traffic, queued=WHOLE, running=WHOLE, requests_per_s=FRACTION),
    story=st.lists(
        st.builds(Happening, at_unix_s=FRACTION, about=NASTY, text=NASTY), max_size=8
    ).map(tuple),
)


def columns(line):
    """The width by another way than the page's own: a terminal's rules, colours taken off."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert all(unicodedata.category(char)[0] != "C" for char in plain)
    marks = sum(unicodedata.category(char) in {"Mn", "Me"} for char in plain)
    return len(plain) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in plain)


@settings(deadline=None)
@given(STATES, st.booleans())
def test_every_line_of_every_page_fits(any_state, colour):
    """Whatever the daemon says, no line is wider than a terminal and nothing raises."""
    for page in (render.status, render.instances):
        assert max(map(columns, page(any_state, colour=colour))) <= 80


@settings(deadline=None)
@given(STATES)
def test_colour_adds_nothing_but_colour(any_state):
    """Taking the colour off a page leaves exactly the page without colour."""
    painted = "\n".join(render.status(any_state, colour=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == "\n".join(render.status(any_state))


@settings(deadline=None)
@given(st.builds(LogLine, at_unix_s=FRACTION, source=NASTY, text=NASTY))
def test_log_lines_cannot_steer_the_terminal(line):
    """A log line keeps its words and loses its controls."""
    assert all(columns(each) >= 0 for each in render.log_line(line))


def test_first_line_is_the_answer():
    """`status | head -1` says whether it is well."""
    assert render.status(state(worker("w1")))[0] == "well: all instances ready"


def test_a_verdict_without_its_word_gets_it():
    """The word comes first even if the daemon's sentence does not begin with it."""
    page = render.status(state(word="down", verdict="no instance can be asked"))
    assert page[0] == "down: no instance can be asked"


def test_a_long_verdict_is_wrapped_not_cut():
    """Nothing of the answer is lost."""
    verdict = "degraded: " + "a reason with several words " * 6
    page = render.status(state(word="degraded", verdict=verdict))
    assert " ".join(page[: page.index("")]) == verdict.strip()


def test_the_page_as_a_whole():
    """The page that an operator sees when one of three instances waits for a person."""
    page = render.status(
        state(
            worker("w1", busy=1, answered=412, memory_bytes=431 * 2**20, cpu_percent=12.4),
            worker("w2", condition="needs_human", condition_reason="a check", phase_age_s=95),
            worker(
                "w3",
                phase="backoff",
                pid=0,
                slots=0,
                phase_age_s=3,
                restarts=4,
                last_death="killed by signal 9",
                next_try_s=12.0,
            ),
            child("frontend-1", "frontend", memory_bytes=61 * 2**20),
            word="degraded",
            verdict="degraded: 1 of 3 instances ready",
            gui_url="http://127.0.0.1:5104/gui/dashboard",
            traffic=Traffic(
                queued=12,
                queue_limit=256,
                running=1,
                answered=412,
                requests_per_s=1.8,
                waiting={"": 1, "alice": 2, "batch": 9},
            ),
        )
    )
    assert page == [
        "degraded: 1 of 3 instances ready",
        "",
        "  site       demo",
        "  api        http://127.0.0.1:5102/v1",
        "  dashboard  http://127.0.0.1:5104/gui/dashboard",
        "  daemon     arenad 0.1.0, pid 4200, up 3 h 12 min",
        "  traffic    1.8 requests/s, 1 running, 12 of 256 queued",
        "             412 answered, 0 failed, 0 retried",
        "  waiting    9 of batch, 2 of alice, 1 of no key",
        "",
        "NAME        STATE        AGE  BUSY  ANSWERED  RESTARTS  MEMORY  CPU",
        "w1          ready        14m   1/1       412         0    431M  12%",
        "w2          needs_human   1m   0/1         0         0       -   0%",
        "  a check",
        "w3          backoff       3s     -         0         4       -    -",
        "  next try in 12s, last death: killed by signal 9",
        "frontend-1  ready        14m     -         -         0     61M   0%",
        "",
        "w2 needs a person: http://127.0.0.1:5104/gui/view/w2",
    ]


def test_an_old_death_of_a_healthy_child_is_told_only_close_up():
    """`status` forgets the death of a child that has been well for an hour; `instances` does not."""
    well_again = state(worker("w1", last_death="exit 1", restarts=1, phase_age_s=4000))
    assert not any("exit 1" in line for line in render.status(well_again))
    assert render.instances(well_again)[-1] == "  last death: exit 1"


def test_an_instance_tells_its_proxy() -> None:
    """By its name, before what else there is to know, on the closer page."""
    far = state(worker("w1", proxy="lisbon", last_death="exit 1"))
    assert render.instances(far)[-1] == "  through the proxy lisbon, last death: exit 1"
    assert not any("lisbon" in line for line in render.status(far))


def test_an_instance_that_is_asked_last_tells_why() -> None:
    """On both pages, while it runs."""
    shunned = state(worker("w1", asked_last="asked last: 3 requests in a row failed there"))
    for page in (render.status(shunned), render.instances(shunned)):
        assert "  asked last: 3 requests in a row failed there" in page
    gone = state(worker("w1", asked_last="asked last: 3 failed", phase="backoff"))
    assert not any("asked last" in line for line in render.status(gone))


def test_an_instance_close_up():
    """What it costs, in one line: processes, descriptors, memory, processor."""
    page = render.instances(
        state(worker("w1", processes=9, descriptors=143, memory_bytes=431 * 2**20, cpu_percent=12))
    )
    shown = dict(zip(page[0].split(), page[1].split(), strict=True))
    assert [shown[each] for each in ("PROCS", "FDS", "MEMORY", "CPU")] == [
        "9",
        "143",
        "431M",
        "12%",
    ]


def test_no_instances_says_what_to_do():
    """An empty pool shows the next step."""
    assert "arenactl scale 2" in render.instances(state())[0]
    assert any("arenactl scale 2" in line for line in render.status(state()))


def test_the_story_ends_with_the_latest():
    """Only the last lines of the story are shown, aligned by name."""
    story = tuple(Happening(at_unix_s=n, about=f"w{n}", text=f"event {n}") for n in range(95, 105))
    page = render.status(state(worker("w1"), story=story))
    assert [line[10:] for line in page[-6:]] == [
        "w99   event 99",
        *(f"w{n}  event {n}" for n in range(100, 105)),
    ]


def test_several_sites_stand_below_each_other():
    """With how many instances of each are wanted; one alone needs no word of that."""
    sites = "demo (http://127.0.0.1:1/); local: openai-http (http://127.0.0.1:2/v1)"
    page = render.status(
        state(worker("w1"), site=sites, instances_wanted=1, templates={"local": 3})
    )
    assert page[2:5] == [
        "  site       demo (http://127.0.0.1:1/)",
        "             local: openai-http (http://127.0.0.1:2/v1)",
        "  wanted     1 on the site, 3 of local",
    ]
    assert not any(line.startswith("  wanted") for line in render.status(state(worker("w1"))))


def test_what_is_no_process_is_not_gone():
    """The fleet, and a template, have stories of their own."""
    assert render.story(StoryOf("fleet", ()))[0] == "what happened to fleet"
    assert render.story(StoryOf("w7", ()))[0] == "w7 is gone: the fleet was made smaller"


def test_colour_marks_the_word():
    """On a terminal the word of the verdict and of each row is coloured, the measure unchanged."""
    page = render.status(state(worker("w1", phase="failed")), colour=True)
    assert page[0].startswith("\x1b[1;32mwell\x1b[0m")
    assert any("\x1b[1;31mfailed\x1b[0m" in line for line in page)


def test_a_log_line_keeps_its_traceback():
    """Further lines of a record stand below its first, indented."""
    page = render.log_line(LogLine(0.5, "error", "w1", "broke\n  at x"))
    assert page[0][8:] == ".500 error   w1 broke"
    assert page[1:] == ["      at x"]


def test_a_worker_without_a_word_of_its_session_is_opening():
    """A worker that runs but has not told its session's condition is not called ready."""
    assert render.condition_of(worker("w1", condition=None)) == "opening"
    assert render.condition_of(child("demo", "demo")) == "ready"


def test_a_story_says_what_comes_next():
    """A child that waits has its next try; a drained one what starts it; a gone one why."""
    waiting = worker("w1", phase="failed", condition=None, next_try_s=12.0)
    assert render.story(StoryOf("w1", (), waiting))[-1] == (
        "next: it is started again in 12s, by `arenactl reset w1` at once"
    )
    assert render.story(StoryOf("w1", (), waiting))[0].endswith(" restarts")
    again = render.story(StoryOf("w1", (), worker("w1", restarts=1)))[0]
    assert again.endswith(", 1 restart")
    drained = worker("w1", phase="stopped", condition=None)
    assert "`arenactl restart w1` starts it" in render.story(StoryOf("w1", (), drained))[-1]
    assert "is gone" in render.story(StoryOf("w1", ()))[0]


def test_a_long_line_of_a_story_is_wrapped_not_cut():
    """Its reason is what one looks for."""
    long = " ".join(str(number) for number in range(60))
    lines = render.story(StoryOf("w1", (Happening(0.0, "w1", long),), worker("w1")))
    assert max(map(len, lines)) <= render.COLUMNS
    assert "".join(lines[1:]).split()[1:] == long.split()
