"""A valve that stops nothing, and notes what it is told."""

from arenad.worker.valve import Reason, Valve


class RecordedValve(Valve):
    """Without a browser."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.told: list[str] = []

    @property
    def reasons(self) -> set[Reason]:
        return self._reasons

    def shut(self, reason: Reason) -> None:
        if reason not in self._reasons:
            self.told.append(f"shut: {reason}")
        self._reasons.add(reason)

    def open(self, *reasons: Reason) -> None:
        if self._reasons.intersection(reasons):
            self.told.append(f"open: {', '.join(reasons)}")
        super().open(*reasons)
