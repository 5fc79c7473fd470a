"""What the page shows of messages while they come, and what it does with gaps, repeats and characters of two units."""

from __future__ import annotations

from typing import Any

import pytest
from played_events import (
    HERE,
    LLAMA,
    QWEN,
    READY,
    UNLOADED,
    UNREACHABLE,
    asked,
    block,
    delta,
    hello,
    message,
    queued,
    replied,
    streaming,
    switch,
    switching,
)
from played_site import Site
from playwright.sync_api import Page, expect

from chat.rendering import render

QUESTION = asked(1, "How does a loom work?")


def test_a_reply_grows_by_deltas_and_finished_blocks_replace_its_text(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    reply = page.locator(".reply .prose")
    site.say(delta(2, 0, "It has a **warp**"), delta(2, 17, " and a weft.\n\nThen"))
    expect(reply.locator(".tail")).to_contain_text("It has a warp and a weft.")
    site.say(block(2, 31, "<p>It has a <strong>warp</strong> and a weft.</p>\n"))
    expect(reply.locator("p strong")).to_have_text("warp")
    expect(reply.locator(".tail")).to_have_text("Then")
    site.say(message(replied(2, "It has a **warp** and a weft.\n\nThen cards.", 1)))
    expect(reply.locator("> p")).to_have_text(["It has a warp and a weft.", "Then cards."])
    expect(reply.locator(".caret")).to_have_count(0)


def test_finished_blocks_are_not_drawn_again(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    site.say(delta(2, 0, "One.\n\nTwo."), block(2, 6, render("One.")))
    expect(page.locator(".prose > p")).to_have_text("One.")
    page.evaluate("document.querySelector('.prose p').marked = true")
    site.say(
        delta(2, 10, "\n\nThree."),
        block(2, 12, render("Two.")),
        message(replied(2, "One.\n\nTwo.\n\nThree.", 1)),
    )
    expect(page.locator(".prose p")).to_have_text(["One.", "Two.", "Three."])
    assert page.evaluate("document.querySelector('.prose p').marked") is True


def test_a_repeat_is_ignored_and_an_overlap_is_trimmed(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "abcdef", 1)))
    site.say(delta(2, 0, "abc"), delta(2, 4, "efgh"), delta(2, 8, "i"))
    expect(page.locator(".tail")).to_have_text("abcdefghi")
    assert site._of("resync") == []


def test_a_gap_asks_for_the_whole_message_once(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "abc", 1)))
    site.say(delta(2, 5, "f"), delta(2, 6, "g"))
    assert site.sent("resync") == [{"type": "resync", "id": 2}]
    expect(page.locator(".tail")).to_have_text("abc")
    site.say(message(streaming(2, "abcdefg", 1)), delta(2, 7, "h"))
    expect(page.locator(".tail")).to_have_text("abcdefgh")
    site.say(delta(2, 20, "z"))
    assert len(site.sent("resync", 2)) == 2


def test_offsets_count_characters_not_units(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "🧵🧶", 1)))
    site.say(delta(2, 2, "a🪡"), delta(2, 3, "🪡b\n\nend"))
    expect(page.locator(".tail")).to_contain_text("🧵🧶a🪡b")
    site.say(block(2, 7, "<p>🧵🧶a🪡b</p>\n"))
    expect(page.locator(".tail")).to_have_text("end")
    assert site._of("resync") == []


def test_the_characters_of_a_snapshot_are_counted_the_same_way(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "🧵.\n\n🧶", 1, html="<p>🧵.</p>\n", upto=4)))
    expect(page.locator(".prose > p")).to_have_text("🧵.")
    expect(page.locator(".tail")).to_have_text("🧶")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## A head", "A head"),
        ("- an item", "an item"),
        ("1. an item", "an item"),
        ("**bold** and `code`", "bold and code"),
        ("**bo", "bo"),
        ("as *they* say", "as they say"),
        ("talking to *", "talking to "),
        ("[words](http://a.b/c)", "words"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("<b>no</b>", "<b>no</b>"),
    ],
)
def test_unfinished_text_already_looks_like_what_it_will_be(site: Site, text: str, shown: str) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, text, 1)))
    expect(page.locator(".tail")).to_have_text(shown)


def test_unfinished_code_is_shown_as_code(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "```python\nfor x in y:\n", 1)))
    expect(page.locator(".tail .code-lang")).to_have_text("python")
    site.say(delta(2, 22, "    print("))
    expect(page.locator(".tail code")).to_have_text("for x in y:\n    print(")


