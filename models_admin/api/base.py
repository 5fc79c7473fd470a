"""What all addresses under /api/ share: errors as JSON, answers to HEAD and OPTIONS, one OpenAPI document.

A response that takes time is a `Later`: the view returns it at once, and an outer middleware waits for it in the event
loop. So a request that waits for a switch holds no thread and no database connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, URLResolver, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.renderers import JSONRenderer
from ninja.responses import NinjaJSONEncoder

from models_admin import saving
from models_admin.api.schemas import SENTENCES

log = logging.getLogger(__name__)


def _dumped(body: Any) -> bytes:
    """Return JSON in UTF-8, with a question mark for each half of a surrogate pair that an error repeats."""
    text = json.dumps(body, cls=NinjaJSONEncoder, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


class _Compact(JSONRenderer):
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return _dumped(data)


def answer(status: int, body: dict[str, Any]) -> HttpResponse:
    """Return a JSON response, encoded as the API's views do."""
    return HttpResponse(_dumped(body), content_type="application/json; charset=utf-8", status=status)


def server_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer and log an error: 507 or 503 where the database is full or away, else 500."""
    if why := saving.refusal(error):
        status, detail = why
        log.warning("%s %s was refused (%s)", request.method, request.path, error)
        return answer(status, {"detail": detail})
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer(500, {"detail": "Something went wrong in Gantry itself; its log says what."})


class Later(HttpResponse):
    """Stands for a response that takes time: `work` returns it, or raises HttpError. It is never sent itself."""

    def __init__(self, request: HttpRequest, work: Callable[[], Awaitable[HttpResponseBase]]) -> None:
        super().__init__()
        self.request = request
        self.work = work

    async def result(self) -> HttpResponseBase:
        """Return the real response, with the headers and cookies that middleware gave this one."""
        try:
            response = await self.work()
        except HttpError as error:
            response = answer(error.status_code, {"detail": str(error)})
        except Exception as error:  # noqa: BLE001 (no view's handlers are around it any more)
            response = server_error(self.request, error)
        for name, value in self.items():
            if name not in ("Content-Type", "Content-Length"):
                response.headers.setdefault(name, value)
        response.cookies.update(self.cookies)
        return response


class Api(NinjaAPI):
    """A NinjaAPI whose errors are all `{"detail": "…"}`, also for unknown addresses and methods."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(renderer=_Compact(), **settings)
        self._schema: OpenAPISchema | None = None

    def get_openapi_schema(self, **how: Any) -> OpenAPISchema:
        """Return the OpenAPI document; it is made once, since nothing in it changes while Gantry runs."""
        if self._schema is None:
            self._schema = _Document(self, self.get_root_path({}))
        return self._schema

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        urls = super()._get_urls()
        for pattern in urls:
            if isinstance(pattern, URLPattern):
                pattern.callback = (
                    _unknown if pattern.name == "api-root" else _with_head_and_options(pattern.callback)
                )
        return [*urls, re_path(r"", _unknown)]


class _Document(OpenAPISchema):
    """The OpenAPI document, with summaries, sentences on statuses, and the scopes of tokens."""

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        """Take the docstring's first sentence for the summary."""
        summary, _, more = (operation.description or operation.summary).partition(".")
        details = super().operation_details(operation)
        return {**details, "summary": " ".join(summary.split()), "description": more.strip()}

    def responses(self, operation: Operation) -> dict[int, dict[str, Any]]:
        """Describe each status in a sentence."""
        declared = super().responses(operation)
        for status, response in declared.items():
            response["description"] = SENTENCES[status]
        return declared

    def operation_security(self, operation: Operation) -> list[dict[str, Any]] | None:
        """Name the scope that a token needs."""
        schemes = super().operation_security(operation)
        for scheme, auth in zip(schemes or [], operation.auth_callbacks, strict=True):
            if scope := getattr(auth, "scope", None):
                scheme[type(auth).__name__] = [str(scope)]
        return schemes


@csrf_exempt
def _unknown(request: HttpRequest) -> HttpResponse:
    detail = f"There is nothing at {request.path[:200]}."
    return JsonResponse({"detail": detail}, status=404)


def _with_head_and_options(view: Callable[..., Any]) -> Callable[..., Any]:
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
    if response.status_code == 401 and getattr(request, "takes_tokens", False):
        response.headers["WWW-Authenticate"] = 'Bearer realm="Gantry"'
    response.headers.setdefault("Cache-Control", "no-store")  # it is this person's, now
    if head and isinstance(response, HttpResponse):
        length = str(len(response.content))
        response.content = b""
        response.headers["Content-Length"] = length
    elif head:
        response.close()
        response = HttpResponse(status=response.status_code, headers=dict(response.items()))
    return response
