"""Examines TabbyAPI: what it answers, and what the history of switches shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from django.db import DatabaseError
from django.utils import timezone

from models_admin import events
from models_admin.models import Source, Switch
from models_admin.servers import connections, differences, state_row
from models_admin.servers.finding import Finding
from models_admin.tabby.client import TabbyClient
from models_admin.tabby.errors import KeyRefused, TabbyError

PATIENCE_SECONDS = 3.0  # for each answer of TabbyAPI
SHOWN_ELSEWHERE = ("tabbyapi", "template")  # the Models page shows these from the server's row
RECENT = timedelta(hours=24)


def examine(server: int, *, with_history: bool = True) -> Iterator[Finding]:
    """Ask TabbyAPI; yield findings on its engine, the key, the models and (`with_history`) changes from outside."""
    with connections.client(server, patience=PATIENCE_SECONDS) as client:
        yield from _examine_with(server, client, with_history=with_history)


def _examine_with(server: int, client: TabbyClient, *, with_history: bool = True) -> Iterator[Finding]:
    """Do the same as examine(), with a client that is there already."""
    try:
        issues = client.health_issues()
        yield Finding("tabbyapi", "ok", "TabbyAPI answers", address(server))
        yield _health(issues)
        for ask in (_key, _folder):
            found = ask(server, client)
            yield found
            if found.level == "error":
                return
        yield from _loaded(client)
    except TabbyError as error:
        yield _failed(server, error)
        return
    if with_history:
        yield from changed_by_others(server)


def _health(issues: list[str]) -> Finding:
    """Return the finding on /health, which alone shows a crash of the engine: TabbyAPI still names the model."""
    if issues:
        hint = "Replies may fail until TabbyAPI is restarted, which also clears this. Its log says more."
        return Finding("health", "error", "TabbyAPI's engine has failed", "; ".join(issues)[:500], hint)
    return Finding("health", "ok", "TabbyAPI's engine is well")


def look_at_health(server: int) -> bool:
    """Ask TabbyAPI how its engine is, and store the finding for pages and /readyz; return False if it could not be asked."""
    with connections.client(server, patience=PATIENCE_SECONDS, with_keys=False) as client:
        try:
            found = _health(client.health_issues())
        except TabbyError:
            return False
    known = [each.as_dict() for each in (found,) if each.level != "ok"]
    if state_row.set_findings(server, known, about=found.id):
        events.backend_changed()
    return True


def _loaded(client: TabbyClient) -> Iterator[Finding]:
    """Yield what is wrong with the loaded model, by its card."""
    card = client.current()
    if card is None:
        return
    if card.parameters.get("prompt_template") == "":
        yield Finding("template", "error", f"{card.id} cannot chat", "", differences.NO_TEMPLATE)
    if card.id not in client.models():
        yield Finding(
            "renamed", "warning", f"{card.id} is loaded, but TabbyAPI no longer lists it",
            "Its directory was renamed or removed since it was loaded. It answers until it is unloaded, and cannot be "
            "loaded again by this name.",
            "Switch to it under its new name when that disturbs nobody, or give the directory its old name back.",
        )  # fmt: skip


def _key(server: int, client: TabbyClient) -> Finding:
    if client.permission() != "admin":
        return Finding(
            "key", "error", "The key may not switch models", "TabbyAPI says that it is an API key, not the admin key.",
            "Set TABBY_ADMIN_KEY to the admin_key of TabbyAPI's api_tokens.yml.",
        )  # fmt: skip
    return Finding("key", "ok", "The key may switch models")


def _folder(server: int, client: TabbyClient) -> Finding:
    models = client.models()
    if not models:
        answer = f"To GET {address(server)}/v1/models it answers {client.models_answer()}"
        return Finding(
            "models", "warning", "TabbyAPI lists no models", answer,
            "Put a model's directory into TabbyAPI's model folder (model_dir in its config.yml), or mend that setting.",
        )  # fmt: skip
    return Finding("models", "ok", "TabbyAPI lists its models", f"{len(models)} in its model folder")


def changed_by_others(server: int) -> Iterator[Finding]:
    """Yield a warning where something other than Gantry has loaded models within the last day."""
    try:
        found = list(
            Switch.objects.filter(
                server_id=server, source=Source.OUTSIDE, created_at__gt=timezone.now() - RECENT
            ).values_list("target", flat=True)[:50]
        )
    except DatabaseError:
        return
    loads = [name for name in found if name]
    if loads:
        times = "Once" if len(loads) == 1 else f"{len(loads)} times"
        yield Finding(
            "outside", "warning", "Something other than Gantry loads models",
            f"{times} within the last day; the last one was {loads[0]}.",
            "If nobody did that, TabbyAPI does: with inline_model_loading, a chat that names a model switches to it. "
            "Set it to false in TabbyAPI's config.yml, and let other programs chat through a TabbyAPI of their own.",
        )  # fmt: skip


def _failed(server: int, error: TabbyError) -> Finding:
    if isinstance(error, KeyRefused):
        its = connections.access(server)
        missing = not (its.admin_key or its.api_key)
        title = "No key for TabbyAPI is set" if missing else "TabbyAPI refuses the key"
        return Finding("key", "error", title, str(error), error.advice)
    return Finding(
        "tabbyapi",
        "error",
        "TabbyAPI does not answer as it should",
        f"{address(server)}: {error}",
        error.advice,
    )


def address(server: int) -> str:
    """Return a server's address without a user's name and password; “TABBY_HOST” where it is no address."""
    try:
        parts = urlsplit(connections.access(server).host)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        return "TABBY_HOST"


def remember(server: int, client: TabbyClient | None = None) -> None:
    """Ask TabbyAPI, and store what is wrong with it in the server's row, for pages to show."""
    found = _examine_with(server, client) if client else examine(server)
    shown = [each for each in found if each.level != "ok" and each.id not in SHOWN_ELSEWHERE]
    if state_row.set_findings(server, [each.as_dict() for each in shown]):
        events.backend_changed()
