"""Sampling options that an alias may have defaults for: some of those that TabbyAPI's requests know, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_PROMPT = 20_000  # characters
MOST_TOKENS = 1_000_000
HIGHEST_TEMPERATURE = 5


@dataclass(frozen=True, slots=True)
class Option:
    """A number from `low` to `high`. `others`: the further names under which TabbyAPI takes it."""

    label: str
    low: float
    high: float
    whole: bool = False
    help: str = ""
    others: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """Which values it takes, such as “a number from 0 to 1”."""
        return f"a {'whole ' if self.whole else ''}number from {self.low:,} to {self.high:,}"

    def takes(self, value: Any) -> bool:
        """Whether the value is one of those."""
        kinds = (int,) if self.whole else (int, float)
        return type(value) in kinds and self.low <= value <= self.high


OPTIONS: Mapping[str, Option] = {
    "temperature": Option("Temperature", 0, HIGHEST_TEMPERATURE, help="0: always the likeliest token."),
    "max_tokens": Option(
        "Longest reply",
        1,
        MOST_TOKENS,
        whole=True,
        help="Tokens.",
        others=("max_completion_tokens", "max_length"),
    ),
    "top_p": Option("Top P", 0, 1, help="1: off."),
    "top_k": Option("Top K", 0, 100_000, whole=True, help="0: off."),
    "min_p": Option("Min P", 0, 1, help="0: off."),
    "repetition_penalty": Option("Repetition penalty", 0.01, 10, help="1: off.", others=("rep_pen",)),
    "frequency_penalty": Option("Frequency penalty", -2, 2, help="0: off."),
    "presence_penalty": Option("Presence penalty", -2, 2, help="0: off."),
    "dry_multiplier": Option("DRY multiplier", 0, 100, help="Against repeated passages; 0: off."),
    "dry_base": Option("DRY base", 0, 100),
    "dry_allowed_length": Option("DRY allowed length", 0, 100_000, whole=True, help="Tokens."),
    "xtc_probability": Option("XTC probability", 0, 1, help="0: off."),
    "xtc_threshold": Option("XTC threshold", 0, 1),
}


def validated(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the options without those that are None; raises ValueError, whose text says what is wrong with the first."""
    result = {name: value for name, value in given.items() if value is not None}
    for name, value in result.items():
        option = OPTIONS.get(name)
        if option is None:
            raise ValueError(
                f"“{name[:60]}” is none of the sampling options. There are: {', '.join(OPTIONS)}."
            )
        if not option.takes(value):
            raise ValueError(
                f"The sampling option {name} must be {option.expected}, not {str(value)[:60]!r}."
            )
    return result


def filled(body: Mapping[str, Any], defaults: Mapping[str, float]) -> dict[str, Any]:
    """Return a request's body, with the defaults for what it does not say, under whichever name."""
    unsaid = {
        name: value
        for name, value in defaults.items()
        if all(body.get(each) is None for each in (name, *OPTIONS[name].others))
    }
    return {**body, **unsaid}
