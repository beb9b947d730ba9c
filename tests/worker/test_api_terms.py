"""What an OpenAI-compatible upstream is told, and what its refusals mean."""

import json

import pytest

from arenad.errors import RequestError
from arenad.schema.chat import Attachment, Chat, Turn
from arenad.schema.profile import ModelRules
from arenad.worker.sites import api_terms
from arenad.worker.sites.catalog import models_of


def _refused(status: int, said: str = "", **headers: str) -> RequestError:
    return api_terms.refusal_of(status, headers, said, 1_000_000.0)


def test_every_turn_is_a_message() -> None:
    """Nothing is folded: a system's turn stays one."""
    turns = (Turn(role="system", text="be kind"), Turn(role="user", text="hi"))
    body = json.loads(api_terms.request_of(Chat("r", "m", turns, 1, 1, 1), "their-m"))
    assert body == {
        "model": "their-m",
        "stream": True,
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "hi"},
        ],
    }


def test_files_are_parts() -> None:
    """Images as such, all else as files with their names; the text comes first, if there is any."""
    image = Attachment(name="a.png", content_type="image/png", content=b"abc")
    paper = Attachment(name="b.pdf", content_type="application/pdf", content=b"abc")
    turns = (
        Turn(role="user", text="look", attachments=(image, paper)),
        Turn(role="user", text="", attachments=(image,)),
    )
    body = json.loads(api_terms.request_of(Chat("r", "m", turns, 1, 1, 1), "m"))
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}}
    file = {"filename": "b.pdf", "file_data": "data:application/pdf;base64,YWJj"}
    first, second = (message["content"] for message in body["messages"])
    assert first == [{"type": "text", "text": "look"}, shown, {"type": "file", "file": file}]
    assert second == [shown]


def test_models_stand_in_data() -> None:
    """With their owners; aliases and capabilities are the profile's own."""
    rules = api_terms.model_rules(ModelRules(capabilities={"b": ("text", "image_in")}))
    value = api_terms.value_of('{"data": [{"id": "a", "owned_by": "me"}, {"id": "b"}]}')
    first, second = models_of(value, rules)
    assert (first.id, first.owner, first.capabilities) == ("a", "me", ("text",))
    assert (second.id, second.capabilities) == ("b", ("text", "image_in"))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "", "needs_login"),
        (403, "", "needs_login"),
        (429, "", "resting"),
        (301, "", "profile_outdated"),
        (404, "", "profile_outdated"),
        (405, "", "profile_outdated"),
        (404, "model_not_found", "model_not_found"),
        (400, "context_length_exceeded", "chat_full"),
        (400, "content_policy_violation", "content_rejected"),
        (400, "", "invalid_request"),
        (413, "", "invalid_request"),
        (422, "", "invalid_request"),
        (500, "", "upstream"),
        (503, "", "upstream"),
        (418, "", "upstream"),
    ],
)
def test_a_refusal_has_a_kind(status: int, code: str, kind: str) -> None:
    """By its code where it has a known one, else by its status; the upstream's words are told."""
    said = json.dumps({"error": {"message": "because", "code": code, "param": "p"}})
    error = _refused(status, said)
    assert error.kind == kind
    assert error.message.startswith(f"the upstream answered {status}: because")


def test_a_refusal_says_for_how_long() -> None:
    """In seconds, if at all."""
    assert _refused(429, **{"retry-after": "7"}).retry_after_s == 7.0
    assert _refused(429).retry_after_s is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('{"error": "plain words"}', "plain words"),
        ('{"message": "at the top"}', "at the top"),
        ("no JSON at all", "no JSON at all"),
        ("[" * 100_000, "[["),
        ('{"error": {"message": 5}}', '{"error"'),
    ],
)
def test_odd_errors_are_shown_as_they_are(said: str, shown: str) -> None:
    """Whatever form a gateway gives to them, in few characters."""
    message = _refused(500, said).message
    assert shown in message
    assert len(message) <= api_terms.SHOWN_CHARS


def test_an_address_that_leads_elsewhere_is_told() -> None:
    """A key is never sent on: the operator gives the address itself."""
    assert "/elsewhere; give that" in _refused(302, location="/elsewhere").message
