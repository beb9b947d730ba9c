"""The demo's computed models: what they say, in which pieces, with which rests."""

import json

import pytest

from arenad.demo import catalog, models
from arenad.demo.protocol import Attached, Turn


def _pieces(model: str, prompt: str, chunks_per_s: float = 20.0) -> list[models.Piece]:
    return list(models.pieces(model, [Turn("user", prompt)], chunks_per_s))


def _said(pieces: list[models.Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_every_model_of_the_catalog_is_computed() -> None:
    """The list on the page and the models behind it are the same."""
    listed = (*catalog.CATALOG, catalog.STEALTH)
    assert {entry.public_name for entry in listed} == set(models.PERFORMERS)


@pytest.mark.parametrize(
    "prompt",
    [
        "one",
        "  leading and\ttabs\n\nlines  trailing \r\n",
        "e\u0301 👨‍👩‍👧‍👦 שלום \u2028 \u00a0 x",
        "x" * 10_000 + " " * 10_000,
    ],
)
@pytest.mark.parametrize("model", ["demo-echo", "demo-echo-instant", "demo-slow-start"])
def test_echoes_are_exact(model: str, prompt: str) -> None:
    """What comes back is the prompt, to the last character, in bounded pieces."""
    pieces = _pieces(model, prompt)
    assert _said(pieces) == prompt
    assert max(len(piece.text) for piece in pieces) <= 2 * models.CHUNK_LIMIT


def test_echo_speaks_words_at_a_pace() -> None:
    """A word with its whitespace is a piece; the first has no rest before it."""
    assert _pieces("demo-echo", "one  two\nthree", 4.0) == [
        models.Piece("one  ", 0.0),
        models.Piece("two\n", 0.25),
        models.Piece("three", 0.25),
    ]


def test_instant_echo_never_rests() -> None:
    """The unpaced echo has no rests and full pieces."""
    pieces = _pieces("demo-echo-instant", "x" * 10_000)
    assert [(len(piece.text), piece.pause_s) for piece in pieces] == [
        (4096, 0.0),
        (4096, 0.0),
        (1808, 0.0),
    ]


def test_slow_start_rests_before_the_first_piece() -> None:
    """The slow model is silent first and then keeps the usual pace."""
    pauses = [piece.pause_s for piece in _pieces("demo-slow-start", "a b c", 10.0)]
    assert pauses == [models.SLOW_START_S, 0.1, 0.1]


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 17, 500, 20_000, 20_001, 1_000_000])
@pytest.mark.parametrize("seed", [0, 1, 99])
def test_long_text_has_the_size_asked_for(size_bytes: int, seed: int) -> None:
    """The size is exact in UTF-8 bytes, and the same arguments give the same text."""
    text = models.long_text(size_bytes, seed)
    assert len(text.encode()) == size_bytes
    assert text == models.long_text(size_bytes, seed)


def test_long_text_has_all_that_is_hard() -> None:
    """Markdown of every kind, several scripts, joiners, markup, quotes and backslashes."""
    text = models.long_text(40_000, 0)
    for wanted in (
        "\n# ",
        "\n- ",
        "\n1. ",
        "\n| ",
        "\n```",
        "\n> ",
        "<script>",
        '"',
        "\\",
        "\u200d",
    ):
        assert wanted in text, wanted
    for wanted in ("è", "競", "👍🏽", "שלום", "مرحبا", "𠮷"):
        assert wanted in text, wanted


def test_long_text_differs_by_seed() -> None:
    """Another seed is another text."""
    assert models.long_text(500, 1) != models.long_text(500, 2)


@pytest.mark.parametrize(
    ("prompt", "wish"),
    [
        ("as you like", (models.LONG_DEFAULT_BYTES, 0)),
        ("5000", (5000, 0)),
        ("please 300 bytes with seed 42 of 7", (300, 42)),
        ("0", (1, 0)),
        ("99999999999999999999", (models.LONG_LIMIT_BYTES, 99)),
    ],
)
def test_long_wish_reads_size_and_seed(prompt: str, wish: tuple[int, int]) -> None:
    """The first integer is the size within the limits, the second the seed."""
    assert models.long_wish(prompt) == wish


def test_long_pieces_are_the_long_text() -> None:
    """The pieces join to the computable text, unpaced, in very different sizes."""
    pieces = _pieces("demo-long", "100000 5")
    lengths = [len(piece.text) for piece in pieces]
    assert _said(pieces) == models.long_text(100_000, 5)
    assert not any(piece.pause_s for piece in pieces)
    assert min(lengths) <= 16
    assert 1000 < max(lengths) <= models.CHUNK_LIMIT


def test_eliza_answers_at_a_pace() -> None:
    """The conversational model comes word by word too."""
    pieces = _pieces("demo-eliza", "I need a break.", 2.0)
    assert "a break" in _said(pieces)
    assert {piece.pause_s for piece in pieces[1:]} == {0.5}


def test_reasoning_comes_before_the_text() -> None:
    """First thoughts, then the prompt again."""
    pieces = _pieces("demo-reasoning", "two words")
    kinds = [piece.kind for piece in pieces]
    assert kinds == sorted(kinds)
    assert _said([piece for piece in pieces if piece.kind == "text"]) == "two words"


def test_search_names_its_sources_first() -> None:
    """Each in a tool call whose arguments are JSON text."""
    calls = [piece.value for piece in _pieces("demo-search", "x") if piece.kind == "line"]
    told = [json.loads(call["argsTextDelta"])["source"] for call in calls]
    assert [(each["title"], each["url"]) for each in told] == list(models.SOURCES)


@pytest.mark.parametrize(
    ("prompt", "wish"),
    [
        ("what time is it?", (models.CLOCK_DEFAULT_CHUNKS, 0.5)),
        ("3 chunks", (3, 0.5)),
        ("3 50", (3, 0.02)),
        ("0 0", (1, 0.0)),
        ("1000000 1000000", (models.CLOCK_LIMIT_CHUNKS, 1 / models.CLOCK_LIMIT_PER_S)),
    ],
)
def test_a_clock_is_told_how_often_and_how_fast(prompt: str, wish: tuple[int, float]) -> None:
    """The first integer counts the pieces, the second is their pace, both within limits."""
    pieces = _pieces("demo-clock", prompt, 2.0)
    assert {piece.kind for piece in pieces} == {"clock"}
    assert (len(pieces), sum(piece.pause_s for piece in pieces[-1:])) == wish
    assert pieces[0].pause_s == 0.0


def test_files_are_told_line_by_line() -> None:
    """With name, type, size and hash; without a file the model says so."""
    turn = Turn("user", "x", (Attached("a.txt", "text/plain", 3, "0f"),))
    (told,) = models.pieces("demo-files", [turn], 20.0)
    assert json.loads(told.text) == {
        "name": "a.txt",
        "type": "text/plain",
        "bytes": 3,
        "sha256": "0f",
    }
    assert "no file" in _said(_pieces("demo-files", "x"))
