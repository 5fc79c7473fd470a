"""Writes each switch into Django's admin log, once, when it has ended, whoever asked for it.

An entry needs a user. What nobody with an account asked for (a rule, the command line, somebody outside Gantry) is
entered under an account of Gantry's own. It is inactive and has no password, so that nobody can sign in with it.
"""

from __future__ import annotations

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password

from models_admin.models import Source, State, Switch

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
    LogEntry.objects.log_actions(
        _requester(switch) or _gantry_account(),
        Switch.objects.filter(pk=switch.pk),
        CHANGE,
        change_message=_words(switch),
        single_object=True,
    )


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
    change = f"{switch.previous or 'nothing'} → {switch.target or 'nothing'}"
    outcome = State(switch.state).label
    why = f": {switch.error[:300]}" if switch.error else ""
    now = "not known" if switch.result is None else switch.result or "nothing"
    left = f" Loaded now: {now}." if switch.state != State.SUCCEEDED else ""
    return f"{change}, {outcome} (asked for by {where}){why}{left}"
