"""The pages to retire a model and to bring it back, and what is told of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from models_admin.models import TabbyModel
from models_admin.permissions import may_manage
from models_admin.setup import retirement

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[TabbyModel]
else:
    ModelAdmin = admin.ModelAdmin  # which takes no parameter at run time


class RetirePages(ModelAdmin):
    """For users who may manage models: what a retirement takes away, its confirmation, and the way back."""

    change_form_template = "admin/models_admin/tabbymodel/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"models_admin_tabbymodel_{name}"
            )
            for name, view in (("retire", self.retire_view), ("restore", self.restore_view))
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, *args: object, **kwargs: object
    ) -> HttpResponse:
        """Show the form; of a retired model also where its files are."""
        response = super().change_view(request, object_id, *args, **kwargs)  # type: ignore[arg-type]
        if isinstance(response, TemplateResponse) and response.context_data:
            row = response.context_data.get("original")
            response.context_data["may_retire"] = may_manage(request.user)
            response.context_data["files"] = retirement.files(row) if row and row.retired_at else None
        return response

    def retire_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET: show what a retirement takes away. POST: retire the model."""
        row = self._managed(request, pk)
        if request.method == "POST":
            try:
                retirement.retire(row.name)
            except retirement.InUse as error:
                messages.error(request, str(error))
            else:
                self.log_change(request, row, "Retired.")
                messages.success(
                    request, f"“{row.name}” is retired: nobody is offered it, and nothing loads it."
                )
                return self._to(row)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "listed_as": "Models",
            "title": f"Retire {row.name}?",
            "row": row,
            "losses": retirement.losses(row.name),
            "files": retirement.files(row),
        }
        return TemplateResponse(request, "admin/models_admin/tabbymodel/retire.html", context)

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: bring a retired model back."""
        row = self._managed(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        retirement.restore(row.name)
        self.log_change(request, row, "Brought back.")
        messages.success(request, f"“{row.name}” is back.")
        return self._to(row)

    def _managed(self, request: HttpRequest, pk: int) -> TabbyModel:
        if not may_manage(request.user):
            raise PermissionDenied
        return get_object_or_404(TabbyModel, pk=min(pk, 2**63 - 1))

    def _to(self, row: TabbyModel) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_change", args=[row.pk]))
