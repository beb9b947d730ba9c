"""How many instances are to be, and which: a brain that turns a wish into starts and drains."""

import re
from collections.abc import Collection, Mapping

import msgspec

from arenad.schema.control import Phase

_NAME = re.compile(r"w(\d+)$")


class Member(msgspec.Struct, frozen=True):
    """An instance as the plan sees it. `held` means an operator drained it and it stays down."""

    phase: Phase
    wanted: bool
    held: bool = False


class Plan(msgspec.Struct, frozen=True):
    """What to do now: instances to start (new names included), to drain, and to forget."""

    start: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()


def name_of(number: int) -> str:
    """The name of an instance; numbers begin at 1."""
    return f"w{number}"


def number_of(name: str) -> int:
    """The number in an instance's name; 0 for any other process."""
    match = _NAME.match(name)
    return int(match[1]) if match else 0


def plan(members: Mapping[str, Member], wanted: int, start_parallel: int) -> Plan:
    """The next steps towards instances 1 to `wanted`, starting at most `start_parallel` at a time.

    Called again after every change, so a plan that was broken off half-way is simply made anew.
    """
    starting = sum(member.phase == "starting" for member in members.values())
    room = max(0, start_parallel - starting)
    missing = [
        name
        for name in map(name_of, range(1, wanted + 1))
        if (member := members.get(name)) is None or (not member.wanted and not member.held)
    ]
    surplus = {name: m for name, m in members.items() if number_of(name) > wanted}
    return Plan(
        start=tuple(missing[:room]),
        drain=tuple(name for name, m in surplus.items() if m.wanted),
        forget=tuple(name for name, m in surplus.items() if m.phase == "stopped"),
    )


def enlist(seated: Mapping[str, bool], before: Collection[str], wanted: int) -> frozenset[str]:
    """Who of the instances that have a seat is in the roster; the rest are spares.

    `seated` says of each whether it can take requests. Whoever is in the roster stays as long as it
    can, so that nothing moves without need; then come spares, by number; and those that cannot take
    requests only while there are not enough others, so that clients are told the reason.
    """
    order = sorted(seated, key=lambda name: (not seated[name], name not in before, number_of(name)))
    return frozenset(order[:wanted])
