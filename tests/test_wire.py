"""The wire as conversations between two peers, and under bytes that nobody meant to send."""

import struct
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad import wire
from arenad.errors import Overloaded, RequestError
from arenad.schema.chat import Citation, Failure, Finish, Heartbeat, TextDelta
from arenad.schema.control import Done, GetState, Logs, Watch
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.process import FrontendBeat, LogLine

BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(TextDelta),
    st.builds(Citation),
    st.builds(Failure, retry_after_s=st.none() | st.floats(allow_nan=False)),
    st.builds(LogLine, at_unix_s=st.floats(allow_nan=False)),
    st.builds(Logs, lines=st.integers(0, 2**63 - 1)),
    st.builds(
        FrontendBeat,
        **dict.fromkeys(
            ("queued", "running", "accepted", "answered", "failed", "retried", "cancelled"),
            st.integers(0, 2**32),
        ),
        busy=st.dictionaries(st.text(max_size=8), st.integers(0, 9), max_size=4),
    ),
    st.just(Heartbeat()),
)


def raw(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


def split(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[a:b] for a, b in pairwise(places)]


# -- bytes to frames --------------------------------------------------------------------------------


@given(st.lists(BODIES, min_size=1, max_size=8), st.lists(st.integers(0), max_size=12))
def test_any_split_gives_the_same_frames(bodies: list[Body], cuts: list[int]) -> None:
    """However a kernel cuts the bytes, the frames are those that were sent, in their order."""
    sender, receiver = wire.Peer(), wire.Peer()
    sent = b"".join(sender.call(body)[1] for body in bodies)
    frames = [frame for chunk in split(sent, cuts) for frame in receiver.receive(chunk)]
    assert frames == [Frame(n, Kind.CALL, body) for n, body in enumerate(bodies, 1)]
    assert receiver.fault is None


@given(st.lists(BODIES, max_size=3), st.binary(max_size=64), st.lists(st.integers(0), max_size=12))
def test_a_fault_comes_at_the_same_place_however_it_is_split(
    bodies: list[Body], noise: bytes, cuts: list[int]
) -> None:
    """Whole frames before a broken one always count, and the fault is the same."""
    sent = b"".join(wire.Peer().note(body) for body in bodies) + raw(b"\xc1" + noise)
    at_once, in_pieces = wire.Peer(), wire.Peer()
    frames = at_once.receive(sent)
    assert [frame for chunk in split(sent, cuts) for frame in in_pieces.receive(chunk)] == frames
    assert len(frames) == len(bodies)
    assert in_pieces.fault == at_once.fault is not None


@given(st.binary(max_size=200))
def test_no_body_of_a_frame_makes_it_raise(noise: bytes) -> None:
    """Random bytes in a frame are a frame or a fault, never an exception."""
    peer = wire.Peer()
    assert peer.receive(raw(noise)) or peer.fault or peer.receive(b"") == []


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_no_stream_of_bytes_makes_it_raise(chunks: list[bytes]) -> None:
    """Nor do random bytes in place of frames; after a fault nothing more comes."""
    peer = wire.Peer(max_frame_bytes=1000)
    for chunk in chunks:
        was_faulty = peer.fault is not None
        frames = peer.receive(chunk)
        assert not (was_faulty and frames)


@given(BODIES, st.data())
def test_no_mutation_of_a_frame_makes_it_raise(body: Body, data: st.DataObject) -> None:
    """A frame with any byte changed is another frame, a wait for more, or a fault."""
    sent = bytearray(wire.Peer().call(body)[1])
    place = data.draw(st.integers(0, len(sent) - 1))
    sent[place] = data.draw(st.integers(0, 255))
    peer = wire.Peer()
    for frame in peer.receive(sent):
        assert isinstance(frame, Frame)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\x91" * 5000,
        b"\x93\x01\x00" + b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        b"\x93\x01\x00\x92\xa9TextDelta\xa1\xff",
        b"\x93\x01\x00\x92\xa9TextDelta\xdb\xff\xff\xff\xff",
        b"\x93\x01\x00\x91\xa5Watch\xc0",
        b"\x93\x01\x00\x91\xa7Unknown",
        b"\x93\x01\x09\x91\xa5Watch",
        b"\x93\xc3\x00\x91\xa5Watch",
    ],
)
def test_malformed_frames_are_faults(body: bytes) -> None:
    """Nothing, no array, too deep, too long, bad UTF-8, unknown, left over: all are named faults."""
    peer = wire.Peer()
    assert peer.receive(raw(body)) == []
    assert peer.fault is not None
    assert peer.fault.startswith("not a frame: ")


def test_a_fault_is_short_whatever_it_quotes() -> None:
    """A decoder quotes an unknown name in full; a log line must not."""
    peer = wire.Peer()
    peer.receive(raw(b"\x93\x01\x00\x91\xdb" + struct.pack("!I", 90000) + b"x" * 90000))
    assert peer.fault is not None
    assert len(peer.fault) <= wire.MAX_FAULT_CHARS


