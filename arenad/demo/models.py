"""The demo's models: a conversation in, pieces of an answer out. No I/O and no clock.

A piece says how long to rest before it; whoever performs it keeps the time.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from arenad.demo import eliza
from arenad.demo.protocol import Turn

CHUNK_LIMIT = 4096
"""Characters in one piece, at most (a word with its whitespace: at most twice that)."""

SLOW_START_S = 3.0
LONG_DEFAULT_BYTES = 20_000
LONG_LIMIT_BYTES = 8 * 1024 * 1024
CLOCK_DEFAULT_CHUNKS = 100
CLOCK_LIMIT_CHUNKS = 100_000
CLOCK_LIMIT_PER_S = 10_000

_WORD = re.compile(rf"\S{{1,{CHUNK_LIMIT}}}\s{{0,{CHUNK_LIMIT}}}|\s{{1,{CHUNK_LIMIT}}}")
_INTEGER = re.compile(r"[0-9]{1,18}")


Kind = Literal["text", "reasoning", "image", "line", "raw", "finish", "clock"]
"""What `text` is: `image`: the words to draw; `line`: a line's code (its value is `value`);
`raw`: a whole line; `finish`: the reason; `clock`: nothing yet, the time when it is written."""


class Piece(NamedTuple):
    """A part of an answer: its text, the rest before it in seconds, and its kind."""

    text: str
    pause_s: float = 0.0
    kind: Kind = "text"
    value: Any = None


Performer = Callable[[Sequence[Turn], float], Iterator[Piece]]


def pieces(model: str, conversation: Sequence[Turn], chunks_per_s: float) -> Iterator[Piece]:
    """The answer of `model` to a conversation that ends with the user's turn.

    Raises `KeyError` for a model that is not computed here.
    """
    return PERFORMERS[model](conversation, 1 / chunks_per_s)


def long_text(size_bytes: int, seed: int) -> str:
    """Markdown of exactly `size_bytes` bytes of UTF-8; the same text for the same arguments."""
    return "".join(_long_blocks(size_bytes, seed))


def _words(text: str, pause_s: float) -> Iterator[Piece]:
    for place, word in enumerate(_WORD.finditer(text)):
        yield Piece(word[0], pause_s if place else 0.0)


def _echo(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    return _words(conversation[-1].text, pause_s)


def _echo_instant(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    del pause_s
    text = conversation[-1].text
    for start in range(0, len(text), CHUNK_LIMIT):
        yield Piece(text[start : start + CHUNK_LIMIT])


def _slow_start(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    first, *rest = _words(conversation[-1].text, pause_s)
    yield Piece(first.text, SLOW_START_S)
    yield from rest


def _eliza(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    return _words(eliza.reply(conversation), pause_s)


def _reasoning(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    text = conversation[-1].text
    thought = f"The user wrote {len(text)} characters. They may want to read them again."
    for piece in _words(thought, pause_s):
        yield piece._replace(kind="reasoning")
    yield from _words(text, pause_s)


def _image(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    yield Piece("2", pause_s, "line", [{"type": "heartbeat"}])
    yield Piece(conversation[-1].text, pause_s, "image")


SOURCES = (
    ("The arena's own book of sources", "https://demo.example/sources?q=[one]"),
    ("A second opinion", "https://demo.example/second_(opinion)"),
)
"""Titles and addresses that the search model names; the brackets in them are on purpose."""


def _search(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    for place, (title, url) in enumerate(SOURCES):
        told = json.dumps({"source": {"title": title, "url": url}})
        call = {"toolCallId": f"search-{place}", "argsTextDelta": told}
        yield Piece("c", pause_s, "line", call)
    yield from _words(f"Two sources say of this: {conversation[-1].text}", pause_s)


def _files(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    """One line of JSON for each file: what arrived, for whoever wants to compare."""
    files = conversation[-1].files
    if not files:
        yield Piece("There is no file with this message.")
    for place, each in enumerate(files):
        told = {
            "name": each.name,
            "type": each.content_type,
            "bytes": each.size_bytes,
            "sha256": each.sha256,
        }
        yield Piece(json.dumps(told) + "\n", pause_s if place else 0.0)


def _long(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    del pause_s
    size_bytes, seed = long_wish(conversation[-1].text)
    lengths = _numbers(~seed)
    held = ""
    wanted = _chunk_length(lengths)
    for block in _long_blocks(size_bytes, seed):
        held += block
        while len(held) >= wanted:
            yield Piece(held[:wanted])
            held = held[wanted:]
            wanted = _chunk_length(lengths)
    if held:
        yield Piece(held)


def long_wish(prompt: str) -> tuple[int, int]:
    """Size in bytes (1 to the limit) and seed that a prompt to demo-long asks for."""
    named = [int(number[0]) for number in islice(_INTEGER.finditer(prompt), 2)]
    size_bytes = named[0] if named else LONG_DEFAULT_BYTES
    return max(1, min(size_bytes, LONG_LIMIT_BYTES)), named[1] if len(named) > 1 else 0


def _clock(conversation: Sequence[Turn], pause_s: float) -> Iterator[Piece]:
    named = [int(number[0]) for number in islice(_INTEGER.finditer(conversation[-1].text), 2)]
    count = named[0] if named else CLOCK_DEFAULT_CHUNKS
    if len(named) > 1:
        pause_s = 1 / max(1, min(named[1], CLOCK_LIMIT_PER_S))
    for place in range(max(1, min(count, CLOCK_LIMIT_CHUNKS))):
        yield Piece("", pause_s if place else 0.0, "clock")


def _chunk_length(numbers: Iterator[int]) -> int:
    # A quarter of the chunks is tiny, so that multi-byte sequences are cut apart often.
    limit = 16 if next(numbers) % 4 == 0 else CHUNK_LIMIT
    return 1 + next(numbers) % limit


def _long_blocks(size_bytes: int, seed: int) -> Iterator[str]:
    numbers = _numbers(seed)
    left = size_bytes
    while left > 0:
        block = _block(numbers)
        encoded = block.encode()
        if len(encoded) > left:
            block = encoded[:left].decode(errors="ignore")
            block += "." * (left - len(block.encode()))
            encoded = block.encode()
        left -= len(encoded)
        yield block


def _numbers(seed: int) -> Iterator[int]:
    # Knuth's MMIX generator: the same numbers on every version of Python, for ever.
    state = seed & 0xFFFF_FFFF_FFFF_FFFF
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFF_FFFF_FFFF_FFFF
        yield state >> 33


def _block(numbers: Iterator[int]) -> str:
    return _BLOCKS[next(numbers) % len(_BLOCKS)](numbers) + "\n\n"


def _sentence(numbers: Iterator[int]) -> str:
    words = [_LEXICON[next(numbers) % len(_LEXICON)] for _ in range(5 + next(numbers) % 9)]
    return " ".join([words[0].capitalize(), *words[1:]]) + ".?!…"[next(numbers) % 4]


def _heading(numbers: Iterator[int]) -> str:
    return "#" * (1 + next(numbers) % 3) + " " + _sentence(numbers)


def _paragraph(numbers: Iterator[int]) -> str:
    return " ".join(_sentence(numbers) for _ in range(2 + next(numbers) % 4))


def _bullets(numbers: Iterator[int]) -> str:
    return "\n".join(f"- {_sentence(numbers)}" for _ in range(2 + next(numbers) % 4))


def _steps(numbers: Iterator[int]) -> str:
    return "\n".join(f"{step}. {_sentence(numbers)}" for step in range(1, 3 + next(numbers) % 4))


def _table(numbers: Iterator[int]) -> str:
    rows = [f"| {next(numbers) % 1000} | {_sentence(numbers)} |" for _ in range(3)]
    return "\n".join(["| n | **meaning** |", "| ---: | :--- |", *rows])


def _fence(numbers: Iterator[int]) -> str:
    number = next(numbers)
    return f'```python\npath = "C:\\\\arena\\\\{number}"\nprint(f"{{path!r}}\\t{number:x}")\n```'


def _quotation(numbers: Iterator[int]) -> str:
    return f"> {_sentence(numbers)}\n> — “{_sentence(numbers)}”"


def _markup(numbers: Iterator[int]) -> str:
    return (
        f"<div title='{_sentence(numbers)}'>&amp; &lt;b&gt; {next(numbers)}</div>\n"
        "<script>alert(\"never run\")</script><img src=x onerror='alert(1)'>"
    )


# Accents (composed and not), CJK, other scripts, emoji with joiners, right-to-left, Markdown, HTML.
_WORDS = r"""
arena worker browser page stream answer model prompt quiet steady honest bounded
crème brûlée naïve Ångström façade señor żółć Übermut İstanbul café Ελλάδα мир
競技場 模型 回答 こんにちは 안녕하세요 ไทย नमस्ते 𠮷野家
👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇳🇴 ✅ 🎲
שלום مرحبا سلام
**bold** *soft* `a\b` "quoted" it's \n C:\new 100% <br> &amp; [link](x)
"""

_BLOCKS = (
    _heading,
    _paragraph,
    _paragraph,
    _bullets,
    _steps,
    _table,
    _fence,
    _quotation,
    _markup,
)

_LEXICON = tuple(_WORDS.split())

PERFORMERS: dict[str, Performer] = {
    "demo-eliza": _eliza,
    "demo-echo": _echo,
    "demo-echo-instant": _echo_instant,
    "demo-long": _long,
    "demo-slow-start": _slow_start,
    "demo-reasoning": _reasoning,
    "demo-image": _image,
    "demo-search": _search,
    "demo-files": _files,
    "demo-stealth": _eliza,
    "demo-clock": _clock,
}
"""Every model that is computed here, by its public name."""
