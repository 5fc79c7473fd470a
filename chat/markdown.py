"""Renders the chat's Markdown to sanitized HTML.

CommonMark by comrak, with tables, strikethrough, task lists, bare links, line breaks that are kept, emphasis beside CJK
punctuation and mathematics. Raw HTML is not markup but text, except for `<br>`; links lead to http, https and
mailto only, and images, which would have to come from elsewhere, are links. All HTML goes through nh3, except where it
has only `_PLAIN_TAGS` and plain links.

One call renders one source, whose size `chat/rendering.py` bounds. Each formula, which takes longest, is a step of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable
from html import escape, unescape

import comrak
import nh3

from chat import mathematics
from chat.fences import MARKER, normalized

log = logging.getLogger(__name__)

# Noncharacters, which Unicode keeps for programs' own use, stand in for what must not be markup: a `<`, and a single `~`
# (ranges are written with it: 3~5). One stands in for each formula, too, until the HTML around it is sanitized.
_LESS_THAN, _TILDE, _FORMULA = "\ufdd0", "\ufdd1", "\ufdd2"
_RESERVED = re.compile(f"[{_LESS_THAN}{_TILDE}{_FORMULA}]")
_NO_MARKUP = re.compile(r"<(?!(?:https?://|mailto:)[^\s<>]*>|[^\s<>@]+@[^\s<>@]+>|br ?/?>)", re.IGNORECASE)
_LONE_BREAK = re.compile(rf"^({MARKER})<br ?/?>[ \t\f\v]*$", re.IGNORECASE | re.MULTILINE)
_ONE_TILDE = re.compile(r"(?<!~)~(?!~)")
# A letter, and then no character that means anything to Markdown or HTML: such prose is neither parsed nor sanitized.
_PROSE = re.compile(r"[A-Za-z][^*_~`\[\]\\&<>|$@:\x00-\x1f\xa0\ufdd0-\ufdd2]*")
_DEEP = re.compile(r"^[ \t]*(?:(?:>|[-+*]|\d{1,9}[.)])[ \t]*){40}", re.MULTILINE)

_CODE = re.compile(r'<pre><code(?: class="language-([^"]*)")?[^>]*>(.*?)</code></pre>\n?', re.DOTALL)
_IMAGE = re.compile(r'(<a )|(</a>)|<img src="([^"]*)" alt="([^"]*)"[^>]*>')
_MATH = re.compile(r'<span data-math-style="(inline|display)">([^<]*)</span>')
_OUTER = {None: "", "li": "<li>\n", "blockquote": '<blockquote dir="auto">\n'}
_CELL = re.compile(r'<(t[hd]) align="(\w+)">')
_BARE = re.compile(r'<a href="([^"]*)">(https?://[^<]*?)([、。，．；：！？）】》」』”’…\u3000][^<]*)</a>')
_BLOCK = re.compile(r'<(?:(li|blockquote)>\n<)?(p|h[1-6]|ul|ol(?: start="\d+")?|blockquote|table)>')
_MONEY = re.compile(r"\d[\d.,]*(?:\s|$)[^\\^_={}]*$")

_MATH_TAGS = {tag: set(mathematics.ATTRIBUTES) for tag in mathematics.TAGS}
_CLEANER = nh3.Cleaner(
    tags={
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "br", "blockquote", "ul", "ol", "li", "input"),
        *("a", "em", "strong", "del", "code", "pre"),
        *("table", "thead", "tbody", "tr", "th", "td", "div", "span", "button"),
        *mathematics.TAGS,
    },
    clean_content_tags={"script", "style"},
    attributes={
        **_MATH_TAGS,
        "a": {"href", "title"},
        "ol": {"start"},
        "code": {"data-language"},
        "input": {"checked", "disabled"},
    },
    tag_attribute_values={
        **{tag: {"dir": {"auto"}} for tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6")},
        **{tag: {"dir": {"auto"}} for tag in ("ul", "ol", "blockquote", "table")},
        "div": {"class": {"code", "code-head", "table"}, "tabindex": {"0"}},
        "span": {"class": {"code-lang"}},
        "pre": {"tabindex": {"0"}, "dir": {"ltr"}},
        "code": {"class": {"math"}, "dir": {"ltr"}},
        "button": {"type": {"button"}, "class": {"copy"}},
        "input": {"type": {"checkbox"}, "aria-label": {"Done", "To do"}},
        "th": {"class": {"left", "center", "right"}},
        "td": {"class": {"left", "center", "right"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}, "code": {"dir": "ltr"}},
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)

# comrak's tags that the page writes differently, and those that are harmless as they are. Where each `<` begins one of these
# or a plain link, all else is text, and nothing is left to sanitize.
_PAGE_TAGS = {
    **{f"<{tag}>": f'<{tag} dir="auto">' for tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol")},
    **{
        f'<{tag} align="{side}">': f'<{tag} class="{side}">'
        for tag in ("th", "td")
        for side in ("left", "center", "right")
    },
    **{"<br />": "<br>", "<hr />": "<hr>", "<code>": '<code dir="ltr">'},
    **{"<table>": '<div class="table" tabindex="0"><table dir="auto">', "</table>": "</table></div>"},
}
_PLAIN_TAGS = frozenset(
    [
        *("", *_PAGE_TAGS),  # _TAG finds '' for a plain link
        *(f"<{tag}>" for tag in ("em", "strong", "del", "li", "thead", "tbody", "tr", "th", "td")),
        *(f"</{tag}>" for tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li")),
        *(f"</{tag}>" for tag in ("em", "strong", "del", "code", "thead", "tbody", "tr", "th", "td")),
    ]
)
# A plain link leads to a host whose last part is letters (others may be no valid address), and its text is no address.
_URL = r"https?://(?:[A-Za-z0-9]+[.-])+[A-Za-z]{2,}(?:[/?#](?:[\w./?#=%+~:,;!()-]|&amp;)*)?"
_TAG = re.compile(rf'<a href="{_URL}">(?!http)[^<]*</a>|(<[^>]*>?)', re.ASCII)
_HREF = re.compile(r'<a href="[^"]*"')


def _options() -> tuple[comrak.ExtensionOptions, comrak.ParseOptions, comrak.RenderOptions]:
    extensions, rendering = comrak.ExtensionOptions(), comrak.RenderOptions()
    for name in ("table", "strikethrough", "tasklist", "autolink", "cjk_friendly_emphasis"):
        setattr(extensions, name, True)
    extensions.math_dollars = extensions.math_latex = True
    rendering.hardbreaks = True
    rendering.unsafe_ = True  # for <br>: every other `<` has been replaced, and nh3 sanitizes the result
    return extensions, comrak.ParseOptions(), rendering


_EXTENSIONS, _PARSING, _RENDERING = _options()


def parse(source: str) -> str:
    """Return comrak's HTML for `source`, which is not sanitized yet."""
    return comrak.render_markdown(source, _EXTENSIONS, _PARSING, _RENDERING)