def test_a_frame_over_the_limit_is_a_fault_before_its_body_comes() -> None:
    """Four bytes are enough to know; nothing is kept of what follows."""
    peer = wire.Peer(max_frame_bytes=1000)
    assert peer.receive(struct.pack("!I", 1001)) == []
    assert peer.fault == "a frame of 1001 bytes is over the limit of 1000"
    assert peer.receive(wire.Peer().note(Heartbeat())) == []


def test_a_frame_at_the_limit_is_taken() -> None:
    """The limit itself is allowed."""
    note = wire.Peer().note(TextDelta("x" * 900))
    peer = wire.Peer(max_frame_bytes=len(note) - 4)
    assert [frame.body for frame in peer.receive(note)] == [TextDelta("x" * 900)]


def test_a_big_frame_in_small_pieces_is_one_frame() -> None:
    """Eight megabytes in pieces of 100 bytes: this takes minutes where each piece copies them all."""
    text = TextDelta("x" * 8_000_000)
    note = memoryview(wire.Peer().note(text))
    peer = wire.Peer()
    frames = [f for at in range(0, len(note), 100) for f in peer.receive(note[at : at + 100])]
    assert [frame.body for frame in frames] == [text]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_taken(kind: Callable[[bytes], bytes]) -> None:
    """What a socket fills is a bytes, a bytearray or a view; the peer keeps none of them."""
    assert wire.Peer().receive(kind(wire.Peer().note(Heartbeat()))) == [
        Frame(0, Kind.CALL, Heartbeat())
    ]


# -- what cannot be sent ----------------------------------------------------------------------------


def test_what_cannot_be_sent_is_refused_and_not_counted() -> None:
    """Half a surrogate pair, a number over 64 bits, a frame over the limit: the books stay as they were."""
    asking, serving = wire.Peer(), wire.Peer()
    for body in (TextDelta("\ud800"), Logs(2**64, follow=False)):
        with pytest.raises(RequestError, match="cannot be sent"):
            asking.call(body)
    call, packed = asking.call(GetState())
    serving.receive(packed)
    with pytest.raises(RequestError, match="cannot be sent"):
        serving.end(call, TextDelta("\ud800"))
    with pytest.raises(RequestError, match="over the limit"):
        serving.end(call, TextDelta("x" * wire.MAX_FRAME_BYTES))
    ended = asking.receive(serving.end(call, Done("after all")))
    assert (call, [frame.body for frame in ended]) == (1, [Done("after all")])


# -- calls ------------------------------------------------------------------------------------------


class Conversation:
    """Two peers; each step carries one side's bytes to the other and gives the bodies that arrive."""

    def __init__(self) -> None:
        self.caller, self.server = wire.Peer(), wire.Peer()

    def call(self, body: Body) -> int:
        call, packed = self.caller.call(body)
        assert self.server.receive(packed) == [Frame(call, Kind.CALL, body)]
        return call

    def answer(self, packed: bytes) -> list[Body | None]:
        bodies = [frame.body for frame in self.caller.receive(packed)]
        assert self.caller.fault is None
        return bodies


def test_a_call_and_its_end() -> None:
    """One END; what the server says of the call after that is not even sent."""
    talk = Conversation()
    call = talk.call(GetState())
    assert talk.answer(talk.server.end(call, Done("yes"))) == [Done("yes")]
    assert talk.server.end(call, Done("again")) == b""
    assert talk.server.item(call, Done("late")) == b""


def test_a_stream_and_its_end() -> None:
    """ITEMs come in order, between CALL and END."""
    talk = Conversation()
    call = talk.call(Watch())
    packed = talk.server.item(call, TextDelta("a")) + talk.server.item(call, TextDelta("b"))
    assert talk.answer(packed + talk.server.end(call, Finish("stop"))) == [
        TextDelta("a"),
        TextDelta("b"),
        Finish("stop"),
    ]


def test_items_after_a_cancel_are_dropped_until_the_end() -> None:
    """What was under way when the caller left is nobody's fault; the END is still given."""
    talk = Conversation()
    call = talk.call(Watch())
    late = talk.server.item(call, TextDelta("late"))
    assert [frame.kind for frame in talk.server.receive(talk.caller.cancel(call))] == [Kind.CANCEL]
    assert talk.answer(late) == []
    assert talk.answer(talk.server.end(call, Done("stopped"))) == [Done("stopped")]


def test_a_cancel_is_sent_once_and_only_for_open_calls() -> None:
    """Neither twice, nor after the END, nor for a call that never was."""
    talk = Conversation()
    call = talk.call(Watch())
    assert talk.caller.cancel(call)
    assert talk.caller.cancel(call) == b""
    talk.answer(talk.server.end(call, Done("stopped")))
    assert talk.caller.cancel(call) == b""
    assert talk.caller.cancel(99) == b""


def test_a_cancel_that_crosses_the_end_is_dropped() -> None:
    """The server had ended already: no event, no fault."""
    talk = Conversation()
    call = talk.call(Watch())
    end = talk.server.end(call, Done("over"))
    assert talk.server.receive(talk.caller.cancel(call)) == []
    assert talk.server.fault is None
    assert talk.answer(end) == [Done("over")]


