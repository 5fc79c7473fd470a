"""Accounts in the admin site: Django's own pages, but for the deletion of one, which may have written for years."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from chat import conversations
from chat.models import Conversation, Message
from models_admin.models import Token, Wish

if TYPE_CHECKING:
    Base = UserAdmin[User]
else:  # which takes no parameter at run time
    Base = UserAdmin

admin.site.unregister(User)


@admin.register(User)
class Accounts(Base):
    """An account goes with all that belongs to it alone; its switches stay in the history, without a name."""

    def get_deleted_objects(
        self, objs: Iterable[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Say what goes in figures: a list of all messages would be a page of megabytes."""
        users = [user.pk for user in objs]
        counts = {
            "users": len(users),
            "conversations": Conversation.objects.filter(owner__in=users).count(),
            "messages": Message.objects.filter(conversation__owner__in=users).count(),
            "API tokens": Token.objects.filter(user__in=users).count(),
            "requests": Wish.objects.filter(user__in=users).count(),
        }
        names = [str(user) for user in objs]
        words = [f"{count:,} {what}" for what, count in counts.items() if count and what != "users"]
        return [*names, *words], counts, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete the messages first, a few at a time: Django's view does all that it does in one transaction."""
        user = self.get_object(request, unquote(object_id))
        if request.method == "POST" and user is not None and self.has_delete_permission(request, user):
            conversations.forget(user.pk)
        return super().delete_view(request, object_id, extra_context)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            conversations.forget(user.pk)
        super().delete_queryset(request, queryset)
