"""Accounts in the admin site: Django's own pages, except that an account with years of messages can be deleted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from chat import conversations
from chat.models import Conversation, Message
from models_admin.models import ModelRequest, Token

if TYPE_CHECKING:
    Base = UserAdmin[User]
else:  # which takes no parameter at run time
    Base = UserAdmin

admin.site.unregister(User)


@admin.register(User)
class Accounts(Base):
    """Deleting an account deletes what belongs to it alone. Its switches stay in the history, without a name."""

    def get_deleted_objects(
        self, objs: Iterable[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Count what would be deleted: a list of all messages would be a page of megabytes."""
        users = [user.pk for user in objs]
        counts = {
            "users": len(users),
            "conversations": Conversation.objects.filter(owner__in=users).count(),
            "messages": Message.objects.filter(conversation__owner__in=users).count(),
            "API tokens": Token.objects.filter(user__in=users).count(),
            "requests": ModelRequest.objects.filter(user__in=users).count(),
        }
        names = [str(user) for user in objs]
        words = [f"{count:,} {what}" for what, count in counts.items() if count and what != "users"]
        return [*names, *words], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete after the one transaction in which Django's view checks and logs: deleting takes many small ones."""
        transaction.on_commit(partial(_delete, obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self.delete_model(request, user)


def _delete(user: User) -> None:
    conversations.delete_all(user.pk)
    user.delete()
