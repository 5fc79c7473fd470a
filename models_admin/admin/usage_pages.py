"""What replies took, in the admin site: by day, person, token and model, with a picture over time, and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from models_admin.admin import csv_text
from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.downloads import Download
from models_admin.models import Usage
from models_admin.permissions import may_see_usage
from models_admin.usage import reading
from models_admin.usage.reading import Line, Span

PERIODS = (7, 30, 90, 365)
GROUPS = {"person": "Person", "token": "Token", "model": "Model", "day": "Day"}
MOST = 200  # lines on the page; the CSV has all
MOST_MARKS = 5  # on a phone there is no room for more
COLUMNS = (
    *reading.GROUPS, "replies", "tokens in", "tokens out", "mean seconds to the first token", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """One day of the picture: places and sizes are percentages; `mark` is its label on the axis, '' for none."""

    day: date
    prompt: int
    completion: int
    place: float
    width: float
    whole: int  # what the highest bar stands for
    mark: str

    @property
    def drawn(self) -> SafeString:
        """The day as SVG: what went in stands on what came out."""
        out, both = (100 * each / self.whole for each in (self.completion, self.completion + self.prompt))
        place, width = f"{self.place:.3f}%", f"{self.width * 0.86:.3f}%"
        return format_html(
            '<g><title>{}: {} tokens in, {} out</title><rect class="gantry-used-in" x="{}" width="{}" y="{}%" height="{}%"/>'
            '<rect class="gantry-used-out" x="{}" width="{}" y="{}%" height="{}%"/></g>',
            f"{self.day:%-d %b %Y}",
            f"{self.prompt:,}",
            f"{self.completion:,}",
            *(place, width, f"{100 - both:.2f}", f"{both - out:.2f}"),
            *(place, width, f"{100 - out:.2f}", f"{out:.2f}"),
        )

    @property
    def middle(self) -> str:
        return f"{self.place + self.width * 0.43:.2f}%"

    @property
    def anchor(self) -> str:
        """SVG's text-anchor with which the label stays within the picture."""
        return "start" if self.place < 4 else "end" if self.place > 92 else "middle"


def bars(span: Span, days: list[Line]) -> list[Bar]:
    """Return a bar for each day of the span, from the lines by day."""
    by_day = {each.keys["day"]: each for each in days}
    every = list(span.days())
    whole, width = max((each.tokens for each in days), default=0) or 1, 100 / len(every)
    step = -(-len(every) // MOST_MARKS)
    return [
        Bar(
            day,
            line.prompt_tokens if (line := by_day.get(day)) else 0,
            line.completion_tokens if line else 0,
            number * width,
            width,
            whole,
            "" if (len(every) - 1 - number) % step else f"{day:%-d %b}",
        )
        for number, day in enumerate(every)
    ]


def csv_parts(span: Span) -> Iterator[str]:
    """Yield the usage of the span as CSV with a header, a day at a time, the newest first."""
    yield csv_text.lines([COLUMNS])
    for day in reversed(list(span.days())):
        found = reading.lines(Span(day, day), reading.GROUPS)
        yield csv_text.lines(
            (
                *each.keys.values(),
                each.replies,
                each.prompt_tokens,
                each.completion_tokens,
                "" if each.first_seconds is None else round(each.first_seconds, 3),
                round(each.seconds, 3),
            )
            for each in found
        )


@admin.register(Usage)
class UsageAdmin(ReadOnlyPages[Usage]):
    """One page: the sums of the days. Single rows are shown nowhere."""

    listed_as = "Usage"

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [path("export/", export, name="models_admin_usage_export"), *super().get_urls()]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_usage(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and may_see_usage(request.user)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the usage of some days (`days`), by one group (`by`)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        days, by = _asked(request)
        span = Span.of_days(days)
        by_day = reading.lines(span, ["day"])
        found = by_day if by == "day" else reading.lines(span, [by], MOST + 1)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Usage",
            "periods": PERIODS,
            "groups": GROUPS,
            "days": days,
            "by": by,
            "group": GROUPS[by],
            "lines": [(_shown(each.keys[by]), each) for each in found[:MOST]],
            "more": len(found) > MOST,
            "whole": next(iter(reading.lines(span, [])), None),
            "bars": bars(span, by_day),
        }
        return TemplateResponse(request, "admin/models_admin/usage/change_list.html", context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download the usage of some days (`days`) as CSV, by all that is told apart."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        days, _ = _asked(request)
        return Download(f"usage-{timezone.localdate()}.csv", csv_parts(Span.of_days(days)), "text/csv")


def _asked(request: HttpRequest) -> tuple[int, str]:
    """Return the days and the group that an address asks for; what makes no sense asks for the usual."""
    days, by = request.GET.get("days", ""), request.GET.get("by", "")
    known = {str(each): each for each in PERIODS}
    return known.get(days, 30), by if by in GROUPS else "person"


def _shown(key: Any) -> str:
    return f"{key:%-d %b %Y}" if isinstance(key, date) else str(key) or "(the chat)"