def test_thoughts_are_folded_with_their_duration(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "", 1)))
    site.say({"type": "delta", "id": 2, "offset": 0, "reasoning": "Threads"})
    site.say({"type": "delta", "id": 2, "offset": 7, "reasoning": " cross."})
    thoughts = page.locator(".thoughts")
    expect(thoughts.locator("summary")).to_have_text("Thinking…")
    expect(thoughts).not_to_have_attribute("open", "")
    site.say(message(replied(2, "So.", 1, reasoning="Threads cross.", reasoning_seconds=4.24)))
    expect(thoughts.locator("summary")).to_have_text("Thought for 4.2 s")
    thoughts.locator("summary").click()
    expect(thoughts.locator(".thoughts-text")).to_have_text("Threads cross.")


def test_under_a_reply_stand_its_model_and_its_figures(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Well.", 1)))
    expect(page.locator(".meta span")).to_have_text([LLAMA, "1,312 tokens", "41.2 tokens/s", "7.6 s"])


def test_a_reply_that_reached_its_bound_says_so(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Well.", 1, finish_reason="max_chars", usage=None)))
    expect(page.locator(".meta span").last).to_have_text(
        "ended here: it reached the most characters that a reply may have"
    )


def test_a_reply_says_when_another_model_went_on_with_it(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Well.", 1, handovers=[{"model": QWEN, "upto": 2}])))
    expect(page.locator(".chip")).to_have_text(f"Begun by {QWEN}, continued by {LLAMA}")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (switching(), "Model loading… 57%, about 12 s · 2nd in line"),
        (UNLOADED, "Model not available: an administrator must load one · 2nd in line"),
        (READY, "2nd in line"),
    ],
)
def test_a_waiting_reply_says_for_what(site: Site, state: dict[str, Any], words: str) -> None:
    page = site.open(first=hello(QUESTION, queued(2, 1, queue_position=2), state=state))
    expect(page.locator(".waiting .words")).to_have_text(words)


def test_a_waiting_reply_follows_the_switch(site: Site) -> None:
    page = site.open(first=hello(QUESTION, queued(2, 1)))
    site.say(switching(percent=10, eta_seconds=20))
    expect(page.locator(".waiting .words")).to_have_text("Model loading… 10%, about 20 s")
    site.say(switching(percent=80, eta_seconds=3))
    expect(page.locator(".waiting .words")).to_have_text("Model loading… 80%, about 3 s")
    site.say({**READY, "model": QWEN}, message(streaming(2, "At last.", 1, model=QWEN)))
    expect(page.locator(".waiting")).to_have_count(0)
    expect(page.locator(".tail")).to_have_text("At last.")


@pytest.mark.parametrize(
    ("state", "name", "detail"),
    [
        (READY, LLAMA, "8k context"),
        (switching(), "Model loading… 57%", f"{QWEN}, about 12 s"),
        (switching("draining"), "Model loading…", "Waiting for replies to finish"),
        (switching("rolling_back", 5), "Model loading… 5%", f"Going back to {LLAMA}, about 12 s"),
        (
            switching("unloading", 40, kind="unload", target="", eta_seconds=None),
            "Unloading model… 40%",
            LLAMA,
        ),
        (UNLOADED, "Model not available", "An administrator must load one"),
        ({**READY, "healthy": False}, "Replies may fail", "TabbyAPI reports a failure"),
    ],
)
def test_the_header_shows_the_model_and_its_state(
    site: Site, state: dict[str, Any], name: str, detail: str
) -> None:
    page = site.open(first=hello(state=state))
    expect(page.locator("#model-name")).to_have_text(name)
    expect(page.locator("#model-detail")).to_have_text(detail)
    expect(page.locator("#progress")).to_be_visible(visible=state["state"] == "switching")


def test_the_header_says_since_when_tabbyapi_does_not_answer(site: Site) -> None:
    page = site.open(first=hello(state=UNREACHABLE))
    expect(page.locator("#model-name")).to_contain_text("TabbyAPI unreachable since ")
    expect(page.locator("#model-detail")).to_have_text("Messages are kept until it is back")
    expect(page.locator("#welcome-heading")).not_to_have_text("No model is loaded")


def test_the_end_of_a_switch_is_told(site: Site) -> None:
    page = site.open(first=hello(state=switching()))
    site.say({**READY, "last": switch("failed", error="CUDA out of memory.")})
    expect(page.locator(".toast")).to_have_text(
        f"Switching to {QWEN} failed: CUDA out of memory. {LLAMA} answers."
    )


def test_a_failed_reply_says_why_and_offers_another_try(site: Site) -> None:
    failed = replied(2, "", 1, status="failed", html="", error="TabbyAPI ended the stream.", usage=None)
    page = site.open(first=hello(QUESTION, failed))
    expect(page.locator(".failure")).to_contain_text("TabbyAPI ended the stream.")
    page.get_by_role("button", name="Retry").click()
    assert site.sent("regenerate") == [{"type": "regenerate", "id": 2}]


@pytest.mark.parametrize("status", ["stopped", "failed", "complete"])
def test_a_reply_that_was_cut_offers_to_go_on(site: Site, status: str) -> None:
    reason = "length" if status == "complete" else ""
    cut = replied(2, "Once upon", 1, status=status, continuable=True, finish_reason=reason)
    page = site.open(first=hello(QUESTION, cut))
    go_on = page.get_by_role("button", name="Continue", exact=True)
    go_on.click()
    assert site.sent("continue") == [{"type": "continue", "id": 2}]
    site.say(message({**cut, "status": "streaming", "continuable": False, "revision": 1}))
    expect(go_on).to_have_count(0)
    site.say(delta(2, 9, " a time"))
    expect(page.locator(".reply .prose")).to_contain_text("a time")
    site.say(hello(QUESTION, cut, asked(3, "Well?", 2), replied(4, "Well.", 3)))
    expect(page.locator(".reply")).to_have_count(2)
    expect(go_on).to_be_hidden()


def test_versions_are_turned_over(site: Site) -> None:
    page = site.open(
        first=hello(QUESTION, replied(5, "Two.", 1, versions={"index": 2, "count": 3, "ids": [2, 5, 6]}))
    )
    expect(page.locator(".versions")).to_have_text("2/3")
    page.get_by_role("button", name="Earlier version").click()
    page.get_by_role("button", name="Later version").click()
    assert [frame["id"] for frame in site.sent("select", 2)] == [2, 6]


def test_another_branch_takes_the_place_of_the_one_shown(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "One.", 1), asked(3, "Go on", 2)))
    expect(page.locator(".msg")).to_have_count(3)
    site.say(hello(QUESTION, replied(5, "Two.", 1)))
    expect(page.locator(".msg")).to_have_count(2)
    expect(page.locator(".reply .prose")).to_have_text("Two.")


