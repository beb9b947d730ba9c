"""usage: what is kept of a key's use is read as it was written."""

import fcntl
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from arenad.usage import (
    COUNTS,
    DAY_S,
    FLOCK,
    LOCKS,
    MAX_COUNT,
    ROW_BYTES,
    SEATS,
    STRIDE,
    Use,
    flock,
)

ID = "00112233445566ff"
NOON_S = 1000 * DAY_S + DAY_S / 2


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.integers(0, 10**6)), max_size=20))
def test_a_row_is_read_as_it_was_written(steps: list[tuple[float, int]]) -> None:
    """By the same key; for another one nothing was used yet."""
    use, at_s = Use(), 100.0
    for gap, tokens in steps:
        at_s += gap
        use.advance(at_s, NOON_S + at_s)
        use.add(1, tokens)
    row = use.packed(bytes.fromhex(ID))
    assert len(row) == ROW_BYTES
    assert vars(Use.unpacked(row, bytes.fromhex(ID))) == vars(use)
    for other in (Use.unpacked(row, bytes(8)), Use.unpacked(row[:-1], bytes.fromhex(ID))):
        assert vars(other) == vars(Use())


def test_what_is_counted_of_a_minute_is_what_limits_hold() -> None:
    """Sixty whole seconds and the one that has begun; then it is forgotten, the day goes on."""
    use = Use()
    for at_s in (100.0, 130.0, 160.9):
        use.advance(at_s, NOON_S + at_s)
        use.add(1, 10)
    assert use.last_minute() == (3, 30)
    use.advance(161.0, NOON_S + 161)
    assert use.last_minute() == (2, 20)
    use.advance(500.0, NOON_S + 500)
    assert use.last_minute() == (0, 0)
    assert (use.day_requests, use.day_tokens) == (3, 30)
    use.advance(501.0, NOON_S + DAY_S)
    assert (use.day_requests, use.day_tokens) == (0, 0)


def test_a_count_stays_within_its_place() -> None:
    """However much is said to have been used in a second."""
    use = Use()
    use.add(1, MAX_COUNT)
    use.add(1, MAX_COUNT)
    assert use.last_minute()[1] == MAX_COUNT
    assert len(use.packed(bytes.fromhex(ID))) == ROW_BYTES


def test_locks_are_where_no_row_is(tmp_path: Path) -> None:
    """Each of its own number, far behind the last row; the kernel takes the struct."""
    assert ROW_BYTES + COUNTS.size == STRIDE
    assert STRIDE * 10**6 < LOCKS
    places = [FLOCK.unpack(flock(fcntl.F_WRLCK, number))[2] for number in range(SEATS + 3)]
    assert len(set(places)) == len(places)
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, flock(fcntl.F_WRLCK, 7))
    other = os.open(tmp_path / "file", os.O_RDONLY)
    held = [
        FLOCK.unpack(fcntl.fcntl(other, fcntl.F_OFD_GETLK, flock(fcntl.F_WRLCK, number)))[0]
        for number in (6, 7, 8)
    ]
    assert held == [fcntl.F_UNLCK, fcntl.F_WRLCK, fcntl.F_UNLCK]
    for each in (file, other):
        os.close(each)
