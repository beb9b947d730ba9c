"""The words of the command line."""

import pytest

from arenactl.arguments import MOST, Usage, parse


@pytest.mark.parametrize(
    "words",
    [
        "--json --runtime-dir /run/x scale 3 --wait",
        "scale --json 3 --wait --runtime-dir /run/x",
        "scale 3 --runtime-dir /run/x --wait --json",
    ],
)
def test_general_options_stand_anywhere(words: str) -> None:
    """Before the command, between its words, and at the end."""
    options = parse(words.split())
    assert (options.command, options.instances) == ("scale", ("", 3))
    assert options.json
    assert options.wait
    assert options.runtime_dir == "/run/x"


def test_stop_waits_unless_told_not_to() -> None:
    """A stop is over when the daemon is gone; the others answer at once."""
    assert parse(["stop"]).wait
    assert not parse(["stop", "--no-wait"]).wait
    assert not parse(["restart", "w1"]).wait


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "`arenactl --help` lists them"),
        ("fly", "there is no 'fly'; there are status, instances, scale"),
        ("stat", "argument COMMAND: there is no 'stat'; did you mean status?"),
        ("logs --level warn", "did you mean warning?"),
        ("scale many", "many"),
        ("scale -- -1", "-1"),
        ("scale 3 --timeout never", "never"),
        ("scale 3 --timeout 0", "above 0"),
        ("restart", "ID"),
        ("logs --lev error", "--lev"),
        ("logs --level loud", "loud"),
        ("status extra", "extra"),
        ("history dreams", "requests, story, log, samples"),
        ("history --since 1w", "'1w' is not a number above 0 with a unit of s, m, h, d"),
        ("history --since m", "'m'"),
        ("keys create k --concurrency 2147483648", "'2147483648' is not a whole number from 0 to"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(words: str, said: str) -> None:
    """The message names the word, and the right usage comes along."""
    with pytest.raises(Usage) as caught:
        parse(words.split())
    assert said in caught.value.message
    assert caught.value.usage.startswith("usage: arenactl")


@pytest.mark.parametrize(
    ("word", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h", 3600), ("7d", 604800)]
)
def test_ages_have_units(word: str, seconds: float) -> None:
    """A bare number is seconds."""
    assert parse(["history", "--since", word]).since_s == seconds


def test_history_is_of_requests_unless_told_otherwise() -> None:
    """The first thing an operator asks of the past."""
    assert parse(["history"]).kind == "requests"
    assert parse(["history", "story", "-n", "3"]).kind == "story"


def test_a_limit_may_be_as_large_as_a_key_holds() -> None:
    """Ten million tokens a day are no rare wish."""
    words = ["keys", "create", "k", "--tokens-per-day", str(MOST)]
    assert parse(words).tokens_per_day == MOST


def test_a_template_is_scaled_by_its_name() -> None:
    """As one word, so that a number alone means what it always has."""
    assert parse(["scale", "extra=3"]).instances == ("extra", 3)
