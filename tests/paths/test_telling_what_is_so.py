"""A server that is broken in a way of its own: what is so is said, wherever people look, and what helps."""

from __future__ import annotations

from support.people import Person
from support.tabby import Tabby, until


def ended(admin: Person, number: int) -> dict[str, object]:
    def row() -> dict[str, object] | None:
        found = admin.switch_row(number)
        return found if found["finished_at"] else None

    found: dict[str, object] = until(row, "the end of the switch")
    return found


def test_a_server_that_refuses_streams_is_no_success(tabby: Tabby, admin: Person) -> None:
    tabby.state(disable_request_streaming=True)
    switch = ended(admin, admin.start_switch("beta-8B-Q5"))
    assert switch["state"] == "failed"
    assert "does not stream" in str(switch["error"])
    assert "disable_request_streaming" in str(switch["advice"])


def test_that_nothing_is_loaded_is_not_said_where_nobody_answers(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        page.until(lambda each: (each.backend["switch"] or {}).get("percent", 0) > 5, "the load")
        tabby.fault("any", "drop", times=-1)
        tabby.state(restart=True)
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")
        assert page.backend["state"] == "unreachable"
    switch = page.backend["last"]
    unknown = "Whether a model is loaded is not known, because TabbyAPI does not answer."
    assert (switch["state"], switch["result"], switch["standing"]) == ("failed", None, unknown)
    told = admin.get("/admin/models_admin/tabbymodel/").text
    assert unknown.rstrip(".") in told
    assert "No model is loaded" not in told
    assert "TabbyAPI cannot be reached" in told
