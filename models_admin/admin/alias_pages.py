"""Aliases of models in the admin site: their list, their form with what each has stood for, and the page to retire one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from models_admin.admin.alias_form import AliasForm, RetireForm
from models_admin.admin.list_pages import ListPages
from models_admin.admin.moments import moment
from models_admin.aliases import changes, facts, sampling
from models_admin.models import Alias, AliasChange, AliasEvent, TabbyModel
from models_admin.permissions import may_manage_aliases, may_see_history, may_switch
from models_admin.servers import team

LOADED = "whatever is loaded"


@admin.register(Alias)
class AliasAdmin(ListPages[Alias]):
    """Aliases are made, changed, retired and brought back, never deleted: programs have their names."""

    form = AliasForm
    listed_as = "Aliases of models"
    empty_words = (
        "An alias is a name for a model, with sampling options and a system prompt of its own, that programs and people who "
        "chat choose. The model behind it can be changed."
    )
    search_fields = ("name", "model", "system_prompt")
    change_form_template = "admin/models_admin/alias/change_form.html"

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/cards.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alias]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        # The changelist asks several times during a request, and compares what it is given.
        if not hasattr(request, "gantry_columns"):
            standing = Standing(request)

            def stands_for(row: Alias) -> str:
                return standing.of(row)

            stands_for.short_description = "Stands for"  # type: ignore[attr-defined]
            request.gantry_columns = ["name", stands_for, "brings", "may_use"]  # type: ignore[attr-defined]
        columns: list[Any] = request.gantry_columns  # type: ignore[attr-defined]
        return columns

    def get_readonly_fields(self, request: HttpRequest, obj: Alias | None = None) -> tuple[str, ...]:
        return ("name", "stands_for", "brings", "may_use", "past") if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Alias | None = None) -> Any:
        past = [("So far", {"fields": ("past",)})] if obj else []
        if not self.has_change_permission(request):
            return [(None, {"fields": ("name", "stands_for", "brings", "may_use", "system_prompt")}), *past]
        options = {
            "fields": tuple(sampling.OPTIONS),
            "description": "Used where a program or a conversation says nothing. An empty field leaves it to TabbyAPI.",
        }
        return [
            (None, {"fields": ("name", "model", "system_prompt")}),
            ("Sampling", options),
            ("Who may use it", {"fields": ("everybody", "groups")}),
            *past,
        ]

    def has_view_permission(self, request: HttpRequest, obj: Alias | None = None) -> bool:
        return may_see_history(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_history(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_manage_aliases(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Alias | None = None) -> bool:
        return may_manage_aliases(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Alias | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"models_admin_alias_{name}")
            for name, view in (("retire", self.retire_view), ("restore", self.restore_view))
        ]
        return [*own, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Alias, form: Any, change: bool) -> None:
        """Write it, with its history, in the user's name."""
        by = request.user.pk
        row = changes.change(obj, form.wanted, by) if change else changes.make(obj.name, form.wanted, by)
        obj.__dict__.update(row.__dict__)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show or save it; what somebody else did since the form was checked is told, and nothing is saved."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except changes.AliasRefused as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj: Alias | None = kwargs.get("obj")
        if obj is not None:
            context["standing"] = Standing(request).of(obj)
            context["may_manage"] = may_manage_aliases(request.user)
        return super().render_change_form(request, context, *args, **kwargs)

    def retire_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET: ask where its callers should go. POST: retire it."""
        row = self._managed(request, pk)
        form = RetireForm(row, request.POST or None, initial={"successor": row.successor})
        if request.method == "POST" and form.is_valid():
            try:
                row = changes.retire(row, form.cleaned_data["successor"], request.user.pk)
            except changes.AliasRefused as error:
                form.add_error("successor", str(error))
            else:
                self.log_change(request, row, "Retired.")
                messages.success(request, f"The alias “{row}” is retired: who calls it is told so.")
                return HttpResponseRedirect(reverse("admin:models_admin_alias_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "listed_as": self.listed_as,
            "title": f"Retire the alias “{row}”?",
            "row": row,
            "form": form,
        }
        return TemplateResponse(request, "admin/models_admin/alias/retire.html", context)

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST: bring a retired alias back."""
        row = self._managed(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        changes.restore(row, request.user.pk)
        self.log_change(request, row, "Brought back.")
        messages.success(request, f"The alias “{row}” is back.")
        return HttpResponseRedirect(reverse("admin:models_admin_alias_change", args=[row.pk]))

    def _managed(self, request: HttpRequest, pk: int) -> Alias:
        if not may_manage_aliases(request.user):
            raise PermissionDenied
        return get_object_or_404(Alias, pk=pk)

    # The columns

    @admin.display(description="Stands for")
    def stands_for(self, row: Alias) -> str:
        return row.model or LOADED

    @admin.display(description="Brings")
    def brings(self, row: Alias) -> str:
        """Show its sampling defaults, and whether it has a system prompt."""
        given = row.sampling
        parts = [f"{each.label} {given[name]:g}" for name, each in sampling.OPTIONS.items() if name in given]
        return ", ".join([*parts, "a system prompt"] if row.system_prompt else parts) or "–"

    @admin.display(description="For")
    def may_use(self, row: Alias) -> str:
        if row.everybody:
            return "everybody"
        return ", ".join(each.name for each in row.groups.all()) or "superusers"

    @admin.display(description="History")
    def past(self, row: Alias) -> SafeString:
        """Show what it has stood for, newest first."""
        lines = [(moment(each.at), _event(each), each.by or "a command") for each in facts.past(row)]
        return format_html(
            '<ul class="gantry-lines">{}</ul>', format_html_join("", "<li>{}: {}, by {}</li>", lines)
        )


class Standing:
    """What aliases stand for, for one page: what is loaded is read once."""

    def __init__(self, request: HttpRequest) -> None:
        self.loaded = team.model()
        self.models = dict(TabbyModel.objects.values_list("name", "pk"))
        retired = TabbyModel.objects.exclude(retired_at=None)
        self.retired = set(retired.values_list("name", flat=True))
        self.taken = {name.lower() for name in self.models}
        self.may_switch = may_switch(request.user)

    def of(self, row: Alias) -> SafeString:
        """Show the model, whether it is loaded, and the way to switch to it; or that the alias is retired."""
        name = format_html('<span class="gantry-name">{}</span>', row.model or LOADED)
        if row.name.lower() in self.taken:
            hint = "A model has come that has this name, too: who calls it gets the alias."
            name += format_html('<span class="gantry-hint">{}</span> ', hint)
        if row.retired_at is not None:
            instead = f": use {row.successor}" if row.successor else ""
            badge = '{} <span class="gantry-badge gantry-idle">Retired</span> since {}{}'
            return format_html(badge, name, moment(row.retired_at), instead)
        if row.answers(self.loaded):
            loaded = "✓ Loaded" if row.model else f"✓ {self.loaded}"
            return format_html('{} <span class="gantry-badge gantry-good">{}</span>', name, loaded)
        what = "its model is retired" if row.model in self.retired else "not loaded"
        quiet = format_html('{} <span class="gantry-badge gantry-bad">{}</span>', name, what)
        if not row.model or row.model not in self.models.keys() - self.retired or not self.may_switch:
            return quiet
        address = reverse("admin:models_admin_tabbymodel_switch", args=[self.models[row.model]])
        return format_html('{} <a href="{}">Switch to it…</a>', quiet, address)


def _event(change: AliasChange) -> str:
    match change.event:
        case AliasEvent.POINTED:
            return f"from {change.before or LOADED} to {change.after or LOADED}"
        case AliasEvent.RETIRED:
            return f"retired, with {change.after} instead" if change.after else "retired"
        case AliasEvent.RESTORED:
            return f"brought back, for {change.after or LOADED}"
        case _:
            return f"made, for {change.after or LOADED}"
