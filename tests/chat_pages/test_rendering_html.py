"""What Markdown becomes: safe HTML, code with its language, links that stay apart, and nothing that runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from chat import markdown, mathematics
from chat.rendering import render

TAGS = {
    *(
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "br",
        "blockquote",
        "ul",
        "ol",
        "li",
        "a",
        "em",
        "strong",
    ),
    *("del", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "div", "span", "button", "input"),
    *mathematics.TAGS,
}
ATTRIBUTES = {
    *("class", "href", "title", "target", "rel", "start", "tabindex", "type", "dir", "data-language"),
    *("checked", "disabled", "aria-label"),
    *mathematics.ATTRIBUTES,
}

XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example/a)",
    "[x](/accounts/logout/)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](http://a.b/c.png)',
    '[x](http://a.b "\\" onmouseover=\\"alert(1)")',
    "<javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>@import 'http://evil.example'</style>",
    '```"><script>alert(1)</script>\nx\n```',
    "```\n</code></pre><script>alert(1)</script>\n```",
    "```html\n<script>alert(1)</script>\n```",
    "| <img src=x onerror=alert(1)> |\n|---|\n| `<b onclick=alert(1)>` |",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "[a]: javascript:alert(1)\n\n[a]",
    "<details open ontoggle=alert(1)>",
    "<form action=http://evil.example><input name=q></form>",
    "$\\href{javascript:alert(1)}{x}$",
    "$\\text{<img src=x onerror=alert(1)>}$",
    "\\(\\style{background:url(http://evil.example)}{x}\\)",
    "$$\\class{code-head}{x}$$ \\[</math><script>alert(1)</script>\\]",
    "$\\unicode{<script>}$ $\\begin{array}{<b>}x\\end{array}$",
    "```math\n</math><img src=x onerror=alert(1)>\n```",
    "```<img/src=x/onerror=alert(1)>\nx\n```",
    "- ```<img/src=x/onerror=alert(1)>\n  x\n  ```",
    '[x](http://a.b "<p><table>") ![<p>](http://a.b/<p>)',
    "a<br onclick=alert(1)>b<br/x>c",
    "- [ ] <input autofocus onfocus=alert(1)>",
    "\ufdd0script>alert(1)\ufdd0/script> \ufdd1",
    'https://a.b/"onmouseover=alert(1)、x',
]


class Seen(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def assert_inert(html: str) -> None:
    for tag, attributes in Seen(html).tags:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        if tag == "a" and "href" in attributes:
            assert re.match(r"(https?://|mailto:)", attributes["href"] or "", re.IGNORECASE)
            assert attributes["target"] == "_blank"
            assert attributes["rel"] == "noopener noreferrer nofollow"


@pytest.mark.parametrize("text", XSS)
def test_nothing_in_a_text_runs(text: str) -> None:
    assert_inert(render(text))
    assert_inert(render(f"- {text}\n\n> {text}\n\n# {text}\n"))


@settings(max_examples=examples(200), deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(XSS), st.text(max_size=20)), max_size=6))
def test_nothing_in_a_mixture_runs(parts: list[str]) -> None:
    assert_inert(render(" ".join(parts)))
    assert_inert(render("\n".join(parts)))


PIECES = [
    *(
        "*",
        "**",
        "_",
        "~~",
        "`",
        "``",
        "~",
        "\\",
        "\n",
        "\n\n",
        "  \n",
        "    ",
        "\t",
        "|",
        " ",
        "word",
        "é",
        "中、",
        "\x01",
        "\x0c",
    ),
    *(
        "# ",
        "## ",
        "> ",
        "- ",
        "1. ",
        "3. ",
        "***\n",
        "---\n",
        "===\n",
        "[x] ",
        "```\n",
        "\n|---|:-:|\n",
        "| a | b |\n|---|--:|\n| c |\n",
    ),
    *(
        "<br>",
        "<br />",
        "<",
        ">",
        "/>",
        " />",
        "</p>",
        "</div>",
        "<code>",
        '<div class="table" tabindex="0">',
        "<script>",
    ),
    *(
        "&lt;",
        "&quot;",
        "&nbsp;",
        "&#0;",
        "&#60;",
        "&",
        '"',
        "'",
        "\xa0",
        "\u202e",
        "\ufdd0",
        "[a](b)",
        "https://a.b",
        "$x$",
        "!",
    ),
]
MARKUP = [
    *sorted(markdown._PLAIN_TAGS),
    *("word", "&quot;", "&lt;script", "<", ">", '"', "<p", "<p ", "<br/>", "<BR />"),
    *XSS,
]


@settings(max_examples=examples(500), deadline=None)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=25))
def test_html_of_plain_tags_is_what_the_sanitizer_would_have_made_of_it(parts: list[str]) -> None:
    html = markdown._shaped(markdown.parse(markdown._prepared("".join(parts) + "\n")))
    html = html.replace(markdown._LESS_THAN, "&lt;")
    assert markdown._cleaned(html) == markdown._CLEANER.clean(html)


@settings(max_examples=examples(500), deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=5)), max_size=8))
def test_nothing_runs_in_what_is_left_of_any_html(parts: list[str]) -> None:
    """Even if comrak let through what it must not."""
    assert_inert(markdown._cleaned("".join(parts)))


LINKS = [
    *("[a link](https://a.bc)", "[é & \xa0](http://a-b.cd/p?q=1&r=2#s)", "[x](https://a.bc/(x)/%zz~)"),
    *(
        "[https://a.bc。x](https://a.bc)",
        "https://a.bc。x",
        "[![i](https://i.jk)](https://a.bc)",
        "[a*b*](https://a.bc)",
    ),
    *("[x](https://1.2.3.4.5)", "[x](https://xn--a.bc)", "[x](https://a.bc:99999)", "[x](https://a.bc/é<~)"),
    *(
        '[x](https://a.bc "title")',
        "[x](HTTPS://a.bc)",
        "[x](//a.bc)",
        "[x](javascript://a.bc)",
        "[x](mailto:a@b.cd)",
    ),
]


@pytest.mark.parametrize("text", LINKS)
def test_a_link_is_what_the_sanitizer_would_have_made_of_it(text: str) -> None:
    html = markdown.parse(markdown._prepared(f"{text}\n"))
    assert markdown._finished(html) == markdown._CLEANER.clean(markdown._restored(markdown._shaped(html)))


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(st.sampled_from([*PIECES, *LINKS]), max_size=25))
def test_what_is_finished_without_the_sanitizer_is_what_it_would_have_made(parts: list[str]) -> None:
    html = markdown.parse(markdown._prepared("".join(parts) + "\n"))
    assert markdown._finished(html) == markdown._CLEANER.clean(markdown._restored(markdown._shaped(html)))


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=5)), max_size=8))
def test_nothing_runs_in_what_is_finished_of_any_html(parts: list[str]) -> None:
    assert_inert(markdown._finished("".join(parts)))


def test_a_line_break_alone_in_a_line_begins_no_raw_html() -> None:
    assert "<em>a</em>" in render("<br>\x0c\n*a*")


def test_raw_html_is_shown_as_text() -> None:
    assert render("a <b>c</b>") == '<p dir="auto">a &lt;b&gt;c&lt;/b&gt;</p>\n'
    assert render("<div>\n*a*\n</div>").count("&lt;") == 2
    assert "<em>a</em>" in render("<div>\n*a*\n</div>")
    assert "&lt;/b&gt;" in render("`</b>`")


def test_a_link_opens_in_a_tab_of_its_own_that_knows_nothing_of_this_page() -> None:
    html = render("[x](https://a.b) <https://c.d> <me@e.f>")
    assert [a["href"] for _, a in Seen(html).tags if "href" in a] == [
        "https://a.b",
        "https://c.d",
        "mailto:me@e.f",
    ]
    assert_inert(html)


def test_an_image_is_a_link_and_within_a_link_only_its_words() -> None:
    assert render("![a cat](https://a.b/c.png)").count("<a ") == 1
    assert ">a cat</a>" in render("![a cat](https://a.b/c.png)")
    assert render("[![a cat](https://a.b/c.png)](https://d.e)").count("<a ") == 1


def test_code_has_its_language_and_a_copy_button() -> None:
    for text in ("```python\ndef f(): pass\n```\n", "- x\n\n  ```python\n  def f(): pass\n  ```\n"):
        html = render(text)
        assert '<span class="code-lang">python</span>' in html
        assert '<button type="button" class="copy">Copy</button>' in html
        assert (
            '<pre tabindex="0" dir="ltr"><code data-language="python" dir="ltr">def f(): pass\n</code>'
            in html
        )


def test_code_of_no_language_is_text() -> None:
    html = render("```\na < b\n```\n")
    assert '<span class="code-lang">text</span>' in html
    assert '<code dir="ltr">a &lt; b\n</code>' in html


def test_code_keeps_its_first_and_last_lines() -> None:
    assert ">\n\nx\n\n</code>" in render("```text\n\n\nx\n\n```\n")


def test_a_table_scrolls_by_itself_and_aligns_by_class() -> None:
    html = render("| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert '<div class="table" tabindex="0"><table dir="auto">' in html
    assert '<td class="right">2</td>' in html
    assert "style" not in html


def test_an_ordered_list_keeps_its_first_number() -> None:
    assert '<ol start="3" dir="auto">' in render("3. a\n4. b\n")


@pytest.mark.parametrize(
    "text",
    [
        "\\[ \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix} \\]",
        "$$\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}$$",
        "\\[\n\\begin{pmatrix}\na & b \\\\\nc & d\n\\end{pmatrix}\n\\]",
        "$$\n\\begin{pmatrix}\na & b \\\\\nc & d\n\\end{pmatrix}\n$$\n",
        "```math\n\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n```",
        "So:\n\\[ \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix} \\]\nand so on",
        "1. So:\n   \\[\n   \\begin{pmatrix} a & b \\\\\n   c & d \\end{pmatrix}\n   \\]\n",
    ],
)
def test_a_formula_of_its_own_is_mathematics(text: str) -> None:
    html = render(text)
    assert '<math display="block">' in html
    assert re.findall(r"<mtd>\s*<mi>(\w)</mi>\s*</mtd>", html) == ["a", "b", "c", "d"]
    assert_inert(html)


def test_formulas_are_sanitized_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a paragraph at once, they would hold up the others for ten milliseconds: MathML is 25 times as long."""
    sizes, cleaned = list[int](), markdown._cleaned

    def measured(html: str) -> str:
        sizes.append(len(html))
        return cleaned(html)

    monkeypatch.setattr(markdown, "_cleaned", measured)
    assert render("$\\frac{a}{b}+c_1$ " * 400).count("<math") == 400
    assert max(sizes) < 1_000


