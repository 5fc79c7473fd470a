"""Writes into Django's admin log, whoever asked for it: each switch, once, when it has ended; and what is done to servers.

An entry needs a user. What nobody with an account asked for (a rule, the command line, somebody outside Gantry) is
entered under an account of Gantry's own. It is inactive and has no password, so that nobody can sign in with it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db.models import QuerySet

from models_admin.models import Source, State, Switch, TabbyModel
from models_admin.servers import state_row

WHERE = {
    Source.ADMIN: "admin site",
    Source.API: "API",
    Source.COMMAND: "command line",
    Source.ROLLBACK: "rollback",
    Source.OUTSIDE: "outside",
    Source.LATE: "a load that was given up",
    Source.KEEP: "kept model",
    Source.RULE: "rule",
}
# A name that nobody can have: forms refuse spaces and parentheses.
GANTRY = "Gantry (by itself)"


def write(switch: Switch) -> None:
    """Enter a switch that has just ended. Call it in the transaction that ends it: both happen, or neither."""
    _enter(_requester(switch), Switch.objects.filter(pk=switch.pk), _words(switch))


def write_about(server: int, words: str, user_id: int | None) -> None:
    """Enter what was done to a server, by this account (None: nobody with one). Call it in the transaction that does it."""
    _enter(user_id, state_row.stored(server), words)


def write_about_model(pk: int, words: str, user_id: int | None) -> None:
    """Enter what was done to a model's row, by this account (None: nobody with one)."""
    _enter(user_id, TabbyModel.objects.filter(pk=pk), words)


def _enter(user_id: int | None, rows: QuerySet[Any], words: str) -> None:
    who = user_id or _gantry_account()
    LogEntry.objects.log_actions(who, rows, CHANGE, change_message=words, single_object=True)


def _requester(switch: Switch) -> int | None:
    """Return the id of the account that asked, locked until the transaction ends: its deletion must not undo the switch."""
    if switch.requested_by_id is None:
        return None
    users = get_user_model().objects.select_for_update().filter(pk=switch.requested_by_id)
    return users.values_list("pk", flat=True).first()


def _gantry_account() -> int:
    account, _ = get_user_model().objects.get_or_create(
        username=GANTRY, defaults={"is_active": False, "password": make_password(None)}
    )
    return int(account.pk)


def _words(switch: Switch) -> str:
    where = f"rule “{switch.rule}”" if switch.rule else WHERE[Source(switch.source)]
    change = f"{switch.previous or 'nothing'} → {switch.target or 'nothing'}{', tried out' if switch.tries else ''}"
    outcome = State(switch.state).label
    why = f": {switch.error[:300]}" if switch.error else ""
    now = "not known" if switch.result is None else switch.result or "nothing"
    left = f" Loaded now: {now}." if switch.tries or switch.state != State.SUCCEEDED else ""
    return f"{change}, {outcome} (asked for by {where}){why}{left}"
