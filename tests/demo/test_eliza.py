"""The listener: reflection, memory, determinism."""

from itertools import pairwise

import pytest

from arenad.demo import eliza
from arenad.demo.protocol import Turn


def _talk(*prompts: str) -> list[str]:
    conversation: list[Turn] = []
    replies: list[str] = []
    for prompt in prompts:
        conversation.append(Turn("user", prompt))
        replies.append(eliza.reply(conversation))
        conversation.append(Turn("assistant", replies[-1]))
    return replies


@pytest.mark.parametrize(
    ("phrase", "reflected"),
    [
        ("my code", "your code"),
        ("I am sure you hate me", "you are sure I hate you"),
        ("your rules and mine", "my rules and yours"),
        ("I'm late", "you're late"),
        ("my tests are red and I was away", "your tests are red and you were away"),
        ("You are kind", "I am kind"),
    ],
)
def test_reflect_turns_a_phrase_round(phrase: str, reflected: str) -> None:
    """What one says of oneself comes back as said of the other."""
    assert eliza.reflect(phrase) == reflected


@pytest.mark.parametrize(
    ("prompt", "caught"),
    [
        ("I need my old laptop.", "your old laptop"),
        ("I can\u2019t sleep!", "sleep"),
        ("I feel lost in my own code", "lost in your own code"),
        ("My sister called", "your sister"),
        ("I\u2019m so tired", "tired"),
    ],
)
def test_replies_take_up_what_was_said(prompt: str, caught: str) -> None:
    """A rule's reply has the caught phrase in it, turned round, whichever reply is chosen."""
    replies = {eliza.reply([Turn("system", str(seed)), Turn("user", prompt)]) for seed in range(9)}
    assert any(caught in reply for reply in replies)


def test_the_same_talk_gets_the_same_replies() -> None:
    """Nothing in it is left to chance."""
    talk = ("Hello", "I am sad", "because it rains", "xyzzy", "xyzzy", "bye")
    assert _talk(*talk) == _talk(*talk)


def test_no_reply_is_given_twice_in_a_row() -> None:
    """Who says the same thing again hears something else."""
    replies = _talk(*["hm"] * 12)
    assert all(before != after for before, after in pairwise(replies))


def test_the_name_is_remembered() -> None:
    """A name told earlier is known later; one that was not told is not made up."""
    *_, told = _talk("My name is Zoë.", "hm", "What is my name?")
    assert "Zoë" in told
    assert "not told" in _talk("What's my name?")[0]


def test_an_earlier_thing_is_taken_up() -> None:
    """Where no rule fits, the listener goes back to what was called "my"."""
    assert any("your garden" in reply for reply in _talk("Frost took my garden.", "hm", "hm", "hm"))


def test_every_rule_can_speak() -> None:
    """Each reply of each rule can be filled."""
    for rule in eliza.RULES:
        for text in rule.replies:
            assert "{" not in eliza._fill(text, "that", [Turn("user", "x")])


def test_long_turns_are_heard_in_part() -> None:
    """A turn of a megabyte costs no more than a short one, and the quote stays short."""
    assert len(eliza.reply([Turn("user", "I need " + "bread and " * 100_000)])) < 300
