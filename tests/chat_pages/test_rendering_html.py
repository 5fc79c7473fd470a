"""What Markdown becomes: safe HTML, code with its language, links that stay apart, and nothing that runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import HIGHLIGHT_MAX
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
    *("s", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "div", "span", "button"),
}
ATTRIBUTES = {"class", "href", "title", "target", "rel", "start", "tabindex", "type"}

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


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(XSS), st.text(max_size=20)), max_size=6))
def test_nothing_in_a_mixture_runs(parts: list[str]) -> None:
    assert_inert(render(" ".join(parts)))
    assert_inert(render("\n".join(parts)))


def test_raw_html_is_shown_as_text() -> None:
    assert render("a <b>c</b>") == "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"


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


def test_code_has_its_language_a_copy_button_and_colours() -> None:
    html = render("```python\ndef f(): pass\n```\n")
    assert '<span class="code-lang">Python</span>' in html
    assert '<button type="button" class="copy">Copy</button>' in html
    assert '<span class="k">def</span>' in html


def test_code_of_an_unknown_language_is_plain_and_keeps_its_label() -> None:
    html = render("```frobnicate\na < b\n```\n")
    assert '<span class="code-lang">frobnicate</span>' in html
    assert "<code>a &lt; b\n</code>" in html


def test_very_long_code_is_not_coloured() -> None:
    line = "x = 1\n"
    assert 'class="n"' in render("```python\n" + line * 100 + "```\n")
    long = render("```python\n" + line * (HIGHLIGHT_MAX // len(line) + 1) + "```\n")
    assert 'class="n"' not in long
    assert '<span class="code-lang">Python</span>' in long


def test_code_keeps_its_first_and_last_lines() -> None:
    assert "<code>\n\nx\n\n</code>" in render("```text\n\n\nx\n\n```\n").replace(
        '<span class="w"></span>', ""
    )


def test_a_table_scrolls_by_itself_and_aligns_by_class() -> None:
    html = render("| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert '<div class="table" tabindex="0"><table>' in html
    assert '<td class="right">2</td>' in html
    assert "style" not in html


def test_an_ordered_list_keeps_its_first_number() -> None:
    assert '<ol start="3">' in render("3. a\n4. b\n")
