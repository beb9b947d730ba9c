"""A body that is the answer's text itself."""

from collections.abc import Mapping

from arenad.errors import RequestError, UpstreamFailed
from arenad.schema.chat import Event, Finish, Heartbeat
from arenad.worker.sites.grammars.answer import Grammar, Side
from arenad.worker.sites.grammars.framing import Decoder, Piece


class PlainText(Grammar):
    """One answer, whose end is the end of the body."""

    def __init__(self, signs: Mapping[str, str] | None = None) -> None:
        """`signs`: see `answer.Signs`."""
        super().__init__()
        self._decoder = Decoder()
        self._side = Side(signs=signs)

    @property
    def answers(self) -> list[Side]:
        """It has one."""
        return [self._side]

    def feed(self, piece: Piece) -> list[Event]:
        """The text that this piece completes."""
        return self._side.text(self._decoder.text(piece))

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The body has ended."""
        events = self._side.text(self._decoder.rest()) + self._side.rest()
        return events, self._side.outcome(
            UpstreamFailed("the site answered with nothing"), needs_finish=False
        )


class FirstText(PlainText):
    """What `worker/first_answer.py` reads: signs of life, then all the text."""

    def feed(self, piece: Piece) -> list[Event]:
        """The text; an empty piece is a sign of life."""
        return super().feed(piece) if piece else [Heartbeat()]
