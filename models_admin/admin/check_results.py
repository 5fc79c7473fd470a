"""What came of checks, as the admin pages show it."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from models_admin.models import CheckRun, Verdict

_TONES = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.NOT_JUDGED: "idle"}


def badge(verdict: str) -> SafeString:
    """Show a verdict."""
    known = Verdict(verdict)
    return format_html('<span class="gantry-badge gantry-{}">{}</span>', _TONES[known], capfirst(known.label))


def table(run: CheckRun) -> SafeString:
    """Show each check of a run: the verdict, what was asked, what came, how fast."""
    rows = format_html_join(
        "",
        "<tr><th>{}</th><td>{} {}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        (
            (
                each.name,
                badge(each.verdict),
                each.why,
                long(each.asked),
                long(each.answer),
                _speed(each.first_token, each.rate),
            )
            for each in run.results.all()
        ),
    )
    head = "<tr><th>Check</th><th>Outcome</th><th>Asked</th><th>Answer</th><th>Speed</th></tr>"
    return format_html(
        '<div class="gantry-wide"><table><thead>{}</thead><tbody>{}</tbody></table></div>',
        SafeString(head),
        rows,
    )


def long(text: str) -> SafeString:
    """Show a text; of a long one its beginning, which opens."""
    if len(text) <= 200:
        return format_html("{}", text or "–")
    return format_html("<details><summary>{} …</summary>{}</details>", text[:120], text)


def _speed(first: float | None, rate: float | None) -> str:
    parts = [
        f"first token {first:.2f} s" if first is not None else "",
        f"{rate:.0f} tokens/s" if rate else "",
    ]
    return ", ".join(filter(None, parts)) or "–"
