"""The tree of errors: the drawing, the classes and the table say the same."""

import re

import pytest

from arenad import errors
from arenad.errors import ArenadError, ConfigError, LinkLost, RequestError

KINDS = sorted(errors.KINDS.values(), key=lambda kind: kind.__name__)


def _drawn() -> dict[str, tuple[str, str]]:
    """Each class of the docstring's drawing with its parent and its line's words."""
    drawn: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+)\s*(.*)$", line):
            depth = len(found[1]) // 4
            del path[depth:]
            drawn[found[2]] = (path[-1] if path else "", found[3])
            path.append(found[2])
    return drawn


def _tree(parent: type[ArenadError], above: str = "") -> dict[str, str]:
    own = [child for child in parent.__subclasses__() if child.__module__ == errors.__name__]
    tree = {parent.__name__: above}
    for child in own:
        tree |= _tree(child, parent.__name__)
    return tree


def test_the_drawing_is_the_tree() -> None:
    """Every class is drawn below its parent, and nothing else is."""
    assert {name: parent for name, (parent, _) in _drawn().items()} == _tree(ArenadError)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not RequestError])
def test_the_drawing_tells_fault_and_status(kind: type[RequestError]) -> None:
    """A line begins with whose fault it is, and a status that it names is the class's own."""
    words = _drawn()[kind.__name__][1]
    assert words.startswith(f"{kind.fault}:")
    for status in re.findall(r"\b[45]\d\d\b", words):
        assert int(status) == kind.http_status


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_row_of_its_own(kind: type[RequestError]) -> None:
    """Name, status, code and fault are said by the class itself, not inherited by accident."""
    own = vars(kind)
    assert {"kind", "http_status", "code"} <= set(own)
    assert "fault" in own or kind.fault == kind.__mro__[1].fault
    assert 400 <= kind.http_status < 600


def test_kinds_are_unique_and_complete() -> None:
    """The name on the wire leads back to exactly its class."""
    names = list(_tree(RequestError))
    assert sorted(kind.__name__ for kind in errors.KINDS.values()) == sorted(names)
    assert all(errors.KINDS[kind.kind] is kind for kind in KINDS)


def test_codes_differ_unless_clients_need_not_tell_them_apart() -> None:
    """A client cannot see which of two queues was full, and a limit is a limit, whose it may be."""
    shared = {errors.Busy, errors.OverLimit, errors.TooManyTokens}
    codes = [kind.code for kind in KINDS if kind not in shared]
    assert len(codes) == len(set(codes))
    assert errors.Busy.code == errors.Overloaded.code
    assert {errors.OverLimit.code, errors.TooManyTokens.code} == {errors.Resting.code}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.elsewhere])
def test_only_what_may_go_better_elsewhere_is_asked_again(kind: type[RequestError]) -> None:
    """Never the client's own fault, and never what the site's moderation refused."""
    assert kind.fault not in {"client", "operator"}
    assert kind is not errors.ContentRejected


def test_a_request_error_keeps_its_parts() -> None:
    """Message, patience and parameter are there for those who write the answer."""
    error = errors.Resting("wait", retry_after_s=3.0, param="model")
    assert (str(error), error.message, error.retry_after_s, error.param) == (
        "wait",
        "wait",
        3.0,
        "model",
    )


def test_a_configuration_error_shows_all_its_faults() -> None:
    """One fault to a line, and the list itself."""
    error = ConfigError(["a: is 1", "b: is 2"])
    assert str(error) == "a: is 1\nb: is 2"
    assert error.faults == ["a: is 1", "b: is 2"]


def test_a_lost_link_is_no_answer_to_a_request() -> None:
    """Who asks over a link has to say what its loss means to the client."""
    assert not issubclass(LinkLost, RequestError)
