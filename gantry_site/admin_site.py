"""The admin site: Django's own, with an alarm, names for its lists, and a bound on what an address may ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.admin import AdminSite
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase

from models_admin.presentation import banner

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class Site(AdminSite):
    """Django's admin site, which answers 400 to addresses that no page of it makes.

    A list takes any lookup on its own fields from its address, regular expressions among them. SQLite has Python match
    those, and a hostile one keeps the whole process busy for hours. PostgreSQL cannot be asked for a zero byte.
    """

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Give all pages `alarm`: what is wrong with TabbyAPI in a few words; empty for people outside the admin site."""
        alarm = banner.alarm() if self.has_permission(request) else ""
        return {**super().each_context(request), "alarm": alarm}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Call a list what its page calls itself (`listed_as`), where that is not the plural of its rows' name."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for each in (model for app in apps for model in app["models"]):
            each["name"] = getattr(self.get_model_admin(each["model"]), "listed_as", each["name"])
        return apps

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            for name, values in request.GET.lists():
                if {"regex", "iregex"} & set(name.split("__")) or any(
                    "\0" in each for each in (name, *values)
                ):
                    raise SuspiciousOperation("An address that no page of the admin site makes")
            return inner(request, *args, **kwargs)

        return cast("View", checked)
