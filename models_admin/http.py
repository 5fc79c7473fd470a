"""The manners that every address under /api/ has: JSON for whatever goes wrong, HEAD and OPTIONS answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, URLResolver, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.renderers import JSONRenderer


class _Compact(JSONRenderer):
    json_dumps_params = {"separators": (",", ":"), "ensure_ascii": False}


class Api(NinjaAPI):
    """A NinjaAPI whose refusals are all `{"detail": "…"}`, also for unknown addresses and methods."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(renderer=_Compact(), **settings)

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        urls = super()._get_urls()
        for pattern in urls:
            if isinstance(pattern, URLPattern):
                pattern.callback = _unknown if pattern.name == "api-root" else _mannered(pattern.callback)
        return [*urls, re_path(r"", _unknown)]


@csrf_exempt
def _unknown(request: HttpRequest) -> HttpResponse:
    detail = f"There is nothing at {request.path[:200]}."
    return JsonResponse({"detail": detail}, status=404)


def _mannered(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a view of ninja's, which knows no HEAD and no OPTIONS and refuses methods in plain text."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def asynchronous(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            head = _head_as_get(request)
            return _finished(request, await view(request, **kwargs), head=head)

        return asynchronous

    @wraps(view)
    def synchronous(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        head = _head_as_get(request)
        return _finished(request, view(request, **kwargs), head=head)

    return synchronous


def _head_as_get(request: HttpRequest) -> bool:
    if request.method != "HEAD":
        return False
    request.method = "GET"
    return True


def _finished(request: HttpRequest, response: HttpResponseBase, *, head: bool) -> HttpResponseBase:
    if isinstance(response, HttpResponseNotAllowed):
        known = set(response.headers["Allow"].split(", "))
        allowed = sorted(known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set()))
        method = "HEAD" if head else request.method
        if method == "OPTIONS":
            return HttpResponse(status=204, headers={"Allow": ", ".join(allowed)})
        detail = f"{method} is not possible here; use {' or '.join(sorted(known))}."
        response = JsonResponse({"detail": detail}, status=405, headers={"Allow": ", ".join(allowed)})
    if head and isinstance(response, HttpResponse):
        length = str(len(response.content))
        response.content = b""
        response.headers["Content-Length"] = length
    return response
