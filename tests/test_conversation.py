"""Keys of conversations: equal for what a client sends back, other for whatever it changed."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from arenad import conversation, notation
from arenad.conversation import is_new_turn, key_of, text_of
from arenad.schema.chat import Attachment, Citation, Image, Role, TextDelta, Turn


def turns(*texts: str) -> tuple[Turn, ...]:
    """A user and an assistant in turn, after an instruction."""
    roles: Sequence[Role] = ("user", "assistant")
    talk = [Turn(role=roles[place % 2], text=text) for place, text in enumerate(texts)]
    return (Turn(role="system", text="Be brief."), *talk)


PICTURE = Attachment(name="a.png", content_type="image/png", content=b"a")
TALK = turns("Hi", "Hello!\n", "How?", "So.")


def test_what_a_client_sends_back_has_the_same_key() -> None:
    """Clients strip an answer; images may have been delivered by another address."""
    image = turns("Draw", "Here: ![image](https://site/a.png?sig=1)")
    other = turns("Draw", "Here: ![image](/v1/files/a)")
    assert key_of("m", TALK) == key_of("m", turns("Hi", " Hello!", "How?", "So."))
    assert key_of("m", image) == key_of("m", other)
    assert key_of("m", image) == key_of("m", turns("Draw", "Here:")), "beside the text"


def test_another_file_is_another_conversation() -> None:
    """The same words about another picture are not the same question."""
    keys = {
        key_of("m", [Turn(role="user", text="What is this?", attachments=files)])
        for files in ((), (PICTURE,), (replace(PICTURE, content=b"b"),), (PICTURE, PICTURE))
    }
    assert len(keys) == 4


@pytest.mark.parametrize("place", range(len(TALK)))
def test_every_edit_changes_the_key(place: int) -> None:
    """A letter, a space within a text, or who spoke, wherever it was; also a turn more or less."""
    told = key_of("m", TALK)
    turn = TALK[place]
    user: Role = "user" if turn.role != "user" else "system"
    changed = [
        replace(turn, text=turn.text.replace(turn.text[0], "J", 1)),
        replace(turn, text=f"{turn.text[0]} {turn.text[1:]}"),
        replace(turn, role=user),
    ]
    for other in changed:
        assert key_of("m", (*TALK[:place], other, *TALK[place + 1 :])) != told
    assert key_of("m", TALK[:place]) != told
    assert key_of("m", (*TALK[:place], turn, *TALK[place:])) != told
    assert key_of("n", TALK) != told


def test_calls_are_read_while_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond them each counts as it was written; what a client says of them does not count."""
    reads: list[str] = []
    plain = notation.plain
    monkeypatch.setattr(notation, "plain", lambda text: reads.append(text) or plain(text))
    monkeypatch.setattr(conversation, "MAX_SIGNS", 8)  # a call has four
    call = notation.call("add", {})
    few, many = turns(call * 9, call, call, call), turns("Hi", call, "Go", call, "Go", f" {call}")
    assert key_of("m", few) != key_of("m", many)
    assert reads == [call, call, call, call]
    assert key_of("m", many) != key_of("m", (*many[:-1], replace(many[-1], text=call)))


def test_turns_do_not_run_together() -> None:
    """Where one ends and the next begins is a part of the key."""
    one = [Turn(role="user", text="a"), Turn(role="user", text="b")]
    assert key_of("m", one) != key_of("m", [Turn(role="user", text="ab")])
    assert key_of("ma", one) != key_of("m", [Turn(role="user", text="a"), *one])


@pytest.mark.parametrize(
    ("roles", "is_new"),
    [
        ("user", False),
        ("system user", False),
        ("user assistant", False),
        ("user assistant user", True),
        ("user assistant user user", False),
        ("user assistant system", False),
    ],
)
def test_only_one_message_after_an_answer_goes_on(roles: str, is_new: bool) -> None:
    """A site's chat waits for just that."""
    known: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
    talk = [Turn(role=known[role], text="x") for role in roles.split()]
    assert is_new_turn(talk) is is_new


def test_images_and_sources_become_markdown() -> None:
    """As a client gets them in the text of an answer."""
    assert text_of(TextDelta("a")) == "a"
    assert text_of(Image("http://a/")) == "![image](http://a/)"
    assert text_of(Image("data:,")) == "", "clients would send it back, megabytes and all"
    assert text_of(Citation("http://a/", "A")) == "\n[A](http://a/)"
