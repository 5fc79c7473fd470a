"""The chat page: one template for a new conversation and an old one. The rest comes over the socket."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chat import aliases, conversations
from chat.page_schema import Boot, Person
from models_admin.permissions import may_switch


@require_GET
@never_cache
@login_required
def chat(request: HttpRequest, conversation_id: uuid.UUID | None = None) -> HttpResponse:
    """Return the page of one of the user's conversations, or of a new one; 404 for other people's."""
    conversation = None
    if conversation_id is not None:
        conversation = conversations.owned(request.user).filter(pk=conversation_id).first()
        if conversation is None:
            raise Http404("No such conversation")
    person = _person(request.user)
    boot: Boot = {
        "user": person,
        "conversation": conversations.describe(conversation) if conversation else None,
        "list": conversations.page(request.user),
        "aliases": aliases.choices(request.user.pk or 0),
        "may_switch": may_switch(request.user),
        "max_chars": settings.MESSAGE_MAX_CHARS,
    }
    return render(request, "chat/chat.html", {"conversation": conversation, "person": person, "boot": boot})


def _person(user: AbstractBaseUser | AnonymousUser) -> Person:
    """Return who is signed in, as the page shows it."""
    full = user.get_full_name() if hasattr(user, "get_full_name") else ""
    name = full or user.get_username()
    words = name.replace(".", " ").replace("_", " ").replace("-", " ").split() or ["?"]
    initials = (words[0][0] + words[-1][0]) if len(words) > 1 else words[0][:2]
    return {"id": user.pk or 0, "name": name, "initials": initials.upper()}
