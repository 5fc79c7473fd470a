"""The history of switches in the admin site: a list, a CSV download, and plots."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from models_admin.admin import check_results, history_csv, plots
from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.admin.moments import moment
from models_admin.downloads import Download
from models_admin.models import Source, Switch
from models_admin.permissions import may_see_history
from models_admin.presentation.waiting import describe
from models_admin.servers import differences, known
from models_admin.switching.admin_log import WHERE


class ByState(admin.ChoicesFieldListFilter):
    """Filters by state; each label begins with a capital."""

    def choices(self, changelist: Any) -> Any:
        return [
            {**each, "display": capfirst(self.words(str(each["display"])))}
            for each in super().choices(changelist)
        ]

    def words(self, label: str) -> str:
        """Return what is shown for a choice's own label."""
        return label


class BySource(ByState):
    """Filters by where a switch was asked for, in the words of the other pages."""

    def words(self, label: str) -> str:
        return {source.label: WHERE[source] for source in Source}.get(label, label)


class ByDate(admin.DateFieldListFilter):
    """Filters by when a switch was asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "date"


class ByModel(admin.SimpleListFilter):
    """Filters by the model that was switched to."""

    title = "model"
    parameter_name = "target"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = (
            Switch.objects.exclude(target="").order_by("target").values_list("target", flat=True).distinct()
        )
        return [(name, name) for name in names[:50]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Switch]) -> QuerySet[Switch]:
        return queryset.filter(target=self.value()) if self.value() else queryset


@admin.register(Switch)
class SwitchAdmin(ReadOnlyPages[Switch]):
    """The history of switches, to read."""

    listed_as = "Switch history"
    shown_as = "A switch"
    empty_words = "Each change of the loaded model stands here: who asked for it, how long it took, and what went wrong."

    list_display = ("when", "change", "ending", "took", "who")
    list_filter = (("state", ByState), ("source", BySource), ("created_at", ByDate), ByModel)
    search_fields = ("target", "previous", "error", "rule", "requested_by__username")
    list_select_related = ("requested_by",)
    list_per_page = 50
    # The error is the last of the steps.
    fields = (
        "when", "change", "outcome", "steps", "took", "who", "cause", "replies_cut", "used_options", "forced",
        "unchecked", "checks", "really",
        "advice",
    )  # fmt: skip
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"models_admin_switch_{name}")
            for name, view in (("export", self.export_view), ("plots", self.plots_view))
        ]
        return [*own, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Switch | None = None) -> tuple[str, ...]:
        """Leave out the fields that this switch has no value for."""
        present = {
            "forced": bool(obj and obj.force),
            "unchecked": bool(obj and obj.skip_checks),
            "checks": bool(obj and obj.check_runs.exists()),
            "cause": bool(obj and obj.cause_id),
            "really": bool(obj and obj.card),
            "advice": bool(obj and obj.advice),
        }
        return tuple(name for name in self.fields if present.get(name, True))

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download the history as CSV, filtered and searched as the list is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).get_queryset(request).select_related(None)
        except IncorrectLookupParameters:  # as the list itself does it
            return HttpResponseRedirect(f"{reverse('admin:models_admin_switch_changelist')}?{ERROR_FLAG}=1")
        name = f"switches-{timezone.now():%Y-%m-%d}.csv"
        return Download(name, history_csv.csv_parts(rows), "text/csv")

    def plots_view(self, request: HttpRequest) -> HttpResponse:
        """Show plots: load times per model, and what was loaded when."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        loads, load_axis = plots.load_times(known.default())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Load times and timeline",
            "listed_as": self.listed_as,
            "loads": loads,
            "load_axis": load_axis,
            "timeline": plots.timeline(known.default()),
        }
        return TemplateResponse(request, "admin/models_admin/switch/plots.html", context)

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_history(request.user) or super().has_view_permission(request, obj)

    @admin.display(description="When", ordering="created_at")
    def when(self, row: Switch) -> SafeString:
        return moment(row.created_at)

    @admin.display(description="From → to", ordering="target")
    def change(self, row: Switch) -> SafeString:
        tried = " (tried out)" if row.tries else ""
        return format_html(
            "{} → <strong>{}</strong>{}", row.previous or "nothing", row.target or "nothing", tried
        )

    @admin.display(description="By", ordering="requested_by__username")
    def who(self, row: Switch) -> str:
        """Show who asked for it, and where."""
        who = row.requested_by.get_username() if row.requested_by else ""
        where = f"rule: {row.rule}" if row.rule else WHERE[Source(row.source)]
        return f"{who} ({where})" if who else where

    @admin.display(description="Outcome", ordering="state")
    def outcome(self, row: Switch) -> SafeString:
        tone = {"succeeded": "good", "failed": "bad", "cancelled": "idle"}.get(row.state, "busy")
        return format_html(
            '<span class="gantry-badge gantry-{}">{}</span>', tone, capfirst(row.get_state_display())
        )

    @admin.display(description="Took")
    def took(self, row: Switch) -> str:
        """Show the seconds of all steps together."""
        total = sum(row.seconds.values())
        return f"{total:.1f} s" if row.seconds else "–"

    @admin.display(description="Outcome", ordering="state")
    def ending(self, row: Switch) -> SafeString:
        """Show the outcome, and below it the beginning of the error, if there was one."""
        if not row.error:
            return self.outcome(row)
        error = row.error if len(row.error) <= 120 else f"{row.error[:118]}…"
        return format_html('{} <span class="gantry-quiet gantry-error">{}</span>', self.outcome(row), error)

    @admin.display(description="Steps")
    def steps(self, row: Switch) -> SafeString:
        """Show its lines, and the seconds of each state."""
        lines = format_html_join(
            "",
            '<li class="gantry-line-{}">{}</li>',
            ((line["state"], line["text"]) for line in describe(row.pk)["lines"]),
        )
        seconds = ", ".join(
            f"{state.replace('_', ' ')} {spent:.1f} s" for state, spent in row.seconds.items()
        )
        return format_html('<ol class="gantry-lines">{}</ol><p class="gantry-quiet">{}</p>', lines, seconds)

    @admin.display(description="Options")
    def used_options(self, row: Switch) -> str:
        return (
            "; ".join(f"{name} {differences.in_words(value)}" for name, value in sorted(row.options.items()))
            or "none"
        )

    @admin.display(description="Files")
    def forced(self, row: Switch) -> str:
        """Show that somebody had the model loaded whatever its files look like; steps() shows what was found."""
        return "It was asked for whatever they look like."

    @admin.display(description="Checks")
    def unchecked(self, row: Switch) -> str:
        """Show that somebody had the model serve without the checks."""
        return "It was to serve without them."

    @admin.display(description="Checks")
    def checks(self, row: Switch) -> SafeString:
        """Show what came of the checks before serving."""
        return format_html_join("", "{}", ((check_results.table(each),) for each in row.check_runs.all()))

    @admin.display(description="Loaded with")
    def really(self, row: Switch) -> str:
        """Show what TabbyAPI's card showed in the end; steps() shows how that differs from the options."""
        return "; ".join(f"{name} {differences.in_words(value)}" for name, value in sorted(row.card.items()))
