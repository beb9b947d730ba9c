"""vocabulary: what all vocabularies share."""

import pytest

from arenad.frontend.vocabulary import Ours, Side, Wish
from arenad.schema.chat import (
    Began,
    Citation,
    Failure,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
)
from arenad.schema.config import FilesConfig

WISH = Wish(model="m", turns=(), stream=False, include_usage=False, ignored=())


def test_fields_of_our_own_become_part_of_the_wish() -> None:
    """What the client does not say, the configuration says; bytes only where they are wanted."""
    files = FilesConfig(image_format="file", max_bytes=7)
    wish = Ours(conversation="fold", battle_target="B").applied(WISH, files)
    assert (wish.strategy, wish.battle_target) == ("fold", "B")
    assert (wish.image_format, wish.image_bytes) == ("file", 7)
    wish = Ours(image_format="url").applied(WISH, files)
    assert (wish.strategy, wish.battle_target) == ("", None)
    assert (wish.image_format, wish.image_bytes) == ("url", 0)


def test_a_side_gathers_what_comes() -> None:
    """Texts, images and sources as text, reasoning apart, signs of life not at all."""
    side = Side(0)
    for event in (
        Began("new"),
        ReasoningDelta("hm"),
        TextDelta("a"),
        Image("http://a/"),
        Image("data:,"),
        Heartbeat(),
        Citation("http://a/", "A"),
        Finish("length"),
    ):
        side.take(event)
    assert side.texts == ["a", "![image](http://a/)", "", "\n[A](http://a/)"]
    assert (side.reasoning, side.reason, side.failure) == (["hm"], "length", None)
    assert [each.url for each in side.images] == ["http://a/", "data:,"]
    assert side.chars == len("".join(side.texts))
    (source,) = side.sources
    assert "".join(side.texts)[source.start_index : source.end_index] == "[A](http://a/)"
    assert (source.url, source.title) == ("http://a/", "A")


def test_a_side_that_failed_says_so() -> None:
    """And has no reason."""
    side = Side(1)
    side.take(failed := SideFailed(Failure("upstream", "no"), 1))
    assert (side.failure, side.reason) == (failed.failure, None)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Image("http://a/"), "![image](http://a/)"),
        (Citation("http://a/", ""), "\n[http://a/](http://a/)"),
    ],
)
def test_images_and_sources_become_markdown(event: Image | Citation, text: str) -> None:
    """A text client can show both."""
    side = Side(0)
    side.take(event)
    assert side.texts == [text]
