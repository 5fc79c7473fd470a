"""What replies took, on the admin site's page, as CSV, in the HTTP API, and for Prometheus."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from control_rows import MakeUser
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support.plans import walks

from models_admin.api import tokens
from models_admin.models import Token, Usage, UsageOutcome
from models_admin.ops import metrics
from models_admin.usage import reading
from models_admin.usage.meter import Measured
from models_admin.usage.reading import ModelTotals, Span
from models_admin.usage.recording import CHAT, ReplyUsage, forget, record

PAGE, API = "/admin/models_admin/usage/", "/api/admin/usage"


def used(
    person: User | str,
    prompt: int,
    completion: int,
    *,
    token: Token | None = None,
    days: int = 0,
    **facts: str,
) -> None:
    """A reply that ended so many days ago."""
    who, name = (0, person) if isinstance(person, str) else (person.pk, "")
    usage = ReplyUsage(
        who,
        token.pk if token else 0,
        facts.get("model", "alpha"),
        "completions" if token else CHAT,
        UsageOutcome(facts.get("outcome", "complete")),
        Measured(prompt, completion, 0.5, 2.0),
        name=name,
    )
    with patch("django.utils.timezone.now", return_value=timezone.now() - timedelta(days=days)):
        record([usage])


@pytest.fixture
def mara(make_user: MakeUser) -> User:
    return make_user("mara")


@pytest.fixture
def token(mara: User) -> Token:
    return tokens.make(mara, "=nightly", ["chat"])[0]


@pytest.fixture
def _some(mara: User, token: Token) -> None:
    used(mara, 1000, 200, days=3)
    used(mara, 10, 2, token=token, model="beta")
    used("Ida", 5, 1, token=token, outcome="failed")


def rows_of(page: str) -> dict[str, list[str]]:
    """The table's rows by their heads."""
    found = re.findall(r"<tr><th scope=\"row\">(?:<a [^>]*>)?(.*?)(?:</a>)?</th>(.*?)</tr>", page)
    return {head: re.findall(r"<td>(.*?)</td>", cells) for head, cells in found}


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("person", {"mara": ["2", "1,010", "202", "0.50 s"], "(Ida)": ["1", "5", "1", "0.50 s"]}),
        ("token", {"(the chat)": ["1", "1,000", "200", "0.50 s"], "=nightly": ["2", "15", "3", "0.50 s"]}),
        ("model", {"alpha": ["2", "1,005", "201", "0.50 s"], "beta": ["1", "10", "2", "0.50 s"]}),
    ],
)
def test_the_page_has_figures_by_person_token_and_model(
    admin_client: Client, by: str, expected: dict[str, list[str]]
) -> None:
    page = admin_client.get(f"{PAGE}?by={by}&days=30").content.decode()
    assert rows_of(page) == expected
    assert "3 replies, 1,015 tokens in, 203 out" in page


@pytest.mark.usefixtures("_some")
def test_the_days_have_a_picture_and_figures(admin_client: Client) -> None:
    page = admin_client.get(f"{PAGE}?by=day&days=7").content.decode()
    assert [cells[0] for cells in rows_of(page).values()] == ["2", "1"], "the newest day first"
    assert page.count("<g><title>") == 7
    assert "1,000 tokens in, 200 out" in page
    assert 'y="83.33%" height="16.67%"' in page, "a sixth of the highest bar is what came out"


@pytest.mark.usefixtures("_some")
def test_who_and_what_is_deleted_leaves_figures_without_a_name(admin_client: Client, mara: User) -> None:
    mara.delete()
    assert "(deleted account)" in rows_of(admin_client.get(f"{PAGE}?by=person").content.decode())
    assert "(deleted token)" in rows_of(admin_client.get(f"{PAGE}?by=token").content.decode())


def test_before_the_first_reply_the_page_says_what_will_stand_there(admin_client: Client) -> None:
    assert "No reply has ended in this time." in admin_client.get(f"{PAGE}?days=x&by=y").content.decode()


def test_only_who_manages_sees_it(make_user: MakeUser) -> None:
    for name, permissions, status in (("one", ["switch"], 403), ("two", ["manage"], 200)):
        client = Client()
        client.force_login(make_user(name, *permissions, is_staff=True))
        for address in (PAGE, f"{PAGE}export/", API):
            assert client.get(address).status_code == status, (name, address)
        assert (PAGE in client.get("/admin/").content.decode()) == (status == 200)


