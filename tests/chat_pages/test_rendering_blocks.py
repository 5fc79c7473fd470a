"""Markdown is rendered block by block: each once, as soon as it is finished, however the text was cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import markdown
from chat.rendering import Block, Blocks, render

# Lines that make, continue and end every kind of block, in any order.
LINES = st.sampled_from(
    [
        *(
            "",
            "",
            " ",
            "plain words",
            "  two spaces",
            "    four spaces",
            "\tindented",
            "# Heading",
            "===",
            "---",
            "* * *",
        ),
        *(
            "- item",
            "- [x](http://a.b)",
            "  - nested",
            "   continued",
            "1. one",
            "2. two",
            "10. ten",
            "* star",
            "-",
            "1.",
            "2024. x",
        ),
        *(
            "```",
            "```python",
            "~~~",
            "  ```",
            "   ```js",
            "    ```",
            "````",
            "- ```",
            "> ```",
            "```a`b",
            "~~~ x ~~~",
            "   ~~~~",
        ),
        *(
            "> quote",
            ">",
            "> - item",
            ">> deep",
            "| a | b |",
            "|---|:-:|",
            "| 1 | 2 |",
            "<div>",
            "</div>",
            "<!-- x",
            "-->",
            "<b>hi</b>",
        ),
        *(
            "[a]: http://x.y",
            "'title'",
            "[a]",
            "[b][a] *em* **strong** `code`",
            "&amp; \\* ~~s~~",
            "line  ",
            "cr\r",
            "\r",
            "a\rb",
        ),
        *(
            "x\0y",
            "nb\xa0sp",
            'say "hi" & go!',
            "| not a table",
            "a_b_c",
            "[a]: <",
            "[a]:",
            "http://p.q",
            "![i](http://i.j)",
        ),
    ]
)
DOCUMENTS = st.builds(
    lambda lines, end: "\n".join(lines) + end,
    st.lists(LINES, max_size=24),
    st.sampled_from(["", "\n", "\n\n"]),
)


def whole(text: str) -> str:
    """What one parse of the whole text gives."""
    if text and not text.endswith("\n"):
        text += "\n"
    return markdown.render(re.sub(r"\r+\n", "\n", text).replace("\r", " ").replace("\0", "\ufffd"), {})


def in_pieces(text: str, sizes: list[int]) -> tuple[Blocks, list[Block]]:
    blocks, out, start = Blocks(), [], 0
    for size in sizes:
        out += blocks.feed(text[start : start + size])
        start += size
    out += blocks.feed(text[start:])
    return blocks, out + blocks.close()


@settings(max_examples=600, deadline=None)
@given(text=DOCUMENTS, sizes=st.lists(st.integers(0, 40), max_size=60))
def test_any_cut_gives_the_blocks_of_the_whole(text: str, sizes: list[int]) -> None:
    at_once, expected = in_pieces(text, [])
    blocks, out = in_pieces(text, sizes)

    assert out == expected
    assert blocks.html == at_once.html == render(text)


@settings(max_examples=1000, deadline=None)
@given(text=DOCUMENTS)
def test_blocks_add_up_to_what_one_parse_of_the_whole_text_gives(text: str) -> None:
    blocks, out = in_pieces(text, [1] * len(text))

    assert re.sub(r"\s+", " ", blocks.html) == re.sub(r"\s+", " ", whole(text))
    assert blocks.upto == (len(text) if text else 0)
    assert [block.upto for block in out] == sorted({block.upto for block in out})


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_at_all_is_rendered(text: str) -> None:
    blocks, _ = in_pieces(text, [1] * len(text))
    assert blocks.html == render(text)
    assert blocks.upto == len(text)


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("A paragraph\n", 0),
        ("A paragraph\n\n", 1),
        ("# Title\n\nText", 1),
        ("```\ncode\n\nmore\n", 0),
        ("```\ncode\n\nmore\n```\n", 1),
        ("Text\n```\ncode\n", 1),
        ("````\n```\n\n````\n", 1),
        ("- a\n\n- b\n\n", 0),
        ("- a\n\n  more\n\n", 0),
        ("- a\n\n- b\n\nText\n", 1),
        ("1. a\n   ```\n   code\n\n   more\n   ```\n\n2. b\n\n", 0),
        ("1. a\n\n```\ncode\n", 1),
        ("10. a\n  ```\n\ncode\n", 1),  # too little indented to be the item's: the fence stands alone
        ("| a |\n|---|\n| 1 |\n\n", 1),
        ("> a\nlazy\n\n", 1),
        ("    code\n\n    more\n\n", 0),
        ("    code\n\nText\n", 1),
        ("Head\n====\n\n", 1),
    ],
)
def test_a_block_is_given_as_soon_as_it_is_sure_to_be_finished(text: str, finished: int) -> None:
    blocks = Blocks()
    assert len(blocks.feed(text)) == finished
    assert len(blocks.feed("")) == 0


def test_a_block_says_how_much_of_the_text_it_stands_for() -> None:
    first, second = Blocks().feed("One.\n\n\nTwo\r\nlines.\r\n\r\nThree")
    assert (first.upto, first.html) == (6, "<p>One.</p>\n")
    assert (second.upto, second.html) == (22, "<p>Two\nlines.</p>\n")


def test_a_reference_defined_later_is_resolved_in_the_end() -> None:
    blocks = Blocks()
    (block,) = blocks.feed("See [the page][1].\n\n")
    assert "href" not in block.html
    blocks.feed("[1]: https://example.com\n")
    blocks.close()
    assert '<a href="https://example.com"' in blocks.html


def test_the_first_definition_of_a_reference_counts() -> None:
    html = render("[a]: http://one.x\n\n[a]: http://two.x\n\n[a]\n")
    assert "http://one.x" in html
    assert "http://two.x" not in html


def test_no_line_is_parsed_more_than_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear cost, counted, not timed: long lists, code and paragraphs are not parsed anew for each piece."""
    parsed = 0
    parse = markdown.parse_blocks

    def counting(source: str) -> object:
        nonlocal parsed
        parsed += source.count("\n")
        return parse(source)

    monkeypatch.setattr(markdown, "parse_blocks", counting)
    parts = (
        "- item\n\n" * 300,
        "```\n" + "code\n\n" * 300 + "```\n",
        "word\n" * 300,
        "\n    code\n\n" * 300,
        "> q\n" * 300,
    )
    text = "\n".join((*parts, "1. a\n   ```\n   x\n\n   ```\n\n" * 100, "[a]: http://b.c\n\n" * 100))
    in_pieces(text, [3] * (len(text) // 3))

    assert parsed < 4 * text.count("\n")
