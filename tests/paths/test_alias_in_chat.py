"""A conversation with an alias: its defaults reach TabbyAPI, and it is answered whatever the alias stands for."""

from __future__ import annotations

from support.people import Person
from support.tabby import Tabby, until

ALIASES = "/api/admin/aliases"


def test_a_conversation_with_an_alias_is_answered_by_whatever_is_loaded(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    brings = {"sampling": {"top_p": 0.5, "temperature": 0.2}, "system_prompt": "Be brief."}
    made = admin.call("POST", ALIASES, {"name": "scribe", "model": "beta-8B-Q5", **brings})
    assert made.status_code == 201, made.text
    until(lambda: "scribe" in alice.call("GET", "/api/aliases").text, "the alias in the menu")
    conversation = alice.call("POST", "/api/conversations", {"alias": "scribe", "temperature": 0.9}).json()[
        "id"
    ]
    with alice.page(conversation) as page:
        reply = page.answered(page.say("[[tokens=3]]"))
        assert (reply["status"], reply["model"]) == ("complete", "alpha-7B")
        sent = tabby.log("/v1/chat/completions")[-1]["body"]
        assert (sent["top_p"], sent["temperature"]) == (0.5, 0.9)
        assert sent["messages"][0] == {"role": "system", "content": "Be brief."}

        assert admin.call("DELETE", f"{ALIASES}/scribe").status_code == 200
        page.event("catalog")
        reply = page.answered(page.say("[[tokens=2]]"))
        assert reply["status"] == "complete"
        sent = tabby.log("/v1/chat/completions")[-1]["body"]
        assert "top_p" not in sent
        assert sent["messages"][0]["role"] == "user"
    (choice,) = (
        each for each in alice.call("GET", "/api/aliases").json()["aliases"] if each["name"] == "scribe"
    )
    assert choice["retired"].startswith("The alias “scribe” was retired on ")
