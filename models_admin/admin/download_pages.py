"""Adding a model in the admin site: the form that asks for a download, and a list of downloads with how far each is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from models_admin.adding import transitions, words
from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.admin.moments import moment
from models_admin.models import DOWNLOADS_OPEN, DownloadState, ModelDownload, Source
from models_admin.permissions import may_manage, may_see_history
from models_admin.servers import known
from models_admin.switching.admin_log import WHERE

TEMPLATES = "admin/models_admin/modeldownload"
TONES = {DownloadState.DONE: "good", DownloadState.FAILED: "bad", DownloadState.CANCELLED: "idle"}


class AddForm(forms.Form):
    """What TabbyAPI is to download."""

    repository = forms.CharField(max_length=255, help_text="On the hub, such as turboderp/Qwen3-8B-exl3.")
    revision = forms.CharField(
        max_length=255,
        required=False,
        help_text="A branch, tag or commit, such as 4.0bpw. Empty: its main branch.",
    )
    folder = forms.CharField(
        max_length=255, required=False,
        help_text="The model's name here: with size and quantization. Empty: the repository's own name.",
    )  # fmt: skip
    include = forms.CharField(
        max_length=2000, required=False,
        help_text="Only files such as *.safetensors, *.json; with commas between them. Empty: all.",
    )  # fmt: skip
    token = forms.CharField(
        max_length=500, required=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a gated or private repository. It is kept in no page and no database.",
    )  # fmt: skip

    @property
    def wanted(self) -> transitions.Wanted:
        """What a valid form asks for."""
        given = self.cleaned_data
        patterns = tuple(filter(None, (each.strip() for each in given["include"].split(","))))
        return transitions.Wanted(given["repository"], given["folder"], given["revision"], patterns)


@admin.register(ModelDownload)
class ModelDownloadAdmin(ReadOnlyPages[ModelDownload]):
    """The downloads, to read, to ask for and to cancel."""

    listed_as = "Added models"
    empty_words = "A model that TabbyAPI downloads for you stands here: how far it is, and what went wrong."

    list_display = ("what", "how_far", "when", "who", "control")
    list_filter = ("state",)
    search_fields = ("repository", "folder", "error")
    list_select_related = ("requested_by",)
    list_per_page = 50
    fields = ("what", "revision", "patterns", "how_far", "advice", "when", "who")
    readonly_fields = fields

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<int:pk>/cancel/",
            self.admin_site.admin_view(self.cancel_view),
            name="models_admin_modeldownload_cancel",
        )
        return [own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: ModelDownload | None = None) -> bool:
        return may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_history(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_manage(request.user)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        open_ones = ModelDownload.objects.filter(state__in=DOWNLOADS_OPEN).exists()
        return super().changelist_view(request, {"under_way": open_ones, **(extra_context or {})})

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return self.list_display if may_manage(request.user) else self.list_display[:-1]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET: the form. POST: ask for the download, and go to the list, which shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                asked = transitions.request(
                    known.default(),
                    form.wanted,
                    source=Source.ADMIN,
                    user=request.user,
                    token=form.cleaned_data["token"],
                )
            except transitions.AddRefused as error:
                form.add_error(None, str(error))
            else:
                self.log_addition(request, asked, f"Asked for {asked.repository} into {asked.folder}.")
                return self._back()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "listed_as": self.listed_as,
            "title": "Add a model",
            "form": form,
        }
        return TemplateResponse(request, f"{TEMPLATES}/add.html", context)

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: cancel a download."""
        if not may_manage(request.user):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = get_object_or_404(ModelDownload, pk=min(pk, 2**63 - 1))
        try:
            transitions.cancel(row, user=request.user)
        except transitions.AddRefused as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, row, "Cancelled.")
        return self._back()

    def _back(self) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:models_admin_modeldownload_changelist"))

    @admin.display(description="Model", ordering="folder")
    def what(self, row: ModelDownload) -> SafeString:
        return format_html(
            '<span class="gantry-name">{}</span><span class="gantry-quiet">from {}</span>',
            row.folder,
            row.repository,
        )

    @admin.display(description="How far", ordering="state")
    def how_far(self, row: ModelDownload) -> SafeString:
        """Show the state, a bar where the whole is known, and both in words."""
        state = DownloadState(row.state)
        badge = SafeString("")
        if state != DownloadState.DOWNLOADING:
            badge = format_html(
                '<span class="gantry-badge gantry-{}">{}</span> ',
                TONES.get(state, "busy"),
                state.label.capitalize(),
            )
        bar = SafeString("")
        if row.open and row.bytes_total:
            bar = format_html(
                '<progress max="{}" value="{}" aria-label="Progress of {}"></progress> ',
                row.bytes_total, row.bytes_done or 0, row.folder,
            )  # fmt: skip
        return badge + bar + format_html('<span class="gantry-quiet">{}</span>', words.describe(row)["line"])

    @admin.display(description="Files")
    def patterns(self, row: ModelDownload) -> str:
        return ", ".join(row.include) or "all"

    @admin.display(description="Asked for", ordering="created_at")
    def when(self, row: ModelDownload) -> SafeString:
        return moment(row.created_at)

    @admin.display(description="By", ordering="requested_by__username")
    def who(self, row: ModelDownload) -> str:
        """Show who asked for it, and where."""
        who = row.requested_by.get_username() if row.requested_by else ""
        where = WHERE[Source(row.source)]
        return f"{who} ({where})" if who else where

    @admin.display(description="Actions", empty_value="")
    def control(self, row: ModelDownload) -> SafeString | str:
        """Show the button that cancels it, which belongs to the form at the page's end."""
        if not row.open or row.cancel_requested:
            return ""
        return format_html(
            '<button class="gantry-button gantry-plain" form="gantry-cancel" formaction="{}" aria-label="Cancel {}">Cancel'
            "</button>",
            reverse("admin:models_admin_modeldownload_cancel", args=[row.pk]),
            row.folder,
        )
