"""Feed a grammar at every cut: whole, byte by byte, and in two at each place."""

from collections.abc import Callable

from arenad.errors import RequestError
from arenad.schema.chat import Event, Finish
from arenad.worker.sites.grammars.answer import Grammar
from arenad.worker.sites.reading import merged

Told = tuple[list[Event], Finish | tuple[type[RequestError], str]]


def told(grammar: Grammar, pieces: list[bytes] | list[str] | list[bytes | str]) -> Told:
    """All events, with text joined, and how it ended."""
    events = [event for piece in pieces for event in grammar.feed(piece)]
    last, outcome = grammar.end()
    ending = (type(outcome), str(outcome)) if isinstance(outcome, RequestError) else outcome
    return merged(events + last), ending


def at_every_split(make: Callable[[], Grammar], body: str | bytes) -> Told:
    """What comes out, which must not depend on where the bytes are cut. Signs of life may."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    whole = _alive(told(make(), [raw]))
    assert _alive(told(make(), [raw[place : place + 1] for place in range(len(raw))])) == whole
    for place in range(len(raw)):
        assert _alive(told(make(), [raw[:place], raw[place:]])) == whole
    return whole


def _alive(what: Told) -> Told:
    events, ending = what
    return merged(event for event in events if type(event).__name__ != "Heartbeat"), ending
