"""The admin site's pages for models and switches: what is listed, shown and editable, and who may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from models_admin import backend, names, options, rule_admin  # noqa: F401 (registers itself)
from models_admin.admin_pages import ModelPages, may_look
from models_admin.banner import WHERE
from models_admin.columns import Column, Columns, moment
from models_admin.models import Source, Switch, TabbyModel
from models_admin.waiting import told

if TYPE_CHECKING:
    HistoryAdmin = admin.ModelAdmin[Switch]
    Form = forms.ModelForm[TabbyModel]
else:  # at run time they take no parameters
    HistoryAdmin, Form = admin.ModelAdmin, forms.ModelForm

admin.site.site_header = "Gantry"
admin.site.site_title = "Gantry"
admin.site.index_title = "Administration"


class InTabby(admin.SimpleListFilter):
    """Models that have gone leave the list; they are kept, and can be asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("gone", "Gone from TabbyAPI"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "In TabbyAPI"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> QuerySet[TabbyModel]:
        match self.value():
            case "gone":
                return queryset.exclude(vanished_at=None)
            case "all":
                return queryset
            case _:
                return queryset.filter(vanished_at=None) | queryset.filter(name=backend.row().model)


class ByFamily(admin.SimpleListFilter):
    """The values that there are; without the empty one, whose link would have no words."""

    title = parameter_name = "family"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = TabbyModel.objects.exclude(**{self.parameter_name: ""}).order_by(self.parameter_name)
        return [(value, value) for value in known.values_list(self.parameter_name, flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> QuerySet[TabbyModel]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class ByQuantization(ByFamily):
    """The same by quantization."""

    title = parameter_name = "quantization"


class ModelForm(Form):
    """What an administrator adds to what TabbyAPI tells."""

    tags = forms.CharField(
        required=False,
        help_text=f"What it is good for, separated by commas; such as {', '.join(names.TAGS)}.",
    )

    class Meta:
        model = TabbyModel
        fields = ("display_name", "tags", "notes", "visible", "load_options")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(self.instance.tags)
        if "load_options" in self.fields:  # who may only look has no fields
            words = f"TabbyAPI's load options: {', '.join(sorted(options.CHECKS))}."
            self.fields["load_options"].help_text = words

    def clean_tags(self) -> list[str]:
        """Split the words at the commas."""
        tags = [word.strip() for word in self.cleaned_data["tags"].split(",")]
        return list(dict.fromkeys(filter(None, tags)))

    def clean_load_options(self) -> dict[str, Any]:
        """Have the options checked, so that a bad one is told here and not in the middle of a switch."""
        given = self.cleaned_data["load_options"] or {}
        if not isinstance(given, dict):
            raise forms.ValidationError('Give an object, such as {"max_seq_len": 8192}.')
        try:
            return options.validated(given)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(TabbyModel)
class TabbyModelAdmin(ModelPages):
    """The Models page, and what can be noted about each model."""

    form = ModelForm
    list_filter = (InTabby, ByFamily, ByQuantization)
    search_fields = ("name", "display_name", "family", "notes")
    list_per_page = 200
    ordering = ("name",)
    actions = ("switch_to_selected",)
    readonly_fields = ("name", "about", "first_seen", "last_seen", "vanished_at", "last_loaded")
    fieldsets = (
        (None, {"fields": ("name", "about", "display_name", "tags", "notes", "visible", "load_options")}),
        ("Seen by Gantry", {"fields": ("first_seen", "last_seen", "vanished_at", "last_loaded")}),
    )

    def get_list_display(self, request: HttpRequest) -> list[str | Column]:
        # The changelist asks several times during a request, and compares what it is given.
        columns: list[str | Column] | None = getattr(request, "gantry_columns", None)
        if columns is None:
            columns = Columns(request).shown()
            request.gantry_columns = columns  # type: ignore[attr-defined]
        return columns

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may enter the admin site sees the state; the history takes a permission."""
        return self.admin_site.has_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("models_admin.manage") or super().has_change_permission(request, obj)

    @admin.display(description="About")
    def about(self, row: TabbyModel) -> str:
        """What the name tells, in a sentence."""
        parts = [
            row.family,
            f"{row.parameters_b:g} billion parameters" if row.parameters_b else "",
            row.quantization,
        ]
        return ", ".join(filter(None, parts)) or names.hint(row.name)

    @admin.action(description="Switch to selected model", permissions=["switch"])
    def switch_to_selected(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> HttpResponse | None:
        """Go on to the confirmation, if exactly one model was selected."""
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) != 1:
            messages.error(
                request, "Select exactly one model to switch to: only one can be loaded at a time."
            )
            return None
        return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_switch", args=chosen))


@admin.register(Switch)
class SwitchAdmin(HistoryAdmin):
    """The history of switches, to read."""

    list_display = ("when", "change", "outcome", "took", "who", "reason")
    list_filter = ("state", "source")
    search_fields = ("target", "previous", "error", "rule", "requested_by__username")
    list_select_related = ("requested_by",)
    list_per_page = 50
    fields = (
        "when", "change", "outcome", "steps", "took", "who", "cause", "replies_cut",
        "used_options", "error", "advice",
    )  # fmt: skip
    readonly_fields = fields

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Switch history", **(extra_context or {})})

    class Media:
        css = {"all": ["models_admin/models.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_look(request) or super().has_view_permission(request, obj)

    @admin.display(description="When", ordering="created_at")
    def when(self, row: Switch) -> SafeString:
        return moment(row.created_at)

    @admin.display(description="From → to", ordering="target")
    def change(self, row: Switch) -> SafeString:
        return format_html("{} → <strong>{}</strong>", row.previous or "nothing", row.target or "nothing")

    @admin.display(description="By", ordering="requested_by__username")
    def who(self, row: Switch) -> str:
        """Who asked for it, and where."""
        who = row.requested_by.get_username() if row.requested_by else ""
        where = f"rule: {row.rule}" if row.rule else WHERE[Source(row.source)]
        return f"{who} ({where})" if who else where

    @admin.display(description="Outcome", ordering="state")
    def outcome(self, row: Switch) -> SafeString:
        tone = {"succeeded": "good", "failed": "bad", "cancelled": "idle"}.get(row.state, "busy")
        return format_html('<span class="gantry-badge gantry-{}">{}</span>', tone, row.get_state_display())

    @admin.display(description="Took")
    def took(self, row: Switch) -> str:
        """The seconds of all steps, and in the detail of each."""
        total = sum(row.seconds.values())
        return f"{total:.1f} s" if row.seconds else "–"

    @admin.display(description="Error")
    def reason(self, row: Switch) -> str:
        return row.error if len(row.error) <= 120 else f"{row.error[:118]}…"

    @admin.display(description="Steps")
    def steps(self, row: Switch) -> SafeString:
        """The lines that were shown while it ran, and the seconds of each state."""
        lines = format_html_join("", "<li>{}</li>", ((line["text"],) for line in told(row.pk)["lines"]))
        seconds = ", ".join(
            f"{state.replace('_', ' ')} {spent:.1f} s" for state, spent in row.seconds.items()
        )
        return format_html('<ol class="gantry-lines">{}</ol><p class="gantry-quiet">{}</p>', lines, seconds)

    @admin.display(description="Options")
    def used_options(self, row: Switch) -> str:
        return ", ".join(f"{name} {value}" for name, value in row.options.items()) or "none"
