"""What operators ask, and the state that they are shown, survive the wire."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.schema import control
from arenad.schema.control import ChildState, State, StateNow, Traffic
from arenad.schema.frame import Body
from arenad.wire import Peer

_count = st.integers(0, 2**40)
_real = st.floats(0, 1e9)
_children = st.builds(
    ChildState,
    generation=_count,
    pid=_count,
    phase_age_s=_real,
    restarts=_count,
    next_try_s=st.none() | _real,
    memory_bytes=_count,
    cpu_percent=_real,
)
_states = st.builds(
    State,
    pid=_count,
    uptime_s=_real,
    instances_wanted=_count,
    instances_max=_count,
    children=st.lists(_children, max_size=3).map(tuple),
    traffic=st.builds(Traffic, queued=_count, requests_per_s=_real),
    story=st.just(()),
)


@given(_states)
def test_the_state_makes_a_round_trip(state: State) -> None:
    """By the wire for arenactl, as JSON for the dashboard: the same state."""
    (frame,) = Peer().receive(Peer().note(StateNow(state)))
    assert frame.body == StateNow(state)
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


@pytest.mark.parametrize(
    "command",
    [
        control.GetState(),
        control.Watch(),
        control.Scale(3),
        control.Restart("w1"),
        control.DrainOne("w1"),
        control.Reset("w1"),
        control.GetStory("w1"),
        control.StoryOf("w1", (control.Happening(1.0, "w1", "ready"),)),
        control.Shutdown(),
        control.Logs(100, follow=True),
        control.Done("from 2 to 3 instances"),
    ],
)
def test_every_command_makes_a_round_trip(command: Body) -> None:
    """As asked, so heard."""
    (frame,) = Peer().receive(Peer().note(command))
    assert frame.body == command


def test_every_phase_has_a_word_of_its_own() -> None:
    """Tables align on them and colours hang on them: short, and none twice."""
    phases = get_args(control.Phase)
    assert len(set(phases)) == len(phases)
    assert max(map(len, phases)) <= len("draining")
