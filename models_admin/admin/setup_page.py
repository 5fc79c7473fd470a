"""The page “Export and import”: the document of what is set up, to download, and one to upload, after a look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from models_admin import permissions
from models_admin.models import TabbyModel
from models_admin.setup import exporting, importing
from models_admin.setup.document import SetupRefused, read

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[TabbyModel]
else:
    ModelAdmin = admin.ModelAdmin  # which takes no parameter at run time

LARGEST = 500_000  # bytes: a request has room for twice as many
MOST_SHOWN = 500  # changes


class SetupForm(forms.Form):
    """A document: a file at first, then its text with the digest of the changes that were looked at."""

    file = forms.FileField(label="A document of this kind", required=False)
    text = forms.CharField(required=False, strip=False)
    seen = forms.CharField(required=False, max_length=64)

    def clean(self) -> dict[str, Any]:
        """Put the document's bytes under `raw`."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        file = given.get("file")
        if file is not None and file.size > LARGEST:
            raise forms.ValidationError(
                f"The file is larger than {LARGEST:,} bytes. Use manage.py import_setup."
            )
        given["raw"] = file.read() if file is not None else given.get("text", "").encode()
        if not given["raw"]:
            raise forms.ValidationError("Choose a file that is not empty.")
        return given


class SetupPages(ModelAdmin):
    """Download, upload, preview, confirmation; for users who may manage models."""

    def get_urls(self) -> list[URLPattern]:
        pages = (("setup/", self.setup_view, "setup"), ("setup/export/", self.export_view, "export_setup"))
        own = [
            path(route, self.admin_site.admin_view(view), name=f"models_admin_tabbymodel_{name}")
            for route, view, name in pages
        ]
        return [*own, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Download the document of what is set up now."""
        _require_manager(request)
        name = f"gantry-setup-{timezone.localdate()}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(
            exporting.written(), content_type="application/json; charset=utf-8", headers=headers
        )

    def setup_view(self, request: HttpRequest) -> HttpResponse:
        """GET: the page. POST: show what a document would change; with `seen`, bring it in."""
        _require_manager(request)
        if request.method != "POST":
            return self._page(request)
        form = SetupForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, faults=[str(each) for each in form.non_field_errors()])
        raw, seen = form.cleaned_data["raw"], form.cleaned_data["seen"]
        may = importing.sections_of(request.user)
        try:
            document = read(raw)
            if seen:
                return self._bring_in(request, document, seen, may)
            made = importing.bring_in(document, request.user.pk, dry_run=True, may=may)
        except SetupRefused as refusal:
            return self._page(request, faults=refusal.faults)
        except importing.Moved:
            messages.warning(request, "Something has changed meanwhile. This is what would change now.")
            made = importing.bring_in(document, request.user.pk, dry_run=True, may=may)
        return self._page(request, made=made, text=raw.decode("utf-8-sig"), seen=importing.digest(made))

    def _bring_in(self, request: HttpRequest, document: Any, seen: str, may: list[str]) -> HttpResponse:
        made = importing.bring_in(document, request.user.pk, dry_run=False, may=may, seen=seen)
        importing.write_log(made, request.user.pk or 0)
        messages.success(request, f"Done: {len(made)} {'change' if len(made) == 1 else 'changes'}.")
        return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_setup"))

    def _page(self, request: HttpRequest, **facts: Any) -> TemplateResponse:
        made = facts.get("made")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "listed_as": "Models",
            "title": "Export and import",
            "form": SetupForm(),
            "looked": made is not None,
            **facts,
            "made": (made or [])[:MOST_SHOWN],
            "more": max(0, len(made or []) - MOST_SHOWN),
        }
        return TemplateResponse(request, "admin/models_admin/tabbymodel/setup.html", context)


def _require_manager(request: HttpRequest) -> None:
    if not permissions.may_manage(request.user):
        raise PermissionDenied
