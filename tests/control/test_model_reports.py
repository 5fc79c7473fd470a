"""Reports on models: one page for one model or a few, its CSV, and what reading it costs."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from control_rows import MakeUser
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from support.plans import walks

from chat.models import Feedback, Thumb, Verdict
from models_admin.models import CheckResult, CheckRun, State, Switch, TabbyModel, Usage, UsageOutcome
from models_admin.presentation import model_reports
from models_admin.servers import known, state_row
from models_admin.usage import by_model
from models_admin.usage.histograms import BOUNDS, percentile
from models_admin.usage.meter import Measured
from models_admin.usage.reading import Span
from models_admin.usage.recording import CHAT, ReplyUsage, record

PAGE = "/admin/models_admin/tabbymodel/report/"
LONG = "a-model-with-quite-a-long-name-" * 8


def replied(model: str, first: float, rate: float | None, *, days: int = 0, **facts: Any) -> None:
    """A reply that ended so many days ago."""
    outcome = UsageOutcome(facts.pop("outcome", "complete"))
    took = Measured(100, 50, first, 2.0, rate, 150)
    with patch("django.utils.timezone.now", return_value=timezone.now() - timedelta(days=days)):
        record([ReplyUsage(facts.pop("person", 1), 0, model, CHAT, outcome, took, **facts)])


def loaded(model: str, seconds: float | None, error: str = "") -> Switch:
    """A switch to this model that succeeded, or failed."""
    return Switch.objects.create(
        server_id=known.default(),
        target=model,
        source="admin",
        drain_seconds=0,
        state=State.FAILED if seconds is None else State.SUCCEEDED,
        seconds={} if seconds is None else {"loading": seconds},
        error=error,
        finished_at=timezone.now(),
    )


def checked(model: str, answer: str) -> None:
    run = CheckRun.objects.create(server_id=known.default(), model=model, kind="now", verdict="passed")
    CheckResult.objects.create(run=run, name="capital", verdict="passed", answer=answer)


@pytest.fixture
def _two(db: None) -> None:
    state_row.row(known.default())
    for name in ("alpha", "beta"):
        TabbyModel.objects.create(name=name, notes=f"Notes on {name}")
    for number in range(20):
        replied("alpha", 0.3, 50.0, days=number % 3, person=number % 4)
    replied("alpha", 0.3, 7.0, taken_over=True)
    replied("alpha", 30.0, None, outcome="failed", reason="stream_cut")
    replied("beta", 0.3, 25.0)
    loaded("alpha", 12.0)
    loaded("alpha", None, "CUDA out of memory")
    checked("alpha", "Paris it is")
    checked("beta", "Rome, maybe")
    Feedback.objects.create(model="alpha", thumb=Thumb.DOWN, words="too <short>")
    Feedback.objects.create(model="beta", thumb=Thumb.UP, words="of beta")
    for better in ("first", "first", "same", "second"):
        Verdict.objects.create(first="alpha", second="beta", better=better)


def figures_of(client: Client, *models: str) -> dict[str, list[str]]:
    answer = client.get(f"{PAGE}export/", {"model": models, "days": 7})
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined, arg-type]
    return {label: values for label, _, *values in csv.reader(io.StringIO(text))}


@pytest.mark.usefixtures("_two")
def test_the_figures_of_two_models_stand_beside_each_other(admin_client: Client) -> None:
    told = figures_of(admin_client, "alpha", "beta")
    assert told["figure"] == ["alpha", "beta"]
    assert told["Replies"] == ["22", "1"]
    assert told["Replies that failed"] == ["1", "0"]
    assert told["failed: stream cut"] == ["1", "0"]
    assert told["Replies taken over from another model"] == ["1", "0"]
    assert told["Load time, median"] == ["12", ""]
    assert told["Loads that failed"] == ["1", "0"]
    assert [told["Found good by readers"], told["Found bad by readers"]] == [["0", "1"], ["1", "0"]]
    sides = [
        told[f"Found {word} another model’s reply"] for word in ("better than", "as good as", "worse than")
    ]
    assert sides == [["2", "1"], ["1", "1"], ["1", "2"]]
    assert 40 <= float(told["Speed, median"][0]) <= 60
    assert 5 <= float(told["Speed, 19 of 20 at least"][0]) <= 41
    assert 0.2 <= float(told["First token, median"][0]) <= 0.4
    assert 128 <= int(told["Context used, median"][0]) <= 256


@pytest.mark.usefixtures("_two")
def test_the_page_of_one_model_shows_all_that_is_known_of_it(admin_client: Client) -> None:
    page = admin_client.get(PAGE, {"model": "alpha"}).content.decode()
    for words in ("Notes on alpha", "Paris it is", "too &lt;short&gt;", "CUDA out of memory", "stream cut"):
        assert words in page, words
    for words in ("Rome, maybe", "of beta"):
        assert words not in page, words
    assert '<th scope="row">beta</th><td>2</td><td>1</td><td>1</td>' in page
    assert 'class="gantry-legend"' not in page, "one line needs no legend"


@pytest.mark.usefixtures("_two")
def test_the_comparison_has_a_line_for_each_model_and_its_answers(admin_client: Client) -> None:
    page = admin_client.get(PAGE, {"model": ["alpha", "beta"]}).content.decode()
    assert 'class="gantry-legend"' in page
    assert page.count('class="gantry-line gantry-line-1"') >= 3, "speed, first token and replies at least"
    row = page[page.index('<th scope="row">capital</th>') :].partition("</tr>")[0]
    assert row.index("Paris it is") < row.index("Rome, maybe")


@pytest.mark.usefixtures("_two")
def test_the_report_leads_to_a_comparison_until_there_are_five(admin_client: Client) -> None:
    for name in "cdef":
        TabbyModel.objects.create(name=name)

    def offered(*models: str) -> list[str]:
        page = admin_client.get(PAGE, {"model": models}).content.decode()
        return re.findall("<option>(.*?)</option>", page)

    assert offered("alpha") == ["beta", *"cdef"]
    assert offered("alpha", "", "beta", *"cd") == ["e", "f"]
    assert offered("alpha", "beta", *"cde") == []


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([], "No model is named"),
        (list("abcdef"), "6 models are named, and 5 at most"),
        (["alpha", "none"], "Nothing is known of a model “none”."),
        (["x" * 300], "No model has such a name."),
    ],
)
def test_what_cannot_be_compared_is_told_in_words(
    admin_client: Client, models: list[str], words: str
) -> None:
    for place in (PAGE, f"{PAGE}export/"):
        answer = admin_client.get(place, {"model": models})
        assert (answer.status_code, words in answer.content.decode()) == (400, True), place


def test_a_model_that_was_never_used_has_a_page(admin_client: Client) -> None:
    TabbyModel.objects.create(name=LONG[:255])
    page = admin_client.get(PAGE, {"model": LONG[:255]})
    assert page.status_code == 200
    assert "Nothing has been loaded or answered in this time." in page.content.decode()


@pytest.mark.usefixtures("_two")
def test_checkboxes_lead_to_the_comparison_of_five_at_most(admin_client: Client) -> None:
    models = "/admin/models_admin/tabbymodel/"
    action = {"action": "compare_selected"}
    chosen = TabbyModel.objects.order_by("name").values_list("pk", flat=True)
    answer = admin_client.post(models, {**action, "_selected_action": list(chosen)})
    assert answer["Location"] == f"{PAGE}?model=alpha&model=beta"
    for number in range(4):
        TabbyModel.objects.create(name=f"more{number}")
    answer = admin_client.post(models, {**action, "_selected_action": list(chosen.all())}, follow=True)
    assert "Select 5 models at most" in answer.content.decode()


@pytest.mark.usefixtures("_two")
def test_only_who_manages_sees_reports(make_user: MakeUser) -> None:
    for name, permissions, status in (("one", ["switch"], 403), ("two", ["manage"], 200)):
        client = Client()
        client.force_login(make_user(name, *permissions, is_staff=True))
        for place in (PAGE, f"{PAGE}export/"):
            assert client.get(place, {"model": "alpha"}).status_code == status, (name, place)
        listed = client.get("/admin/models_admin/tabbymodel/").content.decode()
        assert ("Report on alpha" in listed) == (status == 200)


@pytest.mark.usefixtures("_two")
def test_what_a_report_reads_does_not_grow_with_the_history() -> None:
    def read() -> None:
        model_reports.reports(["alpha", "beta"], Span.of_days(30))

    with CaptureQueriesContext(connection) as few:
        read()
    before = Usage.objects.filter(at=None).count()
    for _ in range(30):
        replied("alpha", 0.3, 50.0, person=1)
    assert Usage.objects.filter(at=None).count() == before, "replies of the same day and person are one sum"
    for number in range(30):
        replied("alpha", 0.3, 50.0, days=400 + number)
        loaded("alpha", 1.0)
    with CaptureQueriesContext(connection) as many:
        read()
    assert len(many) == len(few)
    assert walks(read, but="models_admin_tabbymodel") == []
    sums = next(each["sql"] for each in many if "models_admin_usage" in each["sql"])
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sums}")
            assert any("usage_by_model (model=? AND day>?" in row[3] for row in cursor.fetchall())


@pytest.mark.django_db
def test_a_distribution_tells_percentiles_to_a_bucket() -> None:
    for rate in (*[12.0] * 10, *[35.0] * 10):
        replied("alpha", 0.3, rate)
    whole = by_model.figures(["alpha"], Span.of_days(1))["alpha"].whole
    assert whole.percentile("rate", 0.25) == 12.5
    assert whole.percentile("rate", 0.95) == 39.0
    assert percentile("rate", [0] * 12, 0.5) is None
    assert percentile("rate", [*[0] * 11, 1], 1.0) == 2 * BOUNDS["rate"][-1]
    assert not Usage.objects.filter(at__isnull=False).exclude(rate_3=0).exists(), "only sums have them"


# The HTTP API


@pytest.mark.usefixtures("_two")
def test_the_api_reports_the_same(admin_client: Client) -> None:
    told = admin_client.get("/api/admin/models/alpha/report", {"days": 2}).json()
    assert (told["model_id"], told["whole"]["failed"]) == ("alpha", 1)
    assert told["whole"]["reasons"] == {"stream_cut": 1}
    assert 40 <= told["whole"]["tokens_per_second"]["p50"] <= 60
    days = [timezone.localdate() - timedelta(days=number) for number in range(2)]
    assert [each["day"] for each in told["days"]] == [day.isoformat() for day in days]
    assert sum(each["replies"] for each in told["days"]) == told["whole"]["replies"]
    assert [(each["seconds"], each["error"]) for each in told["loads"]] == [
        (None, "CUDA out of memory"),
        (12.0, ""),
    ]
    assert told["checks"] == [{"check": "capital", "verdict": "passed", "why": "", "answer": "Paris it is"}]
    compared = [{"model_id": "beta", "better": 2, "same": 1, "worse": 1}]
    assert told["opinions"] == {"good": 0, "bad": 1, "words": ["too <short>"], "compared": compared}


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize(
    ("name", "days", "status"), [("none", 30, 404), ("alpha", 0, 422), ("alpha", 367, 422)]
)
def test_the_api_says_what_it_cannot_report(admin_client: Client, name: str, days: int, status: int) -> None:
    answer = admin_client.get(f"/api/admin/models/{name}/report", {"days": days})
    assert (answer.status_code, set(answer.json())) == (status, {"detail"})


@pytest.mark.usefixtures("_two")
def test_the_api_reports_to_who_manages(make_user: MakeUser) -> None:
    for name, permissions, status in (("one", ["switch"], 403), ("two", ["manage"], 200)):
        client = Client()
        client.force_login(make_user(name, *permissions))
        assert client.get("/api/admin/models/alpha/report").status_code == status
