"""What readers say of replies, in the admin site: counts by model, words, and what they attached; to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat import feedback
from chat.models import Feedback, Thumb
from models_admin.admin.list_pages import ReadOnlyPages
from models_admin.admin.moments import moment
from models_admin.permissions import may_see_feedback

MOST_MODELS = 50


class ByModel(admin.SimpleListFilter):
    """Filters by the model that wrote the reply."""

    title = "model"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Feedback.objects.order_by("model").values_list("model", flat=True).distinct()
        return [(name, name) for name in names[:MOST_MODELS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Feedback]) -> QuerySet[Feedback]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class ByContent(admin.SimpleListFilter):
    """Filters by what came with the thumb."""

    title = "content"
    parameter_name = "with"
    CONTENT = {
        "words": ("With words", ~Q(words="")),
        "exchange": ("With the exchange", ~Q(answer="")),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in self.CONTENT.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Feedback]) -> QuerySet[Feedback]:
        found = self.CONTENT.get(self.value() or "")
        return queryset.filter(found[1]) if found else queryset


class ByThumb(admin.ChoicesFieldListFilter):
    """Filters by the thumb; each label begins with a capital."""

    def choices(self, changelist: Any) -> Any:
        return [
            {**each, "display": str(each["display"]).capitalize()} for each in super().choices(changelist)
        ]


class ByDate(admin.DateFieldListFilter):
    """Filters by when it was said."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "date"


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyPages[Feedback]):
    """Feedback names nobody, and shows nothing of a conversation but what its reader attached."""

    listed_as = "Feedback"
    shown_as = "Feedback on a reply"
    empty_words = "Whoever reads a reply in the chat can say whether it is good, and why. It stands here, without a name."

    list_display = ("when", "verdict", "model", "said")
    list_filter = (ByModel, ("thumb", ByThumb), ByContent, ("changed_at", ByDate))
    search_fields = ("words",)
    list_per_page = 50
    fields = ("when", "verdict", "model", "words", "asked", "replied")
    readonly_fields = fields

    class Media:
        css = {"all": ["models_admin/models.css", "models_admin/plots.css", "chat/feedback-admin.css"]}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_feedback(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_feedback(request.user)

    def get_fields(self, request: HttpRequest, obj: Feedback | None = None) -> tuple[str, ...]:
        """Leave out the exchange where none is attached."""
        return self.fields if obj and obj.answer else self.fields[:4]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and above it the counts by model of what the list has."""
        response = super().changelist_view(request, extra_context)
        shown = response.context_data if isinstance(response, TemplateResponse) else None
        if shown and (changes := shown.get("cl")):
            shown["counts"] = feedback.counts(changes.queryset)
        return response

    @admin.display(description="When", ordering="changed_at")
    def when(self, row: Feedback) -> SafeString:
        return moment(row.changed_at)

    @admin.display(description="Thumb", ordering="thumb")
    def verdict(self, row: Feedback) -> SafeString:
        up = row.thumb == Thumb.UP
        return format_html(
            '<span class="gantry-badge gantry-{}">{}</span>', "good" if up else "bad", "Good" if up else "Bad"
        )

    @admin.display(description="Words")
    def said(self, row: Feedback) -> SafeString:
        """Show the words, and whether the exchange is attached."""
        note = format_html(' <span class="gantry-quiet">{}</span>', "with the exchange" if row.answer else "")
        return format_html('<span class="gantry-said">{}</span>{}', row.words or "–", note)

    @admin.display(description="Question")
    def asked(self, row: Feedback) -> SafeString:
        return _text(row.question)

    @admin.display(description="Reply")
    def replied(self, row: Feedback) -> SafeString:
        return _text(row.answer)


def _text(text: str) -> SafeString:
    return format_html('<div class="gantry-said" dir="auto">{}</div>', text)
