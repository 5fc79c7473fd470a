"""The Models page beyond Django's list: the banner, Refresh, and the pages behind its buttons.

Each change is a page of its own: GET shows what would happen, POST asks for it. So it works without scripts; the Models
page's script shows the same content in a dialog. The room `switching` carries changes out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from models_admin import permissions
from models_admin.adding import words
from models_admin.admin import confirmation
from models_admin.admin.option_fields import NAMES, OneTimeOptions
from models_admin.automation import upkeep
from models_admin.models import DOWNLOADS_OPEN, ModelDownload, Source, Switch, TabbyModel
from models_admin.page_schema import Backend
from models_admin.presentation import team_snapshots
from models_admin.presentation.banner import banner
from models_admin.servers import connections, diagnosis, known, names, state_row
from models_admin.switching import rollout, transitions, trying

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[TabbyModel]
else:
    ModelAdmin = admin.ModelAdmin  # which takes no parameter at run time

# Opening the page asks TabbyAPI first, so that a reload shows a model that was just copied there. It does not where the
# last answer is younger than FRESH_SECONDS, and it waits no longer than PATIENCE_SECONDS for each answer.
FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
MOST_NAMED = 10  # models, in the message after a refresh

TEMPLATES = "admin/models_admin/tabbymodel"


def is_fragment(request: HttpRequest) -> bool:
    """Whether the page's script asks for a part to put into the page."""
    return request.headers.get("X-Requested-With") == "fragment"


