"""Takes the pictures in docs/images anew: `make screenshots`.

Starts the demo (`manage.py up` with its sandbox) in a folder of its own, tells the story of a switch with two people, and
photographs it with the machine's Chromium. Two things are staged: the model that is switched to loads slowly enough for all
pictures of one load, and a history of twelve days is written into the database beforehand. `python docs/screenshots.py life`
takes those of one part: see PARTS.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from camera import (
    IMAGES,
    MODELS,
    PATIENCE,
    PHONE,
    ROOT,
    Camera,
    confirm,
    demo,
    have_talked,
    say,
    until,
)
from life_pictures import life_pictures
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.chromium import launch
from support.people import Person, add_user
from support.tabby import Tabby
from system.running import Gantry

NEXT = "Qwen2.5-Coder-7B-Instruct"
WANTED = "Mistral-7B-Instruct-v0.3-Q5"
TOO_BIG = "Llama-3.3-70B-Instruct-Q4_K_M"
EARLIER = (
    "Which wine goes with mushrooms?",
    "Draft a short thank-you note to the night shift",
    "Why is the sky dark at night?",
    "A regular expression for ISO dates",
)

HISTORY = """
from datetime import timedelta
from django.utils import timezone
from models_admin.models import Source, State, Switch
from models_admin.servers import known
LLAMA, QWEN, MISTRAL = "Llama-3.1-8B-Instruct", "Qwen2.5-Coder-7B-Instruct", "Mistral-7B-Instruct-v0.3-Q5"
TOO_BIG, GEMMA = "Llama-3.3-70B-Instruct-Q4_K_M", "gemma-2-9b-it-Q4"
now, loaded = timezone.now(), ""
for number, (days, target, source) in enumerate((
    (12, LLAMA, "admin"), (11.6, QWEN, "rule"), (11.2, LLAMA, "rule"), (10.6, QWEN, "rule"), (10.1, LLAMA, "api"),
    (9.6, QWEN, "rule"), (9.1, TOO_BIG, "admin"), (8.6, "", "rule"), (8.2, QWEN, "api"), (6.4, MISTRAL, "admin"),
    (5.6, GEMMA, "outside"), (5.2, LLAMA, "admin"), (4.6, QWEN, "rule"), (4.1, LLAMA, "rule"), (3.6, QWEN, "rule"),
    (2.9, MISTRAL, "command"), (2.1, QWEN, "api"), (1.6, LLAMA, "rule"), (1.1, QWEN, "rule"), (0.4, LLAMA, "admin"),
)):
    at, big = now - timedelta(days=days), target == TOO_BIG
    load = {"loading": 16 + len(target) % 7 + 1.3 * (number % 4)} if target and not big and source != "outside" else {}
    Switch.objects.create(
        server_id=known.default(), target=target, previous=loaded, source=source, drain_seconds=20,
        created_at=at, started_at=at, state_since=at, finished_at=at + timedelta(seconds=30),
        state=State.FAILED if big else State.SUCCEEDED,
        rule="Coding on weekdays" if source == "rule" else "", result=loaded if big else target,
        seconds={} if source == "outside" else {"draining": 1.5, "unloading": 2.4 + number % 3, **load},
        error="CUDA out of memory. Tried to allocate 896.00 MiB." if big else "",
    )
    loaded = loaded if big else target
"""


def have_switched(gantry: Gantry) -> None:
    """Twelve days of history, so that the plots show what they are for."""
    command = [sys.executable, "manage.py", "shell", "-c", HISTORY]
    subprocess.run(command, cwd=ROOT, env=gantry.env, check=True, capture_output=True)


def sign_in_pictures(camera: Camera) -> None:
    for scheme in ("light", "dark"):
        page = camera.page(None, scheme)
        page.goto("/")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        camera.shoot(page, f"sign-in-{scheme}")
        page.context.close()


def chat_pictures(camera: Camera, mara: Person) -> str:
    """A new conversation, and a reply on its way; return the conversation's address."""
    page = camera.page(mara)
    page.goto("/")
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    camera.shoot(page, "chat-new")
    reply = say(page, "Which model am I talking to?")
    expect(reply.locator(".code")).to_be_visible(timeout=PATIENCE)
    page.wait_for_url("**/c/*/")
    camera.shoot(page, "chat-streaming-light")
    address = page.url
    with others(camera, mara, address) as pages:
        for name, other in pages.items():
            expect(other.locator("article.reply").first).to_be_visible()
            camera.shoot(other, f"chat-streaming-{name}")
    page.context.close()
    return address


