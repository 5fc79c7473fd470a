"""The admin site's list and form of models: what is shown and editable, and who may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from models_admin.admin import (
    alias_pages,
    check_pages,
    download_pages,
    file_facts,
    history_pages,
    request_pages,
    rule_pages,
    server_pages,
    size_guide,
    token_pages,
    usage_pages,
)
from models_admin.admin.columns import Column, Columns
from models_admin.admin.models_page import ModelPages
from models_admin.admin.option_fields import OptionFields, offered
from models_admin.admin.report_pages import ReportPages
from models_admin.admin.retire_pages import RetirePages
from models_admin.admin.setup_page import SetupPages
from models_admin.models import TabbyModel
from models_admin.permissions import may_manage
from models_admin.servers import known, names, team
from models_admin.visible import visible

if TYPE_CHECKING:
    Form = forms.ModelForm[TabbyModel]
else:  # at run time it takes no parameter
    Form = forms.ModelForm

__all__ = [
    "alias_pages",
    "check_pages",
    "download_pages",
    "history_pages",
    "request_pages",
    "rule_pages",
    "server_pages",
    "token_pages",
    "usage_pages",
]  # which register themselves

admin.site.site_header = "Gantry"
admin.site.site_title = "Gantry"
admin.site.index_title = "Administration"


class InTabby(admin.SimpleListFilter):
    """Filters out models that have gone from TabbyAPI or are retired, unless they are asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("gone", "Gone from TabbyAPI"), ("retired", "Retired"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "In TabbyAPI"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> QuerySet[TabbyModel]:
        match self.value():
            case "gone":
                return queryset.filter(retired_at=None).exclude(vanished_at=None)
            case "retired":
                return queryset.exclude(retired_at=None)
            case "all":
                return queryset
            case _:
                return queryset.filter(vanished_at=None, retired_at=None) | queryset.filter(name=team.model())


class ByFamily(admin.SimpleListFilter):
    """Filters by the families in the catalog."""

    title = parameter_name = "family"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = TabbyModel.objects.exclude(**{self.parameter_name: ""}).order_by(self.parameter_name)
        return [(value, value) for value in known.values_list(self.parameter_name, flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> QuerySet[TabbyModel]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class ByQuantization(ByFamily):
    """Filters by the quantizations in the catalog."""

    title = parameter_name = "quantization"


class ByTag(admin.SimpleListFilter):
    """Filters by tag, in Python: not every database can search a JSON list, and the catalog is small."""

    title = parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = TabbyModel.objects.filter(vanished_at=None).values_list("tags", flat=True)
        return [(tag, tag) for tag in sorted({tag for tags in known for tag in tags}, key=str.lower)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> QuerySet[TabbyModel]:
        if not (chosen_tag := self.value()):
            return queryset
        known = TabbyModel.objects.values_list("pk", "tags")
        return queryset.filter(pk__in=[pk for pk, tags in known if chosen_tag in tags])


class ModelForm(OptionFields, Form):
    """What an administrator notes about a model, and its load options."""

    tags = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    class Meta:
        model = TabbyModel
        fields = ("display_name", "tags", "notes", "visible")
        help_texts = {
            "display_name": "What people who chat read instead of its name. Empty: its name.",
            "notes": "Shown to everybody in the chat's list of models.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        super().__init__(*args, stored=instance.load_options if instance else {}, **kwargs)
        self.initial["tags"] = ", ".join(self.instance.tags)
        fitting = names.suggested_tags(self.instance.name)
        such = f"Going by its name: {', '.join(fitting)}" if fitting else f"Such as {', '.join(names.TAGS)}"
        self.fields["tags"].help_text = f"What it is good for, with commas between them. {such}."

    def clean_display_name(self) -> str:
        return visible(self.cleaned_data["display_name"])

    def clean_tags(self) -> list[str]:
        """Return the tags, each once."""
        tags = [word.strip() for word in self.cleaned_data["tags"].split(",")]
        return list(dict.fromkeys(filter(None, tags)))

    def save(self, commit: bool = True) -> TabbyModel:
        """Write the options with the rest."""
        self.instance.load_options = self.options
        row: TabbyModel = super().save(commit=commit)
        return row


@admin.register(TabbyModel)
class TabbyModelAdmin(SetupPages, ReportPages, RetirePages, ModelPages):
    """The Models page, and what can be noted about each model."""

    form = ModelForm
    list_filter = (InTabby, ByTag, ByFamily, ByQuantization)
    search_fields = ("name", "display_name", "family", "notes")
    list_per_page = 200
    ordering = ("name",)
    actions = ("switch_to_selected", "compare_selected")
    readonly_fields = (
        "name",
        "about",
        "poor_name",
        "found_in_files",
        "first_seen",
        "last_seen",
        "vanished_at",
        "last_loaded",
    )

    def get_fieldsets(self, request: HttpRequest, obj: TabbyModel | None = None) -> Any:
        """Show the load options that have an effect, and others where they are stored."""
        options = {
            "fields": offered(obj.load_options if obj else {}),
            "description": "Used whenever this model is loaded. An empty field leaves it to TabbyAPI. A tabby_config.yml in "
            "the model's folder wins over all of them.",
        }
        return (
            (None, {"fields": ("name", "about", "poor_name", "display_name", "tags", "notes", "visible")}),
            ("Files", {"fields": ("found_in_files",)}),
            ("Load options", options),
            ("Seen by Gantry", {"fields": ("first_seen", "last_seen", "vanished_at", "last_loaded")}),
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"requests": request_pages.box(request), **(extra_context or {})}
        )

    def get_list_display(self, request: HttpRequest) -> list[str | Column]:
        # The changelist asks several times during a request, and compares what it is given.
        columns: list[str | Column] | None = getattr(request, "gantry_columns", None)
        if columns is None:
            columns = Columns(known.default(), request).shown()
            request.gantry_columns = columns  # type: ignore[attr-defined]
        return columns

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may enter the admin site sees the models; the history takes a permission."""
        return self.admin_site.has_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_manage(request.user) or super().has_change_permission(request, obj)

    @admin.display(description="About")
    def about(self, row: TabbyModel) -> str:
        """Show what the name says, and what is usual for such a model."""
        parts = [
            row.family,
            f"{row.parameters_b:g} billion parameters" if row.parameters_b else "",
            row.quantization,
        ]
        known = ", ".join(filter(None, parts)) or "The name tells nothing about it"
        return " ".join([f"{known}.", *size_guide.usual(row.parameters_b, row.quantization, row.bits)])

    @admin.display(description="Found in them")
    def found_in_files(self, row: TabbyModel) -> str:
        """Show what its files say, as they were when last looked at."""
        return file_facts.in_full(row)

    @admin.display(description="Hint on its name")
    def poor_name(self, row: TabbyModel) -> str:
        """Show what could be better about the name."""
        return names.hint(row.name) or "none: the name is descriptive"

    @admin.action(description="Switch to selected model", permissions=["switch"])
    def switch_to_selected(self, request: HttpRequest, queryset: QuerySet[TabbyModel]) -> HttpResponse | None:
        """Lead to the confirmation, if exactly one model was selected."""
        chosen = list(queryset.values_list("pk", flat=True)[:2])
        if len(chosen) != 1:
            messages.error(
                request, "Select exactly one model to switch to: only one can be loaded at a time."
            )
            return None
        return HttpResponseRedirect(reverse("admin:models_admin_tabbymodel_switch", args=chosen))
