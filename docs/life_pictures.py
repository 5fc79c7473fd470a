"""The pictures of a model's life: added, tried out, switched to with checks, watched, listened to, compared, and retired."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from camera import MODELS, PATIENCE, PHONE, ROOT, Camera, confirm, demo, have_talked, say, until
from playwright.sync_api import Browser, Page, expect
from support.model_folders import CONFIG, TEMPLATE, described
from support.people import Person, add_user
from system.running import Gantry

NEW, OLD, RETIRING = "Qwen3-8B-4.0bpw", "Llama-3.1-8B-Instruct", "Mistral-7B-Instruct-v0.3-Q5"
REPOSITORY, REVISION = "turboderp/Qwen3-8B-exl3", "4.0bpw"
WIDE = {"width": 1600, "height": 700}
PROMPT = (
    "Write this for the status page: the database was slow from 9:10 to 9:40, because an index was lost in the upgrade. "
    "It is back."
)
REPLIES = {
    OLD: "\n\n".join(
        (
            "We would like to inform you that on the morning of today, between **9:10 and 9:40**, some of our users may "
            "have experienced slower response times than usual. Our engineering team investigated the matter immediately.",
            "The cause was identified as an index of our database that had been lost in the course of a scheduled upgrade. "
            "The index has since been restored, and all systems are operating normally again.",
            "We sincerely apologize for any inconvenience this may have caused, and we thank you for your patience and "
            "understanding.",
        )
    ),
    NEW: """**Resolved: slow responses, 9:10–9:40**

Pages took longer to load than usual. No data was lost.

- **Cause:** an upgrade dropped an index of our database.
- **Fix:** the index was restored at 9:40.
- **Next:** upgrades will compare all indexes before and after.

We are sorry for the delay.""",
}
EARLIER = (
    "Which customers wrote about the invoice export?",
    "Shorten the release notes to five lines",
    "A polite reminder for an unpaid invoice",
)
# What the sandbox is told of the three models: what each says, how fast, and the fault of one.
SPECS: tuple[dict[str, Any], ...] = (
    {
        "name": NEW, "modules": 38, "seconds_per_module": 0.12, "size_gb": 5.4, "max_seq_len": 32768,
        "tokens_per_second": 55, "plain_rate": 45, "prefill_seconds": 0.31, "reply": REPLIES[NEW],
    },
    {
        "name": OLD, "modules": 35, "seconds_per_module": 0.05, "size_gb": 6.1, "max_seq_len": 16384,
        "tokens_per_second": 80, "plain_rate": 38, "prefill_seconds": 0.52, "reply": REPLIES[OLD],
    },
    {
        "name": RETIRING, "modules": 35, "seconds_per_module": 0.05, "size_gb": 5.0, "max_seq_len": 32768,
        "tokens_per_second": 45, "plain_rate": 60, "flaw": "template",
    },
)  # fmt: skip
DOWNLOADS = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from models_admin.models import ModelDownload
from models_admin.servers import known
now, admin = timezone.now(), User.objects.get(username="admin")
for days, repository, folder, state, gigabytes, minutes, error in (
    (31, "turboderp/Llama-3.1-8B-Instruct-exl3", "Llama-3.1-8B-Instruct", "done", 6.1, 4.4, ""),
    (12, "bartowski/DeepSeek-R1-Distill-Qwen-14B-exl2", "DeepSeek-R1-Distill-Qwen-14B-4.0bpw", "done", 9.0, 6.7, ""),
    (5, "google/gemma-2-9b-it", "gemma-2-9b-it", "cancelled", 0, 1, "Cancelled by admin"),
):
    at = now - timedelta(days=days)
    ModelDownload.objects.create(
        server_id=known.default(), repository=repository, folder=folder, state=state, source="admin", requested_by=admin,
        bytes_done=gigabytes * 1e9 or None, bytes_total=gigabytes * 1e9 or None, error=error,
        created_at=at, started_at=at, finished_at=at + timedelta(minutes=minutes),
    )
"""


