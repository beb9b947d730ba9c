"""What waits to be remembered: numbers, bounds, and nothing kept twice or lost within them."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.outbox import BATCH, Outbox
from arenad.schema.history import Remember, Remembered, StoryLine


def line(number: int, text: str = "") -> StoryLine:
    return StoryLine(float(number), "w1", text)


def filled(count: int, **limits: int) -> Outbox:
    outbox = Outbox("me", **limits)
    for number in range(1, count + 1):
        outbox.put(line(number))
    return outbox


def test_one_batch_at_a_time() -> None:
    """The next one waits for the answer to the one before; numbers go on."""
    outbox = filled(BATCH + 2)
    first = outbox.batch()
    assert first is not None
    assert (first.source, first.first, len(first.entries)) == ("me", 1, BATCH)
    assert outbox.batch() is None
    assert (outbox.is_under_way, outbox.unsent) == (True, 2)
    outbox.remembered(Remembered("me", BATCH))
    second = outbox.batch()
    assert second is not None
    assert (second.first, second.entries) == (BATCH + 1, (line(BATCH + 1), line(BATCH + 2)))
    outbox.remembered(Remembered("me", BATCH + 2))
    assert len(outbox) == 0
    assert outbox.batch() is None


def test_another_recorder_is_sent_it_again() -> None:
    """What was under way when the first one died keeps its numbers."""
    outbox = filled(3)
    before = outbox.batch()
    outbox.put(line(4))
    outbox.rewind()
    after = outbox.batch()
    assert before is not None
    assert after is not None
    assert after.first == before.first
    assert after.entries == (*before.entries, line(4))


def test_the_oldest_make_room() -> None:
    """Beyond the limit they go, are counted, and the next batch tells how many."""
    outbox = filled(7, limit=4)
    batch = outbox.batch()
    assert batch == Remember("me", 4, tuple(map(line, range(4, 8))), 3)
    outbox.remembered(Remembered("me", 7))
    assert outbox.dropped == 0
    outbox.put(line(8))
    assert outbox.batch() == Remember("me", 8, (line(8),), 0)


def test_long_lines_count_by_their_length() -> None:
    """A few of them fill it as well as many short ones."""
    outbox = Outbox("me", limit_chars=100)
    for number in range(1, 5):
        outbox.put(line(number, "x" * 40))
    assert (len(outbox), outbox.dropped) == (2, 2)


def test_an_answer_to_what_was_dropped_meanwhile() -> None:
    """Entries under way can be dropped too; the answer to them then says nothing new."""
    outbox = filled(2, limit=2)
    outbox.batch()
    for number in (3, 4, 5):
        outbox.put(line(number))
    outbox.remembered(Remembered("me", 2))
    assert outbox.batch() == Remember("me", 4, (line(4), line(5)), 3)


def test_all_the_rest_at_once() -> None:
    """Who leaves sends everything that is not under way, in batches."""
    outbox = filled(2 * BATCH)
    outbox.put(line(0))
    assert [each.first for each in outbox.rest()] == [1, BATCH + 1, 2 * BATCH + 1]
    assert outbox.rest() == []


class Disk:
    """A recorder that keeps each number once, as the real one does."""

    def __init__(self) -> None:
        self.kept: list[float] = []
        self.known = 0
        self.dropped = 0

    def take(self, batch: Remember) -> int:
        if batch.first > self.known:
            self.dropped += batch.dropped
        self.kept += [
            each.at_unix_s for each in batch.entries[max(0, self.known + 1 - batch.first) :]
        ]
        self.known = max(self.known, batch.first + len(batch.entries) - 1)
        return batch.first + len(batch.entries) - 1


@given(st.lists(st.sampled_from(["put", "put", "write", "die before", "die after"]), max_size=60))
def test_every_entry_is_kept_once_or_counted(steps: list[str]) -> None:
    """Whenever a recorder dies, before or after the disk has it: order kept, none twice, none lost."""
    outbox, disk, put = Outbox("me", limit=5), Disk(), 0
    for step in [*steps, "write"]:
        if step == "put":
            put += 1
            outbox.put(line(put))
        elif (batch := outbox.batch()) is None:
            continue
        elif step == "die before":
            outbox.rewind()
        elif step == "die after":
            disk.take(batch)
            outbox.rewind()
        else:
            outbox.remembered(Remembered("me", disk.take(batch)))
    assert disk.kept == sorted(set(disk.kept))
    assert len(disk.kept) + disk.dropped >= put


def test_answers_to_others_are_not_ours() -> None:
    """On the link of a program that took our place, an answer to the old one may still arrive."""
    outbox = filled(2)
    outbox.batch()
    outbox.remembered(Remembered("you", 2))
    assert len(outbox) == 2


def test_another_program_goes_on_with_it() -> None:
    """With its name and its numbers, so that what was under way is kept once; its own lines follow."""
    outbox = filled(3, limit=2)
    outbox.batch()
    successor = Outbox("another")
    successor.put(line(4))
    successor.resume(outbox.kept)
    assert successor.batch() == Remember("me", 2, (line(2), line(3), line(4)), 1)
