"""What is asked of the switches, all the time or by a page, never walks through the whole history, on neither database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from support.plans import walks
from support.servers import SERVER

from models_admin.admin import plots
from models_admin.api import idempotency, tokens
from models_admin.automation import rules
from models_admin.model_requests import asking, endings
from models_admin.models import ModelRequest, Token
from models_admin.ops import metrics
from models_admin.presentation import estimates, snapshots
from models_admin.servers import diagnosis
from models_admin.switching import gate, ownership, transitions

HOUR = timedelta(hours=1)


def metrics_of_new_switches() -> None:
    """What a scrape asks for after the first one, which adds up the whole history once."""
    counted = metrics._Switches()
    list(counted.collect())
    list(counted.collect())


def an_open_request(reader: User) -> list[ModelRequest]:
    ModelRequest.objects.create(user=reader, target="model-1-13B")
    return asking.unanswered()


def a_token(reader: User) -> Token:
    _, token = tokens.make(reader, "mine", ["read"])
    return tokens.find(token)


ASKED: dict[str, Callable[[User], Any]] = {
    "snapshot": lambda reader: snapshots.current(SERVER),
    "snapshot's mark": lambda reader: snapshots.newer(SERVER, []),
    "the one under way": lambda reader: transitions.active(SERVER),
    "is the gate closed": lambda reader: gate.closed(SERVER),
    "orphans": lambda reader: ownership.orphans(SERVER),
    "changed by others": lambda reader: list(diagnosis.changed_by_others(SERVER)),
    "expected seconds of a load": lambda reader: estimates.load_seconds(SERVER, "model-1-13B"),
    "expected seconds of an unload": lambda reader: estimates.unload_seconds(SERVER),
    "seconds of all models": lambda reader: estimates.load_medians(SERVER),
    "load times": lambda reader: plots.load_times(SERVER),
    "timeline": lambda reader: plots.timeline(SERVER),
    "metrics": lambda reader: metrics_of_new_switches(),
    "idle": lambda reader: rules.idle_since(SERVER),
    "requests that changed": lambda reader: asking.changed_since(timezone.now() - HOUR),
    "requests of a page": lambda reader: asking.notices([reader.pk]),
    "open requests": an_open_request,
    "ends of requests": lambda reader: endings.look_after(),
    "token": a_token,
    "repeat keys": lambda reader: idempotency.forget(),
}


# A failed switch has one rollback, so that at least every other row counts: the newest few are found at once.
NEWEST = 'NOT ("models_admin_switch"."source" = '


def test_nothing_that_is_asked_all_the_time_walks_through_the_history(reader: User) -> None:
    found = {name: walks(partial(work, reader), but=NEWEST) for name, work in ASKED.items()}
    assert not {name: walked for name, walked in found.items() if walked}


PATHS = (
    "/admin/models_admin/switch/2900/change/",
    "/admin/models_admin/tabbymodel/1/switch/",
    "/admin/models_admin/tabbymodel/unload/",
    "/api/admin/switches",
    "/api/admin/switches/2900",
    "/api/models/active",
    "/api/conversations",
    "/",
)


def test_no_page_but_a_list_walks_through_anything(client: Client, reader: User) -> None:
    client.force_login(reader)
    found = {path: walks(partial(client.get, path), but=NEWEST) for path in PATHS}
    assert not {path: walked for path, walked in found.items() if walked}
