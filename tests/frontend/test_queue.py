"""queue: first come, first served; bounded; nobody is forgotten or seated twice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import Overloaded
from arenad.frontend.queue import Queue, Ticket
from arenad.schema.process import Seat

SEAT = Seat(name="w1", generation=1, socket_path="", slots=1, condition="ready", models=())


def _seated(queue: Queue, *models: str) -> list[int]:
    """Who is seated when there is one free seat for each of these models."""
    free = Counter(models)

    def seat_for(ticket: Ticket) -> Seat | None:
        if not free[ticket.model]:
            return None
        free[ticket.model] -= 1
        return SEAT

    return [ticket.number for ticket, _ in queue.match(seat_for)]


def test_first_come_first_served() -> None:
    """Three wait, two seats are free, the first two get them."""
    queue = Queue(8)
    for number in (1, 2, 3):
        queue.join(Ticket(number, "echo"))
    assert _seated(queue, "echo", "echo") == [1, 2]
    assert _seated(queue, "echo") == [3]
    assert len(queue) == 0


def test_nobody_waits_behind_another_model() -> None:
    """A seat that suits only the second goes to the second."""
    queue = Queue(8)
    queue.join(Ticket(1, "echo"))
    queue.join(Ticket(2, "poet"))
    assert _seated(queue, "poet") == [2]


def test_the_limit_holds_for_newcomers() -> None:
    """The error says which limit was hit and when to ask again."""
    queue = Queue(1)
    queue.join(Ticket(1, "echo"))
    with pytest.raises(Overloaded, match=r"1 requests wait already \(queue\.limit\)") as told:
        queue.join(Ticket(2, "echo"))
    assert told.value.retry_after_s == 5.0
    assert [ticket.number for ticket in queue.tickets()] == [1]


def test_who_returns_gets_the_old_place() -> None:
    """A request that a worker refused is not sent to the end, nor away."""
    queue = Queue(2)
    queue.join(Ticket(2, "echo"))
    queue.join(Ticket(3, "echo"))
    queue.join(Ticket(1, "echo", returns=True))
    assert [ticket.number for ticket in queue.tickets()] == [1, 2, 3]


def test_who_tried_all_does_not_hold_up_the_next() -> None:
    """That no seat suits one who tried some says nothing of those who tried none."""
    queue = Queue(8)
    queue.join(Ticket(1, "echo", tried=[("w1", 1)]))
    queue.join(Ticket(2, "echo"))
    seated = queue.match(lambda ticket: None if ticket.tried else SEAT)
    assert [ticket.number for ticket, _ in seated] == [2]


def test_leaving_twice_is_harmless() -> None:
    """Whoever leaves may have been seated, or gone, before."""
    queue = Queue(1)
    queue.join(Ticket(1, "echo"))
    queue.leave(1)
    queue.leave(1)
    assert len(queue) == 0


STEPS = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(["echo", "poet"])),
    st.tuples(st.just("seat"), st.sampled_from(["echo", "poet"])),
    st.tuples(st.just("leave"), st.integers(0, 20)),
)


@given(st.lists(STEPS, max_size=60), st.integers(1, 5))
def test_a_queue_is_a_list_per_model(steps: list[tuple[str, str | int]], limit: int) -> None:
    """Against a plain list: the same order, the same bound, each seated at most once."""
    queue, model, number = Queue(limit), list[tuple[int, str]](), 0
    for word, about in steps:
        if word == "join":
            number += 1
            try:
                queue.join(Ticket(number, str(about)))
            except Overloaded:
                assert len(model) == limit
            else:
                model.append((number, str(about)))
        elif word == "leave":
            queue.leave(int(about))
            model = [each for each in model if each[0] != about]
        else:
            expected = next((each for each in model if each[1] == about), None)
            assert _seated(queue, str(about)) == ([expected[0]] if expected else [])
            model = [each for each in model if each != expected]
        assert [ticket.number for ticket in queue.tickets()] == [each[0] for each in model]
        assert len(queue) <= limit


def test_two_models_and_a_battle_are_names_of_their_own() -> None:
    """Who waits for a pair holds up nobody who waits for one of the two, nor the other way round."""
    queue = Queue(8)
    for number, model in enumerate(("echo,poet", "echo", "battle", "echo,poet", "poet"), 1):
        queue.join(Ticket(number, model))
    assert _seated(queue, "echo", "battle") == [2, 3]
    assert _seated(queue, "echo,poet", "poet") == [1, 5]
    assert [ticket.number for ticket in queue.tickets()] == [4]
