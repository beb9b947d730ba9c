"""Which files go with a message, and which the site does not take."""

import pytest
from msgspec.structs import replace

from arenad import profiles
from arenad.errors import InvalidRequest
from arenad.schema.chat import Attachment, Turn
from arenad.schema.process import Model
from arenad.schema.profile import Landmarks, Limits, Profile
from arenad.worker.sites.attachments import attached

SEEING = Model(id="eyes", capabilities=("text", "image_in"))
BLIND = Model(id="blind")
ONE = Attachment(name="a.png", content_type="image/png", content=b"x" * 10, param="messages[0]")
TWO = Attachment(name="b.txt", content_type="text/plain", content=b"y", param="messages[2]")
TURNS = (
    Turn(role="user", text="look", attachments=(ONE,)),
    Turn(role="assistant", text="seen"),
    Turn(role="user", text="and this", attachments=(TWO,)),
)


def _profile(limits: Limits | None = None) -> Profile:
    return replace(profiles.load("demo"), limits=limits or Limits())


def test_all_files_of_all_turns_in_order() -> None:
    """A folded conversation takes those of earlier turns along; none is no reason to look at all."""
    assert attached(TURNS, _profile(), ("eyes",), (SEEING, BLIND)) == (ONE, TWO)
    plain = replace(_profile(), landmarks=Landmarks(prompt="textarea"))
    assert attached((Turn(role="user", text="x"),), plain, ("blind",), (SEEING, BLIND)) == ()


@pytest.mark.parametrize(
    ("limits", "param", "said"),
    [
        (
            Limits(files=1),
            "messages",
            "bring 2 files, those of earlier turns too; the site takes 1",
        ),
        (Limits(file_bytes=9), "messages[0]", "is 10 bytes; the site takes 9"),
        (Limits(file_types=("image/*",)), "messages[2]", "is text/plain; the site takes image/*"),
    ],
)
def test_what_the_site_does_not_take(limits: Limits, param: str, said: str) -> None:
    """Count, size and type, by the field of the request."""
    with pytest.raises(InvalidRequest) as told:
        attached(TURNS, _profile(limits), ("eyes",), (SEEING,))
    assert told.value.param == param
    assert said in told.value.message


def test_a_page_without_a_way_in() -> None:
    """Never sent without its file."""
    plain = replace(_profile(), landmarks=Landmarks(prompt="textarea"))
    with pytest.raises(InvalidRequest, match="the profile demo names no way to attach one") as told:
        attached(TURNS, plain, ("eyes",), (SEEING,))
    assert told.value.param == "messages[0]"


def test_models_that_take_none() -> None:
    """Only where the site tells of some model that it takes images; the error names those."""
    with pytest.raises(
        InvalidRequest, match=r"is blind, which takes no files; .* one of eyes"
    ) as told:
        attached(TURNS, _profile(), ("blind",), (SEEING, BLIND))
    assert told.value.param == "model"
    assert attached(TURNS, _profile(), ("blind",), (BLIND,)) == (ONE, TWO)


def test_each_of_two_models_has_to_take_files() -> None:
    """Side by side both get the message; the one that cannot is named."""
    both = (SEEING, BLIND)
    assert attached(TURNS, _profile(), ("eyes", "eyes"), both) == (ONE, TWO)
    for wanted in (("eyes", "blind"), ("blind", "eyes")):
        with pytest.raises(InvalidRequest, match="model: is blind, which takes no files"):
            attached(TURNS, _profile(), wanted, both)
