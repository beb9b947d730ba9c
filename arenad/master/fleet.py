"""How many processes are to be, and which: a brain that turns a wish into starts and drains."""

from collections.abc import Collection, Mapping

import msgspec

from arenad.schema.control import Phase
from arenad.schema.process import template_of

ROLLING_SHARE = 4
"""Of so many instances one at a time is replaced after a reload; of few ones, one."""

MOVING: frozenset[Phase] = frozenset({"starting", "draining", "stopping"})

LEAVING_LIMIT = 8
"""So many frontends may be finishing their streams before the next successors have to wait."""

_FIRST = "w"
"""What the names of instances without a template begin with."""


class Member(msgspec.Struct, frozen=True):
    """An instance as the plan sees it. `held` means an operator drained it and it stays down."""

    phase: Phase
    wanted: bool
    held: bool = False


class Part(msgspec.Struct, frozen=True):
    """A process as the plan of replacements sees it.

    `is_old` means that it was started with what has changed since; `serves`, that it does its work.
    """

    phase: Phase
    wanted: bool
    is_old: bool
    serves: bool


class Plan(msgspec.Struct, frozen=True):
    """What to do now: processes to start (new names included), to drain, to renew, to forget."""

    start: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()


def name_of(number: int, template: str = "") -> str:
    """The name of an instance; numbers begin at 1."""
    return f"{template}-{number}" if template else f"{_FIRST}{number}"


def number_of(name: str) -> int:
    """The number in the name of an instance; 0 for one that is none."""
    first, dash, number = name.rpartition("-")
    if not dash:
        first, number = name[: len(_FIRST)], name[len(_FIRST) :]
        return int(number) if first == _FIRST and number.isdecimal() else 0
    return int(number) if first != "frontend" and number.isdecimal() else 0


def plan_all(members: Mapping[str, Member], wishes: Mapping[str, int], start_parallel: int) -> Plan:
    """The next steps towards so many instances of each template, all sharing one start at a time.

    A template that nobody wishes for any more is drained.
    """
    room = start_parallel - sum(member.phase == "starting" for member in members.values())
    steps = Plan()
    for template in dict.fromkeys((*wishes, *map(template_of, members))):
        crew = {name: each for name, each in members.items() if template_of(name) == template}
        starting = sum(member.phase == "starting" for member in crew.values())
        part = plan(crew, wishes.get(template, 0), max(0, room) + starting, template)
        room -= len(part.start)
        steps = Plan(
            start=(*steps.start, *part.start),
            drain=(*steps.drain, *part.drain),
            forget=(*steps.forget, *part.forget),
        )
    return steps


def plan(
    members: Mapping[str, Member], wanted: int, start_parallel: int, template: str = ""
) -> Plan:
    """The next steps towards instances 1 to `wanted`, starting at most `start_parallel` at a time.

    Called again after every change, so a plan that was broken off half-way is simply made anew.
    """
    starting = sum(member.phase == "starting" for member in members.values())
    room = max(0, start_parallel - starting)
    missing = [
        name
        for name in (name_of(number, template) for number in range(1, wanted + 1))
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

    Those of templates have no spares: all of them are.

    `seated` says of each whether it can take requests. Whoever is in the roster stays as long as it
    can, so that nothing moves without need; then come spares, by number; and those that cannot take
    requests only while there are not enough others, so that clients are told the reason.
    """
    others = filter(template_of, seated)
    order = sorted(
        (name for name in seated if not template_of(name)),
        key=lambda name: (not seated[name], name not in before, number_of(name)),
    )
    return frozenset((*order[:wanted], *others))


def renew(instances: Mapping[str, Part], start_parallel: int) -> tuple[str, ...]:
    """The outdated instances to be replaced now: those of no use first, others few at a time.

    The next ones wait until the last ones are back. So instances that do not come up with what has
    changed are the last that are replaced, and the others go on serving.
    """
    old = {n: p for n, p in instances.items() if p.wanted and p.is_old and p.phase == "ready"}
    away = sum(p.wanted and not p.serves and _is_on_its_way(p) for p in instances.values())
    coming = sum(part.phase in MOVING for part in instances.values())
    useless = [name for name, part in old.items() if not part.serves][
        : max(0, start_parallel - coming)
    ]
    share = min(start_parallel, max(1, len(instances) // ROLLING_SHARE))
    room = share - away - len(useless)
    serving = [name for name, part in old.items() if part.serves]
    return (*useless, *serving[: max(0, room)])


def _is_on_its_way(part: Part) -> bool:
    """Whether it is being replaced, or is the replacement."""
    return not part.is_old or part.phase in ("draining", "stopping")


def relay(frontends: Mapping[str, Part], wanted: int) -> Plan:
    """The next steps towards `wanted` frontends that are not outdated.

    A successor has a name of its own, and its predecessor leaves once it is ready: those who
    connect are served at any moment, and streams have the time of a drain to end.
    """
    staying = {name: part for name, part in frontends.items() if part.wanted}
    fresh = [name for name, part in staying.items() if not part.is_old]
    fresh.sort(key=lambda name: not staying[name].serves)
    old = [name for name, part in staying.items() if part.is_old]
    old.sort(key=lambda name: staying[name].serves)
    gone = tuple(n for n, p in frontends.items() if not p.wanted and p.phase == "stopped")
    is_crowded = len(frontends) - len(staying) - len(gone) >= LEAVING_LIMIT
    serving = sum(staying[name].serves for name in (*fresh[:wanted], *old))
    useless = sum(not staying[name].serves for name in old)
    return Plan(
        start=() if is_crowded and old else _free_names(frontends, wanted - len(fresh)),
        drain=(*old[: useless + max(0, serving - wanted)], *fresh[wanted:]),
        forget=gone,
    )


def lone(name: str, part: Part | None, *, is_wanted: bool) -> Plan:
    """The next step of a role that has one process or none; who needs it waits while it is away."""
    if part is None:
        return Plan(start=(name,) if is_wanted else ())
    if part.phase == "stopped" and not part.wanted:
        return Plan(forget=(name,))
    return Plan(
        drain=() if is_wanted or not part.wanted else (name,),
        renew=(name,) if is_wanted and part.wanted and part.is_old and part.serves else (),
    )


def _free_names(taken: Collection[str], count: int) -> tuple[str, ...]:
    numbers = range(1, len(taken) + count + 1)
    names = (f"frontend-{number}" for number in numbers)
    return tuple(name for name in names if name not in taken)[: max(0, count)]
