"""The pace of each site: what is configured, what refusals have left of it, and how many came."""

import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from arenad import pace
from arenad.master.handover import Standing
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.schema.config import SiteConfig
from arenad.schema.control import PaceNow
from arenad.schema.process import Pace, SessionIs, template_of


class Pacing:
    """Frontends are sent the paces with the roster and keep them by themselves."""

    def __init__(self, settings: Settings, tell: Callable[[str, str], None]) -> None:
        """`tell` takes a line of the story."""
        self.standings: dict[str, Standing] = {}
        self._settings = settings
        self._tell = tell

    def paces(self) -> dict[str, Pace]:
        """Those of the sites that have one, by template."""
        return {
            name: self._pace(name, site)
            for name, site in self._settings.sites.items()
            if site.pace or site.spacing_s
        }

    def heard(self, instance: str, news: SessionIs) -> None:
        """An instance that is to rest was refused: all that ask its site go slower from now on."""
        if news.condition == "resting" and news.resting_s is not None:
            self._slow(instance)

    def _slow(self, instance: str) -> None:
        name, now_s = template_of(instance), time.monotonic()
        site = self._settings.sites.get(name)
        if site is None:
            return  # its template has just left the configuration
        before = self._pace(name, site)
        after = pace.slowed(before, now_s)
        self.standings[name] = Standing(
            self._standing(name).refusals + 1, after.slowed_per_minute, after.slowed_at_s
        )
        if after != before and after.slowed_per_minute is not None:
            slower = f"{after.slowed_per_minute:.3g} of {site.pace:g} requests a minute"
            self._tell(name or "fleet", f"{instance} was refused by the site: {slower} from now on")

    def state(self, children: Iterable[Supervised]) -> tuple[PaceNow, ...]:
        """For people: of each site that has a pace, or has refused something."""
        now_s, rests_s = time.monotonic(), dict[str, list[float]]()
        for child in children:
            if child.condition == "resting" and child.rest_until_s is not None:
                left_s = max(0.0, child.rest_until_s - now_s)
                rests_s.setdefault(template_of(child.name), []).append(left_s)
        return tuple(
            PaceNow(
                template=name,
                per_minute=site.pace,
                allowed_per_minute=pace.allowed_per_minute(self._pace(name, site), now_s),
                spacing_s=site.spacing_s,
                refusals=self._standing(name).refusals,
                resting=len(rests_s.get(name, ())),
                rest_s=min(rests_s.get(name, ()), default=None),
            )
            for name, site in self._settings.sites.items()
            if site.pace or site.spacing_s or self._standing(name).refusals
        )

    def _standing(self, template: str) -> Standing:
        return self.standings.get(template, Standing())

    def _pace(self, template: str, site: SiteConfig) -> Pace:
        configured = Pace(
            per_minute=site.pace,
            spacing_s=site.spacing_s,
            jitter_percent=site.spacing_jitter_percent,
            turns_path=str(self._settings.turns(template)),
        )
        known = self._standing(template)
        return replace(
            configured, slowed_per_minute=known.slowed_per_minute, slowed_at_s=known.slowed_at_s
        )