def test_each_formula_stands_in_its_place() -> None:
    html = render(
        "**$a$** \ufdd2 &#xfdd2; [$b$](https://example.org) \\(\\text{<b>}\\) <https://example.org/$c$> $d$ end"
    )
    assert re.findall(r"<mi>(\w)</mi>", html) == ["a", "b", "d"]
    assert html.count("\ufffd") == 2
    assert html.endswith("<mi>d</mi></mrow></math> end</p>\n")


def test_a_formula_among_words_is_mathematics() -> None:
    for text in ("with \\( x_1 \\) as", "with $x_1$ as"):
        html = render(text)
        assert '<math display="inline">' in html
        assert "<msub><mi>x</mi><mn>1</mn></msub>" in html
        assert html.startswith('<p dir="auto">with <math')


def test_plus_and_minus_begin_no_list_within_a_formula() -> None:
    html = render("\\[\nx = a\n+ b\n- c\n\\]\n\nDone.")
    assert "<li>" not in html
    assert '<p dir="auto">Done.</p>' in html


def test_aligned_lines_are_a_table() -> None:
    assert render("$$\\begin{aligned}a&=b\\\\c&<d\\end{aligned}$$").count("<mtr>") == 2


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "from $5-$10 to US$6",
        "in $a,$b and such",
        "I paid $20, she paid 30$.",
        "`$x$` and `\\(x\\)`",
        "\\$x\\$",
        "$ x $",
    ],
)
def test_money_and_code_are_no_mathematics(text: str) -> None:
    assert "<math" not in render(text)
    assert "$" in render(text) or "\\(" in render(text)


