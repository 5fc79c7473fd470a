"""The dialog behind the model's name, requests for a model, and what an empty page says where none is loaded."""

from __future__ import annotations

from typing import Any

from played_events import HERE, LLAMA, QWEN, READY, UNLOADED, asked, hello, models_hello, switch, switching
from played_site import Site
from playwright.sync_api import Locator, Page, expect

API = "/api/models/requests"
SCRIPT = "<img src=x onerror=alert(1)>"
ABOUT = {
    "id": LLAMA,
    "name": "Llama, the quick",
    "tags": ["general"],
    "notes": "For everything.\nAsk away.",
    "size": "8B",
    "visible": True,
}
AT = "2026-11-23T07:00:00+00:00"


def model(ident: str = QWEN, **fields: Any) -> dict[str, Any]:
    return {"id": ident, "name": ident, "tags": [], "notes": "", "size": "7B", "switch_url": None, **fields}


def request(state: str = "open", **fields: Any) -> dict[str, Any]:
    made = {"id": 3, "model": QWEN, "name": "Qwen", "state": state, "reason": "", "answer": ""}
    return {**made, "asked_at": AT, "ended_at": None if state == "open" else AT, **fields}


def told(*requests: dict[str, Any]) -> dict[str, Any]:
    return {"type": "requests", "requests": list(requests)}


def offer(site: Site, *models: dict[str, Any], requests: tuple[dict[str, Any], ...] = ()) -> None:
    site.served.answers["GET", API] = (200, {"models": list(models), "requests": list(requests)})


def dialog(page: Page) -> Locator:
    """Open the dialog from the keyboard."""
    page.locator("#model").focus()
    page.keyboard.press("Enter")
    found = page.get_by_role("dialog", name="Models")
    expect(found).to_be_visible()
    return found


def row(page: Page, name: str) -> Locator:
    return page.locator(".offer", has=page.get_by_role("heading", name=name))


def test_the_header_shows_the_display_name_and_the_dialog_the_notes(site: Site) -> None:
    offer(site, model(LLAMA), model(notes=f"For code. {SCRIPT}", tags=["coding"], name="Qwen, the coder"))
    page = site.open(first=hello(state={**READY, "about": ABOUT}))
    expect(page.locator("#model-name")).to_have_text("Llama, the quick")
    expect(page.locator("#composer-text")).to_have_attribute("placeholder", "Message Llama, the quick")
    shown = dialog(page)
    now = shown.get_by_role("region", name="Now")
    expect(now).to_contain_text(f"{LLAMA} · 8B · 8,192 tokens of context")
    expect(now).to_contain_text("For everything.")
    expect(now.get_by_role("listitem")).to_have_text(["general"])
    expect(page.locator(".offer")).to_have_count(1)
    expect(row(page, "Qwen, the coder")).to_contain_text(f"{QWEN} · 7B")
    expect(row(page, "Qwen, the coder")).to_contain_text(f"For code. {SCRIPT}")
    page.keyboard.press("Escape")
    expect(shown).to_be_hidden()
    expect(page.locator("#model")).to_be_focused()


def test_a_model_is_asked_for_with_a_reason(site: Site) -> None:
    offer(site, model())
    site.served.answers["POST", API] = (200, {"request": request(reason=SCRIPT), "detail": "They see it."})
    page = site.open()
    dialog(page)
    page.get_by_role("button", name=f"Ask for {QWEN}").press("Enter")
    reason = page.get_by_label(f"Why {QWEN}?")
    expect(reason).to_be_focused()
    page.keyboard.type(SCRIPT)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert site.asked("POST", API) == {"model_id": QWEN, "reason": SCRIPT}
    expect(page.locator("#models-said")).to_have_text("They see it.")
    expect(row(page, QWEN)).to_contain_text(f"“{SCRIPT}”")
    expect(page.get_by_role("button", name=f"Change the reason of asking for {QWEN}")).to_be_focused()
    site.served.answers["DELETE", f"{API}/3"] = (204, None)
    page.get_by_role("button", name=f"Withdraw the request for {QWEN}").click()
    site.asked("DELETE", f"{API}/3")
    expect(page.get_by_role("button", name=f"Ask for {QWEN}")).to_be_focused()


def test_a_refusal_is_told_where_it_was_asked_and_the_reason_stays(site: Site) -> None:
    offer(site, model())
    site.served.answers["POST", API] = (429, {"detail": "You have asked for 5 models."})
    page = site.open()
    shown = dialog(page)
    page.get_by_role("button", name=f"Ask for {QWEN}").click()
    page.get_by_label(f"Why {QWEN}?").fill("Because.")
    page.get_by_role("button", name="Send request").click()
    expect(page.get_by_role("alert")).to_have_text("You have asked for 5 models.")
    site.say(switching())  # what happens meanwhile takes nothing away
    expect(row(page, QWEN)).to_contain_text("Loading now…")
    expect(page.get_by_label(f"Why {QWEN}?")).to_have_value("Because.")
    page.get_by_label(f"Why {QWEN}?").press("Escape")
    expect(page.get_by_label(f"Why {QWEN}?")).to_have_count(0)
    expect(shown).to_be_visible()


