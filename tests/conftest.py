"""What all tests share: how examples are drawn, no history in anybody's home, lent logging.

In CI they are the same each time. `EXAMPLES=10000 pytest …` looks for longer than a commit can wait.
"""

import logging
import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "arenad",
    deadline=None,  # a busy machine is no fault
    derandomize="CI" in os.environ,
    max_examples=int(os.environ.get("EXAMPLES", "100")),
)
hypothesis.settings.load_profile("arenad")


@pytest.fixture(scope="session", autouse=True)
def no_state_at_home() -> Iterator[None]:
    """Daemons that are given no state folder of their own have none of the user's either."""
    with tempfile.TemporaryDirectory(prefix="arenad-state-") as folder:
        os.environ["ARENAD_STATE_DIR"] = folder
        yield
        del os.environ["ARENAD_STATE_DIR"]


@pytest.fixture
def own_logging() -> Iterator[None]:
    """For tests that set logging up: gives handlers and levels, the whole process's, back."""
    loggers = [logging.getLogger(), logging.getLogger("arenad")]
    handlers, levels = loggers[0].handlers[:], [each.level for each in loggers]
    loggers[0].handlers.clear()
    yield
    loggers[0].handlers[:] = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)
