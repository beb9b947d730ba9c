"""Answers that are hard to carry: Markdown of every form, scripts of the world, emoji, 200 kB.

The same text for the same number. `is_plain_form` keeps to what can be told again from rendered
HTML (docs/profiles.md, "comes back to the letter"), for pages that are read as they are drawn.
"""

import random
from collections.abc import Callable, Iterator

WORDS = (
    *(
        "river",
        "stone",
        "the",
        "of",
        "quietly",
        "Überschrift",
        "naïve",
        "żółć",
        "競技場",
        "機械学習",
    ),
    *(
        "שלום",
        "עולם",
        "مرحبا",
        "بالعالم",
        "नमस्ते",
        "สวัสดี",
        "👩‍💻",
        "🏳️‍🌈",
        "😀",
        "e\u0301",
        "\U0001d54f",
    ),
    *("1 < 2", "a & b", '"so"', "it's", "50 %", "C:\\dir", "~5", "#7", "(b)", "{c}", "$5"),
)
CODE = (
    *("def f(x: int) -> str:", '    return f"`{x}`"  # שלום', "", "\tif (a && b) { c = <T>d; }"),
    *('print("😀\\n")', "SELECT * FROM t WHERE a < 'b';", "data: [DONE]", '{"event": "end"}'),
)
RAW = (
    *(
        "<b>not bold</b>",
        "&amp; &lt; &#39;",
        "\\* \\_ \\`",
        "<script>alert(1)</script>",
        "a\u00a0b",
    ),
    *(
        "x_y_z",
        "line  \nbreak",
        "__under__ _score_",
        "* star",
        "data: x\n\n",
        "event: end",
        "▌",
        "\u200b",
        "a\tb",
    ),
)
LANGUAGES = ("python", "js", "c++", "", "sql")
LARGE_EVERY, LARGE_BYTES = 25, 200_000


def answer(number: int, *, is_plain_form: bool = False, large_bytes: int = LARGE_BYTES) -> str:
    """The answer of this number; every 25th has about `large_bytes` bytes of UTF-8."""
    draw = random.Random(number)
    wanted_bytes = large_bytes if number % LARGE_EVERY == 0 else draw.choice((40, 400, 2000, 6000))
    blocks: list[str] = []
    size_bytes = 0
    for block in _blocks(draw, is_plain_form=is_plain_form):
        blocks.append(block)
        size_bytes += len(block.encode()) + 2
        if size_bytes >= wanted_bytes:
            break
    return "\n\n".join(blocks)


def pieces(text: str, number: int) -> Iterator[str]:
    """The text as a model would send it: pieces of one to many characters, cut anywhere."""
    draw = random.Random(number)
    most = max(12, len(text) // 400)
    place = 0
    while place < len(text):
        size = draw.randrange(1, most)
        yield text[place : place + size]
        place += size


def _blocks(draw: random.Random, *, is_plain_form: bool) -> Iterator[str]:
    makers: list[Callable[[random.Random], str]] = [_paragraph, _heading, _code, _quote, _table]
    if not is_plain_form:
        makers.append(_raw)
    was_list = False
    yield _paragraph(draw)
    while True:
        # A list right behind another one is what the page made of the two.
        options = makers if was_list else [*makers, _bullets, _numbers]
        make = draw.choice(options)
        was_list = make in (_bullets, _numbers)
        yield make(draw)


def _some(draw: random.Random, most: int = 12) -> str:
    """Some words. They begin with a letter: a sign there would be the mark of a block."""
    return "Word " + " ".join(draw.choices(WORDS, k=draw.randrange(1, most)))


def _paragraph(draw: random.Random) -> str:
    marks = ("**", "*", "~~", "`")
    parts = [_some(draw)]
    for mark in draw.sample(marks, draw.randrange(0, 3)):
        parts.append(f"{mark}{draw.choice(('soft', 'דגש', '強調', 'two words'))}{mark}")
        parts.append(_some(draw, 6))
    if draw.random() < 0.2:
        parts.append("[a link](https://example.org/x?y=1&z=2)")
    lines = [" ".join(parts)]
    if draw.random() < 0.3:
        lines.append(_some(draw))
    return "\n".join(lines) + "."


def _heading(draw: random.Random) -> str:
    return "#" * draw.randrange(1, 5) + " " + _some(draw, 5)


def _code(draw: random.Random) -> str:
    lines = draw.choices(CODE, k=draw.randrange(1, 8))
    return "\n".join([f"```{draw.choice(LANGUAGES)}", "start()", *lines, "end()", "```"])


def _quote(draw: random.Random) -> str:
    return "> " + _some(draw)


def _table(draw: random.Random) -> str:
    columns = draw.randrange(2, 5)
    rule = draw.choice(("---", ":---", ":---:", "---:"))
    rows = [["Head"] + [f"h{n}" for n in range(1, columns)], [rule] * columns]
    cells = ("x", "競技場", "שלום", "😀", "a b", "5 < 6")
    rows += [draw.choices(cells, k=columns) for _ in range(draw.randrange(1, 6))]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _bullets(draw: random.Random) -> str:
    lines = [f"- {_some(draw, 6)}" for _ in range(draw.randrange(2, 5))]
    return "\n".join([*lines, f"  - {_some(draw, 4)}"])


def _numbers(draw: random.Random) -> str:
    return "\n".join(f"{n}. {_some(draw, 6)}" for n in range(1, draw.randrange(3, 6)))


def _raw(draw: random.Random) -> str:
    """What only a way that does not render brings back to the letter."""
    return "Raw " + " ".join(draw.choices(RAW, k=draw.randrange(1, 4))) + " end"