def steps(
    source: str, definitions: Iterable[str] = (), *, mathematical: bool = True
) -> Generator[bool, None, str]:
    """Render `source`, with these definitions of references; return sanitized HTML; pause (yield False) after each formula.

    Unless `mathematical`, formulas stay as they were written.
    """
    if _PROSE.fullmatch(source) and "www." not in source:
        return f'<p dir="auto">{source.rstrip(" ")}</p>\n'
    if _DEEP.search(source):  # parser and sanitizer cannot take such nesting
        return plain(source)
    definitions = "\n".join(definitions)
    try:
        html = parse(_prepared(f"{definitions}\n\n{source}\n" if definitions else f"{source}\n"))
    except BaseException as error:  # a panic of the parser's is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        log.exception("A block could not be rendered: it is shown as plain text")
        return plain(source)
    if "<span data-math" not in html:
        return _finished(html)
    # A character reference (`&#xfdd2;`) is no formula's place. comrak escapes attributes, so that no formula is found there:
    # each place is in a text.
    html = html.replace(_FORMULA, "\ufffd")
    parts, formulas, at = [], [], 0
    for match in _MATH.finditer(html):
        made = _formula(match, source, mathematical=mathematical)
        if made.startswith("<math"):
            formulas.append(_cleaned(made))
            made = _FORMULA
        parts += [html[at : match.start()], made]
        at = match.end()
        yield False
    first, *others = _finished("".join(parts) + html[at:]).split(_FORMULA)
    return "".join([first, *(part for each in zip(formulas, others, strict=True) for part in each)])


def _finished(html: str) -> str:
    """Return comrak's `html` in the page's form, sanitized. Plain tags need no nh3: the result is the same, and sooner."""
    if not (tags := set(_TAG.findall(html))) <= _PLAIN_TAGS:
        return _cleaned(_restored(_shaped(html)))
    for tag in tags & _PAGE_TAGS.keys():
        html = html.replace(tag, _PAGE_TAGS[tag])
    if "<li>" in tags and "<p>" in tags:
        html = html.replace('<li>\n<p dir="auto">', "<li>\n<p>")
    if "" in tags:
        html = _HREF.sub(r'\g<0> target="_blank" rel="noopener noreferrer nofollow"', html)
    if "&" in html:
        html = html.replace("&quot;", '"')
    return _restored(html if html.isascii() else html.replace("\xa0", "&nbsp;"))