@pytest.mark.parametrize(
    "tex", ["\\frac{", "}{", "x^", "\\left(", "\\begin{pmatrix}", "a" * 700, "\\sqrt" * 90]
)
def test_what_is_no_formula_or_too_long_stays_as_it_was_written(tex: str) -> None:
    html = render(f"So \\({tex}\\) it is")
    if len(tex) > mathematics.LONGEST or "<math" not in html:
        assert f'<code class="math" dir="ltr">{tex}</code>' in html


@pytest.mark.parametrize(
    "tex",
    [
        *(
            "\\rule{9999px}{9999px}",
            "\\rule{1em}{99em}",
            "\\hspace{9999999em}",
            "\\hspace{-99em}x",
            "\\kern99em x",
        ),
        *("\\raise 99em x", "\\lower 99em {x}", "\\moveleft 99em x", "\\hspace{9in}", "\\hspace{99999999sp}"),
        *(
            "\\hspace{19em}" * 6,
            "\\raise 19em" * 6 + "x",
            "\\Huge " * 4 + "x",
            "{\\Huge " * 9 + "x" + "}" * 9,
        ),
    ],
)
def test_a_formula_does_not_reach_over_the_page(tex: str) -> None:
    """Any length may be asked for: a vast one is shown as it was written."""
    html = render(f"So \\({tex}\\) it is")
    assert f'<code class="math" dir="ltr">{tex}</code>' in html


