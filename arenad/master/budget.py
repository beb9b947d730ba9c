"""What the fleet may cost in memory: how many instances a budget affords. A brain."""

from collections.abc import Sequence

FIRST_GUESS_BYTES = 300 * 1024 * 1024
"""What an instance is taken to cost before any has been measured: a full Chromium with a chat page
takes 180 to 470 MiB (PSS), by its build."""

NO_LIMIT = 1_000_000

_MIB = 1024 * 1024


def mean_bytes(readings: Sequence[int]) -> int:
    """What an instance costs, from the measurements there are."""
    measured = [reading for reading in readings if reading > 0]
    return sum(measured) // len(measured) if measured else FIRST_GUESS_BYTES


def affordable(budget_bytes: int, each_bytes: int, beside: int) -> int:
    """How many instances the budget affords beside so many (spares); no budget, no limit."""
    if not budget_bytes:
        return NO_LIMIT
    return max(0, budget_bytes // max(1, each_bytes) - beside)


def refusal(
    instances: int, spares: int, budget_bytes: int, readings: Sequence[int], others: int = 0
) -> str:
    """Why so many instances cannot be afforded; empty if they can. `others` are of templates."""
    each_bytes = mean_bytes(readings)
    most = affordable(budget_bytes, each_bytes, spares + others)
    if instances <= most:
        return ""
    how = "measured" if any(reading > 0 for reading in readings) else "as a first guess"
    total = (instances + spares + others) * each_bytes
    beside = f" and {_counted(spares, 'spare')}" if spares else ""
    beside += f" and {others} of templates" if others else ""
    return (
        f"instances: {instances}{beside} would take about {total // _MIB} MiB"
        f" ({each_bytes // _MIB} MiB each, {how}), over fleet.memory_budget_bytes"
        f" ({budget_bytes // _MIB} MiB); ask for at most {most}, or raise the budget"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
