"""/api/docs: the HTTP API for people, made from the schema at /api/openapi.json.

Gantry has its own page, because the usual viewers are megabytes of script that the Content-Security-Policy forbids.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import comrak
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from models_admin.api.base import Api

NUMBER = 17  # stands for any id in the examples
_RENDERING = comrak.RenderOptions()
_RENDERING.escape = True


def view(api: Api) -> Any:
    """Return the view of the page about `api`. Anybody may read it: it says nothing about this installation."""

    @require_safe
    def docs(request: HttpRequest) -> HttpResponse:
        document = api.get_openapi_schema()
        context = {
            "title": document["info"]["title"],
            "about": _prose(document["info"]["description"]),
            "version": document["openapi"],
            "schemes": [
                (name, facts, _prose(facts.get("description", "")))
                for name, facts in document["components"]["securitySchemes"].items()
            ],
            "groups": _groups(document, request.build_absolute_uri("/").rstrip("/")),
        }
        return render(request, "models_admin/api_docs.html", context)

    return docs


def _prose(text: str) -> str:
    return mark_safe(comrak.render_markdown(text, render_options=_RENDERING))  # noqa: S308 (Gantry's own text, in which HTML is escaped)


def _groups(document: dict[str, Any], host: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the operations as the page shows them, by tag, in the order of the document."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = _operation(document, path, method, operation, host)
            groups.setdefault(operation["tags"][0], []).append(shown)
    return list(groups.items())


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any], host: str
) -> dict[str, Any]:
    shapes = document["components"]["schemas"]
    content = operation.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema")
    answers = [
        (status, response["description"], _shape(response, shapes))
        for status, response in sorted(operation["responses"].items(), key=lambda each: int(each[0]))
    ]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": _prose(operation.get("description", "")),
        "ways": [_way(name, scopes) for way in operation["security"] for name, scopes in way.items()],
        "parameters": [
            {**each, "shape": sketch(each["schema"], shapes), "says": _prose(each.get("description", ""))}
            for each in operation.get("parameters", [])
        ],
        "body": sketch(body, shapes) if body else "",
        "body_required": operation.get("requestBody", {}).get("required", False),
        "answers": [each for each in answers if int(each[0]) < 400],
        "errors": [each[:2] for each in answers if int(each[0]) >= 400],
        "curl": _curl(host + path, method.upper(), operation, body, shapes),
    }


def _way(name: str, scopes: list[str]) -> str:
    return f"{name} ({', '.join(scopes)})" if scopes else name


def _shape(response: dict[str, Any], shapes: dict[str, Any]) -> str:
    for kind, content in response.get("content", {}).items():
        return sketch(content["schema"], shapes) if kind == "application/json" else kind
    return ""


def sketch(schema: dict[str, Any], shapes: dict[str, Any], indent: str = "") -> str:
    """Return a JSON schema as people write JSON, with types in the place of values and descriptions behind them."""
    if "$ref" in schema:
        return sketch(shapes[schema["$ref"].rpartition("/")[2]], shapes, indent)
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(sketch(each, shapes, indent) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"[{sketch(schema['items'], shapes, indent)}, …]"
    if schema.get("type") == "object":
        return _object(schema, shapes, indent)
    return "time" if schema.get("format") == "date-time" else schema.get("type", "anything")


def _object(schema: dict[str, Any], shapes: dict[str, Any], indent: str) -> str:
    if "properties" not in schema:
        values = schema.get("additionalProperties")
        return "{…: " + (sketch(values, shapes, indent) if isinstance(values, dict) else "anything") + "}"
    inner = indent + "  "
    lines = []
    for name, facts in schema["properties"].items():
        optional = "" if name in schema.get("required", []) or "default" not in facts else "optional. "
        description = optional + facts.get("description", "")
        comment = f"  // {description.strip()}" if description else ""
        lines.append(f'{inner}"{name}": {sketch(facts, shapes, inner)},{comment}')
    return "\n".join(["{", *lines, indent + "}"])


def _curl(
    url: str, method: str, operation: dict[str, Any], body: dict[str, Any] | None, shapes: dict[str, Any]
) -> str:
    for each in operation.get("parameters", []):
        if each["in"] == "path":
            example = "…" if each["schema"].get("format") == "uuid" else str(NUMBER)
            url = url.replace("{" + each["name"] + "}", example)
    query = [each for each in operation.get("parameters", []) if each["in"] == "query" and each["required"]]
    if query:
        url += "?" + "&".join(f"{each['name']}=…" for each in query)
    takes_tokens = any("BearerToken" in way for way in operation["security"])
    proof = '"Authorization: Bearer $GANTRY_TOKEN"' if takes_tokens else '"Cookie: session_id=$SESSION"'
    words = ["curl"] if method == "GET" else ["curl", "-X", method]
    words += [shlex.quote(url) if "&" in url or "?" in url else url, "-H", proof]
    if body:
        words += ["-H", '"Content-Type: application/json"']
        words += ["-d", shlex.quote(json.dumps(_example(body, shapes), ensure_ascii=False))]
    if any("text/event-stream" in each.get("content", {}) for each in operation["responses"].values()):
        words.insert(1, "-N")
    return " ".join(words)


def _example(schema: dict[str, Any], shapes: dict[str, Any]) -> Any:
    """Return a small value of this schema: required fields, with the examples of the schema where it has some."""
    if "$ref" in schema:
        return _example(shapes[schema["$ref"].rpartition("/")[2]], shapes)
    if "examples" in schema:
        return schema["examples"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], shapes)
    if schema.get("type") == "object":
        needed = schema.get("required", [])
        return {
            name: _example(facts, shapes)
            for name, facts in schema.get("properties", {}).items()
            if name in needed
        }
    return {"integer": 1, "number": 1, "boolean": True, "array": []}.get(schema.get("type", ""), "…")
