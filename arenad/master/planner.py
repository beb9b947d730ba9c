"""Carries out the plans of `fleet`, role by role, and the way out: who begins, who ends, and when.

It decides nothing by itself and keeps nothing but whether the daemon is leaving.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from arenad.master import fleet
from arenad.master.keeper import Keeper
from arenad.master.life import Event
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.schema.process import ProcessRole

WAY_OUT: tuple[tuple[ProcessRole, Event], ...] = (
    ("frontend", Event.DRAIN),
    ("worker", Event.STOP),
    ("demo", Event.STOP),
    ("recorder", Event.STOP),
)
"""Who leaves after whom, and how: whoever is asked, or told, by others stops after them."""


class Planner:
    """The next steps of every role, again after each change; a plan broken off is made anew."""

    def __init__(
        self,
        keeper: Keeper,
        settings: Settings,
        wanted: Callable[[], Mapping[str, int]],
        end: Callable[[], None],
    ) -> None:
        """`wanted` says how many of each template are to be there, spares included.

        `end` is called when nothing is left on the way out.

        The order of the plans is the order of the start: whoever is asked by others comes first.
        """
        self.leaving = False
        self.before_end: Callable[[Supervised], None] = lambda _child: None
        """Called before a child is asked to end on the way out."""

        self._keeper = keeper
        self._settings = settings
        self._wanted = wanted
        self._end = end
        self._is_planning = False
        self._plans: Mapping[ProcessRole, Callable[[], fleet.Plan]] = {
            "recorder": self._recorder,
            "demo": self._demo,
            "frontend": self._frontends,
            "worker": self._instances,
        }

    def follow(self) -> None:
        """Step by step until nothing is left to do now; each step may change what is next."""
        if self.leaving or self._is_planning:
            return
        self._is_planning = True
        while any(self._take(role, plan()) for role, plan in self._plans.items()):
            pass
        self._is_planning = False

    def _take(self, role: ProcessRole, plan: fleet.Plan) -> bool:
        """Take these steps; false when there are none."""
        keeper = self._keeper
        for name in plan.forget:
            keeper.forget(name)
        for name in plan.drain:
            keeper.event(keeper.children[name], Event.DRAIN)
        for name in plan.renew:
            keeper.event(keeper.children[name], Event.RESTART)
        for name in plan.start:
            if name in keeper.children:
                keeper.event(keeper.children[name], Event.START)
            else:
                keeper.add(name, role)
        return plan != fleet.Plan()

    def _recorder(self) -> fleet.Plan:
        part = self._parts("recorder").get("recorder")
        return fleet.lone("recorder", part, is_wanted=self._settings.records)

    def _demo(self) -> fleet.Plan:
        part = self._parts("demo").get("demo")
        return fleet.lone("demo", part, is_wanted=self._settings.runs_demo)

    def _frontends(self) -> fleet.Plan:
        return fleet.relay(self._parts("frontend"), self._settings.config.frontend.processes)

    def _instances(self) -> fleet.Plan:
        config = self._settings.config.fleet
        members = {
            name: fleet.Member(child.life.phase, child.life.wanted, child.held)
            for name, child in self._of("worker").items()
        }
        plan = fleet.plan_all(members, self._wanted(), config.start_parallel)
        renew = fleet.renew(self._parts("worker"), config.start_parallel)
        return replace(plan, renew=renew)

    def _of(self, role: ProcessRole) -> dict[str, Supervised]:
        return {name: each for name, each in self._keeper.children.items() if each.role == role}

    def _parts(self, role: ProcessRole) -> dict[str, fleet.Part]:
        return {
            name: fleet.Part(
                child.life.phase, child.life.wanted, is_old=child.outdated, serves=child.serves
            )
            for name, child in self._of(role).items()
        }

    def leave(self) -> None:
        """The next step of the way out, once the step before is done."""
        self.leaving = True
        for role, event in WAY_OUT:
            staying = [each for each in self._of(role).values() if each.life.phase != "stopped"]
            for child in staying:
                if child.life.wanted:
                    self.before_end(child)
                    self._keeper.event(child, event)
            if any(child.life.phase != "stopped" for child in staying):
                return
        self._end()
