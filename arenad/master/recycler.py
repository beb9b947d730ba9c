"""The body of recycling: remembers what each process has been through, at each of its beats."""

import random
import time
from collections.abc import Callable, Mapping

from arenad.master import recycle
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised


class Known:
    """One process of an instance: which, its draw for the jitter, its past."""

    def __init__(self, generation: int) -> None:
        """A new process."""
        self.generation = generation
        self.draw = random.random()  # noqa: S311 - jitter, no secret
        self.past = recycle.Past()


class Recycler:
    """Has worn instances replaced, one at a time."""

    def __init__(
        self,
        settings: Settings,
        children: Mapping[str, Supervised],
        replace: Callable[[Supervised, str], None],
    ) -> None:
        """`replace` drains an instance and starts it anew; it is given the reason."""
        self._settings = settings
        self._children = children
        self._replace = replace
        self._known: dict[str, Known] = {}
        self._away: tuple[str, int] | None = None

    def look(self, child: Supervised, wanted: int) -> None:
        """An instance has sent a beat: take it in, then see whether any is to be replaced."""
        rules = self._settings.config.recycle
        known = self._of(child)
        known.past = recycle.take(known.past, child.beat, rules)
        if self._is_one_away():
            return
        children = self._children.values()
        serving = [each for each in children if each.role == "worker" and each.serves]
        chosen = recycle.choose([self._wear(each) for each in serving], wanted, rules)
        if chosen is not None:
            name, why = chosen
            self._away = name, self._children[name].life.generation
            self._replace(self._children[name], why)

    def _of(self, child: Supervised) -> Known:
        known = self._known.get(child.name)
        if known is None or known.generation != child.life.generation:
            known = self._known[child.name] = Known(child.life.generation)
        return known

    def _is_one_away(self) -> bool:
        """Whether one that was recycled has not come back; one that nobody wants is not awaited."""
        if self._away is None:
            return False
        name, generation = self._away
        child = self._children.get(name)
        is_back = child is not None and child.life.generation > generation and child.serves
        if child is None or not child.life.wanted or is_back:
            self._away = None
        return self._away is not None

    def _wear(self, child: Supervised) -> recycle.Wear:
        known = self._of(child)
        age_s = time.monotonic() - child.life.since_s
        return recycle.Wear(child.name, age_s, child.beat, known.past, known.draw)
