"""How many instances are wished for, on the site itself and of each template; and their cost."""

from collections.abc import Callable, Mapping

from arenad.errors import Refused
from arenad.master import budget, fleet
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
        readings: Callable[[], Mapping[str, int]],
        tell: Callable[[str, str], None],
    ) -> None:
        """`readings` say what each instance takes now; `tell` takes a line of the story."""
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
        if instances > self.others[template] and (why := self._refusal_of(template, others)):
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
        each_bytes = self._mean_bytes("")
        limit_bytes, others_bytes = config.memory_budget_bytes, self._bytes(self.others)
        most = budget.affordable(limit_bytes, each_bytes, config.spares, others_bytes)
        return Room(self.most, most, each_bytes)

    def refusal(self, instances: int) -> str:
        """Why so many on the site cannot be afforded; empty if they can."""
        config, others_bytes = self._settings.config.fleet, self._bytes(self.others)
        limit_bytes, readings = config.memory_budget_bytes, self._of("")
        return budget.refusal(instances, config.spares, limit_bytes, readings, others_bytes)

    def _refusal_of(self, template: str, others: Mapping[str, int]) -> str:
        config = self._settings.config.fleet
        own_bytes = (self.first + config.spares) * self._mean_bytes("")
        total_bytes = own_bytes + self._bytes(others)
        count, limit_bytes = others[template], config.memory_budget_bytes
        return budget.refusal_of_template(template, count, total_bytes, limit_bytes)

    def _bytes(self, others: Mapping[str, int]) -> int:
        """What so many instances of templates take, each as those of its kind do."""
        return sum(count * self._mean_bytes(name) for name, count in others.items())

    def _mean_bytes(self, template: str) -> int:
        return budget.mean_bytes(self._of(template))

    def _of(self, template: str) -> list[int]:
        readings = self._readings().items()
        return [each for name, each in readings if fleet.template_of(name) == template]
