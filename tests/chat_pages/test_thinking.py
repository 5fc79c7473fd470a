"""Thinking that a model writes into its text is taken out of it, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        text, reasoning = text + taken.text, reasoning + taken.reasoning
    return text, reasoning


@pytest.mark.parametrize(
    ("whole", "text", "reasoning"),
    [
        ("<think>a</think>b", "b", "a"),
        ("a</think>b", "b", "a"),
        ("\n<think>\na\n</think>\n\nb", "b", "a\n"),
        ("b <think>a</think> c", "b c", "a"),
        ("<think>a</think>b<think>c</think>d", "bd", "ac"),
        ("<think>never closed", "", "never closed"),
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


@settings(max_examples=800, deadline=None)
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
    assert parted(["<think>b</think>c"], text="a ```") == ("a ```<think>b</think>c", "")


def test_text_is_not_kept_waiting() -> None:
    thinking = Thinking()
    assert thinking.take("Hello").text == "Hello"
    assert thinking.take(" you <").text == " you "
    assert thinking.take("b> there").text == "<b> there"
    assert Thinking().take("<think>a").reasoning == "a"


def test_many_tags_in_code_are_looked_at_once() -> None:
    """Each part of the text is read once, counted in time by nobody: a text that is read anew for each tag never ends."""
    whole = "```\n" + "<think>\n" * 60_000
    assert parted([whole[at : at + 1000] for at in range(0, len(whole), 1000)]) == (whole, "")
