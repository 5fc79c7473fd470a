"""What the admin site's lists share: a title of their own, and a base for lists that are read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:

    class _Base(admin.ModelAdmin[M]):
        pass

else:  # at run time it takes no parameter

    class _Base(admin.ModelAdmin, Generic[M]):
        pass


class ListPages(_Base[M]):
    """A list with the title `listed_as`; where it is empty, its template shows `empty_words`.

    The page of a row has the title `shown_as`, where that is set.
    """

    listed_as = ""
    shown_as = ""
    empty_words = ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": self.listed_as, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        own = {"title": self.shown_as, "listed_as": self.listed_as} if self.shown_as else {}
        return super().change_view(request, object_id, form_url, {**own, **(extra_context or {})})


class ReadOnlyPages(ListPages[M]):
    """Rows that are read only: nobody adds, changes or deletes one here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
