"""What is written of calls: into the line behind the gate, out of it, and what becomes of those whose process died.

Each function is one transaction, for all calls of a process that come or go at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from gateway import limits
from gateway.limits import Arrival, Over
from gateway.line import KIND
from gateway.models import OPEN, Call, Outcome, Process, State
from models_admin import process, statements
from models_admin.models import UsageOutcome
from models_admin.servers import known
from models_admin.switching import admission, gate, placement
from models_admin.switching.gate import Entered
from models_admin.switching.placement import Wish
from models_admin.usage.meter import Measured
from models_admin.usage.recording import ReplyUsage, record

KEPT = timedelta(hours=1)  # for which ended calls are kept; the limit by the minute counts them
ENTERED = ("person_id", "token_id", "spoken_for", "endpoint", "state", "holder", "created_at", "queued_at",
           "model", "outcome")  # fmt: skip
BEGIN = "UPDATE gateway_call SET state = 'running', lease = %s, model = %s WHERE id = %s"
END = """
UPDATE gateway_call SET state = 'ended', lease = NULL, outcome = %s, ended_at = %s
WHERE id = %s AND state IN ('waiting', 'running', 'aside')
"""
SAVE = "UPDATE gateway_call SET spent_prompt = %s, spent_completion = %s WHERE id = %s AND state = 'running'"
LIVES = """
INSERT INTO gateway_process (holder, seen_at) VALUES (%s, %s) ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at
"""
DEAD = """
SELECT holder FROM gateway_process WHERE seen_at < %s
UNION SELECT holder FROM gateway_call AS left_over
WHERE state IN ('waiting', 'running', 'aside') AND created_at < %s
    AND NOT EXISTS (SELECT 1 FROM gateway_process AS shown WHERE shown.holder = left_over.holder)
"""
MINE = "SELECT id FROM gateway_call WHERE holder = %s AND state IN ('waiting', 'running', 'aside')"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call may generate with, from now on."""

    lease: int
    server: int
    model: str
    context: int | None
    epoch: int
    waited: float  # seconds in line


@dataclass(frozen=True, slots=True)
class Left:
    """A call that ends (`outcome`), or waits again, for `pause` seconds at least; `usage`: what it took, if it began."""

    call: int
    lease: int | None
    outcome: str = ""
    pause: float = 0.0
    usage: ReplyUsage | None = None


def admit(
    holder: str, arrivals: Sequence[Arrival], earlier: Callable[[int], Arrival | None] | None = None
) -> tuple[list[int | Over], dict[int, Turn]]:
    """Write down calls that come, in order, and begin those of `holder` that may.

    `earlier` tells how a call came that waits already. Returns for each arrival its number, or why it is refused; and the
    turns of those that begin.
    """
    came = timezone.now()
    with transaction.atomic():
        numbers = _enter(holder, arrivals) if arrivals else []
        try:
            servers = placement.enter()
        except gate.Closed:
            return numbers, {}
        ids = admission.claimable(KIND, holder, settings.REPLIES_AT_ONCE)
        new = {
            number: each for number, each in zip(numbers, arrivals, strict=True) if isinstance(number, int)
        }
        since = dict.fromkeys(new, came)
        if older := [pk for pk in ids if pk not in since]:
            waiting = Call.objects.filter(pk__in=older, holder=holder, state=State.WAITING)
            since.update(waiting.values_list("pk", "queued_at"))
        chosen = [pk for pk in ids if pk in since]
        placed = {
            pk: servers.place(_wish(new.get(pk) or (earlier(pk) if earlier else None))) for pk in chosen
        }
        leases = gate.leases(holder, [(placed[pk].pk, f"{KIND} {pk}") for pk in chosen])
        with connection.cursor() as cursor:
            begun = zip(chosen, leases, strict=True)
            cursor.executemany(BEGIN, [(lease, placed[pk].model, pk) for pk, lease in begun])
    now = timezone.now()
    return numbers, {
        pk: _turn(lease, placed[pk], (now - since[pk]).total_seconds())
        for pk, lease in zip(chosen, leases, strict=True)
    }


def _wish(arrival: Arrival | None) -> Wish:
    return Wish(arrival.model, arrival.near) if arrival is not None else Wish()


def _turn(lease: int, server: Entered, waited: float) -> Turn:
    return Turn(lease, server.pk, server.model, server.context, server.epoch, waited)


def _enter(holder: str, arrivals: Sequence[Arrival]) -> list[int | Over]:
    now = timezone.now()
    over = limits.check(arrivals, now)
    taken = zip(arrivals, over, strict=True)
    rows = [_row(holder, each, now) for each, why in taken if why is None]
    made = iter(statements.insert("gateway_call", ENTERED, rows))
    return [next(made) if why is None else why for why in over]


def _row(holder: str, arrival: Arrival, now: datetime) -> tuple[Any, ...]:
    state = State.ASIDE if arrival.aside else State.WAITING
    came, since = statements.stored(now), statements.stored(arrival.since)
    by = (arrival.person, arrival.token, arrival.spoken_for)
    return (*by, arrival.endpoint, state.value, holder, since, came, "", "")


