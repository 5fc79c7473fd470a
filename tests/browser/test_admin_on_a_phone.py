"""The admin site's own lists on a phone: a card for each row, all of it in sight, however long its names are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, expect
from support.people import Person
from support.system import manage
from support.tabby import Tabby
from system.running import Gantry
from test_accessibility import serious
from windows import PHONE, WIDE, Windows

LISTS = "/admin/models_admin/"
ENDLESS = "Endless" * 28  # a name of nearly 200 characters, with no place to break it
ROWS = f"""
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from models_admin.api import tokens
from models_admin.models import Alias, Source, State, Switch, ModelRequest
from models_admin.servers import known
Alias.objects.create(name="coder", model={ENDLESS!r}, sampling={{"temperature": 0.2}}, system_prompt="Be brief.")
alice, then = User.objects.get(username="alice"), timezone.now() - timedelta(days=2)
for name in ("beta-8B-Q5", {ENDLESS!r}):
    ModelRequest.objects.create(user=alice, target=name, reason="For the newsletter, which is due. " + name)
    tokens.make(alice, name[:100], ["read", "switch"], None)
    for state in (State.SUCCEEDED, State.FAILED):
        Switch.objects.create(
            server_id=known.default(), target=name, previous={ENDLESS!r}, source=Source.API, state=state,
            drain_seconds=1, created_at=then, started_at=then, finished_at=then, seconds={{"loading": 5.5}},
            requested_by=alice, result=name if state == State.SUCCEEDED else "",
            error="" if state == State.SUCCEEDED else name,
        )
"""
NO_ROWS = """
from models_admin.models import Alias, Switch, Token, ModelRequest
Alias.objects.all().delete()
for rows in (Switch, Token):
    rows.objects.filter(**{("requested_by" if rows is Switch else "user") + "__username": "alice"}).delete()
ModelRequest.objects.filter(user__username="alice").delete()
"""
OUT_OF_SIGHT = """() => [...document.querySelectorAll("#content *")].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && (box.right > innerWidth + 1 || box.left < -1);
}).map((each) => each.outerHTML.slice(0, 120))"""


def shell(gantry: Gantry, script: str) -> None:
    manage(gantry, "shell", "--no-imports", "-c", script).check_returncode()


@pytest.fixture(scope="module")
def _rows(gantry: Gantry, alice: Person) -> Iterator[None]:
    shell(gantry, ROWS)
    yield
    shell(gantry, NO_ROWS)


def fits(page: Page) -> None:
    """Nothing is wider than the window, nor beyond its edge within a box that scrolls."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.evaluate(OUT_OF_SIGHT) == []


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("path", ["modelrequest/", "switch/", "token/", "alias/"])
def test_a_list_has_all_of_each_row_in_sight(
    tabby: Tabby, admin: Person, windows: Windows, path: str
) -> None:
    page = windows.open(admin, f"{LISTS}{path}", size=PHONE)
    expect(page.locator("#result_list")).to_contain_text(ENDLESS[:90])
    fits(page)


@pytest.mark.usefixtures("_rows")
def test_the_buttons_of_a_request_leave_its_words_to_be_read(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    page = windows.open(admin, f"{LISTS}modelrequest/", size=PHONE)
    row = page.locator("#result_list tbody tr", has_text="beta-8B-Q5")
    buttons = [row.get_by_role("button", name="Switch"), row.get_by_role("link", name="Decline")]
    words = [row.locator(f".field-{name}") for name in ("wanted", "why", "outcome")]
    for button in buttons:
        has = button.bounding_box()
        assert has
        assert has["x"] >= 0
        assert has["x"] + has["width"] <= PHONE[0]
        for each in words:
            other = each.bounding_box()
            assert other
            assert other["y"] + other["height"] <= has["y"] or has["y"] + has["height"] <= other["y"]


@pytest.mark.usefixtures("_rows")
def test_the_plots_fit_a_phone_and_can_be_read(tabby: Tabby, admin: Person, windows: Windows) -> None:
    page = windows.open(admin, f"{LISTS}switch/plots/", size=PHONE)
    expect(page.locator(".gantry-label", has_text=ENDLESS)).to_have_count(2)
    page.get_by_text("The same as a table").click()
    fits(page)
    for mark in page.locator("svg text:visible").all():
        assert mark.evaluate("each => parseFloat(getComputedStyle(each).fontSize)") >= 12
    name, bars = page.locator("#gantry-stays ~ .gantry-plot > div").first.locator("> *").all()
    above, below = name.bounding_box(), bars.bounding_box()
    assert above
    assert below
    assert above["y"] + above["height"] <= below["y"]


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("path", ["switch/", "switch/plots/", "modelrequest/", "token/", "alias/"])
def test_an_endless_name_leaves_the_columns_and_plots_in_a_window(
    tabby: Tabby, admin: Person, windows: Windows, path: str
) -> None:
    page = windows.open(admin, f"{LISTS}{path}")
    expect(page.locator("#content")).to_contain_text(ENDLESS[:90])
    assert page.evaluate(OUT_OF_SIGHT) == []
    for table in page.locator(".results").all():
        assert table.evaluate("each => each.scrollWidth <= each.clientWidth")


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
@pytest.mark.parametrize("path", ["switch/", "token/", "alias/"])
def test_the_page_of_a_row_has_all_in_sight_and_none_of_a_cards_words(
    tabby: Tabby, admin: Person, windows: Windows, path: str, size: tuple[int, int]
) -> None:
    page = windows.open(admin, f"{LISTS}{path}?q={ENDLESS[:90]}", size=size)
    page.locator("#result_list tbody th a").first.click()
    expect(page.locator(".readonly").first).to_be_visible()
    assert page.evaluate(OUT_OF_SIGHT) == []
    words = "rows => rows.map((each) => getComputedStyle(each, '::before').content)"
    assert set(page.locator(".form-row").evaluate_all(words)) <= {"none", '""'}


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_are_accessible(
    tabby: Tabby, admin: Person, windows: Windows, scheme: Literal["light", "dark"]
) -> None:
    page = windows.open(admin, f"{LISTS}switch/?q=alice", size=PHONE, scheme=scheme)
    for path in ("switch/plots/", "token/", "alias/", "alias/add/", "modelrequest/?q=alice"):
        assert windows.complaints == []
        assert serious(page) == []
        windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
        page.goto(f"{LISTS}{path}")
    assert serious(page) == []
    windows.complaints.clear()
