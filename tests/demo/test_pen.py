"""Lines on the wire, torn and dressed."""

import asyncio

import pytest

from arenad.demo.pen import Cut, Pen


class Paper:
    """Keeps what is written, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, line: bytes, /) -> None:
        await asyncio.sleep(0)  # others may come between
        self.pieces.append(line)


def _written(lines: list[bytes], **faults: float) -> list[bytes]:
    paper = Paper()
    pen = Pen(paper, {name.replace("_", "-"): value for name, value in faults.items()})

    async def story() -> None:
        for line in lines:
            await pen.write(line)

    asyncio.run(story())
    return paper.pieces


@pytest.mark.parametrize(
    ("faults", "pieces"),
    [
        ({}, [b'a0:"x"\n']),
        ({"crlf": 0}, [b'a0:"x"\r\n']),
        ({"data_prefix": 0}, [b'data: a0:"x"\n']),
        ({"split": 3}, [b"a0:", b'"x"', b"\n"]),
        ({"split": 0}, [b"a", b"0", b":", b'"', b"x", b'"', b"\n"]),
        ({"cut": 100}, [b'a0:"x"\n']),
    ],
)
def test_a_line_is_dressed(faults: dict[str, float], pieces: list[bytes]) -> None:
    """Each fault of the wire does its one thing."""
    assert _written([b'a0:"x"\n'], **faults) == pieces


def test_a_cut_is_at_its_byte() -> None:
    """In the middle of a line, and nothing after it."""
    paper = Paper()
    pen = Pen(paper, {"cut": 9})

    async def story() -> None:
        await pen.write(b'a0:"x"\n')
        for _ in range(2):
            with pytest.raises(Cut):
                await pen.write(b'a0:"y"\n')

    asyncio.run(story())
    assert b"".join(paper.pieces) == b'a0:"x"\na0'
    assert pen.is_cut


def test_lines_of_two_sides_stay_whole() -> None:
    """Split lines are not mixed, whoever writes meanwhile."""
    paper = Paper()
    pen = Pen(paper, {"split": 1})

    async def story() -> None:
        lines = [b'a0:"first"\n', b'b0:"second"\n']
        await asyncio.gather(*(pen.write(line) for line in lines))

    asyncio.run(story())
    assert b"".join(paper.pieces) == b'a0:"first"\nb0:"second"\n'
