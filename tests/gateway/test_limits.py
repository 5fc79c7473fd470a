"""Limits of tokens and users, and for whom a token speaks, in the database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from support import messages
from support.plans import walks

from gateway import claims, limits, people
from gateway.calls import LiveCall
from gateway.claims import Left
from gateway.limits import Arrival, Limits, Over
from gateway.models import Call, Outcome
from models_admin.api import tokens
from models_admin.models import Usage, UsageOutcome
from models_admin.usage.meter import Measured
from models_admin.usage.recording import CHAT, ReplyUsage, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_a_model_is_loaded")]
_a_model_is_loaded = messages._a_model_is_loaded
ONE = "one/v1"


def arrival(name: str = "mara", token: int = 0, **more: Any) -> Arrival:
    """A call of `name`, with the token given or a new one."""
    person, _ = User.objects.get_or_create(username=name)
    token = token or tokens.make(person, "it", ["chat"])[0].pk
    return Arrival(token, person.pk, "chat/completions", timezone.now(), **more)


def come(*arrivals: Arrival) -> list[str]:
    """What becomes of calls that come together: '' or the words of the limit."""
    return [each.words if isinstance(each, Over) else "" for each in claims.admit(ONE, list(arrivals))[0]]


def used(by: Arrival, tokens_used: int, kind: str = "completions") -> None:
    token = 0 if kind == CHAT else by.token
    measured = Measured(tokens_used - 1, 1)
    record([ReplyUsage(by.person, token, "usual", kind, UsageOutcome.COMPLETE, measured)])


def test_a_token_may_have_limits_of_its_own_lower_or_higher(settings: Any) -> None:
    settings.GATEWAY_CALLS_PER_TOKEN = 2
    low, high = arrival(limits=Limits(calls=1)), arrival(limits=Limits(calls=3))
    assert [bool(each) for each in come(low, low, *[high] * 4)] == [False, True, False, False, False, True]


@pytest.mark.parametrize("limit", ["CALLS_PER_TOKEN", "REQUESTS_PER_MINUTE", "TOKENS_PER_DAY"])
def test_nothing_is_no_limit(settings: Any, limit: str) -> None:
    settings.GATEWAY_CALLS_PER_TOKEN = 0
    setattr(settings, f"GATEWAY_{limit}", 0)
    used(every := arrival(), 1000)
    assert come(*[every] * 70) == [""] * 70
    name = {"CALLS_PER_TOKEN": "calls", "REQUESTS_PER_MINUTE": "requests", "TOKENS_PER_DAY": "tokens"}[limit]
    setattr(settings, f"GATEWAY_{limit}", 1)
    assert come(arrival(token=every.token)) != [""]
    assert come(arrival(token=every.token, limits=Limits(**{"calls": 0, name: 0}))) == [""]


def test_a_user_has_limits_whatever_token_he_sends(settings: Any) -> None:
    settings.GATEWAY_CALLS_PER_USER = 2
    first, second, third = come(arrival(), arrival(), arrival())
    assert (first, second) == ("", "")
    assert third == "The user of this call has 2 open calls, as many as it may have at once"
    assert come(arrival("noor")) == [""]


def test_the_requests_of_a_user_in_a_minute(settings: Any) -> None:
    settings.GATEWAY_REQUESTS_PER_MINUTE_PER_USER = 2
    (one, two), _ = claims.admit(ONE, [arrival(), arrival()])
    claims.leave([Left(each, None, Outcome.DONE) for each in (one, two)])  # type: ignore[arg-type]
    Call.objects.filter(pk=one).update(created_at=timezone.now() - timedelta(seconds=45))
    ((over,), _) = claims.admit(ONE, [arrival()])
    assert isinstance(over, Over)
    assert over.seconds == pytest.approx(15, abs=2)
    assert over.when.endswith(" s")


def test_the_tokens_of_a_day_end_at_midnight(settings: Any) -> None:
    settings.GATEWAY_TOKENS_PER_DAY = 100
    mine = arrival()
    used(mine, 60)
    assert come(mine) == [""]
    used(mine, 40)
    ((over,), _) = claims.admit(ONE, [mine])
    assert isinstance(over, Over)
    assert over.words == "This token has used 100 tokens today, and may use 100 a day"
    midnight = timezone.localtime() + timedelta(seconds=over.seconds or 0)
    assert (midnight + timedelta(minutes=1)).date() == timezone.localdate() + timedelta(days=1)
    assert come(arrival()) == [""], "another token of the same user"
    Usage.objects.update(day=timezone.localdate() - timedelta(days=1))
    assert come(mine) == [""]


def test_what_a_user_spends_in_the_chat_counts_for_him(settings: Any) -> None:
    settings.GATEWAY_TOKENS_PER_DAY_PER_USER = 100
    used(arrival(), 60)
    used(arrival(), 40, CHAT)
    assert come(arrival()) == ["The user of this call has used 100 tokens today, and may use 100 a day"]


def test_somebody_without_an_account_has_the_limits_of_the_token_alone(settings: Any) -> None:
    settings.GATEWAY_CALLS_PER_USER = 1
    settings.GATEWAY_CALLS_PER_TOKEN = 3
    shared = arrival(spoken_for="Ida")
    assert come(shared, shared) == ["", ""]
    own = arrival()
    assert come(own, own)[0] == "", "theirs do not count for the token's user"
    assert come(shared, shared)[1].startswith("This token")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "when one of"), (61.5, "in 62 s"), (600, "in 10 min"), (3700, "in 1 h 2 min")],
)
def test_when_a_limit_ends_is_put_into_words(seconds: float | None, words: str) -> None:
    assert Over("", seconds).when.startswith(words)


def test_limits_are_looked_up_by_indexes(settings: Any) -> None:
    settings.GATEWAY_TOKENS_PER_DAY = settings.GATEWAY_TOKENS_PER_DAY_PER_USER = 5
    settings.GATEWAY_CALLS_PER_USER = 5
    used(mine := arrival(), 1)
    assert walks(lambda: limits.check([mine], timezone.now())) == []


# For whom a token speaks


def said(**headers: str) -> people.Said:
    return people.said({f"x-openwebui-user-{name}": value for name, value in headers.items()})


def account(username: str, email: str = "", **more: Any) -> int:
    return User.objects.create(username=username, email=email, **more).pk


def test_somebody_is_found_by_email_or_username() -> None:
    ida, ole = account("ida", "Ida@example.org"), account("ole@example.org")
    assert people.find(said(email="ida@EXAMPLE.org", name="Somebody")) == ida
    assert people.find(said(email="ole@example.org")) == ole
    assert people.find(said(name="Ida")) == ida
    assert people.find(said(id="17")) is None
    assert people.find(said(email="nobody@example.org", name="nobody")) is None


def test_a_name_that_somebody_chose_makes_him_nobody_else() -> None:
    account("admin", "admin@example.org")
    bare = account("bare")
    assert people.find(said(email="ida@example.org", name="admin")) is None
    assert people.find(said(email="ida@example.org", name="bare")) == bare


def test_who_is_not_active_or_not_the_only_one_is_not_meant() -> None:
    account("gone", "gone@example.org", is_active=False)
    account("one", "same@example.org")
    account("two", "same@example.org")
    assert people.find(said(email="gone@example.org")) is None
    assert people.find(said(email="same@example.org")) is None


def test_names_are_decoded_cleaned_and_bounded() -> None:
    assert said(name="J%C3%BCrgen%0A M%1B").shown == "Jürgen M␛"
    assert len(said(name="%C3%BC" * 500).shown) == 100
    assert said(email="a@b.c", id="7").shown == "a@b.c"
    assert not said()


def test_the_usage_of_a_call_is_that_of_whom_it_is_for() -> None:
    for given in (arrival(), arrival(spoken_for="Ida")):
        live = LiveCall(1, given)
        live.meter.begin()
        left = live.left(Outcome.DONE)
        assert left.usage is not None
        assert (left.usage.person, left.usage.name) == (
            (0, "Ida") if given.spoken_for else (given.person, "")
        )


def test_midnight_is_that_of_the_time_zone() -> None:
    with timezone.override("Asia/Tokyo"):
        tokyo = datetime.fromisoformat("2026-03-01T23:59:00+09:00")
        assert limits._to_midnight(tokyo) == 60.0
