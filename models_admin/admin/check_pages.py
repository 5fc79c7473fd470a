"""Checks in the admin site: their list and form, the button that runs them now, and what came of each run."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from models_admin import events
from models_admin.admin import check_results, report_pages
from models_admin.admin.check_form import CheckForm
from models_admin.admin.list_pages import ListPages, ReadOnlyPages
from models_admin.admin.moments import moment
from models_admin.models import Check, CheckRun
from models_admin.permissions import may_manage, may_see_history
from models_admin.servers import known, state_row

ASKED = ("prompt", "system_prompt", "sampling", "tools", "picture")
MUST = (
    "answers", "ends_within", "no_marks", "no_repeats", "no_gibberish", "contains", "excludes", "matches", "json_schema",
    "calls_tool", "language", "first_token_within", "least_rate", "least_share", "must_end",
)  # fmt: skip


@admin.register(Check)
class CheckAdmin(ListPages[Check]):
    """Who sees the history sees the checks; to change or run them takes `manage`."""

    form = CheckForm
    listed_as = "Checks of models"
    empty_words = (
        "A check asks a model something, and says what the answer must fulfil before anybody is served."
    )
    list_display = ("name", "whom", "when", "prompt_shown", "enabled")
    search_fields = ("name", "prompt", "model", "tag")
    change_list_template = "admin/models_admin/check/change_list.html"
    fieldsets = (
        (None, {"fields": ("name", "enabled", "before_serving", "model", "tag")}),
        ("What is asked", {"fields": ASKED}),
        ("The answer", {"fields": MUST}),
    )

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def get_urls(self) -> list[URLPattern]:
        run = path("run/", self.admin_site.admin_view(self.run_view), name="models_admin_check_run")
        return [run, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Check | None = None) -> Any:
        if self.has_change_permission(request):
            return self.fieldsets
        asked = tuple(name for name in ASKED if name != "picture")  # it is no column
        return (self.fieldsets[0], ("What is asked", {"fields": asked}), self.fieldsets[2])

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_history(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_manage(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request.user)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        loaded = state_row.row(known.default()).model if may_manage(request.user) else ""
        return super().changelist_view(request, {"loaded": loaded, **(extra_context or {})})

    def run_view(self, request: HttpRequest) -> HttpResponse:
        """POST: have a worker run all checks of the loaded model, while it serves."""
        if not may_manage(request.user):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        server = known.default()
        if loaded := state_row.row(server).model:
            events.nudge_worker("models_admin.tasks.run_checks", server)
            messages.success(
                request, f"The checks of {loaded} are being run: reload this page to see what came of them."
            )
        else:
            messages.warning(request, "No model is loaded.")
        return HttpResponseRedirect(reverse("admin:models_admin_checkrun_changelist"))

    @admin.display(description="For")
    def whom(self, row: Check) -> str:
        return row.model or (f"the tag {row.tag}" if row.tag else "all models")

    @admin.display(description="Run", ordering="before_serving")
    def when(self, row: Check) -> str:
        return "before serving" if row.before_serving else "only when asked for"

    @admin.display(description="Asks")
    def prompt_shown(self, row: Check) -> str:
        return row.prompt if len(row.prompt) <= 100 else f"{row.prompt[:98]} …"


@admin.register(CheckRun)
class CheckRunAdmin(ReadOnlyPages[CheckRun]):
    """What came of each run, to read."""

    listed_as = "Runs of checks"
    empty_words = (
        "What came of checks stands here: after each load, and where they were run on the loaded model."
    )
    list_display = ("at", "model", "kind", "outcome")
    list_filter = ("verdict", "kind")
    search_fields = ("model",)
    fields = readonly_fields = ("at", "model_and_report", "kind", "outcome", "its_switch", "answers")

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_history(request.user)

    @admin.display(description="When", ordering="started_at")
    def at(self, row: CheckRun) -> SafeString:
        return moment(row.started_at)

    @admin.display(description="Model")
    def model_and_report(self, row: CheckRun) -> SafeString:
        return format_html('<a href="{}">{}</a>', report_pages.address(row.model), row.model)

    @admin.display(description="Outcome", ordering="verdict")
    def outcome(self, row: CheckRun) -> SafeString:
        return check_results.badge(row.verdict)

    @admin.display(description="Switch")
    def its_switch(self, row: CheckRun) -> str:
        if row.switch_id is None:
            return "–"
        url = reverse("admin:models_admin_switch_change", args=[row.switch_id])
        return format_html('<a href="{}">Number {}</a>', url, row.switch_id)

    @admin.display(description="Answers")
    def answers(self, row: CheckRun) -> SafeString:
        return check_results.table(row)
