"""The loop on a real epoll, channels on real socket pairs."""

import os
import socket
from contextlib import suppress

import pytest

from arenad.master import loop as loop_module
from arenad.master.loop import Channel, Loop
from arenad.schema.control import Done, GetState
from arenad.schema.frame import Kind
from arenad.wire import Peer


class Pair:
    """A channel on our loop, and the other end of its socket in the test's hand."""

    def __init__(self, loop: Loop, max_frame_bytes: int = 1000):
        self.loop = loop
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(10)
        self.frames, self.ends = [], []
        self.channel = Channel(loop, ours, Peer(max_frame_bytes), self.on_frame, self.ends.append)

    def on_frame(self, frame):
        self.frames.append(frame)

    def run_until(self, condition):
        run_until(self.loop, condition)


def run_until(loop: Loop, condition):
    """Run the loop until the condition holds after some turn of it; 10 s at most."""

    def look():
        loop.running = not condition()
        if loop.running:
            loop.after(0.0, look)

    def give_up():
        raise AssertionError("the loop did not get there")

    limit = loop.after(10.0, give_up)
    loop.running = True
    look()
    loop.run()
    limit.cancel()


@pytest.fixture(autouse=True)
def all_closed(monkeypatch: pytest.MonkeyPatch):
    """Every socket of a test is closed at its end."""
    ends: list[socket.socket] = []
    make = socket.socketpair

    def pair():
        ends.extend(made := make())
        return made

    monkeypatch.setattr(socket, "socketpair", pair)
    yield
    for end in ends:
        end.close()


def note(body=None):
    return Peer().note(body or GetState())


def test_timers_fire_in_order_of_time_then_of_making():
    """Earlier times first; equal times as they were made; cancelled ones never."""
    loop, fired = Loop(), []
    for name, when_s in (("c", 3.0), ("a", 1.0), ("b", 1.0), ("gone", 2.0)):
        timer = loop.at(when_s, lambda name=name: fired.append(name))
        if name == "gone":
            timer.cancel()
    run_until(loop, lambda: len(fired) == 3)
    assert fired == ["a", "b", "c"]


def test_cancelled_timers_are_forgotten_long_before_they_are_due():
    """Ten thousand of them leave a bounded number behind, and the one that counts still fires."""
    loop = Loop()
    fired = []
    loop.after(0.0, lambda: (fired.append("kept"), setattr(loop, "running", False)))
    for _ in range(10_000):
        loop.after(3600.0, lambda: fired.append("cancelled")).cancel()
    assert len(loop._timers) < 2 * loop_module.MIN_TIMERS
    loop.run()
    assert fired == ["kept"]


def test_a_timer_made_by_a_timer_waits_for_the_next_turn():
    """`after` never calls back from within, so no chain of timers can starve the descriptors."""
    loop, turns = Loop(), []
    read, write = os.pipe()

    def again():
        turns.append("timer")
        loop.at(0.0, again)

    loop.watch(read, lambda _: turns.append("ready"))
    os.write(write, b"x")
    loop.at(0.0, again)
    run_until(loop, lambda: len(turns) > 6)
    assert turns.count("ready") >= turns.count("timer") - 1
    os.close(read)
    os.close(write)


def test_a_reused_number_gets_no_stale_event():
    """A descriptor closed and opened anew within one batch is not taken for ready."""
    loop, calls = Loop(), []
    first, second = socket.socketpair(), socket.socketpair()
    replaced = []

    def on_ready(own, other):
        calls.append("old")
        loop.unwatch(own[0].fileno())
        loop.unwatch(other[0].fileno())
        number = other[0].fileno()
        other[0].close()
        fresh = socket.socketpair()
        replaced.extend(fresh)
        assert number in (fresh[0].fileno(), fresh[1].fileno())
        loop.watch(number, lambda _: calls.append("new"))

    loop.watch(first[0].fileno(), lambda _: on_ready(first, second))
    loop.watch(second[0].fileno(), lambda _: on_ready(second, first))
    for pair in (first, second):
        pair[1].send(b"x")
    turns = []
    run_until(loop, lambda: turns.append(1) or len(turns) > 3)
    assert calls == ["old"]
    for end in (*first, *second, *replaced):
        end.close()


