"""The page “Export and import” in Chromium: download, upload, preview, confirmation; narrow and wide, light and dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect
from support.people import Person
from test_accessibility import serious
from windows import MODELS, PHONE, WIDE, Windows

SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_an_administrator_downloads_changes_and_brings_in(
    admin: Person, windows: Windows, tmp_path: Path, scheme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    page = windows.open(admin, MODELS, size=size, scheme=scheme)
    page.get_by_role("link", name="Export and import").click()
    expect(page.get_by_role("heading", name="Import", exact=True)).to_be_visible()
    assert serious(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / "setup.json"
    download.value.save_as(file)
    document = json.loads(file.read_text())
    document["models"]["beta-8B-Q5"]["notes"] = f"Brought in, in {scheme}."
    file.write_text(json.dumps(document))
    page.get_by_label("A document of this kind").set_input_files(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".gantry-setup tbody tr")).to_have_count(1)
    expect(page.locator(".gantry-setup tbody th")).to_have_text('models["beta-8B-Q5"].notes')
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Done: 1 change.")).to_be_visible()
    windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
