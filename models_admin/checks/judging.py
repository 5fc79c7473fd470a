"""What an answer is worth: each condition of a check against what came. Pure, and bounded: see bounds.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from models_admin.checks import patterns, text_faults
from models_admin.checks.languages import LANGUAGES, language_of
from models_admin.models import Check, Verdict

FAST_ENOUGH = 20.0  # tokens a second: faster than people read is never too slow beside the past
_SHORTEST_MEASURE = 0.2  # seconds from the first to the last token
_FEWEST_MEASURED = 16  # tokens; fewer count where they took _LONG
_LONG = 5.0  # seconds
_THINK, _THINK_END = "<think>", "</think>"


@dataclass
class Answer:
    """What came of a question so far. Times are in seconds since it was sent."""

    text: str = ""
    thoughts: str = ""
    tools: list[str] = field(default_factory=list)  # the names of the tools that it calls
    tokens: int = 0  # of text and thoughts
    text_tokens: int = 0
    first_token: float | None = None
    last_token: float = 0.0
    waited: float = 0.0  # until its end, or until the time was over
    finish_reason: str = ""  # '': it has not ended
    error: str = ""  # why TabbyAPI did not answer, in words

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.finish_reason or self.error)

    @property
    def said(self) -> str:
        """The answer itself, without thoughts that stand in its text."""
        thoughts, closed, text = self.text.partition(_THINK_END)
        if closed:
            return text
        return "" if thoughts.lstrip().startswith(_THINK) else self.text

    @property
    def rate(self) -> float | None:
        """Tokens a second; None where too little came to tell."""
        if self.first_token is None:
            return None
        spent = (self.last_token if self.ended else self.waited) - self.first_token
        if spent < _SHORTEST_MEASURE or (self.tokens < _FEWEST_MEASURED and spent < _LONG):
            return None
        return max(self.tokens - 1, 0) / spent


@dataclass(frozen=True, slots=True)
class Judgement:
    """`why` says what is wrong, or why nothing can be said. `slow`: it is too slow, and nothing else."""

    verdict: Verdict
    why: str = ""
    slow: bool = False


def judge(check: Check, answer: Answer, past_rate: float | None, patience: float) -> Judgement:
    """Return what an answer is worth that has ended, or for which the time is over.

    `past_rate` is the model's own speed of before (None: not known); `patience` is after how many seconds without any
    token a model counts as dead.
    """
    if answer.error:
        return Judgement(Verdict.FAILED, answer.error)
    try:
        return _judged(check, answer, past_rate, patience)
    except patterns.BadPattern as error:  # a row of before the bounds were as they are
        return Judgement(Verdict.NOT_JUDGED, str(error))


def _judged(check: Check, answer: Answer, past_rate: float | None, patience: float) -> Judgement:
    for why in _faults(check, answer):
        return Judgement(Verdict.FAILED, why)
    if why := _too_slow(check, answer, past_rate):
        return Judgement(Verdict.FAILED, why, slow=True)
    if answer.ended:
        return _whole(check, answer)
    if check.answers and answer.first_token is None and answer.waited >= patience:
        return Judgement(Verdict.FAILED, f"nothing came within {answer.waited:.0f} s")
    if not answer.waited:
        return Judgement(Verdict.NOT_JUDGED, "it was not asked in time")
    late = f"the answer was not whole after {answer.waited:.0f} s"
    return Judgement(Verdict.FAILED if check.must_end else Verdict.NOT_JUDGED, late)


def _faults(check: Check, answer: Answer) -> Iterator[str]:
    """Yield what is wrong with as much as came."""
    said = answer.said
    if check.no_marks and (mark := text_faults.mark(said)):
        yield f"the answer has “{mark}” in it, a mark of the prompt template"
    if check.no_repeats and (unit := text_faults.repeated(said or answer.thoughts)):
        yield f"the answer repeats “{unit[:60]}” without end"
    if check.no_gibberish and (why := text_faults.gibberish(said or answer.thoughts)):
        yield f"the answer is gibberish: {why}"
    lowered = said.casefold()
    for text in filter(None, map(str.strip, check.excludes.splitlines())):
        if text.casefold() in lowered:
            yield f"the answer contains “{text}”"
    limit = check.ends_within
    if limit and (answer.text_tokens > limit or (answer.finish_reason == "length" and said.strip())):
        yield f"the answer did not end within {min(limit, answer.text_tokens)} tokens"
    limit_first = check.first_token_within
    if limit_first is not None:
        first = answer.waited if answer.first_token is None else answer.first_token
        if first > limit_first:
            yield f"the first token took more than {limit_first:g} s"


def _too_slow(check: Check, answer: Answer, past_rate: float | None) -> str:
    rate = answer.rate
    if rate is None:
        return ""
    if check.least_rate is not None and rate < check.least_rate:
        return f"{rate:.1f} tokens a second, less than {check.least_rate:g}"
    if check.least_share and past_rate is not None:
        least = min(past_rate * check.least_share / 100, FAST_ENOUGH)
        if rate < least:
            return f"{rate:.1f} tokens a second, and it has had {past_rate:.1f}"
    return ""


def _whole(check: Check, answer: Answer) -> Judgement:
    """Judge an answer that has ended by what it must have."""
    if not answer.said.strip() and not answer.tools and answer.finish_reason == "length":
        return Judgement(Verdict.NOT_JUDGED, "the model was still thinking when its tokens were used up")
    for why in _missing(check, answer):
        return Judgement(Verdict.FAILED, why)
    return Judgement(Verdict.PASSED)


def _missing(check: Check, answer: Answer) -> Iterator[str]:
    said = answer.said
    if check.answers and not said.strip() and not answer.tools:
        yield "the answer is empty"
    lowered = said.casefold()
    for text in filter(None, map(str.strip, check.contains.splitlines())):
        if text.casefold() not in lowered:
            yield f"the answer does not contain “{text}”"
    if check.matches and patterns.matches(patterns.expression(check.matches), said):
        yield f"the answer does not match {check.matches}"
    if check.json_schema is not None and (why := _not_json(check, said)):
        yield why
    if check.calls_tool and check.calls_tool not in answer.tools:
        called = f", but {', '.join(answer.tools)}" if answer.tools else ""
        yield f"the tool {check.calls_tool} was not called{called}"
    if check.language and (found := language_of(said)) and found != check.language:
        wanted = LANGUAGES.get(check.language, check.language)
        yield f"the answer is in {LANGUAGES[found]}, not in {wanted}"


def _not_json(check: Check, said: str) -> str:
    """Return why a text is no JSON of the check's schema; a fence around it does not count."""
    text = said.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json")
    try:
        value = orjson.loads(text)
    except ValueError:
        return "the answer is no JSON"
    wrong = patterns.matches(patterns.schema(check.json_schema), value)
    return f"the answer does not fit the schema: {wrong[:200]}" if wrong else ""
