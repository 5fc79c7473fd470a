"""The report on a model, the comparison of a few, and the figures of both as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from models_admin.admin import check_results, csv_text, curves, file_facts, report_figures
from models_admin.admin.usage_pages import PERIODS
from models_admin.downloads import Download
from models_admin.models import CheckResult, TabbyModel
from models_admin.permissions import may_manage, may_see_feedback, may_see_usage
from models_admin.presentation import model_reports
from models_admin.presentation.model_reports import ModelReport
from models_admin.usage.reading import Span

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[TabbyModel]
else:
    ModelAdmin = admin.ModelAdmin  # which takes no parameter at run time

MOST = curves.MOST_LINES
LONGEST = 255
MOST_OTHERS = 500  # models to choose from


def address(*models: str) -> str:
    """Return where the report on these models is."""
    query = urlencode([("model", name) for name in models])
    return f"{reverse('admin:models_admin_tabbymodel_report')}?{query}"


class ReportPages(ModelAdmin):
    """For users who see what replies take and what readers say: reports on one to MOST models."""

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(place, self.admin_site.admin_view(view), name=f"models_admin_tabbymodel_{name}")
            for place, view, name in (
                ("report/", self.report_view, "report"),
                ("report/export/", self.report_export_view, "report_export"),
            )
        ]
        return [*own, *super().get_urls()]

    @admin.action(description="Compare selected models", permissions=["change"])
    def compare_selected(
        self, request: HttpRequest, queryset: QuerySet[TabbyModel]
    ) -> HttpResponseRedirect | None:
        """Lead to the comparison, if not too many models were selected."""
        names = list(queryset.values_list("name", flat=True)[: MOST + 1])
        if len(names) > MOST:
            messages.error(request, f"Select {MOST} models at most: more cannot be compared at once.")
            return None
        return HttpResponseRedirect(address(*names))

    def report_view(self, request: HttpRequest) -> HttpResponse:
        """Show the report on the models `model` for the last `days`."""
        _permit(request)
        names, days, error = _asked(request)
        span = Span.of_days(days)
        reports = [] if error else model_reports.reports(names, span)
        title = f"Report on {names[0]}" if len(names) == 1 else "Compare models"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "listed_as": "Models",
            "title": title,
            "error": error,
            "names": names,
            "others": _others(names),
            "one": reports[0] if len(reports) == 1 else None,
            "query": urlencode([*(("model", name) for name in names), ("days", days)]),
            "periods": PERIODS,
            "days": days,
            "heads": [_head(number, each, len(reports)) for number, each in enumerate(reports)],
            "rows": report_figures.rows(reports),
            "reasons": report_figures.reasons(reports),
            "pictures": report_figures.pictures(reports, span),
            "answers": _answers(reports),
            "files": file_facts.in_full(reports[0].row) if len(reports) == 1 and reports[0].row else "",
        }  # fmt: skip
        template = "admin/models_admin/tabbymodel/report.html"
        return TemplateResponse(request, template, context, status=400 if error else 200)

    def report_export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download the figures of such a report as CSV: a line for each figure, a column for each model."""
        _permit(request)
        names, days, error = _asked(request)
        if error:
            return HttpResponse(error, status=400, content_type="text/plain; charset=utf-8")
        reports = model_reports.reports(names, Span.of_days(days))
        lines = [
            ("figure", "unit", *names),
            *((row.label, row.unit, *map(_plain, row.values)) for row in report_figures.rows(reports)),
            *((f"failed: {row.label}", "", *row.values) for row in report_figures.reasons(reports)),
        ]
        return Download(f"models-{timezone.localdate()}.csv", iter([csv_text.lines(lines)]), "text/csv")


def _permit(request: HttpRequest) -> None:
    if not (may_manage(request.user) and may_see_usage(request.user) and may_see_feedback(request.user)):
        raise PermissionDenied


def _asked(request: HttpRequest) -> tuple[list[str], int, str]:
    """Return the models, the days, and what is wrong with the models, in a sentence."""
    names = list(dict.fromkeys(filter(None, request.GET.getlist("model"))))
    days = {str(each): each for each in PERIODS}.get(request.GET.get("days", ""), 30)
    if not names:
        return names, days, "No model is named. Select one to five on the page “Models”."
    if len(names) > MOST:
        return names[:MOST], days, f"{len(names)} models are named, and {MOST} at most can be compared."
    if any(len(name) > LONGEST for name in names):
        return [], days, "No model has such a name."
    if unknown := [name for name in names if not model_reports.known(name)]:
        return names, days, f"Nothing is known of a model “{unknown[0]}”."
    return names, days, ""


def _others(names: Sequence[str]) -> list[str]:
    """Return the models that may be compared with these, none where these are as many as can be."""
    if len(names) >= MOST:
        return []
    rows = TabbyModel.objects.exclude(name__in=names).order_by("name")
    return list(rows.values_list("name", flat=True)[:MOST_OTHERS])


def _head(number: int, report: ModelReport, many: int) -> SafeString:
    """Show a model's name, with its line of the pictures where there are several."""
    key = curves.key(number) if many > 1 else ""
    return format_html("{}<span>{}</span>", key, report.name)


def _answers(reports: Sequence[ModelReport]) -> list[tuple[str, list[SafeString]]]:
    found = report_figures.answers(reports)
    return [(each.name, [_answer(result) for result in each.results]) for each in found]


def _answer(result: CheckResult | None) -> SafeString:
    if result is None:
        return format_html('<span class="gantry-quiet">{}</span>', "not asked")
    return format_html(
        "{} {} {}", check_results.badge(result.verdict), result.why, check_results.long(result.answer)
    )


def _plain(value: report_figures.Value) -> str | int:
    return "" if value is None else value if isinstance(value, int) else f"{value:.4g}"