def test_a_message_of_a_branch_that_is_not_shown_does_not_appear(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "One.", 1)))
    site.say(message(streaming(9, "Hidden", 1)), delta(9, 6, "!"), message(asked(3, "Shown", 2)))
    expect(page.locator(".msg")).to_have_count(3)
    expect(page.locator("#messages")).not_to_contain_text("Hidden")


def test_a_snapshot_that_comes_late_does_not_take_text_away(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "abc", 1, revision=2)))
    site.say(delta(2, 3, "def"), message(streaming(2, "abcd", 1, revision=2)))
    site.say(message(queued(2, 1, revision=1)), delta(2, 6, "g"))
    expect(page.locator(".tail")).to_have_text("abcdefg")
    site.say(message(replied(2, "ab", 1, revision=3)))
    expect(page.locator(".prose")).to_have_text("ab")


def test_a_reply_says_what_did_not_fit(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Well.", 1, left_out=4)))
    expect(page.locator(".note")).to_contain_text("The 4 oldest messages did not fit")


def talk(first: int, number: int) -> list[dict[str, Any]]:
    """So many messages in a row, the first of them with this id."""
    return [
        (asked if each % 2 else replied)(each, f"message {each}", each - 1 or None)  # type: ignore[operator]
        for each in range(first, first + number)
    ]


def test_older_messages_come_when_the_reader_goes_up_and_nothing_jumps(site: Site) -> None:
    older = {"messages": talk(1, 40), "earlier": False}
    site.served.answers["GET", f"/api/conversations/{HERE}/messages?before=41"] = (200, older)
    page = site.open(first={**hello(*talk(41, 40)), "earlier": True})
    expect(page.locator(".msg")).to_have_count(40)
    page.evaluate("scroller.scrollTop = 0")
    expect(page.locator(".msg")).to_have_count(80)
    expect(page.locator("[data-id='41']")).to_be_in_viewport()
    expect(page.locator("#earlier")).to_be_hidden()
    assert page.locator(".msg").first.get_attribute("data-id") == "1"
    site.say({**hello(*talk(43, 40)), "earlier": True})
    expect(page.locator("[data-id='82']")).to_have_count(1)
    expect(page.locator(".msg")).to_have_count(82)
    site.say(hello(*talk(1, 2)))
    expect(page.locator(".msg")).to_have_count(2)


def test_regenerating_and_copying_a_reply(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Some **text**.", 1)))
    page.get_by_role("button", name="Copy the reply").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    assert pasted(page) == "Some **text**."
    page.get_by_role("button", name="Regenerate").click()
    assert site.sent("regenerate") == [{"type": "regenerate", "id": 2}]


def pasted(page: Page) -> str:
    """What is in the clipboard, as a person would find out."""
    page.locator("#composer-text").focus()
    page.keyboard.press("Control+v")
    return page.locator("#composer-text").input_value()


def test_copying_works_without_the_clipboard_that_only_https_has(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "Old ways", 1)))
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy the reply").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    assert pasted(page) == "Old ways"