def test_calls_in_both_directions_have_numbers_of_their_own() -> None:
    """Call 1 of one end is not call 1 of the other."""
    left, right = wire.Peer(), wire.Peer()
    (number, question), (other, counter) = left.call(GetState()), right.call(Watch())
    assert number == other
    right.receive(question)
    left.receive(counter)
    assert [f.body for f in left.receive(right.end(number, Done("r")))] == [Done("r")]
    assert [f.body for f in right.receive(left.end(other, Done("l")))] == [Done("l")]


def test_notes_are_not_counted() -> None:
    """Any number of them fits; none is open."""
    sender, receiver = wire.Peer(), wire.Peer()
    for _ in range(wire.MAX_CALLS + 1):
        assert len(receiver.receive(sender.note(Heartbeat()))) == 1
    assert receiver.end(0, Done("nobody asked")) == b""


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (Frame(1, Kind.END, Done("")), "an END frame answers call 1, which is not open"),
        (Frame(1, Kind.ITEM, Done("")), "an ITEM frame answers call 1, which is not open"),
        (Frame(0, Kind.END, Done("")), "an END frame answers call 0, which is not open"),
        (Frame(1, Kind.CALL, None), "a CALL frame of call 1 has a wrong body"),
        (Frame(1, Kind.CANCEL, Done("")), "a CANCEL frame of call 1 has a wrong body"),
        (Frame(-1, Kind.CALL, Watch()), "a CALL frame of call -1: numbers begin at 0"),
    ],
)
def test_frames_that_break_the_rules_are_faults(frame: Frame, fault: str) -> None:
    """Well-formed, yet said by nobody who keeps the books."""
    peer = wire.Peer()
    assert peer.receive(wire.pack(frame)) == []
    assert peer.fault == fault


def test_an_answer_after_the_end_is_a_fault() -> None:
    """One END to a call: a second one means that the other end's books are wrong."""
    talk = Conversation()
    call = talk.call(GetState())
    end = talk.server.end(call, Done(""))
    talk.answer(end)
    assert talk.caller.receive(end) == []
    assert talk.caller.fault is not None


def test_a_call_opened_twice_is_a_fault() -> None:
    """An open number cannot be opened again; the first opening still counts."""
    call = wire.pack(Frame(7, Kind.CALL, Watch()))
    peer = wire.Peer()
    assert len(peer.receive(call + call)) == 1
    assert peer.fault == "call 7 is opened twice"


def test_too_many_open_calls_are_a_fault_and_never_made() -> None:
    """The bound is kept on both sides: we refuse to make what the other end would not take."""
    caller, server = wire.Peer(), wire.Peer()
    for _ in range(wire.MAX_CALLS):
        server.receive(caller.call(Watch())[1])
    with pytest.raises(Overloaded):
        caller.call(Watch())
    assert server.receive(wire.pack(Frame(wire.MAX_CALLS + 1, Kind.CALL, Watch()))) == []
    assert server.fault == f"more than {wire.MAX_CALLS} calls are open"


def test_a_frame_is_four_bytes_of_length_and_messagepack() -> None:
    """The format itself, for those who speak it from elsewhere."""
    packed = wire.Peer().note(TextDelta("hi"))
    assert packed[:4] == struct.pack("!I", len(packed) - 4)
    assert msgspec.msgpack.decode(packed[4:]) == [0, 0, ["TextDelta", "hi", 0]]


# -- one peer goes on in another's place --------------------------------------------------------------


@given(st.lists(BODIES, min_size=1, max_size=6), st.integers(0), st.sampled_from(["call", "note"]))
def test_a_successor_goes_on_from_the_books(bodies: list[Body], cut: int, way: str) -> None:
    """Wherever the bytes are cut, what follows is understood by a peer that has only the books."""
    sender = wire.Peer()
    sent = b"".join(sender.call(body)[1] if way == "call" else sender.note(body) for body in bodies)
    place = cut % (len(sent) + 1)
    first, whole = wire.Peer(), wire.Peer()
    frames = first.receive(sent[:place])
    second = wire.Peer(books=first.books)
    frames += second.receive(sent[place:])
    assert frames == whole.receive(sent)
    assert second.books == whole.books


def test_a_successor_keeps_the_open_calls() -> None:
    """It ends what its predecessor serves, takes what that one asked for, and numbers on."""
    ours, theirs = wire.Peer(), wire.Peer()
    asked, packed = ours.call(GetState())
    theirs.receive(packed)
    watched, packed = theirs.call(Watch())
    ours.receive(packed)
    successor = wire.Peer(books=ours.books)
    assert successor.call(GetState())[0] == asked + 1
    (frame,) = successor.receive(theirs.end(asked, Done("")))
    assert frame.kind is Kind.END
    (frame,) = theirs.receive(successor.end(watched, Done("")))
    assert frame.call == watched
    assert (successor.fault, theirs.fault) == (None, None)
