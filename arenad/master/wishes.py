"""How many instances are wished for, on the site itself and of each template; and their cost."""

from collections.abc import Callable, Mapping

from arenad.errors import Refused
from arenad.master import budget
from arenad.master.scale import Room
from arenad.master.settings import Settings
from arenad.schema.process import template_of

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
        """Have so many on the site, or as many as limit and memory budget leave, and say so."""
        if instances > self.most:
            limit = self._settings.config.fleet.max_instances
            beside = f" beside {_counted(self.others)}" if any(self.others.values()) else ""
            told = f"{instances} instances{beside} are over fleet.max_instances ({limit})"
            self._tell("fleet", f"{told}; {self.most} are kept")
            instances = self.most
        self.first = instances
        if instances > (most := self.room().affordable):
            self._tell("fleet", self.refusal(instances))
            self.first = most

    def want_of(self, template: str, instances: int) -> None:
        """Have so many of a template. Raises `Refused`, and nothing is changed."""
        if template not in self.others:
            known = f"there are {', '.join(self.others)}" if self.others else "none is configured"
            told = f"there is no template {template!r}; {known} (instance_templates)"
            raise Refused(f"instances: {told}")
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

    def resume(self, first: int, others: Mapping[str, int]) -> None:
        """Go on with what an earlier program wished for, of the templates that there still are.

        The configuration may have changed since that one read it.
        """
        self.first = first
        configured = dict(self.others)
        self.others |= {name: others[name] for name in others if name in self.others}
        self._keep_within(configured)
        if first > self.most:
            self.want(first)

    def follow(self, fields: set[str]) -> None:
        """The configuration has changed in these fields; what operators said of others stays."""
        config, field = self._settings.config, "instance_templates"
        configured = {each.name: each.instances for each in config.instance_templates}
        self.others = {
            name: instances
            if f"{field}.{name}.instances" in fields
            else self.others.get(name, instances)
            for name, instances in configured.items()
        }
        self._keep_within(configured)
        wanted = config.fleet.instances if "fleet.instances" in fields else self.first
        if fields & NUMBERS or wanted > self.most:
            self.want(wanted)

    def _keep_within(self, configured: dict[str, int]) -> None:
        """Of templates there are no more than may be of all; else as many as `configured`."""
        if sum(self.others.values()) > (limit := self._settings.config.fleet.max_instances):
            told = f"{_counted(self.others)} are over fleet.max_instances ({limit})"
            self._tell("fleet", f"{told}; what the file says of templates holds again")
            self.others = configured

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
        return [each for name, each in readings if template_of(name) == template]


def _counted(others: Mapping[str, int]) -> str:
    """For example `3 of local, 1 of other`."""
    return ", ".join(f"{count} of {name}" for name, count in others.items())