@contextmanager
def others(camera: Camera, person: Person, address: str) -> Iterator[dict[str, Page]]:
    """The same conversation in dark, and on a phone."""
    pages = {"dark": camera.page(person, "dark"), "phone": camera.page(person, "light", PHONE)}
    for page in pages.values():
        page.goto(address)
    yield pages
    for page in pages.values():
        page.context.close()


def idle_pictures(camera: Camera, admin: Person) -> None:
    for scheme in ("light", "dark"):
        page = camera.page(admin, scheme)
        page.goto(MODELS)
        expect(page.locator("#gantry-banner")).to_be_visible()
        camera.shoot(page, f"models-idle-{scheme}")
        page.context.close()


def switch_pictures(camera: Camera, admin: Person, mara: Person, tabby: Tabby, address: str) -> None:
    """A switch as the administrator and a person who goes on chatting see it."""
    tabby.state(seconds_per_module={NEXT: 0.5})
    admin_page, chat = camera.page(admin), camera.page(mara)
    dark_admin = camera.page(admin, "dark")
    admin_page.goto(MODELS)
    dark_admin.goto(MODELS)
    chat.goto(address)
    expect(chat.locator("#model")).to_have_attribute("data-state", "ready")
    confirm(admin_page, TOO_BIG)
    camera.shoot(admin_page, "models-confirm-too-big")
    admin_page.keyboard.press("Escape")
    dialog = confirm(admin_page, NEXT)
    camera.shoot(admin_page, "models-confirm")
    dialog.get_by_role("button", name="Switch").click()
    with others(camera, mara, address) as pages:
        expect(chat.locator("#model")).to_have_attribute("data-state", "switching", timeout=PATIENCE)
        reply = say(chat, "And who will answer this one?")
        expect(reply).to_have_attribute("data-status", "queued")
        for page in (admin_page, dark_admin):
            expect(page.locator("[data-lines]")).to_contain_text("Step 2", timeout=PATIENCE)
        until(lambda: _percent(admin) >= 50, "half of the load")
        camera.shoot(admin_page, "models-switching-light")
        camera.shoot(chat, "chat-switching-light")
        camera.shoot(dark_admin, "models-switching-dark")
        for name, page in pages.items():
            camera.shoot(page, f"chat-switching-{name}")
        expect(chat.locator("#model")).to_have_attribute("data-state", "switching")
    expect(admin_page.locator("#gantry-banner")).to_contain_text("✓ Model switched", timeout=PATIENCE)
    camera.shoot(admin_page, "models-switched")
    expect(reply).to_have_attribute("data-status", "complete", timeout=PATIENCE)
    camera.shoot(chat, "chat-answered")
    for page in (admin_page, dark_admin, chat):
        page.context.close()


def _percent(admin: Person) -> int:
    """How far the switch that runs is."""
    return int(admin.call("GET", "/api/admin/switches?limit=1").json()["switches"][0]["percent"] or 0)


def failure_pictures(camera: Camera, admin: Person) -> None:
    """A switch to a model that is too big, and how it ends where it began."""
    page = camera.page(admin)
    page.goto(MODELS)
    confirm(page, TOO_BIG).get_by_role("button", name="Switch").click()
    expect(page.locator("[data-lines]")).to_contain_text("Rolling back", timeout=PATIENCE)
    camera.shoot(page, "models-rolling-back")
    expect(page.locator("#gantry-banner")).to_contain_text("Rolled back", timeout=PATIENCE)
    camera.shoot(page, "models-rolled-back")
    dark = camera.page(admin, "dark")
    dark.goto(MODELS)
    camera.shoot(dark, "models-rolled-back-dark")
    page.context.close()
    dark.context.close()


