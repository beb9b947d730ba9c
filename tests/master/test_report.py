"""The verdict: one word, one sentence, for every state."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.master.report import happened, history_trouble, verdict
from arenad.schema.control import ChildState, Phase, Word
from arenad.schema.process import Condition, SessionIs


def child(name, role="worker", phase="ready", **changed):
    if role == "worker" and phase == "ready":
        changed.setdefault("condition", "ready")
    plain = {"generation": 1, "pid": 1, "phase_age_s": 1.0, "restarts": 0, "last_death": ""}
    return ChildState(name=name, role=role, phase=phase, **{**plain, **changed})


FRONTEND = child("frontend-1", "frontend")


@st.composite
def states(draw):
    role = draw(st.sampled_from(["frontend", "worker", "demo", "recorder"]))
    condition = draw(st.sampled_from([None, *get_args(Condition)]))
    phase = draw(st.sampled_from(get_args(Phase)))
    last_death = draw(st.sampled_from(["", "killed by SIGKILL"]))
    return child(f"{role}-x", role, phase, condition=condition, last_death=last_death)


@given(st.lists(states(), max_size=6), st.integers(0, 6), st.booleans())
def test_a_verdict_begins_with_its_word(children, wanted, leaving):
    """Always `word: sentence`, with a word of the schema."""
    word, sentence = verdict(children, wanted, leaving=leaving)
    assert word in get_args(Word)
    assert sentence.startswith(f"{word}: ")


@given(st.lists(states(), max_size=6), st.integers(0, 6))
def test_well_means_all_of_it(children, wanted):
    """Well is said only when a frontend serves, and as many instances as wanted, at least one."""
    word, _ = verdict(children, wanted, leaving=False)
    able = sum((c.role, c.phase, c.condition) == ("worker", "ready", "ready") for c in children)
    if word == "well":
        assert able >= max(1, wanted)
        assert any((c.role, c.phase) == ("frontend", "ready") for c in children)


@pytest.mark.parametrize(
    ("children", "wanted", "expected"),
    [
        ([FRONTEND, child("w1"), child("w2")], 2, "well: 2 of 2 instances ready"),
        ([FRONTEND, child("w1")], 1, "well: 1 of 1 instance ready"),
        ([FRONTEND, child("w1"), child("w2", phase="starting")], 2, "starting: 1 of 2 instances ready"),
        ([child("frontend-1", "frontend", "starting")], 2, "starting: 0 of 2 instances ready"),
        ([FRONTEND, child("w1", condition="opening")], 1, "starting: 0 of 1 instance ready"),
        ([FRONTEND], 0, "down: 0 of 0 instances ready"),
        ([FRONTEND, child("w1"), child("w2", spare=True)], 1, "well: 1 of 1 instance ready, +1 spare"),
        ([FRONTEND, child("w1"), child("w2", phase="starting")], 1, "well: 1 of 1 instance ready"),
        (
            [FRONTEND, child("w1", phase="backoff", last_death="exit code 1"), child("w2")],
            1,
            "well: 1 of 1 instance ready; w1 waits to be restarted (exit code 1)",
        ),
        (
            [child("frontend-1", "frontend", "backoff", last_death="exit code 1"), child("w1")],
            1,
            "down: 1 of 1 instance ready; no frontend serves requests; frontend-1 waits to be restarted (exit code 1)",
        ),
        (
            [FRONTEND, child("w1"), child("w2", phase="failed", last_death="exit code 75")],
            2,
            "degraded: 1 of 2 instances ready; w2 failed too often (exit code 75)",
        ),
        (
            [FRONTEND, child("w1", phase="starting", last_death="killed by SIGKILL")],
            1,
            "down: 0 of 1 instance ready; w1 is restarting (killed by SIGKILL)",
        ),
        (
            [FRONTEND, child("w1"), child("w2", condition="resting", condition_reason="too fast")],
            2,
            "degraded: 1 of 2 instances ready; w2 is resting (too fast)",
        ),
        ([FRONTEND, child("w1"), child("w2", phase="stopped")], 2,
         "degraded: 1 of 2 instances ready; w2 is drained"),
        ([FRONTEND, child("w1"), child("w2", phase="draining")], 2, "degraded: 1 of 2 instances ready"),
    ],
)  # fmt: skip
def test_sentences(children, wanted, expected):
    """What an operator reads first, for the usual situations."""
    assert verdict(children, wanted, leaving=False)[1] == expected


def test_stopping_counts_the_chats():
    """On the way out only running chats matter."""
    children = [FRONTEND, child("w1", busy=1), child("w2", busy=1)]
    assert verdict(children, 2, leaving=True)[1] == "stopping: 2 chats still running"
    assert verdict([child("w1", busy=1)], 1, leaving=True)[1] == "stopping: 1 chat still running"


@pytest.mark.parametrize(
    ("recorder", "fault", "expected"),
    [
        (child("recorder", "recorder"), "", ""),
        (child("recorder", "recorder", "starting"), "", ""),
        (None, "", ""),
        (None, "no folder", "; history is not being recorded: no folder"),
        (
            child("recorder", "recorder", "failed", last_death="exit code 70"),
            "",
            "; history is not being recorded: recorder failed too often (exit code 70)",
        ),
        (
            child("recorder", "recorder", condition="broken", condition_reason="the disk is full"),
            "",
            "; history is not being recorded: recorder is broken (the disk is full)",
        ),
    ],
)
def test_a_recorder_in_trouble_is_a_clause(recorder, fault, expected):
    """The word stays that of the chats, which need no recorder."""
    children = [FRONTEND, child("w1"), *filter(None, [recorder])]
    assert verdict(children, 1, leaving=False) == ("well", "well: 1 of 1 instance ready")
    assert history_trouble(children, fault) == expected


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("ready", "ready: why"),
        ("needs_human", "needs_human: why; a person clears it at http://h:1/gui/view/w1"),
        ("needs_login", "needs_login: why; a person clears it at http://h:1/gui/view/w1"),
    ],
)
def test_the_story_says_where_a_person_is_needed(condition, told):
    """The address of the live view, where there is something to clear in it."""
    assert happened(SessionIs(condition, "why"), "w1", "http://h:1/gui/dashboard") == told