@pytest.mark.parametrize("clipboard", ["as over https", "as over http"])
def test_a_reply_is_copied_with_its_looks_and_without_its_thoughts(site: Site, clipboard: str) -> None:
    text = "Some **bold**.\n\n```python\nprint(1)\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n- [x] done\n"
    reply = replied(2, text, 1, reasoning="Let me think.", reasoning_seconds=1)
    page = site.open(first=hello(QUESTION, reply))
    if clipboard == "as over http":
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy the reply").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    page.evaluate(
        """document.addEventListener("paste", ({clipboardData: data}) =>
             (window.pasted = [data.getData("text/plain"), data.getData("text/html")]))"""
    )
    pasted(page)
    plain, rich = page.evaluate("window.pasted")
    assert plain == text
    for part in ("<strong", "bold</strong>", "<pre", "print(1)", "<table", "☑"):
        assert part in rich, rich
    for part in ("Copy", "button", "think", "**"):
        assert part not in rich, rich


def test_code_is_copied_by_its_button(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, "```python\nprint(1)\n```\n", 1)))
    page.locator(".copy").click()
    expect(page.locator(".copy")).to_have_text("Copied")
    assert pasted(page) == "print(1)\n"


def test_a_finished_reply_is_announced_to_those_who_listen(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "Words", 1)))
    expect(page.locator(".tail")).to_have_text("Words")
    site.say(message(replied(2, "Words to hear", 1)))
    expect(page.locator("#announcer")).to_have_text("Reply finished: Words to hear")
    expect(page.locator("#messages")).to_have_attribute("aria-live", "off")


XSS = (
    "<img src=x onerror=\"window.ran=1\"><script>window.ran=1</script><a href='javascript:window.ran=1'>x</a>"
)


def test_nothing_in_a_message_or_a_title_runs(site: Site) -> None:
    first = hello(asked(1, XSS), streaming(2, XSS, 1, reasoning=XSS))
    first["conversation"]["title"] = XSS
    page = site.open(first=first)
    expect(page.locator(".tail")).to_contain_text("onerror")
    site.say(message(replied(2, XSS, 1, reasoning=XSS, status="failed", error=XSS)))
    expect(page.locator(".failure")).to_contain_text("onerror")
    assert page.evaluate("window.ran") is None
    assert page.locator("#messages img, #messages script, .conversations img").count() == 0


def long(number: int = 40) -> str:
    return "\n\n".join(f"Paragraph {each}." for each in range(number))


def test_the_end_stays_in_sight_only_while_the_reader_is_there(site: Site) -> None:
    page = site.open(first=hello(QUESTION, replied(2, long(), 1), asked(3, "More", 2), streaming(4, "x", 3)))
    gap = "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight)(scroller)"
    expect(page.locator(".tail").last).to_have_text("x")
    site.say(delta(4, 1, "\n\n" + long()))
    expect(page.locator(".tail").last).to_contain_text("Paragraph 39.")
    assert page.evaluate(gap) < 5

    page.mouse.move(600, 400)
    page.mouse.wheel(0, -600)
    expect(page.locator("#jump")).to_be_visible()
    before = page.evaluate("scroller.scrollTop")
    site.say(delta(4, len(long()) + 3, "\n\n" + long()))
    expect(page.locator(".tail p", has_text="Paragraph 39.")).to_have_count(2)
    assert page.evaluate("scroller.scrollTop") == before

    page.locator("#jump").click()
    expect(page.locator("#jump")).to_be_hidden()
    assert page.evaluate(gap) < 5


def test_a_very_long_message_is_folded(site: Site) -> None:
    page = site.open(first=hello(asked(1, "line\n" * 100)))
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")


@pytest.mark.parametrize("width", [390, 800, 1200])
def test_a_long_name_gives_way_to_the_state_of_its_load(site: Site, width: int) -> None:
    site.page.set_viewport_size({"width": width, "height": 800})
    page = site.open(first=hello(state=switching(target="Endless" * 28)))
    state = page.locator("#model-name")
    expect(state).to_have_text("Model loading… 57%")
    assert state.evaluate("each => each.scrollWidth <= each.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    site.say({**READY, "model": "Endless" * 28})
    context = page.locator("#model-detail")
    expect(context).to_have_text("8k context")
    assert context.evaluate("each => each.scrollWidth <= each.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
