"""What all pictures in docs/images are taken with: pages of people, and the waiting for what they show."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests know how to run a Gantry, and how to be somebody in it

from playwright.sync_api import Browser, Locator, Page, expect  # noqa: E402
from support.people import Person  # noqa: E402
from support.tabby import Tabby  # noqa: E402
from system.running import Gantry  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 200_000  # bytes of one picture
PATIENCE = 60_000.0  # milliseconds
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ADMIN_PASSWORD = "only-for-the-pictures"  # noqa: S105 (of a Gantry that lives as long as its pictures are taken)
MODELS = "/admin/models_admin/tabbymodel/"
Scheme = Literal["light", "dark"]


class Camera:
    """Pages of the two people, and the pictures of them."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url

    def page(self, person: Person | None, scheme: Scheme = "light", size: dict[str, int] = DESKTOP) -> Page:
        """A new window of `person` (None: nobody is signed in)."""
        context = self.browser.new_context(
            base_url=self.url,
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme=scheme,
            has_touch=size is PHONE,
        )
        context.set_default_timeout(PATIENCE)
        if person is not None:
            context.add_cookies([{"name": "session_id", "value": person.cookie, "url": self.url}])
        return context.new_page()

    def shoot(self, page: Page, name: str) -> None:
        """Write docs/images/NAME.png; complain about one that is too large for a page to carry."""
        path = IMAGES / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        size = path.stat().st_size
        if size > LARGEST:
            raise SystemExit(f"{path} has {size:,} bytes: more than {LARGEST:,}.")
        sys.stdout.write(f"{path.relative_to(ROOT)}: {size:,} bytes\n")


@dataclass(frozen=True)
class Demo:
    """A Gantry that runs in `folder`, its sandboxes, its administrator, and the camera for its pages."""

    gantry: Gantry
    folder: Path
    tabbies: list[Tabby]
    admin: Person
    camera: Camera


@contextmanager
def demo(browser: Browser, **settings: str) -> Iterator[Demo]:
    """Start a Gantry with these settings in a folder of its own, and end it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Gantry(folder, GANTRY_ADMIN_PASSWORD=ADMIN_PASSWORD, **settings) as gantry:
            hosts = (folder / "run" / "tabby_host").read_text().strip().split(",")
            tabbies = [Tabby(host.rpartition("=")[2]) for host in hosts]
            admin = Person(gantry.url, "admin", ADMIN_PASSWORD)
            yield Demo(gantry, folder, tabbies, admin, Camera(browser, gantry.url))
            gantry.end()


def say(page: Page, text: str) -> Locator:
    """Send a message, and return the reply to it."""
    before = page.locator("article.reply").count()
    page.locator("#composer-text").fill(text)
    page.locator("#send").click()
    reply = page.locator("article.reply").nth(before)
    expect(reply).to_be_attached(timeout=PATIENCE)
    return reply


def have_talked(camera: Camera, person: Person, *texts: str) -> None:
    """Earlier conversations, so that the list is not empty."""
    page = camera.page(person)
    for text in texts:
        page.goto("/")
        expect(say(page, text)).to_have_attribute("data-status", "complete", timeout=PATIENCE)
    page.context.close()


def until(check: Callable[[], Any], what: str) -> None:
    """Wait for something that no page shows."""
    end = time.monotonic() + PATIENCE / 1000
    while not check():
        if time.monotonic() > end:
            raise SystemExit(f"Waited {PATIENCE / 1000:g} s for {what}.")
        time.sleep(0.05)


def confirm(page: Page, model: str) -> Locator:
    """Press the Switch button of `model`, and return the dialog."""
    row = page.locator("#result_list tbody tr", has_text=model)
    row.locator("a[data-dialog]", has_text="Switch").click()
    dialog = page.locator("#gantry-dialog")
    expect(dialog).to_be_visible()
    return dialog
