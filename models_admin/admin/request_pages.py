"""Users' requests for a model in the admin site: the box on the Models page, their list, and the page to decline one.

A request is granted when its model is loaded, whoever asked for that. The button of a request asks for the switch at once; a
link leads to the page that shows what the switch would mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.admin.models_page import is_fragment
from models_admin.admin.moments import moment
from models_admin.model_requests import asking
from models_admin.models import ModelRequest, RequestState, TabbyModel
from models_admin.permissions import may_answer_requests, may_switch

SHOWN = 5  # in the box; the rest is behind a link
LIST = "admin:models_admin_modelrequest_changelist"
MODELS = "admin:models_admin_tabbymodel_changelist"
TONES = {RequestState.OPEN: "busy", RequestState.GRANTED: "good", RequestState.DECLINED: "bad"}


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request, the model's display name, and the addresses of its buttons; '' where this user has no such button."""

    asked: ModelRequest
    name: str
    switch: str
    decline: str


@dataclass(frozen=True, slots=True)
class Box:
    """The open requests, oldest first: the first few, and how many there are."""

    rows: list[RequestRow]
    count: int

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.count - len(self.rows)


def box(request: HttpRequest) -> Box | None:
    """Return what the Models page shows of the open requests; None for users who may not see them."""
    if not may_answer_requests(request.user):
        return None
    rows = asking.unanswered()
    models = _models({row.target for row in rows[:SHOWN]})
    return Box([_row(request, row, models) for row in rows[:SHOWN]], len(rows))


def _models(names: set[str]) -> dict[str, TabbyModel]:
    return {each.name: each for each in TabbyModel.objects.filter(name__in=names)}


def _row(request: HttpRequest, row: ModelRequest, models: dict[str, TabbyModel]) -> RequestRow:
    model = models.get(row.target)
    switch = ""
    if model is not None and model.present and may_switch(request.user):
        switch = reverse("admin:models_admin_tabbymodel_switch", args=[model.pk])
    return RequestRow(
        row,
        str(model or row.target),
        switch,
        reverse("admin:models_admin_modelrequest_decline", args=[row.pk]),
    )


class ByRequestState(admin.SimpleListFilter):
    """Filters by state; without a choice, the list shows open requests."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ended = [
            (value, label.capitalize()) for value, label in RequestState.choices if value != RequestState.OPEN
        ]
        return [*ended, ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "Open"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ModelRequest]) -> QuerySet[ModelRequest]:
        value = self.value() or RequestState.OPEN
        if value == "all":
            return queryset
        return queryset.filter(state=value) if value in RequestState.values else queryset.none()


class Decline(forms.Form):
    """The form that declines a request: an answer for the user."""

    answer = forms.CharField(
        label="Why",
        required=False,
        max_length=asking.LONGEST,
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
        help_text="The user reads this. It may be left empty.",
    )


@admin.register(ModelRequest)
class RequestAdmin(ReadOnlyPages[ModelRequest]):
    """The list of requests, for users who may switch or manage models. Requests are answered, not edited."""

    listed_as = "Requests for models"
    empty_words = "No request is open. What people ask for, in the chat's list of models, stands here until it is answered."
    list_display = ("asked", "who", "wanted", "why", "outcome")
    list_display_links = None
    list_filter = (ByRequestState,)
    search_fields = ("target", "reason", "answer", "user__username")
    list_select_related = ("user", "answered_by")
    list_per_page = 50

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css", "models_admin/requests.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decline_view)
        return [
            path("<int:pk>/decline/", view, name="models_admin_modelrequest_decline"),
            *super().get_urls(),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_answer_requests(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_answer_requests(request.user)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        # The changelist asks several times during a request, and compares what it is given.
        if not hasattr(request, "gantry_columns"):
            models = _models(
                set(ModelRequest.objects.filter(state=RequestState.OPEN).values_list("target", flat=True))
            )

            def control(row: ModelRequest) -> str:
                return _buttons(_row(request, row, models)) if row.state == RequestState.OPEN else ""

            control.short_description = "Answer"  # type: ignore[attr-defined]
            control.empty_value_display = ""  # type: ignore[attr-defined]
            request.gantry_columns = [*self.list_display, control]  # type: ignore[attr-defined]
        columns: list[Any] = request.gantry_columns  # type: ignore[attr-defined]
        return columns

    def decline_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET: ask for an answer. POST: decline the request with it."""
        if not may_answer_requests(request.user):
            raise PermissionDenied
        asked = get_object_or_404(ModelRequest.objects.select_related("user"), pk=pk)
        form = Decline(request.POST or None)
        back = reverse(MODELS if "models" in request.POST or is_fragment(request) else LIST)
        if request.method == "POST" and form.is_valid():
            try:
                asking.decline(asked.pk, by=request.user.pk or 0, answer=form.cleaned_data["answer"])
            except asking.TooLate as error:
                messages.error(request, str(error))
            else:
                self.log_change(request, asked, "Declined.")
                messages.success(request, f"Declined. {asked.user} is told.")
            return HttpResponseRedirect(back)
        facts = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Decline this request?",
            "row": _row(request, asked, _models({asked.target})),
            "form": form,
            "back": back,
            "fragment": is_fragment(request),
        }
        template = "decline_content.html" if is_fragment(request) else "decline.html"
        return TemplateResponse(request, f"admin/models_admin/modelrequest/{template}", facts)

    @admin.display(description="Asked", ordering="asked_at")
    def asked(self, row: ModelRequest) -> SafeString:
        return moment(row.asked_at)

    @admin.display(description="By", ordering="user__username")
    def who(self, row: ModelRequest) -> str:
        return row.user.get_username()

    @admin.display(description="Model", ordering="target")
    def wanted(self, row: ModelRequest) -> SafeString:
        return format_html('<span class="gantry-name">{}</span>', row.target)

    @admin.display(description="Reason")
    def why(self, row: ModelRequest) -> SafeString | str:
        return format_html("<bdi>{}</bdi>", row.reason) if row.reason else "–"

    @admin.display(description="State", ordering="state")
    def outcome(self, row: ModelRequest) -> SafeString:
        """Show its state, with an administrator's name and answer where there are some."""
        badge = format_html(
            '<span class="gantry-badge gantry-{}">{}</span>',
            TONES.get(RequestState(row.state), "idle"),
            capfirst(row.get_state_display()),
        )
        parts = [f"by {row.answered_by}" if row.answered_by else "", f"“{row.answer}”" if row.answer else ""]
        words = ": ".join(filter(None, parts))
        return format_html("{} <bdi>{}</bdi>", badge, words) if words else badge


def redirect_former(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Redirect from a former address of these pages to the present one, with the method, body and query."""
    query = f"?{request.META['QUERY_STRING']}" if request.META["QUERY_STRING"] else ""
    return HttpResponsePermanentRedirect(f"{reverse(LIST)}{quote(rest)}{query}", preserve_request=True)


def _buttons(row: RequestRow) -> SafeString:
    switch = (
        format_html(
            '<button class="gantry-button" formaction="{}" aria-label="Switch to {}">Switch</button> ',  # in the list's form
            row.switch,
            row.asked.target,
        )
        if row.switch
        else ""
    )
    return format_html(
        '<span class="gantry-answers">{}<a class="gantry-button gantry-plain" href="{}" aria-label="{}">Decline</a></span>',
        switch,
        row.decline,
        f"Decline the request of {row.asked.user} for {row.asked.target}",
    )
