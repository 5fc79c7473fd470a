"""The chat's pages. Its API is mounted with the rest of /api/."""

from __future__ import annotations

from django.urls import path

from chat import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("c/<uuid:conversation_id>/", views.chat, name="conversation"),
]
