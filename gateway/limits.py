"""What a token and its user may do at once, in a minute and in a day, and when a limit that is reached ends.

Calls and requests are counted in the gateway's own rows, tokens in the usage sums of the day, the chat's replies included.
What has begun is not cut: a limit keeps the next call away.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from gateway.models import OPEN, Call
from models_admin import statements
from models_admin.models import Token, Usage
from models_admin.statements import marks

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls at once, requests a minute, tokens a day; 0: no limit. None: the setting's."""

    calls: int | None = None
    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that comes. `aside`: it needs no place in the line. `limits`: the token's own.

    `spoken_for`: somebody whom no account here belongs to, and for whom the token speaks; else the call is `person`'s.
    """

    token: int
    person: int
    endpoint: str
    since: datetime
    aside: bool = False
    limits: Limits = Limits()
    spoken_for: str = ""
    model: str = ""  # that is asked for, by its own name or by an alias; '': the team's
    near: int | None = None  # the server that answered last


@dataclass(frozen=True, slots=True)
class Over:
    """Over a limit; `words` say which, `seconds` until it ends, None where that is not known."""

    words: str
    seconds: float | None

    @property
    def when(self) -> str:
        """When the limit ends, in words."""
        if self.seconds is None:
            return "when one of them has ended"
        minutes = math.ceil(self.seconds / 60)
        if minutes <= 2:
            return f"in {math.ceil(self.seconds)} s"
        return f"in {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"in {minutes} min"


def of_token(token: Token) -> Limits:
    """Return a token's own limits."""
    return Limits(token.calls_at_once, token.requests_per_minute, token.tokens_per_day)


def check(arrivals: Sequence[Arrival], now: datetime) -> list[Over | None]:
    """Return over which limit each arrival is, or None; those that are over none count for those behind them."""
    tokens = _Subject(
        "token", "This token", {each.token: _token_limits(each.limits) for each in arrivals}, now
    )
    user = Limits(
        settings.GATEWAY_CALLS_PER_USER,
        settings.GATEWAY_REQUESTS_PER_MINUTE_PER_USER,
        settings.GATEWAY_TOKENS_PER_DAY_PER_USER,
    )
    people = _Subject("person", "The user of this call", {each.person: user for each in arrivals}, now)
    found: list[Over | None] = []
    for each in arrivals:
        known = not each.spoken_for
        over = tokens.over(each.token) or (people.over(each.person) if known else None)
        found.append(over)
        if over is None:
            tokens.add(each.token)
            if known:
                people.add(each.person)
    return found


def _token_limits(own: Limits) -> Limits:
    usual = (
        settings.GATEWAY_CALLS_PER_TOKEN,
        settings.GATEWAY_REQUESTS_PER_MINUTE,
        settings.GATEWAY_TOKENS_PER_DAY,
    )
    given = (own.calls, own.requests, own.tokens)
    return Limits(*(of_all if one is None else one for one, of_all in zip(given, usual, strict=True)))


# For each of these tokens or people: the calls of the last minute, and those that are open.
COUNT = f"""
SELECT {{column}}, COUNT(CASE WHEN created_at > %s THEN 1 END), COUNT(CASE WHEN state IN ({marks(len(OPEN))}) THEN 1 END)
FROM gateway_call WHERE {{column}} IN ({{keys}}) AND (created_at > %s OR state IN ({marks(len(OPEN))})) {{own}}
GROUP BY {{column}}
"""  # noqa: S608 (all of it is code)


class _Subject:
    """The calls of those who are limited: tokens or people, by the column of both tables. Counts only what has a limit."""

    def __init__(self, column: str, who: str, limits: dict[int, Limits], now: datetime) -> None:
        self._column, self._who, self._limits, self._now = column, who, limits, now
        self._own = "AND spoken_for = ''" if column == "person" else ""
        self._open: Counter[int] = Counter()
        self._recent: Counter[int] = Counter()
        self._new: Counter[int] = Counter()
        self._spent: dict[int, int] = {}
        if counted := [key for key, each in limits.items() if each.calls or each.requests]:
            self._count(counted)
        if measured := [key for key, each in limits.items() if each.tokens]:
            self._measure(measured)

    def _count(self, keys: Sequence[int]) -> None:
        since = statements.stored(self._now - MINUTE)
        query = COUNT.format(column=f"{self._column}_id", keys=marks(len(keys)), own=self._own)
        for key, recent, opened in statements.fetch(query, [since, *OPEN, *keys, since, *OPEN]):
            self._recent[key], self._open[key] = recent, opened

    def _calls(self, keys: Iterable[int]) -> QuerySet[Call]:
        theirs = Call.objects.filter(**{f"{self._column}__in": keys})
        return theirs.filter(spoken_for="") if self._column == "person" else theirs

    def _measure(self, keys: Iterable[int]) -> None:
        today = Usage.objects.filter(
            at__isnull=True, day=timezone.localdate(self._now), **{f"{self._column}__in": keys}
        )
        both = Sum(F("prompt_tokens") + F("completion_tokens"))
        self._spent = dict(today.order_by().values_list(self._column).annotate(spent=both))

    def add(self, key: int) -> None:
        """Count a call that has come."""
        self._open[key] += 1
        self._recent[key] += 1
        self._new[key] += 1

    def over(self, key: int) -> Over | None:
        """Return over which limit one more call would be."""
        limits, opened, recent = self._limits[key], self._open[key], self._recent[key]
        if limits.calls and opened >= limits.calls:
            return Over(f"{self._who} has {opened} open calls, as many as it may have at once", None)
        if limits.requests and recent >= limits.requests:
            words = f"{self._who} has made {recent} requests within a minute, as many as it may"
            return Over(words, self._seconds_to(key, limits.requests))
        if limits.tokens and (spent := self._spent.get(key, 0)) >= limits.tokens:
            words = f"{self._who} has used {spent:,} tokens today, and may use {limits.tokens:,} a day"
            return Over(words, _to_midnight(self._now))
        return None

    def _seconds_to(self, key: int, most: int) -> float:
        """Return when so many requests are a minute old that one more may come. New ones are not written yet."""
        newest = self._calls([key]).filter(created_at__gt=self._now - MINUTE).order_by("-created_at")
        over = max(1, most - self._new[key])
        counted = list(newest.values_list("created_at", flat=True)[over - 1 : over])
        return (counted[0] + MINUTE - self._now if counted else MINUTE).total_seconds()


def _to_midnight(now: datetime) -> float:
    tomorrow = timezone.localdate(now) + timedelta(days=1)
    return (timezone.make_aware(datetime.combine(tomorrow, time.min)) - now).total_seconds()
