"""The automation rules in the admin site: their form, their list, what came of each, and who may change them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from control_rows import LLAMA, QWEN, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from support.servers import SERVER

from models_admin.automation import rules
from models_admin.models import Rule, Server, Source, State, Switch, TabbyModel

PAGE = "/admin/models_admin/rule/"
HISTORY = "/admin/models_admin/switch/"
MODELS = "/admin/models_admin/tabbymodel/"
Catalog = dict[str, TabbyModel]

TIMED = {
    "name": "",
    "enabled": "on",
    "trigger": "time",
    "what": f"model:{QWEN}",
    "days": ["1", "2", "3", "4", "5"],
    "at": "08:00",
    "only_if_idle": "on",
    "idle_minutes": "5",
    "wait_minutes": "60",
}
IDLE = {**TIMED, "trigger": "idle", "what": "", "idle_minutes": "0.5"}
START = {**TIMED, "trigger": "start", "what": "last"}


def html(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


def add(client: Client, form: dict[str, Any], **changes: Any) -> Rule:
    """Add a rule through the form."""
    response = client.post(f"{PAGE}add/", {**form, **changes})
    assert response.status_code == 302, response.context["adminform"].form.errors
    return Rule.objects.latest("pk")


def errors(client: Client, form: dict[str, Any], **changes: Any) -> dict[str, list[str]]:
    """What the form says is wrong."""
    response = client.post(f"{PAGE}add/", {**form, **changes})
    assert response.status_code == 200
    assert not Rule.objects.filter(name=changes.get("name", "none")).exists()
    return dict(response.context["adminform"].form.errors)


def line(page: str) -> str:
    """The list's one row."""
    return page.partition('id="result_list"')[2].partition("<tbody>")[2].partition("</tbody>")[0]


# The form -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "changes", "words", "target"),
    [
        (TIMED, {}, f"Weekdays at 08:00: switch to {QWEN}, if idle", QWEN),
        (TIMED, {"what": "unload", "only_if_idle": "", "days": ["6", "7"]}, "Weekends at 08:00: unload", ""),
        (TIMED, {"days": ["3"], "only_if_idle": ""}, f"Wednesdays at 08:00: switch to {QWEN}", QWEN),
        (TIMED, {"days": ["1", "3"], "what": "unload"}, "Mon, Wed at 08:00: unload, if idle", ""),
        (TIMED, {"what": f"try:{QWEN}"}, f"Weekdays at 08:00: try {QWEN} out, if idle", QWEN),
        (IDLE, {}, "Unload when idle for 0.5 minutes", ""),
        (IDLE, {"idle_minutes": "1", "what": "unload"}, "Unload when idle for 1 minute", ""),
        (START, {}, "At the start: load the last model", ""),
        (START, {"what": ""}, "At the start: load the last model", ""),
        (START, {"what": f"model:{LLAMA}"}, f"At the start: load {LLAMA}", LLAMA),
    ],
    ids=[
        "weekdays", "weekends", "wednesdays", "two days", "try", "idle", "a minute", "start", "start by default",
        "start named",
    ],
)  # fmt: skip
def test_each_rule_is_added_and_listed_in_words(
    admin_client: Client, catalog: Catalog, *, form: dict[str, Any], changes: Any, words: str, target: str
) -> None:
    rule = add(admin_client, form, **changes)
    assert (rule.words, rule.target, rule.tries) == (words, target, "try " in words)
    assert words in line(html(admin_client))
    assert f'aria-label="Enabled: {words}"' in line(html(admin_client))
    assert words in LogEntry.objects.get().object_repr


