"""How many instances are wished for, on the site itself and of each template; and their cost."""

from collections.abc import Callable, Sequence

from arenad.errors import Refused
from arenad.master import budget
from arenad.master.scale import Room
from arenad.master.settings import Settings

NUMBERS = frozenset(
    f"fleet.{name}" for name in ("instances", "max_instances", "spares", "memory_budget_bytes")
)
"""The fields on which the number of instances rests: others are no reason to count them anew."""


class Wishes:
    """What is wished for now, by the configuration, an operator or the load."""

    def __init__(
        self,
        settings: Settings,
        readings: Callable[[], Sequence[int]],
        tell: Callable[[str, str], None],
    ) -> None:
        """`readings` are what instances cost now; `tell` takes a line of the story."""
        self.first = settings.config.fleet.instances
        """On the site itself; spares come on top."""

        self.others = {each.name: each.instances for each in settings.config.instance_templates}
        """Of each template."""

        self._settings = settings
        self._readings = readings
        self._tell = tell

    @property
    def total(self) -> int:
        """All of them, without spares."""
        return self.first + sum(self.others.values())

    @property
    def most(self) -> int:
        """How many there may be on the site itself."""
        return max(0, self._settings.config.fleet.max_instances - sum(self.others.values()))

    @property
    def of_each(self) -> dict[str, int]:
        """How many are to be there of each template, and of none, by its name."""
        return {"": self.first + self._settings.config.fleet.spares, **self.others}

    def want(self, instances: int) -> None:
        """Have so many on the site, or as many as the memory budget affords, and say so."""
        self.first = instances
        if instances > (most := self.room().affordable):
            self._tell("fleet", self.refusal(instances))
            self.first = most

    def want_of(self, template: str, instances: int) -> None:
        """Have so many of a template. Raises `Refused`, and nothing is changed."""
        if template not in self.others:
            known = ", ".join(self.others) or "none"
            raise Refused(f"instances: there is no template {template!r}; there are {known}")
        others = {**self.others, template: instances}
        limit = self._settings.config.fleet.max_instances - self.total + self.others[template]
        if not 0 <= instances <= limit:
            raise Refused(
                f"instances: is {instances}; must be 0 to {limit} beside the others "
                "(fleet.max_instances)"
            )
        if instances > self.others[template] and (why := self._refusal(self.first, others)):
            raise Refused(why)
        self.others = others

    def follow(self, fields: set[str]) -> None:
        """The configuration has changed in these fields; what operators said of others stays."""
        field = "instance_templates"
        self.others = {
            each.name: self.others.get(each.name, each.instances)
            if f"{field}.{each.name}.instances" not in fields
            else each.instances
            for each in self._settings.config.instance_templates
        }
        if fields & NUMBERS:
            is_new = "fleet.instances" in fields
            self.want(
                min(self._settings.config.fleet.instances if is_new else self.first, self.most)
            )

    def room(self) -> Room:
        """How many instances there may be on the site."""
        config = self._settings.config.fleet
        each_bytes = budget.mean_bytes(self._readings())
        beside = config.spares + sum(self.others.values())
        most = budget.affordable(config.memory_budget_bytes, each_bytes, beside)
        return Room(self.most, most, each_bytes)

    def refusal(self, instances: int) -> str:
        """Why so many on the site cannot be afforded; empty if they can."""
        return self._refusal(instances, self.others)

    def _refusal(self, instances: int, others: dict[str, int]) -> str:
        config = self._settings.config.fleet
        readings, beside = self._readings(), sum(others.values())
        return budget.refusal(
            instances, config.spares, config.memory_budget_bytes, readings, beside
        )
