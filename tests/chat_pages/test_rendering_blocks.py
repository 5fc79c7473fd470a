"""Markdown is rendered block by block: each once, as soon as it is finished, however the text was cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from chat import markdown
from chat.outline import COLUMNS_MAX
from chat.rendering import BLOCK_MAX, HTML_MORE, HTML_TIMES, Block, Blocks, render

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
            "$$",
            "\\[",
            "x \\]",
            "$a$ and $5 or $6",
            "```markdown",
            "**粗体，**后",
            "- [ ] task",
            "a<br>b",
            "3~5 ~~s~~ <br>",
        ),
    ]
)
ENDS = st.sampled_from(["", "\n", "\n\n"])
DOCUMENTS = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=24), ENDS)
# What means the same where the parser sees it alone: references reach from block to block, formulas and inner
# fences over lines, and whether a line with one bar is a table, nobody can say before the next one.
ALONE = LINES.filter(
    lambda line: not line.startswith(("[a]:", "'title'", "| not", "$$", "\\[", "x \\]", "```markdown"))
)
PLAIN_DOCUMENTS = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(ALONE, max_size=24), ENDS)


def whole(text: str) -> str:
    """What one parse of the whole text gives."""
    if text and not text.endswith("\n"):
        text += "\n"
    text = re.sub(r"\r+\n", "\n", text).replace("\r", " ").replace("\0", "\ufffd")
    steps = markdown.steps(text)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return str(done.value)


def spaced(html: str) -> str:
    return re.sub(r"\s+", " ", html.replace("&nbsp;", " ")).replace("> <", "><").strip()


def in_pieces(text: str, sizes: list[int]) -> tuple[Blocks, list[Block]]:
    blocks, out, start = Blocks(), [], 0
    for size in sizes:
        out += blocks.feed(text[start : start + size])
        start += size
    out += blocks.feed(text[start:])
    return blocks, out + blocks.close()


@settings(max_examples=examples(600), deadline=None)
@given(text=DOCUMENTS, sizes=st.lists(st.integers(0, 40), max_size=60))
def test_any_cut_gives_the_blocks_of_the_whole(text: str, sizes: list[int]) -> None:
    at_once, expected = in_pieces(text, [])
    blocks, out = in_pieces(text, sizes)

    assert out == expected
    assert blocks.html == at_once.html == render(text)


@settings(max_examples=examples(1000), deadline=None)
@given(text=PLAIN_DOCUMENTS)
def test_blocks_add_up_to_what_one_parse_of_the_whole_text_gives(text: str) -> None:
    blocks, out = in_pieces(text, [1] * len(text))

    assert spaced(blocks.html) == spaced(whole(text))
    assert blocks.upto == (len(text) if text else 0)
    assert [block.upto for block in out] == sorted({block.upto for block in out})


@settings(max_examples=examples(200), deadline=None)
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
    assert (first.upto, first.html) == (6, '<p dir="auto">One.</p>\n')
    assert (second.upto, second.html) == (22, '<p dir="auto">Two<br>\nlines.</p>\n')


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
    parsed = counted(monkeypatch)
    parts = (
        "- item\n\n" * 300,
        "```\n" + "code\n\n" * 300 + "```\n",
        "word\n" * 300,
        "\n    code\n\n" * 300,
        "> q\n" * 300,
    )
    text = "\n".join((*parts, "1. a\n   ```\n   x\n\n   ```\n\n" * 100, "[a]: http://b.c\n\n" * 100))
    in_pieces(text, [3] * (len(text) // 3))

    assert sum(parsed) < 4 * len(text)


HOSTILE = {
    "a table of 64 KB": "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 6_500,
    "a table without end": "|" + "a|" * 40_000 + "\n|" + "-|" * 40_000 + "\n",
    "a list without end": "- item\n" * 12_000,
    "a list within lists": "- - - a\n" * 10_000,
    "one item": "- a\n" + "  a\n" * 20_000,
    "images that never are": "![" * 40_000,
    "brackets": "[" * 80_000,
    "quotations": ">" * 80_000,
    "quotations with blanks": "> " * 40_000,
    "lists in a line": "- " * 40_000,
    "one paragraph": "word " * 80_000,
    "one word": "a" * 400_000,
    "short lines": "a\n" * 40_000,
    "formulas that never end": "\\(a " * 20_000,
    "formulas": "$a+b$ " * 14_000,
    "dollars": "$" * 80_000,
    "fences in a list": "- a\n" + "   ```js\n" * 9_000,
    "code for a lexer that backtracks": "```make\n" + "a(" * 3_950 + "\n```\n",
    "references": "[a]: http://" + "x" * 900 + "\n\n" + "[a][b] " * 11_000 + "\n\n[b]: http://" + "y" * 900,
    "emphasis": "*a **b " * 12_000,
    "blanks": " " * 80_000 + "x",
    "a wide table with short rows": "|" + "a|" * 600 + "\n|" + "-|" * 600 + "\n" + "x\n" * 8_000,
    "a table of 100 columns with short rows": "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "x\n" * 2_500,
    "one in a list": "- |" + "a|" * 90 + "\n  |" + "-|" * 90 + "\n" + "  x\n" * 2_500,
    "a wide one in a list": "- |" + "a|" * 150 + "\n  |" + "-|" * 150 + "\n" + "  x\n" * 600,
    "one in a quotation": "> |" + "a|" * 90 + "\n> |" + "-|" * 90 + "\n" + "> x\n" * 2_500,
    "empty lines in a list": "- a\n" + "\n" * 390_000 + "b",
    "empty lines in code": "    a\n" + "\n" * 390_000 + "b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_makes_a_step_long(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No parse is of more than a block may be, no block is deep, and in all they are of what there is, twice at most."""
    parsed, blocks = counted(monkeypatch), Blocks()
    for start in range(0, len(text), 1000):
        blocks.feed(text[start : start + 1000])
    blocks.close()

    assert max(parsed, default=0) < 3 * BLOCK_MAX
    assert sum(parsed) <= 3 * len(text)
    assert blocks.upto == len(text)
    assert len(blocks.html) < 60 * len(text)
    assert depth(blocks.html) < 100


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_work_can_be_done_in_slices(text: str) -> None:
    at_once, _ = in_pieces(text, [])
    blocks, out = Blocks(), []
    blocks.accept(text)
    blocks.end()
    slices = 0
    while slices == 0 or blocks.behind:
        out += blocks.work(0)
        slices += 1

    assert blocks.html == at_once.html
    assert slices > len(out) // 2  # each step was one


