"""Distributions of what replies took, in a few fixed buckets, and the percentiles that can be read from them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from models_admin.models import Usage
from models_admin.usage.meter import Measured

# The upper bounds of the buckets but the last, which has none. A bucket's number is a column's: a change needs a new column.
BOUNDS: dict[str, tuple[float, ...]] = {
    "first": (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2),  # seconds to the first token
    "rate": (2, 5, 10, 15, 20, 30, 40, 60, 100, 200, 400),  # tokens a second
    "context": tuple(256 * 2**number for number in range(11)),  # tokens of prompt and answer
}


def columns(name: str) -> tuple[str, ...]:
    """Return the columns of a distribution, its lowest bucket first."""
    return tuple(f"{name}_{number}" for number in range(Usage.BUCKETS))


def buckets(took: Measured) -> Iterator[str]:
    """Yield the columns in which a reply counts; what was not measured counts in none."""
    measured = {"first": took.first_seconds, "rate": took.rate, "context": took.context}
    for name, value in measured.items():
        if value is not None:
            yield f"{name}_{bisect_left(BOUNDS[name], value)}"


def percentile(name: str, counts: Sequence[int], part: float) -> float | None:
    """Return the value that this part (0…1) of a distribution does not exceed; None of an empty one.

    It is right to a bucket: within one, values are taken to be spread evenly. The last one counts as wide as its bound.
    """
    bounds = BOUNDS[name]
    wanted = part * sum(counts)
    if not wanted:
        return None
    below = 0
    for number, count in enumerate(counts):
        if count and below + count >= wanted:
            low = bounds[number - 1] if number else 0.0
            high = bounds[number] if number < len(bounds) else 2 * bounds[-1]
            return low + (high - low) * (wanted - below) / count
        below += count
    return 2 * bounds[-1]
