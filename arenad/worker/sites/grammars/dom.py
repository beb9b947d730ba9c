"""An answer that is read in the page: pieces of HTML that change, as Markdown that grows.

What is fed is JSON of our own watch in it (`worker/answer.js`): `{"from": 3, "blocks": [...]}`, the
answer's blocks from the first one that changed. A block begins with `h` (HTML) or `t` (text).
"""

from collections.abc import Mapping

import msgspec

from arenad.errors import RequestError, UpstreamFailed
from arenad.schema.chat import Event, Finish
from arenad.worker.sites.grammars.answer import Grammar, Side
from arenad.worker.sites.grammars.framing import Piece
from arenad.worker.sites.grammars.growing import CLOSERS, Growing
from arenad.worker.sites.grammars.markdown import to_markdown

MAX_BLOCKS = 100_000


class Changed(msgspec.Struct, rename={"first": "from"}):
    """The blocks from `first` on are these."""

    first: int
    blocks: list[str]


class DomAnswer(Grammar):
    """One answer, whose end the page's signs tell."""

    def __init__(self, signs: Mapping[str, str] | None = None) -> None:
        """`signs`: see `answer.Signs`."""
        super().__init__()
        self._blocks: list[str] = []
        self._growing = Growing(held=CLOSERS)
        self._side = Side(signs=signs)

    def feed(self, piece: Piece) -> list[Event]:
        """The text that this change adds."""
        try:
            changed = msgspec.json.decode(piece, type=Changed)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return []
        del self._blocks[max(changed.first, 0) :]
        self._blocks += [_markdown(block) for block in changed.blocks[:MAX_BLOCKS]]
        whole = "\n\n".join(block for block in self._blocks if block)
        return self._side.text(self._growing.grow(whole))

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The page shows that the answer is whole."""
        events = self._side.text(self._growing.rest()) + self._side.rest()
        if self._growing.is_rewritten and self._side.trouble is None:
            return events, UpstreamFailed(
                "the page rewrote its answer after "
                f"{self._growing.passed_chars} characters of it had been passed on"
            )
        return events, self._side.outcome("", UpstreamFailed("the site answered with nothing"))


def _markdown(block: str) -> str:
    return to_markdown(block[1:]) if block.startswith("h") else block[1:]