@pytest.mark.parametrize("columns", [2, 10, 50, 100, 101, 600])
@pytest.mark.parametrize("marker", ["", "- ", "> "], ids=["table", "list", "quotation"])
def test_short_rows_make_no_more_cells_than_there_is_text_for(columns: int, marker: str) -> None:
    """The parser fills each row up to the width of the head: a row of one letter may be hundreds of cells."""
    inner = marker.replace("-", " ")
    head = f"{marker}|{'a|' * columns}\n{inner}|{'-|' * columns}\n"
    text = head + f"{inner}x\n" * 8_000
    steps, longest = Blocks(), 0
    for block in steps.feed(text) + steps.close():
        longest = max(longest, len(block.html))
    assert longest < 80_000
    assert len(steps.html) < HTML_TIMES * len(text) + HTML_MORE


def test_a_table_of_many_columns_is_one_and_a_wider_one_is_shown_as_it_was_written() -> None:
    for columns, tables in ((COLUMNS_MAX - 1, 1), (COLUMNS_MAX, 0)):
        html = render(f"|{'a|' * columns}\n|{'-|' * columns}\n|{'b|' * columns}\n")
        assert html.count("<table") == tables
        assert html.count("b|") == (0 if tables else columns)


def test_all_html_is_bounded_whatever_makes_it_long() -> None:
    """A mark of one character may be an element: such blocks are drawn while there is room, and then as written."""
    text = (">" * 38 + "a\n\n") * 3_000
    html = render(text)
    assert len(html) < HTML_TIMES * len(text) + HTML_MORE
    assert html.startswith('<blockquote dir="auto">')
    assert html.endswith(f'<p dir="auto">{"&gt;" * 38}a</p>\n')


def test_the_parts_of_a_long_table_have_its_head() -> None:
    html = render("| number | name |\n|---|--:|\n" + "| 1 | one |\n" * 2_000)
    assert html.count("<table") > 1
    assert html.count("<th>number</th>") == html.count("<table")
    assert html.count('<td class="right">one</td>') == 2_000


def test_a_line_without_end_is_given_in_parts_while_it_comes() -> None:
    blocks = Blocks()
    assert len(blocks.feed("word " * 4_000)) == 2
    assert blocks.html.count("word") == blocks.upto // 5


def test_a_long_list_is_parted_between_its_items() -> None:
    text = "".join(
        f"{number}. item\n\n   - with another\n     - and one more\n\n" for number in range(1, 500)
    )
    html = render(text)
    assert html.count("<ol") > 1
    assert "<pre" not in html
    assert html.count("<li>") == 3 * 499


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all sources that are parsed from now on."""
    sizes: list[int] = []
    parse = markdown.parse

    def counting(source: str) -> str:
        sizes.append(len(source))
        return parse(source)

    monkeypatch.setattr(markdown, "parse", counting)
    return sizes


def depth(html: str) -> int:
    """How deep elements stand in one another."""
    deepest = now = 0
    for tag in re.findall(r"<(/?)(?!br|hr|input|mspace)\w", html):
        now += -1 if tag else 1
        deepest = max(deepest, now)
    return deepest
