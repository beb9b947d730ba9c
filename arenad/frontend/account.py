"""What one request went through, told by those who saw it; never what was said in it.

Where several answers are wanted (`n`), each has an account of its own, beside that of the first.
"""

import time
from collections.abc import Sequence

from arenad.frontend.tokens import Tally
from arenad.log import wall_time_s
from arenad.schema.chat import Began, Event, ReasoningDelta, TextDelta
from arenad.schema.history import Outcome, RequestEnded

MAX_MODEL_CHARS = 100
"""A model's name is the client's own text."""


class Account:
    """Times, instance and outcome of one request, from its arrival to its end."""

    def __init__(self, request_id: str, model: str, *, streams: bool, owner: str = "") -> None:
        """The request has just arrived; `owner` is the name of the key it came with, if any."""
        self.owner = owner
        self.error = ""
        self.said = Tally()
        self.began: Began | None = None
        self.request_id = request_id
        self._model = model[:MAX_MODEL_CHARS]
        self._streams = streams
        self._at_unix_s = wall_time_s()
        self._began_s = time.monotonic()
        self._waits_since_s: float | None = None
        self._waited_s = 0.0
        self.instance = ""
        self.asked = 0
        self._first_event_s: float | None = None
        self._others: list[Account] = []
        self.heard: Tally | None = None
        self._repeated_tokens = 0

    def beside(self) -> "Account":
        """The account of one more answer to the same request."""
        made = Account(self.request_id, self._model, streams=self._streams, owner=self.owner)
        self._others.append(made)
        return made

    # -- of all answers ---------------------------------------------------------------------------

    def answers(self) -> Sequence["Account"]:
        """That of each."""
        return (self, *self._others)

    def takes(self, side: int, piece: str) -> None:
        """A piece of this side was said; two sides of one answer are one text."""
        said = self._others[side - 1].said if side and self._others else self.said
        said.take(piece)

    def tokens(self) -> int:
        """About how many tokens that is."""
        return sum(each.said.tokens() for each in self.answers())

    def repeats(self, prompt_tokens: int) -> None:
        """It is asked once more, by so long a prompt: what was said by now is shown to nobody."""
        self._repeated_tokens += prompt_tokens
        self.said = Tally()

    def spent_tokens(self) -> int:
        """About how many tokens it took beside its first prompt, shown or not."""
        told = (each.heard or each.said for each in self.answers())
        return sum(each.tokens() for each in told) + self._repeated_tokens

    @property
    def instances(self) -> str:
        """Who was asked last for each answer."""
        return ", ".join(each.instance for each in self.answers() if each.instance)

    @property
    def attempts(self) -> int:
        """How often one was asked."""
        return sum(each.asked for each in self.answers())

    def fails(self, kind: str) -> None:
        """The request ends with this error; an answer may have failed by another one before."""
        for each in self.answers():
            each.error = each.error or kind

    # -- of one -----------------------------------------------------------------------------------

    def waits(self) -> None:
        """It waits for an instance now."""
        self._waits_since_s = time.monotonic()

    def asks(self, instance: str) -> None:
        """It waits no more: this instance is asked."""
        self._stop_waiting()
        self.instance = instance
        self.asked += 1

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
            request_id=self.request_id,
            frontend=frontend,
            model=self._model,
            streams=self._streams,
            instance=self.instance,
            asked=self.asked,
            outcome=outcome,
            error=(self.error or "internal") if outcome == "failed" else "",
            waited_s=self._waited_s,
            first_event_s=self._first_event_s,
            duration_s=time.monotonic() - self._began_s,
            chars=self.said.chars,
            owner=self.owner,
        )


class Hearing:
    """Counts for an account all that an instance says, also what its client is not shown."""

    is_over = False

    def __init__(self, account: Account) -> None:
        """Of an answer that is asked for once more, both count."""
        self._heard = account.heard = account.heard or Tally()

    def take(self, event: Event) -> list[Event]:
        """An event, as it is."""
        if isinstance(event, TextDelta | ReasoningDelta):
            self._heard.take(event.text)
        return [event]
