"""An answer that is read in the page: pieces of HTML that change, as Markdown that grows.

What is fed is JSON of our own watch in it (`worker/answer.js`): `{"from": 3, "blocks": [...]}`, the
answer's blocks from the first one that changed. A block begins with `h` (HTML) or `t` (text).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from arenad.errors import RequestError, UpstreamFailed
from arenad.schema.chat import Event, Finish, Heartbeat
from arenad.worker.sites.grammars.answer import Grammar, Side
from arenad.worker.sites.grammars.framing import Piece
from arenad.worker.sites.grammars.growing import CLOSERS, Growing, Seldom
from arenad.worker.sites.grammars.markdown import Fences, to_markdown

_BEGUN = re.compile(r"\n[ \t]*+(?:\d{1,9}+[.)]?+|[-*+>]|#[# \t]*+)[ \t]*+\Z")
"""A last line that only begins an item, a quote or a heading (of `##` some pages make `# #`)."""

_FENCE = re.compile(r"^[ \t]*(`{2,})(?!`|.*``)", re.MULTILINE)
"""A line that begins or ends code; its last ` may be drawn as a mark of the code itself."""

_UNDERLINED = re.compile(r"(?:\A|\n[ \t]*(?:[-*+]|\d{1,9}[.)]) )#{1,2} [^\n]*\Z")
"""A heading at the end may be a text that the dash of an item below it makes one for now."""

MAX_BLOCKS = 100_000
HEAD_LINES = 2
"""A table's first row, and the line under it."""


class Changed(msgspec.Struct, rename={"first": "from"}):
    """The blocks from `first` on are these."""

    first: int
    blocks: list[str]


class DomAnswer(Grammar):
    """One answer, whose end the page's signs tell."""

    def __init__(self, signs: Mapping[str, str] | None = None) -> None:
        """`signs`: see `answer.Signs`."""
        super().__init__()
        self._drawn: list[str] = []
        self._blocks: list[_Block] = []
        self._fences: dict[int, Fences] = {}
        self._seldom = Seldom()
        self._growing = Growing(held=CLOSERS)
        self._side = Side(signs=signs)

    @property
    def answers(self) -> list[Side]:
        """It has one."""
        return [self._side]

    def feed(self, piece: Piece) -> list[Event]:
        """The text that this change adds."""
        try:
            changed = msgspec.json.decode(piece, type=Changed)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return []
        first = max(changed.first, 0)
        has_left_some = len(self._blocks) < first  # which were not read as they grew, and stand now
        self._drawn[first:] = changed.blocks[:MAX_BLOCKS]
        del self._blocks[first:]
        fresh = self._drawn[len(self._blocks) :]
        html_chars = sum(len(block) for block in fresh if block.startswith("h"))
        if not has_left_some and not self._seldom.is_due(html_chars):
            return [Heartbeat()]
        return self._read()

    def _read(self) -> list[Event]:
        for number in range(len(self._blocks), len(self._drawn)):
            told = self._fences.setdefault(number, [])
            self._blocks.append(_markdown(self._drawn[number], told))
        text = _joined(self._blocks)
        return self._side.text(self._growing.grow(text, _standing_chars(text, self._blocks)))

    def end(self) -> tuple[list[Event], Finish | RequestError]:
        """The page shows that the answer is whole."""
        events = self._read() + self._side.text(self._growing.rest()) + self._side.rest()
        if self._growing.is_rewritten and self._side.trouble is None:
            return events, UpstreamFailed(
                "the page rewrote its answer after "
                f"{self._growing.passed_chars} characters of it had been passed on"
            )
        return events, self._side.outcome(
            UpstreamFailed("the site answered with nothing"), needs_finish=False
        )


class _Block(NamedTuple):
    """`fences` are as long as those that stand in it as they were written."""

    text: str
    is_plain: bool
    fences: tuple[int, ...] = ()


def _markdown(block: str, told: Fences) -> _Block:
    if not block.startswith("h"):
        return _Block(block[1:], is_plain=True)
    text = to_markdown(block[1:], told)
    found = () if block.startswith("h<pre") else _FENCE.findall(text)
    fences = tuple(len(fence) for fence in found)
    return _Block(text, is_plain=False, fences=fences)


def _standing_chars(text: str, blocks: list[_Block]) -> int | None:
    """How much of the text stands whatever comes; all of it if nothing else is said."""
    if (at := _open_fence(blocks)) is not None:
        return len(_joined(blocks[:at]))
    if _is_half_a_table(blocks) or _is_heading(blocks):
        return len(_joined(blocks[:-1]))
    # Until its dot is there, a page draws the number of a next item as a line of the item before.
    last_line = text.rfind("\n")
    is_begun = last_line >= 0 and not blocks[-1].is_plain and _BEGUN.match(text, last_line)
    return last_line if is_begun else None


def _open_fence(blocks: list[_Block]) -> int | None:
    """The block in which a fence stands as it was written, and no other one behind it.

    Until a fence is closed, a page may draw code as paragraphs; then the language may be lost. A
    shorter one closes none (CommonMark, "Fenced code blocks").
    """
    begun: int | None = None
    opened = 0
    for at, block in enumerate(blocks):
        for fence in block.fences:
            if begun is None:
                begun, opened = at, fence
            elif fence >= opened:
                begun = None
    return begun


def _is_half_a_table(blocks: list[_Block]) -> bool:
    """While its first two lines are written, a page may take a table for one of fewer columns."""
    if not blocks or blocks[-1].is_plain:
        return False
    text = blocks[-1].text
    return text.startswith("|") and text.count("\n") < HEAD_LINES


def _is_heading(blocks: list[_Block]) -> bool:
    return bool(blocks) and not blocks[-1].is_plain and bool(_UNDERLINED.search(blocks[-1].text))


def _joined(blocks: list[_Block]) -> str:
    """Blocks of Markdown stand apart; plain text goes on, from the next line at least."""
    parts: list[str] = []
    before: _Block | None = None
    for block in blocks:
        if not block.text:
            continue
        if before is not None:
            is_one_text = before.is_plain and block.is_plain
            ending = "" if before.text.endswith("\n") else "\n"
            parts.append(ending if is_one_text else "\n\n")
        parts.append(block.text)
        before = block
    return "".join(parts)
