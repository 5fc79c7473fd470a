"""The Models page as the server renders it, without a script: each state, and who may do what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from control_rows import LLAMA, MISTRAL, QWEN, MakeUser, running
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from support.servers import SERVER

from models_admin.models import Lease, Server, Source, State, Switch, TabbyModel, Worker
from models_admin.switching.demand import Demand
from models_admin.switching.observation import Refreshed

PAGE = "/admin/models_admin/tabbymodel/"
Catalog = dict[str, TabbyModel]


def html(client: Client, path: str = PAGE, **more: Any) -> str:
    response = client.get(path, follow=True, **more)
    assert response.status_code == 200
    return str(response.content.decode())


def url(catalog: Catalog, name: str, page: str = "switch") -> str:
    return f"{PAGE}{catalog[name].pk}/{page}/"


def messages(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def test_it_shows_what_is_loaded_and_what_could_be(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client)
    assert f"✓ {LLAMA} is loaded" in page
    assert "context 8,192 tokens" in page
    assert page.count("✓ Active") == 1
    assert "7B · Q5<" in page
    assert "≈ 5.7 GB VRAM" in page
    assert url(catalog, QWEN) in page
    assert url(catalog, LLAMA) not in page
    assert f"{PAGE}unload/" in page


def test_it_tells_how_long_each_usually_loads(admin_client: Client, catalog: Catalog) -> None:
    for seconds in (11.0, 12.0, 40.0):
        running(
            State.SUCCEEDED,
            finished_at=timezone.now(),
            result=QWEN,
            seconds={"unloading": 1, "loading": seconds},
        )
    page = html(admin_client)
    assert '<span title="The median of its last 3 loads">12 s</span>' in page
    assert page.count("≈ 20 s") == 2


def test_it_can_be_filtered_by_tag(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=QWEN).update(tags=["coding", "größer"])
    TabbyModel.objects.filter(name=MISTRAL).update(tags=["coding2"])
    page = html(admin_client)
    assert ">coding, größer<" in page
    assert "?tag=coding2" in page
    for tag in ("coding", "größer"):
        rows = (
            html(admin_client, f"{PAGE}?tag={tag}").partition('id="result_list"')[2].partition("</table>")[0]
        )
        assert QWEN in rows
        assert MISTRAL not in rows
        assert LLAMA not in rows


@pytest.mark.parametrize(("spent", "told"), [(30, False), (41, True)])
def test_a_load_that_takes_much_longer_than_usual_is_explained(
    admin_client: Client, catalog: Catalog, spent: int, told: bool
) -> None:
    running(State.LOADING, percent=5, state_since=timezone.now() - timedelta(seconds=spent))
    page = html(admin_client)
    assert ("Loading takes longer than usual." in page) is told
    assert ("a hard disk or a network drive" in page) is told


def test_with_nothing_loaded_it_says_so(admin_client: Client, catalog: Catalog) -> None:
    Server.objects.update(model="", loaded_at=None)
    page = html(admin_client)
    assert "Model not available" in page
    assert "✓ Active" not in page
    assert f"{PAGE}unload/" not in page


def test_out_of_reach_it_says_since_when_and_what_to_do(admin_client: Client, catalog: Catalog) -> None:
    Server.objects.update(unreachable_since=timezone.now(), trouble="No answer.", advice="Start TabbyAPI.")
    page = html(admin_client)
    assert "TabbyAPI cannot be reached" in page
    assert "No answer." in page
    assert "Start TabbyAPI." in page
    assert "when last seen" in page
    assert QWEN in page


def test_opened_with_an_old_list_it_asks_tabbyapi(admin_client: Client, catalog: Catalog) -> None:
    Server.objects.update(catalog_at=None)
    page = html(admin_client)
    assert "TabbyAPI cannot be reached" in page
    assert Server.objects.get().unreachable_since is not None


def test_an_empty_list_says_what_to_check(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.all().delete()
    Server.objects.update(model="")
    page = html(admin_client)
    assert "TabbyAPI lists no models." in page
    assert "TABBY_ADMIN_KEY" in page


def test_models_that_are_gone_leave_the_list_and_are_kept(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=MISTRAL).update(vanished_at=timezone.now())
    page = html(admin_client)
    assert "1 model gone from TabbyAPI" in page
    assert url(catalog, MISTRAL) not in page
    gone = html(admin_client, f"{PAGE}?status=gone")
    assert "gone from TabbyAPI since" in gone
    assert QWEN not in gone.partition('id="result_list"')[2]
    assert url(catalog, MISTRAL) not in gone


def test_it_can_be_searched_and_filtered(admin_client: Client, catalog: Catalog) -> None:
    for query in ("q=coder", "family=Qwen", "quantization=Q5"):
        rows = html(admin_client, f"{PAGE}?{query}").partition('id="result_list"')[2].partition("</table>")[0]
        assert QWEN in rows
        assert MISTRAL not in rows


def test_every_filter_has_words(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=LLAMA).update(family="", quantization="")
    filters = html(admin_client).partition('id="changelist-filter"')[2]
    assert "Qwen" in filters
    assert 'href="?family="' not in filters
    assert 'href="?quantization="' not in filters


def test_in_mid_switch_it_shows_where_it_stands(admin_client: Client, catalog: Catalog) -> None:
    switch = running(State.LOADING, percent=57)
    page = html(admin_client)
    assert f"Switching from {LLAMA} to {QWEN}" in page
    assert "Step 1: Unloading current model… 100%" in page
    assert f"Step 2: Loading {QWEN}… 57%" in page
    assert 'value="57"' in page
    assert "Loading…" in page
    assert f"{PAGE}cancel/{switch.pk}/" in page
    assert "data-dialog" not in page
    assert "http-equiv" in page.partition("<noscript>")[2].partition("</noscript>")[0]


@pytest.mark.parametrize(
    ("state", "of_llama", "of_qwen"),
    [
        (State.QUEUED, "✓ Active", "Next"),
        (State.DRAINING, "✓ Active", "Next"),
        (State.UNLOADING, "Unloading…", "Available"),
        (State.LOADING, "Available", "Loading…"),
        (State.VERIFYING, "Available", "Loading…"),
        (State.ROLLING_BACK, "Loading…", "Available"),
    ],
)
def test_each_row_says_what_happens_to_it(
    admin_client: Client, catalog: Catalog, state: State, of_llama: str, of_qwen: str
) -> None:
    running(state)
    if state not in (State.QUEUED, State.DRAINING):
        Server.objects.update(model="")
    rows = html(admin_client).partition('id="result_list"')[2].split("<tr>")
    assert of_llama in next(row for row in rows if LLAMA in row)
    assert of_qwen in next(row for row in rows if QWEN in row)


def test_after_a_switch_it_says_how_it_ended(admin_client: Client, catalog: Catalog) -> None:
    running(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    assert "✓ Model switched successfully!" in html(admin_client)


def test_a_change_from_outside_is_called_that(admin_client: Client, catalog: Catalog) -> None:
    running(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN, source=Source.OUTSIDE)
    page = html(admin_client)
    assert f"Changed from outside Gantry: {QWEN} was found loaded" in page
    assert "switched successfully" not in page


def test_after_a_failure_it_says_why_and_what_to_do(admin_client: Client, catalog: Catalog) -> None:
    running(
        State.FAILED,
        finished_at=timezone.now(),
        result=LLAMA,
        error="CUDA out of memory.",
        advice="Load a smaller model.",
        seconds={"unloading": 1.0, "loading": 2.0, "rolling_back": 3.0},
    )
    page = html(admin_client)
    assert "✗ CUDA out of memory." in page
    assert f"Rolled back: {LLAMA} is loaded again" in page
    assert "Load a smaller model." in page


def test_without_a_worker_it_says_so(admin_client: Client, catalog: Catalog) -> None:
    Worker.objects.all().delete()
    assert "No worker is answering" in html(admin_client)


def test_its_edge_is_not_green_beside_a_trouble(admin_client: Client, catalog: Catalog) -> None:
    assert 'class="gantry-banner gantry-good"' in html(admin_client)
    trouble = {"id": "inline", "level": "warning", "title": "Odd", "detail": "", "hint": ""}
    Server.objects.update(findings=[trouble])
    assert 'class="gantry-banner gantry-busy"' in html(admin_client)
    Server.objects.update(findings=[])
    Worker.objects.all().delete()
    page = html(admin_client)
    assert 'class="gantry-banner gantry-busy"' in page
    assert "since <time" in page


def test_nothing_on_it_needs_an_inline_script_or_style(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client)
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count("<script src") + page.count('<script type="module" src')


def test_names_are_text(admin_client: Client, catalog: Catalog) -> None:
    odd = "<b>&\"x'</b>{{ 7 }}"
    TabbyModel.objects.filter(name=QWEN).update(name=odd, display_name="<i>y</i>")
    Server.objects.update(model=odd)
    for path in (PAGE, url(catalog, QWEN), f"{PAGE}unload/", f"{PAGE}{catalog[QWEN].pk}/change/"):
        page = html(admin_client, path)
        assert "<b>" not in page
        assert "<i>y" not in page
        assert "&lt;b&gt;&amp;&quot;x&#x27;&lt;/b&gt;{{ 7 }}" in page


def test_the_confirmation_says_what_would_happen(admin_client: Client, catalog: Catalog) -> None:
    Lease.objects.create(server_id=SERVER, holder="web", subject="reply 1")
    page = html(admin_client, url(catalog, QWEN))
    assert f"Switch to {QWEN}?" in page
    assert LLAMA in page
    assert "1 reply in flight<" in page
    assert "given up to 20 s to finish" in page
    assert "about 24 s (usual for its size), after up to 20 s for the reply in flight<" in page
    assert not Switch.objects.exists()


def test_the_confirmation_as_a_fragment_is_its_content_alone(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client, url(catalog, QWEN), headers={"X-Requested-With": "fragment"})
    assert page.lstrip().startswith('<div id="gantry-meaning" tabindex="-1">\n<h2 id="gantry-question">')
    assert "<html" not in page


def test_the_page_as_a_fragment_is_its_live_parts(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client, headers={"X-Requested-With": "fragment"})
    assert page.startswith('<section id="gantry-banner"')
    assert 'id="result_list"' in page
    assert "<html" not in page


def test_confirming_asks_for_the_switch_and_leads_back(admin_client: Client, catalog: Catalog) -> None:
    response = admin_client.post(url(catalog, QWEN), follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    switch = Switch.objects.get()
    assert (switch.target, switch.previous, switch.source) == (QWEN, LLAMA, Source.ADMIN)
    assert switch.requested_by == User.objects.get(username="admin")
    page = response.content.decode()
    assert "Queued" in page
    assert f"Switching from {LLAMA} to {QWEN}" in page
    entry = LogEntry.objects.get()
    assert f"from {LLAMA} to {QWEN}" in entry.get_change_message()
    assert str(entry.object_id) == str(catalog[QWEN].pk)


def test_confirming_an_unload_asks_for_it(admin_client: Client, catalog: Catalog) -> None:
    assert f"Unload {LLAMA}?" in html(admin_client, f"{PAGE}unload/")
    admin_client.post(f"{PAGE}unload/")
    assert (Switch.objects.get().target, Switch.objects.get().previous) == ("", LLAMA)
    assert LogEntry.objects.count() == 1


def test_a_conflict_is_told_on_the_page(admin_client: Client, catalog: Catalog) -> None:
    running()
    assert "Another change is under way" in html(admin_client, url(catalog, MISTRAL))
    response = admin_client.post(url(catalog, MISTRAL), follow=True)
    assert f"a switch to {QWEN}" in messages(response)
    assert Switch.objects.count() == 1


def test_a_model_that_is_gone_cannot_be_switched_to(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=QWEN).update(vanished_at=timezone.now())
    page = html(admin_client, url(catalog, QWEN))
    assert "is gone from TabbyAPI" in page
    assert 'type="submit" autofocus' not in page
    assert "No model named" in messages(admin_client.post(url(catalog, QWEN), follow=True))
    assert not Switch.objects.exists()


def test_a_switch_can_be_cancelled(admin_client: Client, catalog: Catalog) -> None:
    switch = running(State.DRAINING)
    admin_client.post(f"{PAGE}cancel/{switch.pk}/")
    switch.refresh_from_db()
    assert switch.state == State.CANCELLED
    assert "nothing to cancel" in messages(admin_client.post(f"{PAGE}cancel/{switch.pk}/", follow=True))


def test_the_action_leads_to_the_confirmation_of_one(admin_client: Client, catalog: Catalog) -> None:
    def act(*names: str) -> Any:
        chosen = [catalog[name].pk for name in names]
        return admin_client.post(
            PAGE, {"action": "switch_to_selected", "_selected_action": chosen}, follow=True
        )

    assert act(QWEN).redirect_chain == [(url(catalog, QWEN), 302)]
    assert "exactly one" in messages(act(QWEN, MISTRAL))
    assert not Switch.objects.exists()


def test_refresh_tells_what_came_of_it(admin_client: Client, catalog: Catalog) -> None:
    response = admin_client.post(f"{PAGE}refresh/", follow=True)
    assert "The list is as it was" in messages(response)
    assert TabbyModel.objects.filter(vanished_at=None).count() == 3


def test_refresh_names_some_of_many_models(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Refreshed([f"new-{number}" for number in range(12)], ["gone-1"])
    monkeypatch.setattr("models_admin.automation.upkeep.refresh", lambda *_: found)
    monkeypatch.setattr("models_admin.servers.diagnosis.remember", lambda *_: None)
    words = messages(admin_client.post(f"{PAGE}refresh/", follow=True))
    assert "new-9 and 2 more; gone: gone-1." in words
    assert "new-10" not in words


@pytest.mark.parametrize("page", ["refresh/", "cancel/1/"])
def test_what_changes_something_is_posted(admin_client: Client, catalog: Catalog, page: str) -> None:
    running(pk=1)
    assert admin_client.get(f"{PAGE}{page}").status_code == 405


def test_what_changes_something_needs_the_csrf_token(catalog: Catalog) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(url(catalog, QWEN)).status_code == 403
    assert not Switch.objects.exists()


def test_a_viewer_sees_the_state_and_no_buttons(viewer: Client, catalog: Catalog) -> None:
    running(State.LOADING, percent=57)
    page = html(viewer)
    assert f"Step 2: Loading {QWEN}… 57%" in page
    for button in ("data-dialog", ">Cancel<", ">Refresh<", "aria-disabled", "switch_to_selected"):
        assert button not in page


def test_each_button_is_shown_to_who_may_press_it(catalog: Catalog, make_user: MakeUser) -> None:
    for permission, shown, hidden in (
        ("switch", url(catalog, QWEN), f"{PAGE}unload/"),
        ("unload", f"{PAGE}unload/", url(catalog, QWEN)),
    ):
        client = Client()
        client.force_login(make_user(permission, permission))
        page = html(client)
        assert shown in page
        assert hidden not in page


def test_the_server_refuses_whoever_lacks_the_permission(viewer: Client, catalog: Catalog) -> None:
    switch = running(State.DRAINING)
    for path in (url(catalog, QWEN), f"{PAGE}unload/", f"{PAGE}cancel/{switch.pk}/", f"{PAGE}refresh/"):
        assert viewer.post(path).status_code == 403
        assert viewer.get(path).status_code == 403
    switch.refresh_from_db()
    assert switch.state == State.DRAINING
    assert Switch.objects.count() == 1


def test_staff_without_any_permission_see_the_state_and_nothing_else(
    catalog: Catalog, make_user: MakeUser
) -> None:
    client = Client()
    client.force_login(make_user("newcomer"))
    page = html(client)
    assert f"✓ {LLAMA} is loaded" in page
    assert QWEN in page
    for control in ("data-dialog", ">Refresh<", "switch_to_selected", 'name="_save"'):
        assert control not in page + html(client, f"{PAGE}{catalog[QWEN].pk}/change/")
    assert client.post(f"{PAGE}{catalog[QWEN].pk}/change/", {"display_name": "x"}).status_code == 403
    assert client.get("/admin/models_admin/switch/").status_code == 403
    assert client.get("/admin/models_admin/rule/").status_code == 403


def test_who_is_no_staff_does_not_come_in(catalog: Catalog, make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user("somebody", "manage", is_staff=False))
    assert client.get(PAGE).status_code == 302


def test_models_are_neither_added_nor_deleted_by_hand(admin_client: Client, catalog: Catalog) -> None:
    assert admin_client.get(f"{PAGE}add/").status_code == 403
    assert admin_client.post(f"{PAGE}{catalog[QWEN].pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in html(admin_client)


def test_what_is_noted_about_a_model_is_checked(admin_client: Client, catalog: Catalog) -> None:
    path = f"{PAGE}{catalog[QWEN].pk}/change/"
    form = {"display_name": "Coder", "tags": "coding, fast, coding", "notes": "", "visible": "on"}
    bad = admin_client.post(path, {**form, "cache_size": "1000"})
    assert "multiple of 256" in bad.content.decode()
    assert admin_client.post(path, {**form, "cache_size": "4096"}).status_code == 302
    row = TabbyModel.objects.get(name=QWEN)
    assert (row.display_name, row.tags, row.load_options) == (
        "Coder",
        ["coding", "fast"],
        {"cache_size": 4096},
    )


def test_the_history_is_read_only(admin_client: Client, viewer: Client, catalog: Catalog) -> None:
    switch = running(State.FAILED, error="CUDA out of memory.", result=LLAMA, finished_at=timezone.now())
    listed = html(admin_client, "/admin/models_admin/switch/")
    assert f"{LLAMA} → <strong>{QWEN}</strong>" in listed
    assert "CUDA out of memory." in listed
    path = f"/admin/models_admin/switch/{switch.pk}/change/"
    assert "CUDA out of memory." in html(viewer, path)
    assert admin_client.post(path, {"target": "x"}).status_code == 403
    assert (
        admin_client.post(f"/admin/models_admin/switch/{switch.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )
    assert admin_client.get("/admin/models_admin/switch/add/").status_code == 403


def test_the_site_is_gantry_and_leads_to_the_chat(admin_client: Client, catalog: Catalog) -> None:
    page = html(admin_client, "/admin/")
    assert ">Gantry</a>" in page
    assert '<a href="/">View site</a>' in page


def test_load_options_can_be_chosen_for_once(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=QWEN).update(load_options={"cache_mode": "Q8", "max_seq_len": 4096})
    path = f"{PAGE}{catalog[QWEN].pk}/switch/"
    shown = html(admin_client, path)
    assert 'value="Q8"' in shown
    assert 'value="4096"' in shown
    bad = admin_client.post(path, {"cache_mode": "Q8", "cache_size": "1000", "gpu_split": "20; x"})
    assert bad.status_code == 200
    assert "multiple of 256" in bad.content.decode()
    assert "a list of numbers, one for each GPU, such as 20, 22" in bad.content.decode()
    small = admin_client.post(path, {"max_seq_len": "2048"})
    assert "This must be at least 2,304, not 2,048" in small.content.decode()
    assert not Switch.objects.exists()
    chosen = {
        "cache_mode": "",
        "max_seq_len": "6144",
        "gpu_split": "20, 22.5",
        "vision": "false",
        "drain_seconds": "3",
    }
    assert admin_client.post(path, chosen).status_code == 302
    switch = Switch.objects.get()
    assert switch.options == {"max_seq_len": 6144, "gpu_split": [20, 22.5], "vision": False}
    assert switch.drain_seconds == 3
    assert TabbyModel.objects.get(name=QWEN).load_options == {"cache_mode": "Q8", "max_seq_len": 4096}


def test_options_without_effect_are_offered_only_to_be_emptied(
    admin_client: Client, catalog: Catalog
) -> None:
    pages = (f"{PAGE}{catalog[QWEN].pk}/switch/", f"{PAGE}{catalog[QWEN].pk}/change/")
    for page in pages:
        shown = html(admin_client, page)
        assert 'name="cache_mode"' in shown
        for name in ("max_batch_size", "rope_scale", "rope_alpha"):
            assert f'name="{name}"' not in shown
    TabbyModel.objects.filter(name=QWEN).update(load_options={"rope_scale": 2})
    for page in pages:
        shown = html(admin_client, page)
        assert 'name="rope_scale"' in shown
        assert "TabbyAPI ignores it. Empty it." in shown
        assert 'name="rope_alpha"' not in shown
    saved = admin_client.post(pages[1], {"rope_scale": "", "cache_mode": "Q8"})
    assert saved.status_code == 302
    assert TabbyModel.objects.get(name=QWEN).load_options == {"cache_mode": "Q8"}


def test_without_a_choice_the_stored_options_are_used(admin_client: Client, catalog: Catalog) -> None:
    TabbyModel.objects.filter(name=QWEN).update(load_options={"cache_mode": "Q8"})
    assert admin_client.post(f"{PAGE}{catalog[QWEN].pk}/switch/").status_code == 302
    assert Switch.objects.get().options == {"cache_mode": "Q8"}


def test_what_a_form_does_not_show_of_an_option_is_kept(admin_client: Client, catalog: Catalog) -> None:
    draft = {"draft_model_name": "small", "draft_cache_mode": "Q4"}
    TabbyModel.objects.filter(name=QWEN).update(load_options={"draft_model": draft})
    path = f"{PAGE}{catalog[QWEN].pk}/change/"
    assert admin_client.post(path, {"tags": "", "draft_model": "smaller"}).status_code == 302
    kept = TabbyModel.objects.get(name=QWEN).load_options["draft_model"]
    assert kept == {"draft_model_name": "smaller", "draft_cache_mode": "Q4"}


def test_a_model_that_will_not_fit_is_warned_of(
    admin_client: Client, catalog: Catalog, settings: Any
) -> None:
    path = f"{PAGE}{catalog[QWEN].pk}/switch/"
    settings.GANTRY_VRAM_GB = 4.0
    assert "will probably not fit" in html(admin_client, path)
    for enough in (24.0, 0.0):
        settings.GANTRY_VRAM_GB = enough
        assert "will probably not fit" not in html(admin_client, path)


def test_the_memory_estimate_says_how_it_is_made(
    admin_client: Client, catalog: Catalog, settings: Any
) -> None:
    settings.GANTRY_VRAM_GB = 24.0
    page = html(admin_client, url(catalog, QWEN))
    assert "about 5.7 GB VRAM, by its name" in page
    assert "<summary>How this is estimated</summary>" in page
    assert "GB = parameters × bits per weight ÷ 8" in page
    assert "7B at Q4 5 GB, at Q8 8 GB" in page
    assert "Gantry warns of models that will not fit" not in page
    settings.GANTRY_VRAM_GB = 0.0
    assert "Gantry warns of models that will not fit" in html(admin_client, url(catalog, QWEN))


def test_where_the_name_does_not_tell_the_memory_that_is_said(admin_client: Client, catalog: Catalog) -> None:
    for facts, untold in (
        ({"bits": None}, "the quantization"),
        ({"parameters_b": None}, "the size"),
        ({"bits": None, "parameters_b": None}, "size and quantization"),
    ):
        TabbyModel.objects.filter(name=QWEN).update(**{"bits": 5, "parameters_b": 7, **facts})
        assert f"not known: the name does not tell {untold}\n" in html(admin_client, url(catalog, QWEN))
    assert "Memory" not in html(admin_client, f"{PAGE}unload/")


@pytest.mark.parametrize(
    ("demanded", "words"),
    [
        ((0, 0, 0), "no replies in flight"),
        ((1, 0, 1), "1 reply in flight (1 person)"),
        ((2, 0, 0), "2 replies in flight"),
        ((0, 1, 1), "no replies in flight, 1 message waiting (1 person)"),
        ((3, 3, 2), "3 replies in flight, 3 messages waiting (2 people)"),
    ],
)
def test_who_uses_the_model_is_told_before_a_switch(
    admin_client: Client,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    demanded: tuple[int, int, int],
    words: str,
) -> None:
    replying, waiting, people = demanded
    for number in range(replying):
        Lease.objects.create(server_id=SERVER, holder="web", subject=f"reply {number}")
    monkeypatch.setattr("models_admin.switching.demand.now", lambda: Demand(waiting=waiting, people=people))
    page = html(admin_client, url(catalog, QWEN))
    assert f"<dd>{words}</dd>" in page
    assert ("given up to 20 s" in page) is bool(replying)
    assert ("after up to 20 s for" in page) is bool(replying)


@pytest.mark.parametrize(
    ("waiting", "words"), [(0, "no messages waiting"), (2, "2 messages waiting (1 person)")]
)
def test_with_nothing_loaded_there_are_no_replies_to_ask_about(
    admin_client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, waiting: int, words: str
) -> None:
    Server.objects.update(model="", loaded_at=None)
    monkeypatch.setattr(
        "models_admin.switching.demand.now", lambda: Demand(waiting=waiting, people=min(1, waiting))
    )
    page = html(admin_client, url(catalog, QWEN))
    assert f"<dd>{words}</dd>" in page
    assert "Replies in flight may take" not in page
    Server.objects.update(model=LLAMA)
    assert "Replies in flight may take" in html(admin_client, url(catalog, QWEN))


def test_where_replies_are_cut_at_once_that_is_said(
    admin_client: Client, catalog: Catalog, settings: Any
) -> None:
    settings.DRAIN_TIMEOUT = 0.0
    Lease.objects.create(server_id=SERVER, holder="web", subject="reply 1")
    page = html(admin_client, url(catalog, QWEN))
    assert "It is cut at once; what is left" in page
    assert "up to 0 s" not in page


def test_the_row_and_its_confirmation_call_it_the_same(admin_client: Client, catalog: Catalog) -> None:
    assert f'aria-label="Switch {QWEN}">Switch<' in html(admin_client)
    Server.objects.update(model="", loaded_at=None)
    assert f'aria-label="Load {QWEN}">Load<' in html(admin_client)
    assert ">Load</button>" in html(admin_client, url(catalog, QWEN))


def test_in_mid_switch_the_rows_still_say_switch(admin_client: Client, catalog: Catalog) -> None:
    running(State.LOADING)
    Server.objects.update(model="")
    assert 'aria-disabled="true">Switch<' in html(admin_client)
    assert ">Load<" not in html(admin_client)


@pytest.mark.parametrize(("seconds", "told"), [(12.3, "16 s"), (26, "30 s"), (45, "50 s"), (98.7, "100 s")])
def test_expected_seconds_are_no_more_exact_than_they_can_be(
    admin_client: Client, catalog: Catalog, seconds: float, told: str
) -> None:
    running(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN, seconds={"loading": seconds})
    assert f"about {told} (going by its past loads)" in html(admin_client, url(catalog, QWEN))


def test_every_page_says_what_is_wrong_with_tabbyapi_and_leads_to_it(
    admin_client: Client, catalog: Catalog, make_user: MakeUser
) -> None:
    assert "gantry-alarm" not in html(admin_client, "/admin/")
    Server.objects.update(unreachable_since=timezone.now(), trouble="It is gone.", advice="Start it.")
    alarm = f'<p class="gantry-alarm"><a href="{PAGE}">TabbyAPI cannot be reached</a></p>'
    for path in ("/admin/", "/admin/models_admin/switch/", "/admin/auth/user/"):
        assert alarm in html(admin_client, path)
    assert "gantry-alarm" not in html(admin_client, PAGE), "whose banner says it"
    assert "gantry-alarm" not in html(Client(), "/admin/login/")
    key = {
        "id": "key",
        "level": "error",
        "title": "TabbyAPI refuses the key",
        "detail": "401",
        "hint": "Set it.",
    }
    Server.objects.update(findings=[key])
    assert ">TabbyAPI refuses the key</a>" in html(admin_client, "/admin/")
    assert 'id="gantry-headline">TabbyAPI refuses the key<' in html(admin_client, PAGE)


def test_the_guides_advice_is_there(admin_client: Client, catalog: Catalog) -> None:
    assert "Models, best first" in html(admin_client, PAGE)
    one = html(admin_client, f"{PAGE}{catalog[QWEN].pk}/change/")
    assert "Qwen, 7 billion parameters, Q5. Usual for its size: 20–50 tokens/s" in one


def test_a_keys_fault_is_told_once_and_before_a_switch_too(admin_client: Client, catalog: Catalog) -> None:
    hint = "Set TABBY_ADMIN_KEY to the admin key."
    key = {"id": "key", "level": "error", "title": "TabbyAPI refuses the key", "detail": "401", "hint": hint}
    Server.objects.update(
        findings=[key], unreachable_since=timezone.now(), trouble="TabbyAPI refused the key: 401", advice=hint
    )
    banner = html(admin_client).partition('id="gantry-banner"')[2].partition("</section>")[0]
    assert banner.count(hint) == 1
    assert f"TabbyAPI refuses the key: this will probably fail. {hint}" in html(
        admin_client, url(catalog, QWEN)
    )


def test_details_are_linked_for_who_may_see_them(
    admin_client: Client, catalog: Catalog, make_user: MakeUser
) -> None:
    ended = running(State.SUCCEEDED, finished_at=timezone.now(), result=QWEN)
    link = f"/admin/models_admin/switch/{ended.pk}/change/"
    assert link in html(admin_client)
    staff = Client()
    staff.force_login(make_user("staff"))
    assert link not in html(staff)
