"""queue: fair among owners, in order within each; bounded; nobody is forgotten or seated twice."""

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from arenad.frontend.queue import SPARE_MARKS, Queue, Ticket
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
    """One owner's newcomer is not let in; nobody who waits has to go for it."""
    queue, newcomer = Queue(1), Ticket(2, "echo")
    assert queue.join(Ticket(1, "echo")) is None
    assert queue.join(newcomer) is newcomer
    assert [ticket.number for ticket in queue.tickets()] == [1]


def test_who_returns_is_seated_first() -> None:
    """A request that a worker refused is not sent to the end, nor away, and not charged twice."""
    queue = Queue(2)
    for number in (2, 3):
        queue.join(Ticket(number, "echo", owner="a"))
    assert queue.join(Ticket(1, "echo", returns=True, owner="b")) is None
    assert [ticket.number for ticket in queue.tickets()] == [1, 2, 3]
    assert _seated(queue, "echo") == [1]
    queue.leave(3)
    queue.join(Ticket(4, "echo", owner="b"))
    assert _seated(queue, "echo") == [2]


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
    """Against a plain list, for one owner: the same order, the same bound, each seated once."""
    queue, model, number = Queue(limit), list[tuple[int, str]](), 0
    for word, about in steps:
        if word == "join":
            number += 1
            ticket = Ticket(number, str(about))
            if queue.join(ticket) is ticket:
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


# -- owners ---------------------------------------------------------------------------------------


def _owners(queue: Queue, seats: int) -> str:
    """Whose requests get the next seats, one letter each."""
    served = ""
    for _ in range(seats):
        served += "".join(t.owner for t, _ in queue.match(_one()))
    return served


def _one() -> Callable[[Ticket], Seat | None]:
    """A seat for the first who asks, and none for others."""
    left = [SEAT]
    return lambda _ticket: left.pop() if left else None


def test_a_flood_does_not_delay_others() -> None:
    """Whoever waits beside a hundred of another gets every second seat, from the first on."""
    queue = Queue(256)
    for number in range(100):
        queue.join(Ticket(number, "echo", owner="f"))
    assert _owners(queue, 10) == "f" * 10
    for number in range(100, 104):
        queue.join(Ticket(number, "echo", owner="l"))
    assert _owners(queue, 10) == "lflflflfff"


def test_nobody_saves_turns_up() -> None:
    """Who comes back from a pause shares from then on, and does not catch up."""
    queue = Queue(256)
    for number in range(50):
        queue.join(Ticket(number, "echo", owner="a"))
    assert _owners(queue, 40) == "a" * 40
    for number in range(50, 60):
        queue.join(Ticket(number, "echo", owner="b"))
    assert sorted(_owners(queue, 10)) == list("aaaaabbbbb")


def test_low_priority_waits_behind_all_and_high_before_ones_own() -> None:
    """Nobody can get before another owner by a word of their own."""
    queue = Queue(8)
    queue.join(Ticket(1, "echo", owner="a", priority="low"))
    queue.join(Ticket(2, "echo", owner="a"))
    queue.join(Ticket(3, "echo", owner="b"))
    queue.join(Ticket(4, "echo", owner="b"))
    queue.join(Ticket(5, "echo", owner="b", priority="high"))
    assert [ticket.number for ticket in queue.tickets()] == [2, 5, 3, 4, 1]
    assert [queue.ahead(ticket) for ticket in queue.tickets()] == [0, 1, 2, 3, 4]
    assert queue.ahead(Ticket(6, "echo", owner="c")) == 2
    assert queue.owners() == {"a": 2, "b": 3}


def test_a_full_queue_makes_room_for_who_has_less_in_it() -> None:
    """The longest line's last goes, as long as that line is longer than the newcomer's becomes."""
    queue = Queue(4)
    for number in (1, 2, 3):
        queue.join(Ticket(number, "echo", owner="f"))
    queue.join(Ticket(4, "echo", owner="f", priority="high"))
    gone = [queue.join(Ticket(number, "echo", owner="l")) for number in (5, 6, 7)]
    assert [each.number for each in gone if each] == [3, 2, 7]
    assert queue.owners() == {"f": 2, "l": 2}


def test_low_priority_makes_room_for_any_other() -> None:
    """Also for the same owner's; but never the other way round."""
    queue = Queue(2)
    low = [Ticket(number, "echo", owner="a", priority="low") for number in (1, 2, 5, 6)]
    for ticket in low[:2]:
        queue.join(ticket)
    assert queue.join(Ticket(3, "echo", owner="a")) is low[1]
    assert queue.join(Ticket(4, "echo", owner="a")) is low[0]
    assert queue.join(low[2]) is low[2]


ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=80)


@given(ARRIVALS)
def test_between_two_who_wait_nobody_gets_more_than_one_seat_more(
    arrivals: list[tuple[str, int]],
) -> None:
    """In any stretch in which two owners wait without a pause, they get the same, but for one."""
    queue = Queue(1000)
    got = Counter[str]()
    both = dict[frozenset[str], Counter[str]]()
    for number, (owner, seats) in enumerate(arrivals):
        queue.join(Ticket(number, "echo", owner=owner))
        for _ in range(seats):
            waiting = set(queue.owners())
            for pair in (frozenset(p) for p in ("ab", "bc", "ac")):
                if not pair <= waiting:
                    both.pop(pair, None)
                else:
                    both.setdefault(pair, Counter())
            for each in _owners(queue, 1):
                got[each] += 1
                for pair, since in both.items():
                    if each in pair:
                        since[each] += 1
                        assert abs(since[min(pair)] - since[max(pair)]) <= 1 + 1
    assert sum(got.values()) + len(queue) == len(arrivals)


def test_marks_of_those_who_left_are_forgotten() -> None:
    """A thousand owners who came once leave no more behind than the bound."""
    queue = Queue(8)
    for number in range(1000):
        queue.join(Ticket(number, "echo", owner=str(number)))
        _owners(queue, 1)
    assert len(queue._marks) <= SPARE_MARKS + 1


def test_two_models_and_a_battle_are_names_of_their_own() -> None:
    """Who waits for a pair holds up nobody who waits for one of the two, nor the other way round."""
    queue = Queue(8)
    for number, model in enumerate(("echo,poet", "echo", "battle", "echo,poet", "poet"), 1):
        queue.join(Ticket(number, model))
    assert _seated(queue, "echo", "battle") == [2, 3]
    assert _seated(queue, "echo,poet", "poet") == [1, 5]
    assert [ticket.number for ticket in queue.tickets()] == [4]