@pytest.mark.parametrize(
    "tex",
    [
        *(
            "\\rule{1em}{2px}",
            "\\raise 1ex x",
            "a \\quad b \\qquad c",
            "\\Huge x",
            "\\hspace{2cm}x",
            "a\\,b\\!c",
        ),
        *("\\Bigg( x \\Bigg)", "\\binom{a}{b}", "\\hspace{.5em}x", "\\kern18mu x"),
        *("\\begin{align*}a&=b\\\\c&=d\\end{align*}", "\\begin{smallmatrix}a&b\\end{smallmatrix}"),
    ],
)
def test_lengths_that_formulas_have_are_kept(tex: str) -> None:
    assert "<math" in render(f"So \\({tex}\\) it is")


def test_a_markdown_fence_holds_other_fences() -> None:
    text = "```markdown\n# Title\n```bash\nls\n```\nmore\n```\nBelow."
    for source in (text, "- x\n\n" + "".join(f"  {line}\n" for line in text.split("\n")[:-1]) + "\nBelow."):
        html = render(source)
        assert html.count("<pre") == 1
        assert "# Title\n```bash\nls\n```\nmore\n</code>" in html
        assert '<p dir="auto">Below.</p>' in html


@pytest.mark.parametrize(
    ("text", "bold"),
    [
        ("**中文粗体，**后面的文字", "中文粗体，"),
        ("这是**“引用”**的文字", "“引用”"),
        ("**日本語（にほんご）**です", "日本語（にほんご）"),
        ("**한국어(조선말)**는", "한국어(조선말)"),
    ],
)
def test_emphasis_ends_beside_cjk_punctuation(text: str, bold: str) -> None:
    assert f"<strong>{bold}</strong>" in render(text)
    assert "*" not in render(text)


def test_a_bare_address_is_a_link_and_ends_where_the_sentence_goes_on() -> None:
    for text in ("See https://a.b/c_d(e).", "参见 https://a.b/c_d(e)。后面", "(https://a.b/c_d(e))"):
        html = render(text)
        assert [a["href"] for _, a in Seen(html).tags if "href" in a] == ["https://a.b/c_d(e)"]
        assert ">https://a.b/c_d(e)</a>" in html
        assert_inert(html)


def test_line_breaks_are_kept() -> None:
    assert render("Roses are red\nViolets are blue").count("<br>") == 1
    assert render("> Roses\n> Violets").count("<br>") == 1


def test_a_break_in_a_cell_is_a_break_and_in_code_it_is_code() -> None:
    html = render("| a |\n|---|\n| one<br>two<br/>three `<br>` |\n")
    assert "<td>one<br>two<br>three <code" in html
    assert "&lt;br&gt;</code>" in html
    assert "<em>a</em>" in render("<br>\n*a*")


def test_tasks_have_boxes_that_say_whether_they_are_done() -> None:
    html = render("- [ ] open\n- [x] done\n\n1. [ ] loose\n\n2. [X] and done\n")
    boxes = [attributes for tag, attributes in Seen(html).tags if tag == "input"]
    assert [box["aria-label"] for box in boxes] == ["To do", "Done", "To do", "Done"]
    assert ["checked" in box for box in boxes] == [False, True, False, True]
    assert all(box["type"] == "checkbox" and "disabled" in box for box in boxes)


def test_each_block_finds_its_direction_and_code_has_one() -> None:
    html = render("مرحبا\n\n- مرحبا\n\n> مرحبا\n\n# مرحبا\n\n| مرحبا |\n|---|\n\n`x`\n\n```\nx\n```\n")
    found = Seen(html).tags
    for tag in ("p", "ul", "blockquote", "h1", "table"):
        assert next(a.get("dir") for each, a in found if each == tag) == "auto"
    assert {a.get("dir") for each, a in found if each in ("code", "pre")} == {"ltr"}


def test_the_first_words_of_a_list_decide_for_all_of_it() -> None:
    """A list looks for its direction in what has none of its own."""
    assert "<li>\n<p>مرحبا</p>" in render("- مرحبا\n\n- ثانية\n")


def test_ranges_are_not_struck_out() -> None:
    assert "<del>" not in render("3~5 hours or 10~20")
    assert "3~5" in render("3~5 hours or 10~20")
    assert "<del>no</del>" in render("~~no~~")


def test_what_the_parser_cannot_take_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        pass

    def panicking(source: str) -> str:
        raise Panic

    monkeypatch.setattr(markdown, "parse", panicking)
    assert render("*a* < b\nc") == '<p dir="auto">*a* &lt; b<br>c</p>\n'
