"""Django's system checks: settings that cannot work, reported at every start, and what is known of TabbyAPI.

None of them needs the network. `manage.py check --database default` reports what the workers last saw of TabbyAPI;
`manage.py doctor` asks TabbyAPI itself, and everything else.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from models_admin.models import Server
from models_admin.servers import addresses, known, state_row
from models_admin.tabby.access import Access
from models_admin.tabby.errors import TabbyError

POSITIVE = (
    "SWITCH_TIMEOUT",
    "SWITCH_MAX_SECONDS",
    "CHECK_SECONDS",
    "REFRESH_INTERVAL",
    "HEARTBEAT_TTL",
    "REPLY_STALL_TIMEOUT",
)


@register()
def settings_that_cannot_work(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report settings that cannot work: gantry.E001 to E005, and W001 for a missing key."""
    found: list[CheckMessage] = []
    for each in addresses.servers().values():
        found += _access_problems(each)
    found += [
        Error(problem, hint="Such as gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000.", id="gantry.E005")
        for problem in addresses.problems()
    ]
    found += [
        Error(f"{name} must be more than 0", hint="It is in seconds; see .env.example.", id="gantry.E003")
        for name in POSITIVE
        if getattr(settings, name) <= 0
    ]
    if settings.DRAIN_TIMEOUT < 0:
        found.append(
            Error("DRAIN_TIMEOUT must not be less than 0", hint="0 lets no reply finish.", id="gantry.E004")
        )
    return found


def _access_problems(access: Access) -> list[CheckMessage]:
    """Report an address or keys with which a server cannot be asked."""
    found: list[CheckMessage] = []
    try:
        access.base  # noqa: B018 (raises)
    except TabbyError as error:
        found.append(Error(error.what, hint=error.advice, id="gantry.E001"))
    try:
        access.headers()
    except TabbyError as error:
        words = f"{access.name}: {error.what}" if access.name else error.what
        found.append(Error(words, hint=error.advice, id="gantry.E002"))
    if not access.admin_key and not settings.TABBY_SANDBOX:
        found.append(
            Warning(
                f"TABBY_ADMIN_KEY has no key for {access.name}"
                if access.name
                else "TABBY_ADMIN_KEY is not set",
                hint="Set it to the admin_key of TabbyAPI's api_tokens.yml, unless TabbyAPI runs with disable_auth.",
                id="gantry.W001",
            )
        )
    return found


@register(Tags.database)
def tabbyapi_as_last_seen(app_configs: Any, databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Report what the workers last saw of TabbyAPI, where a database is named (`check --database default`)."""
    if not databases:
        return []
    try:
        rows = [row for server in known.all_servers() for row in state_row.stored(server)]
    except DatabaseError:  # it has no tables yet
        return []
    return [each for row in rows for each in _as_last_seen(row)]


def _as_last_seen(row: Server) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if row.unreachable_since is not None:
        found.append(Warning(f"{known.prefix(row.pk)}{row.trouble}", hint=row.advice, id="gantry.W010"))
    for each in row.findings:
        words = f"{known.prefix(row.pk)}{each['title']}: {each['detail']}"
        found.append(Warning(words, hint=each["hint"], id=f"gantry.{each['id']}"))
    return found
