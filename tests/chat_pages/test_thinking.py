"""Thinking that a model writes into its text is taken out of it, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from chat import thinking as thinking_module
from chat.thinking import Thinking

PARTS = st.sampled_from(
    [
        *(
            "<think>",
            "</think>",
            "<thi",
            "nk>",
            "</",
            "<",
            ">",
            "think",
            "a",
            " b ",
            "\n",
            "\n\n",
            " ",
            "`",
            "``",
        ),
        *("```\n", "```python\n", "~~~\n", "- ", "> ", "c\n"),
    ]
)
TEXTS = st.lists(PARTS, max_size=16).map("".join)


def parted(pieces: list[str], text: str = "", *, thought: bool = False) -> tuple[str, str]:
    """The text and the reasoning that the pieces come to."""
    thinking, reasoning = Thinking(text, thought=thought), ""
    for taken in (*map(thinking.take, pieces), thinking.end()):
        if taken.moved:
            text, reasoning = "", reasoning + text
        reasoning = reasoning[: len(reasoning) - taken.back]
        text, reasoning = text + taken.text, reasoning + taken.reasoning
    return text, reasoning


@pytest.mark.parametrize(
    ("whole", "text", "reasoning"),
    [
        ("<think>a</think>b", "b", "a"),
        ("a</think>b", "b", "a"),
        ("\n<think>\na\n</think>\n\nb", "b", "a\n"),
        ("b\n<think>a</think> c", "b\nc", "a"),
        ("b <think>a</think> c", "b <think>a</think> c", ""),
        ("<think>a</think>b\n<think>c</think>d", "b\nd", "ac"),
        ("<think>a</think>\n<think>c</think>d", "d", "ac"),
        ("Wrapped in <think> tags. Set it.\nThen go.", "Wrapped in <think> tags. Set it.\nThen go.", ""),
        ("It has <think> and </think> tags.", "It has <think> and </think> tags.", ""),
        ("It has <think> and </think>.</think>b", "b", "It has <think> and </think>."),
        ("Tags:\n<think> opens.\nDone.", "Tags:\n<think> opens.\nDone.", ""),
        ("<think>a</think>b\n<think>\n\nc", "b\n<think>\n\nc", "a"),
        ("<think>never closed", "<think>never closed", ""),
        ("<think>never closed </th", "<think>never closed </th", ""),
        ("One ` too many.\n<think>a</think>b", "One ` too many.\nb", "a"),
        ("One ` too many.\nAnd so</think>b", "b", "One ` too many.\nAnd so"),
        ("So:\n\n    <think>a</think>\n\nb", "So:\n\n    <think>a</think>\n\nb", ""),
        ("So:\n\n\t<think>a</think>\n\nb", "So:\n\n\t<think>a</think>\n\nb", ""),
        ("<think>x <think> y</think>b", "b", "x <think> y"),
        (" w1 w2", " w1 w2", ""),
        ("a < b and a <thin line", "a < b and a <thin line", ""),
        ("ends with <thin", "ends with <thin", ""),
        ("Write `<think>` first.", "Write `<think>` first.", ""),
        ("So: `</think>` ends it.", "So: `</think>` ends it.", ""),
        ("```\n<think>\na</think>\n```\nb", "```\n<think>\na</think>\n```\nb", ""),
        ("```\nx\n```\n<think>a</think>b", "```\nx\n```\nb", "a"),
        ("a `b\n\n<think>c</think>d", "a `b\n\nd", "c"),
        ("<think>a</think>b</think>c", "b</think>c", "a"),
    ],
)
def test_thinking_is_taken_out_of_the_text(whole: str, text: str, reasoning: str) -> None:
    assert parted([whole]) == (text, reasoning)
    assert parted(list(whole)) == (text, reasoning)


@settings(max_examples=examples(800), deadline=None)
@given(whole=TEXTS, cuts=st.lists(st.integers(1, 9), max_size=40))
def test_any_cut_parts_it_alike(whole: str, cuts: list[int]) -> None:
    pieces, at = [], 0
    for size in cuts:
        pieces.append(whole[at : at + size])
        at += size
    assert parted([*pieces, whole[at:]]) == parted([whole])


@given(whole=st.text(alphabet="ab <>/`\n"))
def test_a_text_without_tags_is_left_as_it_is(whole: str) -> None:
    assert parted(list(whole)) == (whole, "")


def test_a_reply_that_is_gone_on_with_may_turn_out_to_have_been_thinking() -> None:
    assert parted(["b</think>c"], text="a") == ("c", "ab")
    assert parted(["b</think>c"], text="a", thought=True) == ("ab</think>c", "")
    assert parted(["\n<think>b</think>c"], text="```") == ("```\n<think>b</think>c", "")


def test_text_is_not_kept_waiting() -> None:
    thinking = Thinking()
    assert thinking.take("Hello").text == "Hello"
    assert thinking.take(" you <").text == " you "
    assert thinking.take("b> there").text == "<b> there"
    assert Thinking().take("<think>a").reasoning == "a"


def test_what_a_cut_reply_began_with_is_thinking_and_what_it_wrote_later_is_put_back() -> None:
    thinking = Thinking()
    assert thinking.take("<think>a b").reasoning == "a b"
    assert thinking.end(cut=True) == ("", "", False, 0)
    thinking = Thinking()
    assert thinking.take("x\n<think> a b") == ("x\n", "a b", False, 0)
    assert thinking.end(cut=True) == ("<think> a b", "", False, 3)


@pytest.mark.parametrize(
    ("begin", "tag", "times"),
    [
        ("```\n", "<think>\n", 8_000),
        ("<think>a</think>", "</think>", 8_000),
        ("a" * 300_000, "<think>", 8_000),
        ("`" + "a" * 300_000, "</think>", 8_000),
        ("", "<think></think>\n", 8_000),
        ("", " ", 50_000),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "piece by piece"])
def test_each_character_is_looked_at_once(
    begin: str, tag: str, times: int, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: what is read for code, and what is parted, is as long as the text is."""
    looked = 0
    read, part = thinking_module._Code.read, Thinking._part

    def reading(self: thinking_module._Code, text: str) -> None:
        nonlocal looked
        looked += len(text)
        read(self, text)

    def parting(self: Thinking, text: str, *, last: bool) -> thinking_module.Taken:
        nonlocal looked
        looked += len(text)
        return part(self, text, last=last)

    monkeypatch.setattr(thinking_module._Code, "read", reading)
    monkeypatch.setattr(Thinking, "_part", parting)
    pieces = [begin + tag * times] if at_once else [begin, *[tag] * times]
    thinking = Thinking()
    for piece in pieces:
        thinking.take(piece)
    thinking.end()
    assert looked <= 3 * sum(map(len, pieces))
