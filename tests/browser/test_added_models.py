"""Adding a model in the admin site: its progress is seen live, and the button cancels it, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect
from support.hub import TEAM, repository, size
from support.people import Person
from support.tabby import Tabby
from system.running import Gantry
from test_accessibility import Scheme, serious
from test_admin_on_a_phone import OUT_OF_SIGHT
from windows import MODELS, PHONE, WIDE, Windows

FOLDER = "Endless" * 20  # without a place to break it


@pytest.fixture
def models(tabby: Tabby, gantry: Gantry) -> Path:
    """TabbyAPI's model folder; its hub offers a model, which takes ten minutes."""
    offered = repository()
    offered["bytes_per_second"] = size(offered) / 600
    tabby.state(hub={"repositories": [offered], "folder": gantry.env["MODELS_DIR"]})
    return Path(gantry.env["MODELS_DIR"])


@pytest.mark.parametrize(("scheme", "window"), [("light", WIDE), ("dark", PHONE)])
def test_a_download_is_followed_and_cancelled(
    models: Path, admin: Person, windows: Windows, scheme: Scheme, window: tuple[int, int]
) -> None:
    page = windows.open(admin, MODELS, scheme=scheme, size=window)
    page.get_by_role("link", name="Add a model").click()
    page.get_by_label("Repository").fill(TEAM)
    page.get_by_label("Folder").fill(f"{FOLDER}/x")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be the name of a folder")
    assert serious(page) == []
    page.get_by_label("Folder").fill(FOLDER)
    page.get_by_role("button", name="Add", exact=True).click()
    rows = page.locator("#gantry-downloads")
    expect(rows.locator("progress").first).to_be_visible()  # without a reload
    expect(rows).to_contain_text(" a second, ")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= window[0]
    if window == PHONE:
        assert page.evaluate(OUT_OF_SIGHT) == []
    page.get_by_role("button", name=f"Cancel {FOLDER}").click()
    expect(rows.locator("tbody tr").first).to_contain_text("Cancelled by admin.")
    expect(page.get_by_role("button", name=f"Cancel {FOLDER}")).to_have_count(0)
    assert not (models / FOLDER).exists()
