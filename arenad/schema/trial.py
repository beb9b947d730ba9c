"""What trying a profile on a page has shown."""

from typing import Literal

from arenad.schema.base import Record

Verdict = Literal["holds", "gone", "unknown"]


class Finding(Record):
    """One thing that the profile names: whether it holds, how long it took, and what was found."""

    name: str
    verdict: Verdict
    note: str = ""
    took_s: float = 0.0


class Trial(Record):
    """All of them, in the order in which a chat needs them. `browser` is its name and version."""

    profile: str
    version: int
    url: str
    browser: str
    findings: tuple[Finding, ...]

    @property
    def gone(self) -> tuple[str, ...]:
        """What no longer holds."""
        return tuple(each.name for each in self.findings if each.verdict == "gone")
