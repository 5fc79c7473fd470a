"""The Servers page, where there are several: what each runs and does, and whether it is given replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime

from models_admin import counters
from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.admin.models_page import is_fragment
from models_admin.models import Server
from models_admin.page_schema import ServerState
from models_admin.permissions import may_see_history, may_switch
from models_admin.presentation import server_facts, team_snapshots
from models_admin.servers import diagnosis, known, team
from models_admin.switching import service

TEMPLATES = "admin/models_admin/server"


@dataclass(frozen=True, slots=True)
class Card:
    """A server as the page shows it; `objection`: why it is to stay in service, '' where nothing speaks against it."""

    state: ServerState
    address: str
    objection: str
    pace: float | None  # tokens a second

    @property
    def tone(self) -> str:
        """Its colour: good, busy, idle or bad."""
        return server_facts.words(self.state)[0]

    @property
    def words(self) -> str:
        """What it runs or does."""
        return server_facts.words(self.state)[1]

    @property
    def since(self) -> Any:
        """Since when it is as it is, if that is known."""
        state = self.state
        since = state["unreachable_since"] if state["state"] == "unreachable" else state["loaded_at"]
        return parse_datetime(since) if since else None

    @property
    def out_since(self) -> Any:
        """Since when it is out of service; None: it is in service."""
        since = self.state["out_of_service_since"]
        return parse_datetime(since) if since else None


@admin.register(Server)
class ServerAdmin(ReadOnlyPages[Server]):
    """The Servers page; where there is one server, there is no such page."""

    listed_as = "Servers"

    def has_view_permission(self, request: HttpRequest, obj: Server | None = None) -> bool:
        return known.several() and may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<str:name>/{what}/", self.admin_site.admin_view(view), name=f"models_admin_server_{what}")
            for what, view in (("out", self.out_view), ("in", self.in_view))
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not known.several():
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows, paces = team.rows(), counters.paces()
        states = team_snapshots.each(rows)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.listed_as,
            "cards": [
                Card(
                    each,
                    diagnosis.address(each["id"]),
                    service.objection(each["id"], rows),
                    server_facts.pace(each["id"], paces),
                )
                for each in states
            ],
            "key": "|".join(map(server_facts.key, states)),
            "may_switch": may_switch(request.user),
        }
        page = "cards.html" if is_fragment(request) else "change_list.html"
        return TemplateResponse(request, f"{TEMPLATES}/{page}", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the page of all: a server has no page of its own."""
        return self._back()

    def out_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """POST: take a server out of service."""
        server = self._asked(request, name)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        how = {"forced": "force" in request.POST, "let_go": "let_go" in request.POST}
        try:
            service.take_out(server, user_id=request.user.pk, **how)
        except service.LastInService as error:
            messages.error(request, f"Nothing was changed: {error}")
        else:
            messages.success(request, f"Out of service: {name} is given no replies until it is put back.")
        return self._back()

    def in_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """POST: put a server back into service."""
        server = self._asked(request, name)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        service.put_back(server, user_id=request.user.pk)
        messages.success(request, f"In service again: {name}.")
        return self._back()

    def _asked(self, request: HttpRequest, name: str) -> int:
        if not may_switch(request.user):
            raise PermissionDenied
        server = known.find(name)
        if server is None:
            raise Http404
        return server

    def _back(self) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:models_admin_server_changelist"))