@pytest.mark.parametrize(
    ("form", "changes", "field", "words"),
    [
        (TIMED, {"what": ""}, "what", "Choose the model to switch to, or Unload."),
        (TIMED, {"what": "last"}, "what", "Choose the model to switch to, or Unload."),
        (TIMED, {"what": "model:../x"}, "what", "Select a valid choice"),
        (TIMED, {"at": ""}, "at", "Give the time of day, such as 08:00."),
        (TIMED, {"at": "25:00"}, "at", "Enter a valid time."),
        (TIMED, {"days": []}, "days", "Choose at least one day."),
        (TIMED, {"days": ["8"]}, "days", "Select a valid choice"),
        (TIMED, {"wait_minutes": "5000"}, "wait_minutes", "Wait for a day (1440 minutes) at most"),
        (TIMED, {"idle_minutes": "-1"}, "idle_minutes", "Give minutes; 0 asks only"),
        (IDLE, {"idle_minutes": "0"}, "idle_minutes", "0.05 at least"),
        (IDLE, {"idle_minutes": "nan"}, "idle_minutes", "Enter a number."),
        (IDLE, {"what": f"model:{QWEN}"}, "what", "choose Unload"),
        (START, {"what": "unload"}, "what", "At the start a model is loaded"),
        (START, {"trigger": ""}, "trigger", "This field is required."),
    ],
    ids=[
        "no target", "last at a time", "no model", "no time", "no such time", "no day", "no such day", "waits too long",
        "idle before", "idle at once", "idle never", "idle loads", "start unloads", "no trigger",
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(
    admin_client: Client, catalog: Catalog, *, form: dict[str, Any], changes: Any, field: str, words: str
) -> None:
    told = errors(admin_client, form, **changes)
    assert list(told) == [field]
    assert words in told[field][0]
    assert not Rule.objects.exists()


@pytest.mark.parametrize(
    ("second", "refused"),
    [
        ({**TIMED, "days": ["5", "6"]}, True),
        ({**TIMED, "days": ["6"]}, False),
        ({**TIMED, "at": "09:00"}, False),
        ({**TIMED, "enabled": ""}, False),
        (IDLE, False),
    ],
    ids=["shares a day", "another day", "another time", "disabled", "another trigger"],
)
def test_two_rules_for_one_moment_are_refused(
    admin_client: Client, catalog: Catalog, second: dict[str, Any], refused: bool
) -> None:
    add(admin_client, TIMED)
    if refused:
        told = errors(admin_client, second, name="second")["__all__"][0]
        assert f"“Weekdays at 08:00: switch to {QWEN}, if idle” is due at the same time" in told
    else:
        add(admin_client, second, name="second")


def test_of_start_and_idle_there_is_one_each(admin_client: Client, catalog: Catalog) -> None:
    for form in (IDLE, START):
        add(admin_client, form)
        assert "is due at the same time" in errors(admin_client, form)["__all__"][0]


def test_a_rule_is_changed_in_its_form(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    assert html(admin_client, f"{PAGE}add/").count("checked") == 5 + 2  # weekdays, enabled, only if idle
    page = html(admin_client, f"{PAGE}{rule.pk}/change/")
    assert 'name="idle_minutes" value="5"' in page
    assert f'<option value="model:{QWEN}" selected' in page
    assert page.count('name="days"') == 7
    assert page.count("checked") == 5 + 2
    admin_client.post(f"{PAGE}{rule.pk}/change/", {**TIMED, "what": "unload", "at": "22:30"})
    assert Rule.objects.get().words == "Weekdays at 22:30: unload, if idle"


def test_saving_it_leaves_alone_what_a_worker_writes(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = add(admin_client, TIMED)
    arm = rules.arm

    def meanwhile(changed: Rule) -> list[str]:
        Rule.objects.update(note="Skipped.", last_run=timezone.now())
        return arm(changed)

    monkeypatch.setattr(rules, "arm", meanwhile)
    admin_client.post(f"{PAGE}{rule.pk}/change/", {**TIMED, "at": "09:00"})
    changed = Rule.objects.get()
    assert (changed.at, changed.note) == (time(9), "Skipped.")
    assert changed.last_run is not None


def test_a_model_that_is_gone_stays_chosen_and_is_called_that(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now())
    assert f"{QWEN} (gone, or retired)" in html(admin_client, f"{PAGE}{rule.pk}/change/")
    assert "(gone" not in html(admin_client, f"{PAGE}add/")


# From when on a rule counts -----------------------------------------------------------------------------------------


def armed(rule: Rule) -> bool:
    """Whether what has passed is past for this rule."""
    rule.refresh_from_db()
    return rule.handled_until is not None and rule.handled_until > timezone.now() - timedelta(minutes=1)


def test_a_time_that_has_passed_when_the_rule_is_made_is_past(admin_client: Client, catalog: Catalog) -> None:
    just_now = timezone.localtime() - timedelta(seconds=2)
    rule = add(admin_client, TIMED, at=f"{just_now:%H:%M:%S}", days=[str(day) for day in range(1, 8)])
    rules.evaluate(SERVER)
    assert not Switch.objects.exists()
    rules.evaluate(SERVER, just_now + timedelta(days=1))
    assert Switch.objects.get().rule == str(rule)


def test_enabling_a_rule_in_the_list_counts_from_then(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    Rule.objects.update(enabled=False, handled_until=long_ago, note="Skipped.")
    form = {
        "form-TOTAL_FORMS": "1",
        "form-INITIAL_FORMS": "1",
        "form-0-id": str(rule.pk),
        "form-0-enabled": "on",
        "_save": "Save",
    }
    admin_client.post(PAGE, form)
    assert armed(rule)
    assert (rule.enabled, rule.note) == (True, "Skipped.")
    Rule.objects.update(handled_until=long_ago)
    del form["form-0-enabled"]
    admin_client.post(PAGE, form)
    rule.refresh_from_db()
    assert not rule.enabled


def test_the_list_enables_no_two_rules_for_one_moment(admin_client: Client, catalog: Catalog) -> None:
    disabled, enabled = add(admin_client, {**IDLE, "enabled": ""}), add(admin_client, IDLE, name="second")
    form = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2", "_save": "Save"}
    form |= {"form-0-id": str(disabled.pk), "form-1-id": str(enabled.pk), "form-0-enabled": "on"}
    told = admin_client.post(PAGE, {**form, "form-1-enabled": "on"}).content.decode()
    assert "“second” is due at the same time. Change that one or disable it" in told
    assert list(Rule.objects.filter(enabled=True)) == [enabled]
    admin_client.post(PAGE, form)  # one for the other
    assert list(Rule.objects.filter(enabled=True)) == [disabled]


def test_a_name_shows_its_control_characters(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED, name="Bell \x07, ESC \x1b[2J, turned \u202e round")
    assert rule.name == "Bell ␇, ESC ␛[2J, turned \ufffd round"


def test_a_new_name_is_no_new_rule(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    Rule.objects.update(handled_until=datetime(2020, 1, 1, tzinfo=UTC))
    admin_client.post(f"{PAGE}{rule.pk}/change/", {**TIMED, "name": "Coders come"})
    assert not armed(rule)
    assert rule.name == "Coders come"
    assert "Coders come" in line(html(admin_client))
    assert f"Weekdays at 08:00: switch to {QWEN}, if idle" in line(html(admin_client))


# What is shown ------------------------------------------------------------------------------------------------------


def test_the_next_run_is_told(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    due = rules.next_time(rule, timezone.now())
    assert due is not None
    assert due.strftime("%Y-%m-%dT08:00:00+00:00") in line(html(admin_client))
    Rule.objects.update(waits_for=timezone.now())
    assert "Waiting until it can be done, at most until" in line(html(admin_client))
    Rule.objects.update(enabled=False)
    assert "disabled" in line(html(admin_client))


def test_so_is_that_of_an_unload(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, IDLE)
    assert "if nobody writes" in line(html(admin_client))
    Rule.objects.update(handled_until=timezone.now())
    assert "0.5 minutes after the next reply or load" in line(html(admin_client))
    Server.objects.update(model="")
    assert "When a model is loaded and unused" in line(html(admin_client))
    Rule.objects.filter(pk=rule.pk).delete()
    add(admin_client, START)
    assert "When Gantry starts next" in line(html(admin_client))


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (State.SUCCEEDED, {}, f"✓</span> switch to {QWEN}."),
        (
            State.FAILED,
            {"error": "CUDA out of <b>memory."},
            f"switch to {QWEN}: CUDA out of &lt;b&gt;memory.",
        ),
        (State.LOADING, {}, f"Loading</span> switch to {QWEN}."),
    ],
)
def test_what_came_of_it_is_told_and_leads_to_the_history(
    admin_client: Client, catalog: Catalog, state: State, fields: Any, words: str
) -> None:
    rule = add(admin_client, TIMED)
    assert "never" in line(html(admin_client))
    switch = running(state, source=Source.RULE, rule=str(rule), finished_at=timezone.now(), **fields)
    Rule.objects.update(last_run=timezone.now(), last_switch=switch)
    for page in (line(html(admin_client)), html(admin_client, f"{PAGE}{rule.pk}/change/")):
        assert words in page
        assert f"{HISTORY}{switch.pk}/change/" in page


def test_so_is_why_nothing_came_of_it(admin_client: Client, catalog: Catalog) -> None:
    add(admin_client, TIMED)
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now())
    Rule.objects.update(handled_until=None, at=timezone.localtime().time(), days=[1, 2, 3, 4, 5, 6, 7])
    rules.evaluate(SERVER)
    assert f"Not done: No model named “{QWEN}”" in line(html(admin_client))


def test_history_banner_and_api_name_the_rule(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED, name="Coders <come>")
    switch = running(State.LOADING, source=Source.RULE, rule=str(rule))
    assert "by the rule “Coders &lt;come&gt;”" in html(admin_client, MODELS)
    Switch.objects.update(state=State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    assert "rule “Coders &lt;come&gt;”" in html(admin_client, MODELS)
    rule.delete()
    assert "rule: Coders &lt;come&gt;" in html(admin_client, HISTORY)
    told = admin_client.get(f"/api/admin/switches/{switch.pk}").json()
    assert (told["source"], told["rule"], told["by"]) == ("rule", "Coders <come>", "")


def test_nothing_on_the_pages_needs_an_inline_script_or_style(admin_client: Client, catalog: Catalog) -> None:
    rule = add(admin_client, TIMED)
    for path in (PAGE, f"{PAGE}add/", f"{PAGE}{rule.pk}/change/"):
        page = html(admin_client, path)
        assert "<style" not in page
        assert " style=" not in page
        assert all(" src=" in tag.replace("\n", " ") for tag in re.findall(r"<script[^>]*>", page))
        assert re.search(r'<script [^>]*type="module"', page)


# Who may ------------------------------------------------------------------------------------------------------------


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_may_manage_models_and_switch_may_change_rules(catalog: Catalog, make_user: MakeUser) -> None:
    client = of(make_user("manager", "manage", "switch", "unload"))
    rule = add(client, TIMED)
    assert client.post(f"{PAGE}{rule.pk}/change/", {**TIMED, "at": "09:00"}).status_code == 302
    assert client.post(f"{PAGE}{rule.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Rule.objects.exists()


@pytest.mark.parametrize("permissions", ["view_tabbymodel", "switch unload", "manage", "manage switch"])
def test_others_see_them_and_can_change_nothing(
    admin_client: Client, catalog: Catalog, make_user: MakeUser, permissions: str
) -> None:
    rule = add(admin_client, TIMED)
    client = of(make_user("somebody", *permissions.split()))
    one = f"{PAGE}{rule.pk}/change/"
    for page in (html(client), html(client, one)):
        assert rule.words in page
        for control in ('name="_save"', "/rule/add/", "deletelink", "<select", "delete_selected"):
            assert control not in page
    toggle = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(rule.pk), "_save": "Save"}
    client.post(PAGE, toggle)
    assert client.get(f"{PAGE}add/").status_code == 403
    assert client.post(f"{PAGE}add/", START).status_code == 403
    assert client.post(one, {**TIMED, "at": "09:00"}).status_code == 403
    assert client.post(f"{PAGE}{rule.pk}/delete/", {"post": "yes"}).status_code == 403
    rule.refresh_from_db()
    assert (rule.at, rule.enabled) == (time(8), True)
