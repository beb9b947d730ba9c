"""What one request went through, told by those who saw it; never what was said in it."""

import time

from arenad.log import wall_time_s
from arenad.schema.chat import Began
from arenad.schema.history import Outcome, RequestEnded

MAX_MODEL_CHARS = 100
"""A model's name is the client's own text."""


class Account:
    """Times, instance and outcome of one request, from its arrival to its end."""

    def __init__(self, request_id: str, model: str, *, streams: bool) -> None:
        """The request has just arrived."""
        self.error = ""
        self.chars = 0
        self.began: Began | None = None
        self._request_id = request_id
        self._model = model[:MAX_MODEL_CHARS]
        self._streams = streams
        self._at_unix_s = wall_time_s()
        self._began_s = time.monotonic()
        self._waits_since_s: float | None = None
        self._waited_s = 0.0
        self._instance = ""
        self._asked = 0
        self._first_event_s: float | None = None

    def waits(self) -> None:
        """It waits for an instance now."""
        self._waits_since_s = time.monotonic()

    def asks(self, instance: str) -> None:
        """It waits no more: this instance is asked."""
        self._stop_waiting()
        self._instance = instance
        self._asked += 1

    def _stop_waiting(self) -> None:
        if self._waits_since_s is not None:
            self._waited_s += time.monotonic() - self._waits_since_s
            self._waits_since_s = None

    def begins(self, began: Began) -> None:
        """The page has sent the message, in a chat of the site's that has a name there."""
        self.began = began

    def hears(self) -> None:
        """A part of the answer has come."""
        if self._first_event_s is None:
            self._first_event_s = time.monotonic() - self._began_s

    def ended(self, outcome: Outcome, frontend: str) -> RequestEnded:
        """All of it, now that it is over; what failed without a known kind was a bug of ours."""
        self._stop_waiting()
        return RequestEnded(
            at_unix_s=self._at_unix_s,
            request_id=self._request_id,
            frontend=frontend,
            model=self._model,
            streams=self._streams,
            instance=self._instance,
            asked=self._asked,
            outcome=outcome,
            error=(self.error or "internal") if outcome == "failed" else "",
            waited_s=self._waited_s,
            first_event_s=self._first_event_s,
            duration_s=time.monotonic() - self._began_s,
            chars=self.chars,
        )