def leave(gone: Iterable[Left]) -> None:
    """End these calls, or have them wait again, and end their leases with that. No call ends elsewhere but in bury()."""
    now = timezone.now()
    left = sorted(gone, key=lambda each: each.call)
    ended: list[ReplyUsage] = []
    with transaction.atomic():
        gate.release([each.lease for each in left if each.lease is not None])
        for each in left:
            if not each.outcome:
                _wait_again(each, now)
            elif statements.run(END, [each.outcome, statements.stored(now), each.call]) and each.usage:
                ended.append(each.usage)
            elif each.usage:
                ended += _beyond_recorded(each.call, each.usage)
        record(ended)


def _wait_again(left: Left, now: datetime) -> None:
    spent = left.usage.measured if left.usage else None
    Call.objects.filter(pk=left.call, state__in=OPEN).update(
        lease=None,
        state=State.WAITING,
        queued_at=now,
        not_before=now + timedelta(seconds=left.pause),
        **({"spent_prompt": spent.prompt, "spent_completion": spent.completion} if spent else {}),
    )


def _beyond_recorded(call: int, usage: ReplyUsage) -> list[ReplyUsage]:
    """Return what a call that is not open any more has taken beyond what bury() has recorded of it.

    That is nothing where leave() has ended it before: its first answer was lost.
    """
    if Call.objects.filter(pk=call).exclude(outcome__in=(Outcome.DIED, "")).exists():
        return []
    prompt, completion = _recorded(call)
    measured = usage.measured
    prompt, completion = max(0, measured.prompt - prompt), max(0, measured.completion - completion)
    return [replace(usage, measured=replace(measured, prompt=prompt, completion=completion))]


def _recorded(call: int) -> tuple[int, int]:
    """Return the tokens of a call that bury() has recorded."""
    buried = Call.objects.filter(pk=call, outcome=Outcome.DIED)
    return buried.values_list("spent_prompt", "spent_completion").first() or (0, 0)


def again(holder: str, call: int, arrival: Arrival) -> tuple[int, tuple[int, int]]:
    """Have a call of a process that was taken for dead wait again, in its old place.

    Returns its new number, and the tokens (prompt, completion) of it that are recorded already.
    """
    with transaction.atomic():
        Call.objects.filter(pk=call, state__in=OPEN).update(state=State.ENDED, ended_at=timezone.now())
        (made,) = statements.insert("gateway_call", ENTERED, [_row(holder, arrival, timezone.now())])
        return made, _recorded(call)


def beat(holder: str, grown: Iterable[tuple[int, Measured]] = ()) -> tuple[dict[int, bool], set[int]]:
    """Show that `holder` lives, and write what its calls have `grown` to, by number.

    Returns its leases ({id: told to let go}), and which of its calls are open.
    """
    held = gate.touch(holder)
    rows = [(measured.prompt, measured.completion, call) for call, measured in sorted(grown, key=_first)]
    with transaction.atomic():
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(SAVE, rows)
        statements.run(LIVES, [holder, statements.stored(timezone.now())])
        return held, {call for (call,) in statements.fetch(MINE, [holder])}


def _first(pair: tuple[int, Measured]) -> int:
    return pair[0]


def rest(holder: str) -> None:
    """Forget that `holder` lives: it has no calls, and shows no life until the next one comes."""
    Process.objects.filter(holder=holder).delete()


def dead() -> set[str]:
    """Return the processes that have shown no life for HEARTBEAT_TTL, or have calls and show none at all."""
    oldest = statements.stored(process.oldest_alive())
    return {holder for (holder,) in statements.fetch(DEAD, [oldest, oldest])}


def _orphans() -> QuerySet[Call]:
    """Return the open calls that no process shows life for; one that has calls does so every second."""
    shown = Process.objects.filter(holder=OuterRef("holder"))
    return Call.objects.filter(~Exists(shown), state__in=OPEN, created_at__lt=process.oldest_alive())


def bury(holders: Iterable[str]) -> int:
    """Take the calls of these processes out of the line, if they are still dead; return how many there were."""
    names, ended = list(holders), 0
    usage: list[ReplyUsage] = []
    with transaction.atomic():
        still = Process.objects.select_for_update().filter(
            holder__in=names, seen_at__lt=process.oldest_alive()
        )
        gone = sorted(each.holder for each in still)
        for left in (
            Call.objects.filter(holder__in=gone, state__in=OPEN),
            _orphans().filter(holder__in=names),
        ):
            calls = list(left.select_for_update(of=("self",)).order_by("pk"))
            usage += [_usage_of(call) for call in calls if call.model]
            ended += Call.objects.filter(pk__in=[call.pk for call in calls]).update(
                state=State.ENDED, outcome=Outcome.DIED, ended_at=timezone.now(), lease=None
            )
        Process.objects.filter(holder__in=gone).delete()
        record(usage)
    for server in known.all_servers():
        gate.remaining(server)
    return ended


def _usage_of(call: Call) -> ReplyUsage:
    measured = Measured(call.spent_prompt, call.spent_completion)
    person, outcome = 0 if call.spoken_for else call.person_id, UsageOutcome.FAILED
    return ReplyUsage(
        *(person, call.token_id, call.model, call.endpoint, outcome, measured),
        name=call.spoken_for,
        reason=Outcome.DIED.value,
    )


def forget() -> None:
    """Delete calls that ended long ago; the last one tells since when nobody has called."""
    ended = Call.objects.filter(ended_at__isnull=False).order_by("-ended_at")
    last = ended.values_list("pk", flat=True).first()
    Call.objects.filter(ended_at__lt=timezone.now() - KEPT).exclude(pk=last or 0).delete()
