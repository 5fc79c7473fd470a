"""From a message to its reply, and from a switch to its end, through every process."""

from __future__ import annotations

from support.people import Person
from support.tabby import Tabby


def test_a_message_is_answered_by_the_loaded_model(tabby: Tabby, alice: Person) -> None:
    with alice.page() as page:
        reply = page.answered(page.say("Tell me about **Gantry**"))
    assert reply["status"] == "complete"
    assert reply["model"] == "alpha-7B"
    assert "Gantry" in reply["text"]
    assert reply["html"].startswith('<p dir="auto">')
    assert reply["upto"] == len(reply["text"])
    assert reply["usage"]["completion_tokens"] > 0
    assert page.resyncs == 0
    assert page.title == "Tell me about **Gantry**"


def test_a_switch_is_answered_when_the_model_is_loaded(tabby: Tabby, admin: Person) -> None:
    answer = admin.switch("beta-8B-Q5")
    assert answer.status_code == 200
    assert answer.json() == {"message": "Model switched to beta-8B-Q5", "model_id": "beta-8B-Q5"}
    assert tabby.state()["loaded"] == "beta-8B-Q5"
    listed = {each["id"]: each["active"] for each in admin.call("GET", "/api/admin/models").json()["models"]}
    assert [name for name, active in listed.items() if active] == ["beta-8B-Q5"]


def test_progress_reaches_every_page_in_order(
    tabby: Tabby, admin: Person, alice: Person, second_url: str
) -> None:
    with admin.watch() as one, alice.watch(second_url) as two:
        number = admin.start_switch("slow-13B")
        for page in (one, two):
            page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end")
            percents = [
                b["switch"]["percent"] for b in page.backends if (b["switch"] or {}).get("state") == "loading"
            ]
            assert percents == sorted(percents)
            assert len(set(percents)) > 5
            assert page.backend["state"] == "ready"
            assert page.backend["model"] == "slow-13B"
            assert page.backend["last"]["lines"][-1]["text"] == "✓ Model switched successfully!"


def test_a_message_sent_during_a_switch_is_answered_by_the_new_model(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    with alice.page() as page:
        admin.start_switch("slow-13B")
        page.until(lambda each: each.backend["state"] == "switching", "the switch")
        sent = page.say("And who answers this?")
        waiting = page.answered(sent, ("queued",))
        assert waiting["queue_position"] == 1
        reply = page.answered(sent)
    assert reply["status"] == "complete"
    assert reply["model"] == "slow-13B"
    assert reply["handovers"] == []


def test_a_failed_load_is_never_a_success(tabby: Tabby, admin: Person) -> None:
    answer = admin.switch("huge-70B")
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("Failed to switch model. Is TabbyAPI available?")
    assert "CUDA out of memory" in answer.json()["detail"]
    assert tabby.state()["loaded"] == "alpha-7B"


def test_an_unload_leaves_nothing_and_chats_wait(tabby: Tabby, admin: Person, alice: Person) -> None:
    with alice.page() as page:
        answer = admin.call("POST", "/api/admin/models/unload")
        assert answer.json() == {"message": "Model unloaded successfully"}
        page.until(lambda each: each.backend["state"] == "unloaded", "the unload")
        sent = page.say("Anybody there?")
        assert page.answered(sent, ("queued",))["queue_position"] == 1
        admin.switch("alpha-7B")
        assert page.answered(sent)["model"] == "alpha-7B"
