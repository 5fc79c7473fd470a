"""The history taken along as CSV, and as pictures."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.dateformat import format as date
from support.servers import SERVER

from models_admin.admin import plots
from models_admin.models import Server, Source, State, Switch, TabbyModel
from models_admin.switching import transitions

HISTORY = "/admin/models_admin/switch/"
Catalog = dict[str, TabbyModel]


def ended(target: str, hours_ago: float, *, state: State = State.SUCCEEDED, **facts: Any) -> Switch:
    """A switch that ended so long ago."""
    when = timezone.now() - timedelta(hours=hours_ago)
    defaults: dict[str, Any] = {
        "source": Source.ADMIN,
        "result": target if state == State.SUCCEEDED else "",
        "seconds": {"loading": 12.5},
        "drain_seconds": 20,
    }
    return Switch.objects.create(
        server_id=SERVER,
        target=target,
        state=state,
        created_at=when,
        finished_at=when,
        **{**defaults, **facts},
    )


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{HISTORY}export/{query}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode(), newline="")))


def test_the_export_has_what_the_list_is_filtered_to(admin_client: Client, catalog: Catalog) -> None:
    who = User.objects.get(username="admin")
    ended(LLAMA, 3, requested_by=who, options={"cache_mode": "Q8"}, replies_cut=2)
    ended(QWEN, 2, state=State.FAILED, error="CUDA out of memory")
    newest, oldest = exported(admin_client)
    assert (newest["to"], newest["outcome"], newest["error"]) == (QWEN, "failed", "CUDA out of memory")
    assert (oldest["by"], oldest["source"], oldest["rule"]) == ("admin", "admin site", "")
    assert (oldest["replies cut"], oldest["options"]) == ("2", '{"cache_mode": "Q8"}')
    assert [row["to"] for row in exported(admin_client, "?state__exact=failed")] == [QWEN]
    assert [row["to"] for row in exported(admin_client, f"?target={LLAMA}")] == [LLAMA]
    assert [row["to"] for row in exported(admin_client, "?q=memory")] == [QWEN]


def test_the_list_has_the_outcome_and_below_it_the_error(admin_client: Client, catalog: Catalog) -> None:
    ended(LLAMA, 3)
    ended(QWEN, 2, state=State.FAILED, error="CUDA <out> of memory" + "!" * 200)
    page = admin_client.get(HISTORY).content.decode()
    assert '<td class="field-ending"><span class="gantry-badge gantry-good">Succeeded</span></td>' in page
    assert '<span class="gantry-quiet gantry-error">CUDA &lt;out&gt; of memory!' in page
    assert "!" * 120 not in page


def test_the_export_has_a_column_for_each_step(admin_client: Client, catalog: Catalog) -> None:
    spent = {
        "queued": 0.1,
        "draining": 1.5,
        "unloading": 2,
        "loading": 3.25,
        "verifying": 1,
        "rolling_back": 9,
    }
    ended(LLAMA, 2, seconds=spent, source=Source.RULE, rule="Mornings")
    ended(QWEN, 1, seconds={}, source=Source.COMMAND)
    bare, full = exported(admin_client)
    names = [f"seconds {name.replace('_', ' ')}" for name in spent]
    assert [full[name] for name in names] == [str(each) for each in spent.values()]
    assert [bare[name] for name in names] == [""] * 6
    assert (full["source"], full["rule"]) == ("rule", "Mornings")
    assert (bare["source"], bare["by"]) == ("command line", "")


def test_nothing_is_asked_for_after_it_started(catalog: Catalog) -> None:
    begun = timezone.now() - timedelta(minutes=1)
    rollback = transitions.record(SERVER, source=Source.ROLLBACK, target=LLAMA, previous="", started_at=begun)
    outside = transitions.record(SERVER, source=Source.OUTSIDE, target=QWEN, previous=LLAMA)
    assert rollback.created_at == begun
    assert outside.created_at == outside.started_at


def test_its_filters_and_titles_use_the_words_of_the_other_pages(
    admin_client: Client, catalog: Catalog
) -> None:
    ended(LLAMA, 2)
    page = admin_client.get(HISTORY).content.decode()
    filters = page[page.index("changelist-filter") :]
    shown = re.findall(r'<a href="\?[^"]*">([^<]+)</a>', filters)
    for words in ("Rolling back", "Queued", "Command line", "Kept model", "Admin site", "API"):
        assert words in shown
    assert "By date" in filters
    assert all(words[0].isupper() or words == LLAMA for words in shown)
    for path in (HISTORY, f"{HISTORY}plots/", f"{HISTORY}{Switch.objects.get().pk}/change/", "/admin/"):
        page = admin_client.get(path).content.decode()
        assert "Switch history" in page
        assert ">Switches<" not in page
    assert "<h1>API tokens</h1>" in admin_client.get("/admin/models_admin/token/").content.decode()


@pytest.mark.parametrize("query", ["created_at__gte=garbage", "id__in=a", "state__exact[]=x"])
def test_an_address_that_makes_no_sense_leads_back_to_the_list(
    admin_client: Client, catalog: Catalog, query: str
) -> None:
    answer = admin_client.get(f"{HISTORY}export/?{query}")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/models_admin/switch/?e=1"


@pytest.mark.parametrize("sign", [*"=+-@＝＋－＠"])
@pytest.mark.parametrize(
    "before",
    ["", " ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\ufeff", "\u200b", "\u202e", " \n\x1b "],
    ids=ascii,
)
def test_no_cell_is_a_formula(admin_client: Client, catalog: Catalog, before: str, sign: str) -> None:
    ended(f"{before}{sign}cmd|x", 1, error=f"{before}{sign}HYPERLINK()", rule=f"{before}{sign}1")
    row = exported(admin_client)[0]
    for column, value in (("to", "cmd|x"), ("error", "HYPERLINK()"), ("rule", "1")):
        assert row[column] == f"'{before}{sign}{value}"


def test_what_is_no_formula_stays_as_it_is(admin_client: Client, catalog: Catalog) -> None:
    ended("a=b", 1, error=" It failed: x = 1\n= end", rule="“=”", seconds={"loading": 1.5})
    row = exported(admin_client)[0]
    told = (row["to"], row["error"], row["rule"], row["seconds loading"])
    assert told == ("a=b", " It failed: x = 1\n= end", "“=”", "1.5")


def test_a_switch_is_told_in_coloured_steps_and_nothing_is_said_twice_or_empty(
    admin_client: Client, catalog: Catalog
) -> None:
    spent = {"unloading": 2.0, "loading": 3.0, "rolling_back": 4.0}
    failed = ended(
        QWEN,
        2,
        state=State.FAILED,
        previous=LLAMA,
        result=LLAMA,
        seconds=spent,
        error="Out of memory",
        advice="Use less.",
    )
    attempt = ended(LLAMA, 1, cause=failed, source=Source.ROLLBACK)
    page = admin_client.get(f"{HISTORY}{failed.pk}/change/").content.decode()
    assert '<li class="gantry-line-done">Step 1: Unloading current model… 100%</li>' in page
    assert '<li class="gantry-line-failed">✗ Out of memory</li>' in page
    assert page.count("Out of memory") == 1
    assert "Use less." in page
    assert "Cause:" not in page
    page = admin_client.get(f"{HISTORY}{attempt.pk}/change/").content.decode()
    assert "Cause:" in page
    assert "Advice:" not in page


def test_pictures_of_an_empty_and_of_a_full_history(
    admin_client: Client, catalog: Catalog, django_assert_max_num_queries: Any
) -> None:
    Server.objects.update(model="")
    empty = admin_client.get(f"{HISTORY}plots/").content.decode()
    assert "gantry-plot" not in empty
    assert "No model has been loaded through Gantry yet" in empty
    for number in range(30):
        ended((LLAMA, QWEN)[number % 2], 40 - number, seconds={"loading": 10.0 + number})
    ended("lost-70B", 1.5, state=State.FAILED, result=QWEN)
    ended("somebody-7B", 1, source=Source.OUTSIDE, seconds={})
    with django_assert_max_num_queries(12):
        page = admin_client.get(f"{HISTORY}plots/").content.decode()
    assert page.count("<circle") == 30
    assert page.count('class="gantry-median"') == 2
    assert page.count('class="gantry-stay"') == 31
    assert page.count('class="gantry-stay-outside"') == 1
    assert "lost-70B failed" in page
    assert "<td>24.0 s</td>" in page  # Llama's median
    drawn = page[page.index("gantry-plot") :]
    assert "style=" not in drawn


def test_pictures_have_times_in_words_and_a_dot_for_each_place(
    admin_client: Client, catalog: Catalog
) -> None:
    for hours_ago in (3, 2):
        ended("<b>-7B", hours_ago, seconds={"loading": 10.0})
    first = ended(QWEN, 1, source=Source.OUTSIDE).finished_at
    ended(LLAMA, 0.5)
    Server.objects.update(model=LLAMA)
    page = admin_client.get(f"{HISTORY}plots/").content.decode()
    assert page.count("<circle") == 1 + 1 + 1  # the two that took as long stand at one place
    begun, until = (
        timezone.localtime(each) for each in (first, Switch.objects.get(target=LLAMA).finished_at)
    )
    title = f"{QWEN}: {date(begun, 'j M, H:i')} – {date(until, 'j M, H:i')}, not through Gantry"
    assert f"<title>{title}</title></rect>" in page
    assert f"<title>{LLAMA}: {date(until, 'j M, H:i')} – now</title></rect>" in page
    assert "<title>&lt;b&gt;-7B: " in page
    assert f"<td>{date(begun, 'j M Y, H:i')}</td><td>{date(until, 'j M Y, H:i')}</td>" in page


def test_what_is_loaded_now_is_in_the_timeline_though_no_switch_led_to_it(
    admin_client: Client, catalog: Catalog
) -> None:
    Server.objects.update(loaded_at=timezone.now() - timedelta(hours=30))
    page = admin_client.get(f"{HISTORY}plots/").content.decode()
    assert "Nothing has been loaded" not in page
    assert page.count('class="gantry-stay-outside"') == 1
    assert f'<th scope="row">{LLAMA}</th>' in page
    assert page.count("<td>until now</td>") == 1


def test_the_stay_of_the_model_that_is_loaded_lasts_until_now(admin_client: Client, catalog: Catalog) -> None:
    ended(QWEN, 3)
    ended(LLAMA, 2)
    found = plots.timeline(SERVER)
    assert [(stay.model, stay.ended is None, stay.outside) for stay in found.stays] == [
        (LLAMA, True, False),
        (QWEN, False, False),
    ]
    assert found.stays[1].ended == found.stays[0].begun
    Server.objects.update(model=MISTRAL, loaded_at=timezone.now() - timedelta(hours=9))  # as a clock may say
    newest, *others = plots.timeline(SERVER).stays
    assert (newest.model, newest.ended, newest.outside) == (MISTRAL, None, True)
    assert newest.begun == others[0].ended
    assert [stay.ended is None for stay in others] == [False, False]


def test_names_in_pictures_are_only_text(admin_client: Client, catalog: Catalog) -> None:
    ended("<script>alert(1)</script>", 1)
    assert "<script>alert" not in admin_client.get(f"{HISTORY}plots/").content.decode()


def test_who_may_not_look_gets_neither(make_user: Any, catalog: Catalog) -> None:
    client = Client()
    client.force_login(make_user("nobody"))
    assert client.get(f"{HISTORY}plots/").status_code == 403
    assert client.get(f"{HISTORY}export/").status_code == 403