def history_pictures(camera: Camera, admin: Person) -> None:
    """What has been done, as a list and as plots."""
    for scheme in ("light", "dark"):
        page = camera.page(admin, scheme)
        page.goto("/admin/models_admin/switch/plots/")
        expect(page.locator("svg").first).to_be_visible()
        camera.shoot(page, f"history-plots-{scheme}")
        page.context.close()
    page = camera.page(admin)
    page.goto("/admin/models_admin/switch/")
    expect(page.locator("#result_list")).to_be_visible()
    camera.shoot(page, "history")
    page.context.close()


def request_pictures(camera: Camera, admin: Person, mara: Person) -> None:
    """Somebody asks for a model, and an administrator sees it."""
    page = camera.page(mara)
    page.goto("/")
    page.locator("#model").click()
    dialog = page.get_by_role("dialog", name="Models")
    dialog.get_by_role("button", name=f"Ask for {WANTED}").click()
    dialog.get_by_label(f"Why {WANTED}?").fill("The newsletter is due: it writes the better stories.")
    camera.shoot(page, "chat-ask")
    dialog.get_by_role("button", name="Send request").click()
    models = camera.page(admin)
    models.goto(MODELS)
    expect(models.locator("#gantry-requests")).to_contain_text("mara asks for")
    camera.shoot(models, "models-request")
    for each in (page, models):
        each.context.close()


def docs_pictures(camera: Camera) -> None:
    page = camera.page(None)
    page.goto("/api/docs#switch_model")
    expect(page.get_by_role("heading", name="The HTTP API")).to_be_attached()
    camera.shoot(page, "api-docs")
    page.context.close()


def unloaded_pictures(camera: Camera, admin: Person, mara: Person, address: str) -> None:
    answer = admin.call("POST", "/api/admin/models/unload")
    if answer.status_code != 200:
        raise SystemExit(f"The model could not be unloaded: {answer.text}")
    page = camera.page(mara)
    page.goto(address)
    expect(page.locator("#model")).to_have_attribute("data-state", "unloaded")
    reply = say(page, "Is anybody there?")
    expect(reply).to_have_attribute("data-status", "queued")
    camera.shoot(page, "chat-unloaded-light")
    with others(camera, mara, address) as pages:
        for name, other in pages.items():
            expect(other.locator("article.reply").last).to_have_attribute("data-status", "queued")
            camera.shoot(other, f"chat-unloaded-{name}")
    models = camera.page(admin)
    models.goto(MODELS)
    camera.shoot(models, "models-unloaded")
    models.context.close()
    page.context.close()


def rolling_picture(browser: Browser) -> None:
    """A switch of two servers: one has the new model, the other one loads it."""
    with demo(browser, SANDBOXES="2") as shown:
        for tabby in shown.tabbies:
            tabby.state(seconds_per_module={NEXT: 0.2})
        page = shown.camera.page(shown.admin)
        page.goto(MODELS)
        expect(page.locator(".gantry-team .gantry-good")).to_have_count(2, timeout=PATIENCE)
        confirm(page, NEXT).get_by_role("button", name="Switch").click()
        expect(page.locator("[data-lines]")).to_contain_text(f"gpu2: loading {NEXT}… 4", timeout=PATIENCE)
        shown.camera.shoot(page, "models-rolling")


def switching_pictures(browser: Browser) -> None:
    """Take the pictures of a switch, and of what is around it."""
    with demo(browser, GANTRY_VRAM_GB="24") as shown:
        admin, camera = shown.admin, shown.camera
        mara = add_user(admin, "mara")
        have_switched(shown.gantry)
        have_talked(camera, mara, *EARLIER)
        sign_in_pictures(camera)
        idle_pictures(camera, admin)
        address = chat_pictures(camera, mara)
        switch_pictures(camera, admin, mara, shown.tabbies[0], address)
        failure_pictures(camera, admin)
        history_pictures(camera, admin)
        request_pictures(camera, admin, mara)
        docs_pictures(camera)
        unloaded_pictures(camera, admin, mara, address)


PARTS = {"switching": switching_pictures, "rolling": rolling_picture, "life": life_pictures}


def main() -> None:
    """Take the pictures of the parts that are named, or all."""
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"There is no part {min(unknown)}. There are: {', '.join(PARTS)}.")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for part in parts:
            PARTS[part](browser)
        browser.close()


if __name__ == "__main__":
    main()