def _cleaned(html: str) -> str:
    return _CLEANER.clean(html)


def _restored(html: str) -> str:
    """Return `html` with the characters that _prepared() replaced."""
    if not html.isascii():
        html = html.replace(_LESS_THAN, "&lt;").replace(_TILDE, "~")
    if "%EF%B7%9" in html:
        html = html.replace("%EF%B7%90", "%3C").replace("%EF%B7%91", "~")
    return html


def plain(text: str) -> str:
    """Return `text` as a paragraph of HTML, with nothing in it taken for markup."""
    return f'<p dir="auto">{escape(text.strip(), quote=False).replace(chr(10), "<br>")}</p>\n'


def code(text: str, language: str) -> str:
    """Return a code block as HTML: its language, a Copy button for the page's script, and `text`, escaped."""
    return _box(escape(text, quote=False), escape(language[:40]))


def _box(escaped: str, language: str) -> str:
    named = f' data-language="{language}"' if language else ""
    return (
        f'<div class="code"><div class="code-head"><span class="code-lang">{language or "text"}</span>'
        '<button type="button" class="copy">Copy</button></div>'
        f'<pre tabindex="0" dir="ltr"><code{named} dir="ltr">{escaped}</code></pre></div>\n'
    )


def _prepared(source: str) -> str:
    """Return `source` with characters replaced that comrak would wrongly take for markup."""
    if not source.isascii():
        source = _RESERVED.sub("\ufffd", source)
    source = normalized(source)
    if "<" in source:
        if "<br" in source or "<BR" in source:
            source = _LONE_BREAK.sub(r"\1&nbsp;", source)
        source = _NO_MARKUP.sub(_LESS_THAN, source)
    if "~" in source:
        source = _ONE_TILDE.sub(_TILDE, source)
    return source


def _formula(match: re.Match[str], source: str, *, mathematical: bool) -> str:
    tex = unescape(match[2]).replace(_LESS_THAN, "<").replace(_TILDE, "~")
    before, after = (
        match.string[match.start() - 1 : match.start()],
        match.string[match.end() : match.end() + 1],
    )
    dollars = match[1] == "inline" and f"${tex}$" in source
    if dollars and (before.isalnum() or after.isalnum() or _MONEY.match(tex)):
        return escape(f"${tex}$", quote=False)
    made = mathematics.mathml(tex.strip(), display=match[1] == "display") if mathematical else None
    return made or f'<code class="math">{escape(tex.strip(), quote=False)}</code>'


def _shaped(html: str) -> str:
    """Return comrak's HTML in the page's form."""
    if "<pre>" in html:
        html = _CODE.sub(lambda found: _box(found[2], (found[1] or "")[:40]), html)
    if "<table>" in html:
        html = _CELL.sub(r'<\1 class="\2">', html).replace("</table>", "</table></div>")
    if "<img" in html:
        html = _without_images(html)
    if "<input" in html:
        html = html.replace('checked="" disabled=""', 'checked="" disabled="" aria-label="Done"')
        html = html.replace('"checkbox" disabled=""', '"checkbox" disabled="" aria-label="To do"')
    if ">http" in html:
        html = _BARE.sub(_cut_link, html)
    return _BLOCK.sub(_with_direction, html)


def _without_images(html: str) -> str:
    linked = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal linked
        if match[1] or match[2]:
            linked = bool(match[1])
            return match[0]
        words = match[4] or "image"
        return words if linked else f'<a href="{match[3]}">{words}</a>'

    return _IMAGE.sub(replaced, html)


def _cut_link(match: re.Match[str]) -> str:
    """End a bare address where CJK punctuation begins, which nothing else separates from it."""
    address, rest = match[2], match[3]
    return f'<a href="{address}">{address}</a>{rest}'


def _with_direction(match: re.Match[str]) -> str:
    """Give a block dir="auto". The first paragraph of an item or quotation has none: the list or quotation has it."""
    outer, tag = _OUTER[match[1]], match[2]
    opened = f"{outer}<{tag}>" if outer and tag == "p" else f'{outer}<{tag} dir="auto">'
    return f'<div class="table" tabindex="0">{opened}' if tag == "table" else opened
