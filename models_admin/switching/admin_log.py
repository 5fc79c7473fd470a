"""Each switch in Django's admin log, once, when it has ended; whoever asked for it, and from wherever.

An entry needs a user. What nobody with an account asked for (a rule, the command line, somebody outside Gantry) is
entered under an account of Gantry's own, which is inactive and has no password: nobody can sign in with it.
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
# With characters that no name given in a form can have: it is nobody's.
ITSELF = "Gantry (by itself)"


def write(switch: Switch) -> None:
    """Enter a switch that has just ended. Called in the transaction that ends it: both happen, or neither."""
    LogEntry.objects.log_actions(
        _asker(switch) or _itself(),
        Switch.objects.filter(pk=switch.pk),
        CHANGE,
        change_message=_words(switch),
        single_object=True,
    )


def _asker(switch: Switch) -> int | None:
    """Who asked for it, held until the transaction's end: an account that is deleted meanwhile must not undo the switch."""
    if switch.requested_by_id is None:
        return None
    users = get_user_model().objects.select_for_update().filter(pk=switch.requested_by_id)
    return users.values_list("pk", flat=True).first()


def _itself() -> int:
    account, _ = get_user_model().objects.get_or_create(
        username=ITSELF, defaults={"is_active": False, "password": make_password(None)}
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