def test_frames_arrive_and_answers_leave():
    """A call comes in by callback, its end goes out."""
    pair = Pair(Loop())
    caller = Peer()
    call, packed = caller.call(GetState())
    pair.theirs.sendall(packed)
    pair.run_until(lambda: pair.frames)
    pair.channel.send(pair.channel.peer.end(call, Done("here")))
    (frame,) = caller.receive(pair.theirs.recv(4096))
    assert (frame.kind, frame.body) == (Kind.END, Done("here"))
    pair.channel.close()


def test_the_end_is_told_once():
    """EOF ends the channel with its reason; a closed channel takes nothing more."""
    pair = Pair(Loop())
    pair.theirs.close()
    pair.run_until(lambda: pair.ends)
    pair.channel.note(Done("late"))
    pair.channel.close()
    assert pair.ends == ["closed the link"]
    assert not pair.channel.open


def test_bytes_that_are_no_frame_end_the_channel():
    """A broken protocol is said with its reason."""
    pair = Pair(Loop())
    pair.theirs.sendall(b"\x00\x00\x00\x03???")
    pair.run_until(lambda: pair.ends)
    assert pair.ends[0].startswith("broke the protocol: ")
    pair.theirs.close()


def test_frames_over_the_limit_end_the_channel():
    """The bound on a frame holds before the frame has come."""
    pair = Pair(Loop(), max_frame_bytes=10)
    pair.theirs.sendall(b"\x00\x00\x00\x0b")
    pair.run_until(lambda: pair.ends)
    assert "over the limit" in pair.ends[0]
    pair.theirs.close()


def test_a_callback_may_close_its_channel():
    """Of two frames in one chunk the second is not delivered after the first closed the channel."""
    pair = Pair(Loop())

    def close(frame):
        pair.frames.append(frame)
        pair.channel.close()

    pair.channel._on_frame = close
    pair.theirs.sendall(note() + note())
    pair.run_until(lambda: pair.frames)
    assert len(pair.frames) == 1
    assert pair.ends == []
    pair.theirs.close()


def test_a_slow_reader_gets_all_in_the_end():
    """What the socket does not take is sent when it can be, in order."""
    pair = Pair(Loop())
    for number in range(200):
        pair.channel.note(Done(f"{number:04d} " + "x" * 5000))
    pair.theirs.setblocking(False)
    reader, got = Peer(), []

    def read():
        with suppress(BlockingIOError):
            got.extend(reader.receive(pair.theirs.recv(65536)))
        return len(got) == 200

    pair.run_until(read)
    assert [frame.body.text[:4] for frame in got] == [f"{number:04d}" for number in range(200)]
    assert pair.channel.open
    pair.channel.close()
    pair.theirs.close()


def test_who_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    """The memory for one slow reader has a bound."""
    monkeypatch.setattr(loop_module, "MAX_UNSENT_BYTES", 100_000)
    pair = Pair(Loop())
    while pair.channel.open:
        pair.channel.note(Done("x" * 5000))
    assert pair.ends == ["does not read what it is sent"]
    assert len(pair.channel._unsent) == 0
    pair.theirs.close()


def test_the_last_words_of_the_dead_are_heard():
    """What was sent before an end is read at once when the end is learnt otherwise."""
    pair = Pair(Loop())
    pair.theirs.sendall(note() * 3)
    pair.theirs.close()
    pair.channel.read_rest()
    assert len(pair.frames) == 3
    assert pair.ends == ["closed the link"]


def test_an_answer_that_nobody_hears_loses_no_last_words():
    """A reply to the first of three frames of the dead fails; the other two are read all the same."""
    pair = Pair(Loop())

    def answer(frame):
        pair.frames.append(frame)
        pair.channel.note(Done("too late"))

    pair.channel._on_frame = answer
    pair.theirs.sendall(note() * 3)
    pair.theirs.close()
    pair.run_until(lambda: pair.ends)
    assert len(pair.frames) == 3
    assert pair.ends == ["closed the link"]


def test_a_leaked_end_does_not_hold_up_the_last_words():
    """With the other end still open somewhere, reading the rest ends all the same."""
    pair = Pair(Loop())
    pair.theirs.sendall(note())
    pair.channel.read_rest()
    assert len(pair.frames) == 1
    assert pair.channel.open
    pair.channel.close()
    pair.theirs.close()