def shell(gantry: Gantry, code: str) -> None:
    """Run Python in this Gantry's own process."""
    command = [sys.executable, "manage.py", "shell", "--no-imports"]
    subprocess.run(command, input=code, text=True, cwd=ROOT, env=gantry.env, check=True, capture_output=True)


def life_pictures(browser: Browser) -> None:
    """Take all of them."""
    with demo(browser, GANTRY_VRAM_GB="24") as shown:
        admin, camera = shown.admin, shown.camera
        mara = add_user(admin, "mara")
        shown.tabbies[0].state(add_models=SPECS, loaded=OLD)
        refresh(shown.gantry)
        shell(shown.gantry, (ROOT / "docs" / "staged_life.py").read_text())
        check_loaded(admin)
        have_talked(camera, mara, *EARLIER)
        chat = ask_to_compare(camera, mara)
        try_pictures(camera, admin)
        check_failed_picture(camera, admin)
        beside_pictures(camera, admin, mara, chat)
        report_pictures(camera, admin)
        retired_picture(camera, admin)
        export_picture(camera, admin, shown.folder)
    adding_picture(browser)


def repository() -> dict[str, Any]:
    """A repository of the sandbox's hub: two files of weights, whose data are holes."""
    beside = {
        "config.json": json.dumps(CONFIG),
        "tokenizer.json": json.dumps({"model": {}}),
        "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}),
    }
    begins, files = dict(beside), {name: len(text) for name, text in beside.items()}
    for number in (1, 2):
        header, size = described({f"model.layers.{number}.mlp.weight": ("F16", [1_350_000, 1000])})
        text = json.dumps(header)
        shard = f"model-{number:05d}-of-00002.safetensors"
        begins[shard] = struct.pack("<Q", len(text)).decode("latin-1") + text
        files[shard] = 8 + len(text) + size
    how = {"revisions": ["main", REVISION], "bytes_per_second": 112e6}
    return {"name": REPOSITORY, "files": files, "begins": begins, **how}


def adding_picture(browser: Browser) -> None:
    """A download on its way, in a Gantry of its own that sees the model folder."""
    with tempfile.TemporaryDirectory() as models, demo(browser, MODELS_DIR=models) as shown:
        shown.tabbies[0].state(hub={"repositories": [repository()], "folder": models})
        shell(shown.gantry, DOWNLOADS)
        page = shown.camera.page(shown.admin)
        page.goto("/admin/models_admin/modeldownload/add/")
        for label, text in (("Repository", REPOSITORY), ("Revision", REVISION), ("Folder", NEW)):
            page.get_by_label(label).fill(text)
        page.get_by_role("button", name="Add", exact=True).click()
        bar = page.locator("#result_list progress")
        until(lambda: bar.evaluate("bar => bar.position") > 0.42, "some of the download")
        shown.camera.shoot(page, "life-adding")
        page.context.close()


def refresh(gantry: Gantry) -> None:
    """Have Gantry read the list of models anew."""
    command = [sys.executable, "manage.py", "refresh_models"]
    subprocess.run(command, cwd=ROOT, env=gantry.env, check=True, capture_output=True)


def check_loaded(admin: Person) -> None:
    """Run all checks on the loaded model."""
    admin.post_form("/admin/models_admin/check/run/")
    until(lambda: "Passed" in admin.get("/admin/models_admin/checkrun/?kind__exact=now").text, "the checks")


def ask_to_compare(camera: Camera, mara: Person) -> Page:
    """A reply, and the wish to have it beside another model's."""
    page = camera.page(mara, size=WIDE)
    page.goto("/")
    reply = say(page, PROMPT)
    expect(reply).to_have_attribute("data-status", "complete", timeout=PATIENCE)
    reply.get_by_role("button", name="Compare with another model").click()
    expect(reply.locator(".comparison")).to_be_visible()
    return page


