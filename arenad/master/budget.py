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


def affordable(budget_bytes: int, each_bytes: int, spares: int, others_bytes: int = 0) -> int:
    """How many instances the budget affords beside spares and what others take; 0: no limit."""
    if not budget_bytes:
        return NO_LIMIT
    return max(0, max(0, budget_bytes - others_bytes) // max(1, each_bytes) - spares)


def refusal(
    instances: int, spares: int, budget_bytes: int, readings: Sequence[int], others_bytes: int = 0
) -> str:
    """Why so many cannot be afforded; empty if they can. `others_bytes` are what templates take."""
    each_bytes = mean_bytes(readings)
    most = affordable(budget_bytes, each_bytes, spares, others_bytes)
    if instances <= most:
        return ""
    how = "measured" if any(reading > 0 for reading in readings) else "as a first guess"
    total = (instances + spares) * each_bytes + others_bytes
    beside = f" and {_counted(spares, 'spare')}" if spares else ""
    beside += f" beside {others_bytes // _MIB} MiB of templates" if others_bytes else ""
    return (
        f"instances: {instances}{beside} would take about {total // _MIB} MiB"
        f" ({each_bytes // _MIB} MiB each, {how}), over fleet.memory_budget_bytes"
        f" ({budget_bytes // _MIB} MiB); ask for at most {most}, or raise the budget"
    )


def refusal_of_template(name: str, instances: int, total_bytes: int, budget_bytes: int) -> str:
    """The same of a template's, with which all together would take so much."""
    if not budget_bytes or total_bytes <= budget_bytes:
        return ""
    total, limit = total_bytes // _MIB, f"fleet.memory_budget_bytes ({budget_bytes // _MIB} MiB)"
    return (
        f"instances: with {instances} of {name} all would take about {total} MiB,"
        f" over {limit}; ask for fewer, or raise the budget"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
