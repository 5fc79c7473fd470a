"""The Markdown that chat speaks, and what of it may become HTML.

CommonMark with tables and strikethrough. Raw HTML is not markup but text, links lead to http, https and
mailto only, and images, which would have to come from elsewhere, are links. All of it goes through nh3.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore, inline, text_join
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Colouring takes up to 5 ms per 1,000 characters, on the path of everybody's tokens: longer code stays plain.
HIGHLIGHT_MAX = 8_000

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_FORMATTER = HtmlFormatter(nowrap=True)
_LABELS = {
    "": "Text",
    "text": "Text",
    "plaintext": "Text",
    "txt": "Text",
    "sh": "Shell",
    "shell": "Shell",
    "console": "Console",
}

_CLEANER = nh3.Cleaner(
    tags={
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
            "s",
        ),
        *("code", "pre", "table", "thead", "tbody", "tr", "th", "td", "div", "span", "button"),
    },
    clean_content_tags={"script", "style"},
    attributes={"a": {"href", "title"}, "ol": {"start"}, "span": {"class"}},
    tag_attribute_values={
        "div": {"class": {"code", "code-head", "table"}, "tabindex": {"0"}},
        "pre": {"tabindex": {"0"}},
        "button": {"type": {"button"}, "class": {"copy"}},
        "th": {"class": {"left", "center", "right"}},
        "td": {"class": {"left", "center", "right"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
)


class _Renderer(RendererHTML):
    """HTML for what is special here; the rest is markdown-it's own."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        words = tokens[idx].info.split(maxsplit=1)
        return _code(tokens[idx].content, words[0] if words else "")

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _code(tokens[idx].content, "")

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        words = escape(self.renderInlineAsText(token.children, options, env)) or "image"
        links = sum(other.nesting for other in tokens[:idx] if other.tag == "a")
        return words if links else f'<a href="{escape(str(token.attrs["src"]))}">{words}</a>'

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<div class="table" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _cell(tokens[idx])

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _cell(tokens[idx])


def _cell(token: Token) -> str:
    """A table's cell. markdown-it aligns by a style attribute, which the Content-Security-Policy forbids."""
    style = str(token.attrs.get("style", ""))
    side = style.removeprefix("text-align:")
    return f'<{token.tag} class="{side}">' if side else f"<{token.tag}>"


def _code(code: str, language: str) -> str:
    """A code block with a header: the language's name, and a button that the page gives its meaning."""
    lexer = _lexer(language.lower())
    label = _LABELS.get(language.lower()) or (lexer.name if lexer else language)
    plain = lexer is None or len(code) > HIGHLIGHT_MAX
    body = escape(code, quote=False) if plain else highlight(code, lexer, _FORMATTER)
    return (
        f'<div class="code"><div class="code-head"><span class="code-lang">{escape(label)}</span>'
        '<button type="button" class="copy">Copy</button></div>'
        f'<pre tabindex="0"><code>{body}</code></pre></div>\n'
    )


@functools.lru_cache(maxsize=256)
def _lexer(language: str) -> Lexer | None:
    if not language or len(language) > 40:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _markdown() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}, renderer_cls=_Renderer)
    md.enable(["table", "strikethrough"])
    md.validateLink = lambda url: _SAFE_LINK.match(url) is not None  # type: ignore[method-assign]
    return md


_MD = _markdown()


def parse_blocks(source: str) -> tuple[list[Token], dict[str, dict[str, Any]]]:
    """Parse only the block structure of `source`; return its tokens, and the references that it defines."""
    env: dict[str, Any] = {}
    tokens: list[Token] = []
    _MD.block.parse(source, _MD, env, tokens)
    return tokens, env.get("references", {})


def top_level(tokens: list[Token]) -> list[list[Token]]:
    """Group block tokens by the top-level block that they belong to."""
    groups: list[list[Token]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            groups.append([])
        groups[-1].append(token)
    return groups


def render_tokens(tokens: list[Token], references: dict[str, dict[str, Any]]) -> str:
    """Render block tokens, whose text has not been parsed yet, to sanitized HTML."""
    env = {"references": references}
    state = StateCore("", _MD, env, tokens)
    inline(state)
    text_join(state)
    return _CLEANER.clean(_MD.renderer.render(tokens, _MD.options, env))


def render(source: str, references: dict[str, dict[str, Any]]) -> str:
    """Render a whole source to sanitized HTML, with these references beside its own."""
    tokens, own = parse_blocks(source)
    return render_tokens(tokens, own | references)