def try_pictures(camera: Camera, admin: Person) -> None:
    """A model is tried out: its checks run, and what they found."""
    page = camera.page(admin)
    page.goto(MODELS)
    confirm(page, NEW).get_by_role("button", name="Try it out").click()
    expect(page.locator("[data-lines]")).to_contain_text("answers… ", timeout=PATIENCE)
    camera.shoot(page, "life-trying")
    expect(page.locator("#gantry-banner")).to_contain_text("was tried", timeout=PATIENCE)
    page.goto("/admin/models_admin/checkrun/?kind__exact=try")
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_role("columnheader", name="Asked")).to_be_visible()
    camera.shoot(page, "life-tried")
    page.context.close()


def check_failed_picture(camera: Camera, admin: Person) -> None:
    """A switch to a model whose template is wrong, which its checks find before anybody is answered."""
    page = camera.page(admin)
    page.goto(MODELS)
    confirm(page, RETIRING).get_by_role("button", name="Switch").click()
    expect(page.locator("#gantry-banner")).to_contain_text("Rolled back", timeout=PATIENCE)
    camera.shoot(page, "life-check-failed")
    page.context.close()


def beside_pictures(camera: Camera, admin: Person, mara: Person, chat: Page) -> None:
    """The next model has answered as well, and the reader has said which reply is better."""
    answer = admin.switch(NEW)
    if answer.status_code != 200:
        raise SystemExit(f"The switch failed: {answer.text}")
    expect(chat.locator(".comparison article.reply")).to_have_attribute(
        "data-status", "complete", timeout=PATIENCE
    )
    better = chat.locator(".verdict").get_by_role("button", name=NEW, exact=True)
    better.click()
    expect(better).to_have_attribute("aria-pressed", "true")
    chat.mouse.move(0, 0)
    expect(chat.locator(".toast")).to_have_count(0, timeout=PATIENCE)
    camera.shoot(chat, "life-beside")
    phone = camera.page(mara, size=PHONE)
    phone.goto(chat.url)
    expect(phone.locator(".verdict")).to_be_visible()
    camera.shoot(phone, "life-beside-phone")
    for page in (phone, chat):
        page.context.close()


def report_pictures(camera: Camera, admin: Person) -> None:
    """The report on one model, the comparison of two, and what readers say."""
    page = camera.page(admin)
    report = f"{MODELS}report/?model={NEW}"
    page.goto(report)
    page.locator("#gantry-days").evaluate("heading => heading.scrollIntoView()")
    camera.shoot(page, "life-report")
    page.goto(f"{report}&model={OLD}")
    camera.shoot(page, "life-compare")
    page.goto("/admin/chat/feedback/")
    camera.shoot(page, "life-feedback")
    page.context.close()


def retired_picture(camera: Camera, admin: Person) -> None:
    """What the retirement of a model takes away."""
    page = camera.page(admin)
    page.goto(MODELS)
    page.locator("#result_list .gantry-name", has_text=RETIRING).click()
    page.get_by_role("link", name="Retire…").click()
    expect(page.get_by_text("rm -r -- ")).to_be_visible()
    camera.shoot(page, "life-retired")
    page.context.close()


def export_picture(camera: Camera, admin: Person, folder: Path) -> None:
    """A document that was exported and changed: what an import of it would change."""
    document = admin.get(f"{MODELS}setup/export/").json()
    document["models"][NEW]["notes"] = (
        "For support and the status page; the newsletter's model from December on."
    )
    document["models"][NEW]["load_options"] = {"cache_mode": "Q8", "max_seq_len": 16384}
    document["aliases"]["newsletter"]["model"] = NEW
    file = folder / "gantry-setup.json"
    file.write_text(json.dumps(document))
    page = camera.page(admin)
    page.goto(f"{MODELS}setup/")
    page.get_by_label("A document of this kind").set_input_files(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".gantry-setup tbody tr").first).to_be_visible()
    camera.shoot(page, "life-export")
    page.context.close()