@pytest.mark.usefixtures("_some")
def test_the_csv_has_all_that_is_told_apart_and_no_formula(admin_client: Client) -> None:
    answer = admin_client.get(f"{PAGE}export/?days=7")
    assert answer["Content-Disposition"].startswith('attachment; filename="usage-')
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined, arg-type]
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(each["person"], each["token"], each["tokens in"], each["outcome"]) for each in lines] == [
        ("mara", "'=nightly", "10", "complete"),
        ("(Ida)", "'=nightly", "5", "failed"),
        ("mara", "", "1000", "complete"),
    ]
    assert lines[0]["day"] == timezone.localdate().isoformat()


@pytest.mark.usefixtures("_some")
def test_the_api_tells_the_same_by_what_is_asked_for(admin_client: Client) -> None:
    told = admin_client.get(API, {"by": ["person", "model"]}).json()
    assert told["complete"] is True
    assert told["usage"][0] == {
        **dict.fromkeys(("day", "token", "kind", "outcome")),
        **{"person": "mara", "model": "alpha", "replies": 1, "prompt_tokens": 1000, "completion_tokens": 200},
        **{"first_seconds": 0.5, "seconds": 2.0},
    }
    today = timezone.localdate().isoformat()
    of_today = admin_client.get(API, {"first": today, "last": today, "by": "day"}).json()
    assert [(each["day"], each["replies"]) for each in of_today["usage"]] == [(today, 2)]


@pytest.mark.parametrize(
    "asked", [("2020-01-01", "2024-01-01"), ("2024-01-02", "2024-01-01"), ("", "0001-01-01")]
)
def test_the_api_takes_a_year_at_most(admin_client: Client, asked: Sequence[str]) -> None:
    given = {name: value for name, value in zip(("first", "last"), asked, strict=True) if value}
    assert admin_client.get(API, given).status_code == (400 if asked[0] else 200)


@pytest.mark.parametrize("day", ["0", "1700000000", "2024-02-30", "24-01-01", "today"])
def test_the_api_takes_days_alone(admin_client: Client, day: str) -> None:
    assert admin_client.get(API, {"last": day}).status_code == 422


@pytest.mark.usefixtures("_some")
def test_what_is_read_does_not_grow_with_the_history(admin_client: Client, mara: User) -> None:
    admin_client.get(PAGE)  # the first visit reads more
    with CaptureQueriesContext(connection) as few:
        admin_client.get(f"{PAGE}?by=model")
    for number in range(30):
        used(mara, 1, 1, days=400 + number)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(f"{PAGE}?by=model")
    assert len(many) == len(few)
    assert walks(lambda: reading.lines(Span.of_days(30), ["person"])) == []


def test_single_rows_of_long_ago_are_forgotten_and_the_sums_stay(
    mara: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_admin.usage.recording.BATCH", 2)
    settings.USAGE_DAYS = 10
    for days in (9, 11, 12, 13):
        used(mara, 1, 1, days=days)
    assert forget() == 3
    assert Usage.objects.filter(at__isnull=False).count() == 1
    assert Usage.objects.filter(at=None).count() == 4


# Prometheus


def test_totals_are_those_of_all_days_whenever_the_process_began(mara: User) -> None:
    early, late = ModelTotals(), ModelTotals()
    used(mara, 100, 10, days=5)
    used(mara, 200, 20, days=1)
    assert early.read() == {("alpha", "complete"): (2, 300, 30)}
    used(mara, 400, 40, days=1)
    used(mara, 800, 80, model="a newer one")
    expected = {("alpha", "complete"): (3, 700, 70), ("a newer one", "complete"): (1, 800, 80)}
    assert early.read() == late.read() == expected
    assert list(early.read()) == list(expected)
    Usage.objects.filter(day__lt=timezone.localdate() - timedelta(days=1)).update(completion_tokens=0)
    assert early.read() == expected, "a day that is over is read once"


def test_labels_are_bounded(mara: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_MODELS", 1)
    monkeypatch.setattr(metrics, "_totals", ModelTotals())
    used(mara, 1, 2, days=1, model="first")
    for model in ("more", "still more"):
        used(mara, 10, 20, model=model)
    tokens_family = next(each for each in metrics._of_usage() if each.name == "gantry_usage_tokens")
    values = {tuple(sample.labels.values()): sample.value for sample in tokens_family.samples}
    assert values == {
        ("first", "prompt"): 1,
        ("first", "completion"): 2,
        ("other", "prompt"): 20,
        ("other", "completion"): 40,
    }


def test_a_span_is_bounded() -> None:
    assert len(list(Span.of_days(100_000).days())) == reading.MOST_DAYS
    assert list(Span(date(2026, 2, 28), date(2026, 3, 1)).days()) == [date(2026, 2, 28), date(2026, 3, 1)]