class ModelPages(ModelAdmin):
    """The Models page and the pages behind its buttons."""

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Whether the user may change the loaded model."""
        return permissions.may_switch(request.user)

    def has_unload_permission(self, request: HttpRequest) -> bool:
        """Whether the user may unload the model."""
        return permissions.may_unload(request.user)

    def may_refresh(self, request: HttpRequest) -> bool:
        """Whether the user may have TabbyAPI asked for its models."""
        return permissions.may_refresh(request.user)

    def get_urls(self) -> list[URLPattern]:
        pages = (
            ("refresh/", self.refresh_view, "refresh"),
            ("unload/", self.unload_view, "unload"),
            ("<int:pk>/switch/", self.switch_view, "switch"),
            ("<int:pk>/try/", self.try_view, "try"),
            ("cancel/<int:switch_id>/", self.cancel_view, "cancel"),
        )
        own = [
            path(route, self.admin_site.admin_view(view), name=f"models_admin_tabbymodel_{name}")
            for route, view, name in pages
        ]
        return [*own, *super().get_urls()]

    # The Models page

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        fragment = is_fragment(request)
        _require(allowed=self.has_view_permission(request))
        if request.method == "GET" and not fragment:
            _refresh_quickly(known.default())
        snapshot = team_snapshots.current()
        running = snapshot.get("rollout") or snapshot["switch"]
        context = {
            "title": "Models",
            "banner": banner(snapshot),
            "gone": list(
                TabbyModel.objects.filter(retired_at=None)
                .exclude(vanished_at=None)
                .values_list("name", flat=True)
            ),
            "known": TabbyModel.objects.filter(vanished_at=None).exists(),
            "downloading": [
                words.describe(each) for each in ModelDownload.objects.filter(state__in=DOWNLOADS_OPEN)
            ],
            "may_refresh": self.may_refresh(request),
            "may_unload": self.has_unload_permission(request),
            "may_manage": permissions.may_manage(request.user),
            "may_look_back": permissions.may_see_history(request.user),
            "may_cancel": running is not None and self._may_cancel(request, running["target"]),
            "may_go_back": self.has_switch_permission(request),
            **(extra_context or {}),
        }
        response = super().changelist_view(request, context)
        if fragment and isinstance(response, TemplateResponse):
            response.template_name = f"{TEMPLATES}/live.html"
        return response

    def refresh_view(self, request: HttpRequest) -> HttpResponse:
        """POST: ask TabbyAPI for its models, and show which are new and which have gone."""
        _require(allowed=self.may_refresh(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        found = upkeep.refresh_all()
        if not found.error:
            diagnosis.remember(known.default())
        if found.error:
            messages.error(request, f"The list is as it was: {found.error} {found.error.advice}")
        elif not found.added and not found.vanished:
            messages.success(request, "The list is up to date: TabbyAPI has no other models.")
        else:
            parts = [f"new: {_some(found.added)}"] if found.added else []
            parts += [f"gone: {_some(found.vanished)}"] if found.vanished else []
            messages.success(request, f"The list is up to date; {'; '.join(parts)}.")
        return self._back()

    # The steps that change what is loaded

    def switch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET: show what a switch to this model would mean. POST: ask for it."""
        _require(allowed=self.has_switch_permission(request))
        model = get_object_or_404(TabbyModel, pk=pk)
        chosen = OneTimeOptions(request.POST if request.method == "POST" else None, stored=model.load_options)
        if request.method == "POST" and chosen.is_valid():
            return self._ask(request, model.name, model, _request_arguments(chosen))
        snapshot = team_snapshots.current()
        return self._confirm(
            request, snapshot, form=chosen, **confirmation.of_switch(known.default(), snapshot, model)
        )

    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: ask for this model to be tried out. The button is on the page of a switch to it."""
        _require(allowed=self.has_switch_permission(request))
        model = get_object_or_404(TabbyModel, pk=pk)
        chosen = OneTimeOptions(request.POST, stored=model.load_options)
        if request.method != "POST" or not chosen.is_valid():
            for name, faults in chosen.errors.items() if request.method == "POST" else ():
                messages.error(
                    request, f"Nothing was changed. {chosen.fields[name].label}: {' '.join(map(str, faults))}"
                )
            return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_switch", args=[pk]))
        return self._ask(
            request, model.name, model, {**_request_arguments(chosen), "skip_checks": False}, tries=True
        )

    def unload_view(self, request: HttpRequest) -> HttpResponse:
        """GET: show what an unload would mean. POST: ask for it."""
        _require(allowed=self.has_unload_permission(request))
        snapshot = team_snapshots.current()
        if request.method == "POST":
            return self._ask(request, "", TabbyModel.objects.filter(name=snapshot["model"]).first())
        return self._confirm(
            request,
            snapshot,
            **confirmation.of_unload(known.default(), snapshot, request.GET.get("model", "")),
        )

    def cancel_view(self, request: HttpRequest, switch_id: int) -> HttpResponse:
        """POST: cancel the switch that runs."""
        switch = get_object_or_404(Switch, pk=min(switch_id, 2**63 - 1))
        _require(allowed=self._may_cancel(request, switch.target))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            if switch.rollout is not None and switch.rollout.finished_at is None:
                go_back = "go_back" in request.POST and self.has_switch_permission(request)
                rollout.cancel(switch.rollout, user=request.user, go_back=go_back)
            else:
                transitions.cancel(switch, user=request.user)
        except transitions.SwitchRefused as error:
            messages.error(request, str(error))
        else:
            about = TabbyModel.objects.filter(name=switch.target).first() or switch
            self._log(request, about, "Cancelled a switch", switch)
            switch.refresh_from_db()
            if switch.active:
                messages.info(
                    request, "The switch is cancelled as soon as TabbyAPI has ended the load at hand."
                )
        return self._back()

    def _ask(
        self,
        request: HttpRequest,
        target: str,
        model: TabbyModel | None,
        arguments: dict[str, Any] | None = None,
        *,
        tries: bool = False,
    ) -> HttpResponse:
        """Ask for a switch, or for a try on the first server that is chosen; go back to the Models page, which shows it."""
        names = request.POST.getlist("server")
        if known.several() and not names and not tries:
            messages.error(request, "Nothing was changed: choose at least one server.")
            return self._back()
        request_on = partial(trying.request_on, names[:1]) if tries else partial(rollout.request_on, names)
        try:
            switch = request_on(target, source=Source.ADMIN, user=request.user, **(arguments or {}))
        except transitions.SwitchRefused as error:
            messages.error(request, str(error))
        else:
            change = f"a switch from {switch.previous or 'nothing'} to {target}" if target else "an unload"
            change = f"{target} to be tried out" if tries else change
            self._log(request, model or switch, f"Asked for {change}", switch)
        return self._back()

    def _log(self, request: HttpRequest, about: TabbyModel | Switch, words: str, switch: Switch) -> None:
        self.log_change(request, about, f"{words} (number {switch.pk} in the history).")  # type: ignore[arg-type]

    def _confirm(self, request: HttpRequest, snapshot: Backend, **facts: Any) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "snapshot": snapshot,
            "vram_rule": names.VRAM_RULE,
            "vram_usual": names.VRAM_USUAL,
            "fragment": is_fragment(request),
            **facts,
        }
        template = "confirm_content.html" if is_fragment(request) else "confirm.html"
        return TemplateResponse(request, f"{TEMPLATES}/{template}", context)

    def _may_cancel(self, request: HttpRequest, target: str) -> bool:
        return self.has_switch_permission(request) if target else self.has_unload_permission(request)

    def _back(self) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_changelist"))


def _request_arguments(form: OneTimeOptions) -> dict[str, Any]:
    """Return the arguments for transitions.request(); options that were emptied in the form are left out this time."""
    emptied = {name: None for name in NAMES if name in form.data}
    return {
        "options": {**emptied, **form.options},
        **{name: form.cleaned_data[name] for name in ("drain_seconds", "force", "skip_checks")},
    }


def _some(found: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(found) - MOST_NAMED
    return ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _require(*, allowed: bool) -> None:
    if not allowed:
        raise PermissionDenied


def _refresh_quickly(server: int) -> None:
    """Ask a server for its models, unless that was done just now, it is out of reach, or a switch is under way."""
    row = state_row.row(server)
    age = (timezone.now() - row.catalog_at).total_seconds() if row.catalog_at else FRESH_SECONDS
    if age < FRESH_SECONDS or row.unreachable_since is not None or transitions.active(server) is not None:
        return
    with connections.client(server, patience=PATIENCE_SECONDS) as client:
        found = upkeep.try_to_refresh(server, client)
        if found.error is None and not TabbyModel.objects.filter(vanished_at=None).exists():
            diagnosis.remember(server, client)  # the page shows what TabbyAPI answers
