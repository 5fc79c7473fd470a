"""The Servers page in a browser: it follows what happens to each of two servers, and its buttons work."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from support.system import Several, several
from test_accessibility import serious
from windows import Windows

pytestmark = pytest.mark.database
SERVERS = "/admin/models_admin/server/"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    with several(tmp_path_factory.mktemp("shown"), "gpu1", "gpu2") as running:
        yield running


def test_an_open_page_follows_and_its_buttons_work(two: Several, browser: Browser) -> None:
    windows = Windows(browser, two.gantry.url)
    page = windows.open(two.admin, SERVERS)
    first, second = (page.locator("section", has_text=name) for name in ("gpu1", "gpu2"))
    expect(second).to_contain_text("alpha-7B")
    assert serious(page) == []
    with two.admin.page() as talk:
        reply = talk.answered(talk.say("[[tokens=4000 rate=40]]"), ("streaming",))
        expect(page.locator("[data-pace]", has_not_text=re.compile("^0 tokens"))).to_have_count(1)
        talk.frame(type="stop", id=reply["id"])
    expect(page.locator("[data-pace]", has_text=re.compile("^0 tokens/s$"))).to_have_count(2)
    assert two.admin.call("POST", "/api/admin/servers/gpu2/out").status_code == 200
    expect(second).to_contain_text("out of service since")
    expect(first).to_contain_text("gpu1 is the last server in service")
    second.get_by_role("button", name="Put gpu2 back into service").click()
    expect(page.locator(".messagelist")).to_contain_text("In service again: gpu2.")
    expect(second.get_by_role("button", name="Take gpu2 out of service")).to_be_visible()
    two.tabbies["gpu1"].state(seconds_per_module={"slow-13B": 0.3})
    two.admin.start_switch("slow-13B", "gpu1")
    expect(first.locator("[data-lines]")).to_contain_text("Step 2: Loading slow-13B… 1")
    assert windows.close() == []