def test_who_may_switch_does_that_instead(site: Site) -> None:
    site.served.boot["may_switch"] = True
    offer(site, model(switch_url="/admin/models_admin/tabbymodel/2/switch/"), model("other-7B"))
    site.served.answers["POST", "/api/admin/models/switch"] = (202, switch("queued"))
    page = site.open()
    shown = dialog(page)
    link = page.get_by_role("link", name=f"Switch to {QWEN}…")
    expect(link).to_have_attribute("href", "/admin/models_admin/tabbymodel/2/switch/")
    page.get_by_role("button", name="Switch to other-7B…").click()
    expect(page.get_by_role("button", name="Switch", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    assert site.asked("POST", "/api/admin/models/switch") == {"model_id": "other-7B"}
    expect(shown).to_be_hidden()


def test_many_models_can_be_sifted(site: Site) -> None:
    offer(site, *(model(f"model-{number}B") for number in range(10)), model("x", tags=["coding"]))
    page = site.open()
    dialog(page)
    expect(page.locator(".offer")).to_have_count(11)
    page.get_by_label("Filter by name or tag").fill("codi")
    expect(page.locator(".offer:visible")).to_have_count(1)
    page.get_by_label("Filter by name or tag").fill("model-")
    expect(page.locator(".offer:visible")).to_have_count(10)


def test_an_end_is_told_until_it_is_put_away(site: Site) -> None:
    site.served.answers["POST", f"{API}/3/seen"] = (204, None)
    page = site.open()
    notices = page.locator("#notices")
    site.say(told(request("declined", answer=f"Too big. {SCRIPT}"), request("granted", id=4)))
    expect(notices.locator("p")).to_have_count(2)
    expect(notices).to_contain_text(f"Your request for Qwen was declined: “Too big. {SCRIPT}”")
    expect(notices).to_contain_text("Qwen was loaded, as you asked (")
    site.say({**READY, "model": QWEN})
    expect(notices).to_contain_text("Qwen is loaded, as you asked.")
    notices.get_by_role("button", name="Put away").first.click()
    expect(notices.locator("p")).to_have_count(1)
    expect(notices).to_contain_text("is loaded")
    expect(notices.get_by_role("button")).to_be_focused()
    site.say(told())
    expect(notices.locator("p")).to_have_count(0)


def test_other_ends_have_their_words(site: Site) -> None:
    page = site.open()
    site.say(told(request("expired"), request("gone", id=4), request("declined", id=5)))
    expect(page.locator("#notices p")).to_have_text(
        [
            "Your request for Qwen has expired: nobody answered it. You can ask again.",
            "Your request for Qwen is closed: the model is no longer there.",
            "Your request for Qwen was declined.",
        ]
    )


def test_an_empty_page_says_what_can_be_done_where_no_model_is_loaded(site: Site) -> None:
    offer(site, model())
    page = site.open("/", first=models_hello(UNLOADED))
    welcome = page.locator("#welcome")
    expect(welcome).to_contain_text("No model is loaded")
    expect(welcome).to_contain_text("You can ask for the one that you need.")
    expect(page.locator(".suggestion").first).to_be_hidden()
    site.say(told(request()))
    expect(welcome).to_contain_text("You have asked for Qwen, and will be told here what comes of it.")
    welcome.get_by_role("button", name="Your request").click()
    expect(page.get_by_role("region", name="Now")).to_contain_text("Model not available")
    page.keyboard.press("Escape")
    site.say(READY)
    expect(welcome).to_contain_text("What can I help with?")
    expect(page.locator(".suggestion").first).to_be_visible()
    expect(page.locator("#welcome-models")).to_be_hidden()


def test_who_may_switch_is_told_to_load_one(site: Site) -> None:
    site.served.boot["may_switch"] = True
    offer(site, model())
    page = site.open("/", first=models_hello(UNLOADED))
    page.locator("#welcome").get_by_role("button", name="Load a model").click()
    expect(page.get_by_role("button", name=f"Switch to {QWEN}…")).to_be_visible()


def test_a_conversation_that_has_begun_is_left_alone(site: Site) -> None:
    page = site.open(f"/c/{HERE}/", first=hello(asked(1, "Hello"), state=UNLOADED))
    expect(page.locator(".msg.user")).to_have_count(1)
    expect(page.locator("#welcome")).to_be_hidden()
