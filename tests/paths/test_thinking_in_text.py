"""A model that writes its thinking into the text: it is thinking for the page, and for the next prompt it is not there."""

from __future__ import annotations

import pytest
from support.people import Person
from support.tabby import Tabby


@pytest.mark.parametrize(
    ("said", "text", "reasoning"),
    [
        ("<think>First this.</think>\n\nThen **that**.", "Then **that**.", "First this."),
        ("First this.\n\nAnd more.</think>\n\nThen **that**.", "Then **that**.", "First this.\n\nAnd more."),
        ("Then\n<think>First this.</think>**that**.", "Then\n**that**.", "First this."),
        ("Tags:\n<think> opens **one**.", "Tags:\n<think> opens **one**.", ""),
        ("Write `<think>` **then**.", "Write `<think>` **then**.", ""),
    ],
)
def test_thinking_in_the_text_is_thinking(
    tabby: Tabby, alice: Person, said: str, text: str, reasoning: str
) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as page:
        reply = page.answered(page.say(f"[[echo rate=200]]{said}"))
        assert (reply["text"], reply["reasoning"]) == (text, reasoning)
        assert "<strong>" in reply["html"]
        assert "First this" not in reply["html"]
        page.answered(page.say("[[echo]]And now?"))
    prompt = tabby.log("/v1/chat/completions")[-1]["body"]["messages"]
    assert [each["content"] for each in prompt if each["role"] == "assistant"] == [text]
    with alice.page(conversation) as page:
        shown = page.messages[reply["id"]]
        assert (shown["text"], shown["reasoning"], shown["html"]) == (text, reasoning, reply["html"])
