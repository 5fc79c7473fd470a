"""What came of the trials, as a table: a row for each victim and what happened to it, a column for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.chaos_plan import ACTIONS, STEPS, Plan

LIMIT = 30.0  # seconds in which everything has to be right again


@dataclass
class Result:
    """What came of one trial. `seconds`: from the victim's return until everything was right; None if it never was."""

    plan: Plan
    seconds: float | None
    sent: int = 0
    continued: int = 0  # replies that one model began and another ended
    compared: int = 0  # replies that another model's stands beside
    failed: int = 0  # honestly
    calls: int = 0  # of programs
    joined: int = 0  # of these, begun by one model and ended by another
    cut: int = 0  # of these, ended by an error that the trial explains
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    met: bool = True  # whether the step was seen
    log: str = ""

    @property
    def converged(self) -> bool:
        """Whether everything was right again in time."""
        return self.seconds is not None and self.seconds <= LIMIT

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return self.converged and not self.lost and not self.doubled


def table(results: Sequence[Result]) -> str:
    """Return the table. A cell is `trials/longest seconds`; `-` where none was made, `!` where not all converged."""
    heads = ["victim", *(step.replace("_", " ") for step in STEPS)]
    heads += ["trials", "converged", "longest s", "lost", "doubled"]
    rows = [heads]
    for victim, deed in ACTIONS:
        name = f"{'sandbox fault' if victim == 'fault' else victim} {deed}"
        mine = [each for each in results if (each.plan.victim, each.plan.deed) == (victim, deed)]
        cells = [_cell([each for each in mine if each.plan.step == step]) for step in STEPS]
        if mine:
            rows.append([name, *cells, *_sums(mine)])
    total = [_cell([each for each in results if each.plan.step == step]) for step in STEPS]
    rows.append(["total", *total, *_sums(results)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if at == 0 else f"{cell:>{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _cell(results: Sequence[Result]) -> str:
    if not results:
        return "-"
    bad = "" if all(each.good for each in results) else "!"
    return f"{bad}{len(results)}/{_longest(results)}"


def _longest(results: Sequence[Result]) -> str:
    seconds = [each.seconds for each in results if each.seconds is not None]
    return f"{max(seconds):.1f}" if len(seconds) == len(results) and seconds else "never"


def _sums(results: Sequence[Result]) -> list[str]:
    return [
        str(len(results)),
        str(sum(each.converged for each in results)),
        _longest(results),
        str(sum(len(each.lost) for each in results)),
        str(sum(len(each.doubled) for each in results)),
    ]
