"""What people do with requests for a model: ask, withdraw, decline, put a notice away.

A request is open until it ends, once. model_requests/endings.py ends it, also where nobody answers: the model was loaded, or
has gone, or too much time has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from models_admin import events, page_schema
from models_admin.model_requests import endings
from models_admin.models import ModelRequest, RequestState, TabbyModel
from models_admin.presentation.switch_text import iso
from models_admin.servers import state_row
from models_admin.switching import transitions
from models_admin.visible import printable

MOST_OPEN = 5  # of one user
MOST_AN_HOUR = 20  # requests of one user, and changes to them
HOUR = timedelta(hours=1)
LONGEST = 300  # characters of a reason, and of an answer
NOTICE_FOR = timedelta(days=14)  # the end of a request is shown to its user
MOST_NOTICES = 20  # requests that a user is shown


class RequestRefused(Exception):
    """A request was not made or not changed; str() is a sentence for the person who asked."""


class NotOffered(RequestRefused):
    """No model of that name can be asked for."""


class TooMany(RequestRefused):
    """This user has asked for too much."""


class TooLate(RequestRefused):
    """The request has ended already."""


def offered() -> list[TabbyModel]:
    """Return the models that may be asked for: those in TabbyAPI that administrators show in the chat."""
    return list(TabbyModel.offered().filter(visible=True))


def ask(server: int, user_id: int, target: str, reason: str = "") -> ModelRequest | None:
    """Ask for `target`, or change the reason of an open request; return the request, or None if the model is loaded.

    Raises NotOffered or TooMany. The lock of the server's row orders this with a switch that may be loading the model:
    either the model is seen as loaded here, or the end of the switch finds the request.
    """
    reason = cleaned(reason)
    with transaction.atomic():
        loaded = state_row.lock(server).model
        if not TabbyModel.offered().filter(name=target, visible=True).exists():
            raise NotOffered(f"“{printable(target)}” cannot be asked for: no such model is offered.")
        if target == loaded and not _leaving(server, target):
            return None
        request = ModelRequest.objects.filter(user_id=user_id, target=target, state=RequestState.OPEN).first()
        if request is not None and request.reason == reason:
            return request
        _within_limits(user_id, new=request is None)
        now = timezone.now()
        if request is None:
            request = ModelRequest.objects.create(
                user_id=user_id, target=target, reason=reason, asked_at=now, changed_at=now
            )
        else:
            times = request.times + 1 if request.asked_at > now - HOUR else 1
            request.reason, request.asked_at, request.changed_at, request.times = reason, now, now, times
            request.save(update_fields=["reason", "asked_at", "changed_at", "times"])
        transaction.on_commit(events.requests_changed)
    return request


def _leaving(server: int, loaded: str) -> bool:
    """Whether the loaded model is about to make room for another."""
    running = transitions.active(server)
    return running is not None and running.target != loaded


def _within_limits(user_id: int, *, new: bool) -> None:
    mine = ModelRequest.objects.filter(user_id=user_id)
    if new and mine.filter(state=RequestState.OPEN).count() >= MOST_OPEN:
        raise TooMany(f"You have asked for {MOST_OPEN} models. Withdraw a request before you make another.")
    recent = mine.filter(asked_at__gt=timezone.now() - HOUR)
    if (recent.aggregate(times=Sum("times"))["times"] or 0) >= MOST_AN_HOUR:
        raise TooMany("You have asked very often within the last hour. Try again later.")


def withdraw(user_id: int, request_id: int) -> None:
    """Withdraw a user's own request; one that is withdrawn stays so. Raises ModelRequest.DoesNotExist or TooLate."""
    if endings.end(Q(pk=request_id, user_id=user_id), RequestState.WITHDRAWN, seen_at=timezone.now()):
        return
    request = ModelRequest.objects.get(pk=request_id, user_id=user_id)
    if request.state != RequestState.WITHDRAWN:
        raise TooLate(f"This request has been answered already: {request.get_state_display().lower()}.")


def decline(request_id: int, *, by: int, answer: str) -> None:
    """Decline an open request with an `answer` of the user `by`. Raises TooLate if it has ended."""
    if not endings.end(Q(pk=request_id), RequestState.DECLINED, answer=cleaned(answer), answered_by_id=by):
        raise TooLate(
            "This request has ended already: it was answered, withdrawn, or the model has been loaded."
        )


def seen(user_id: int, request_id: int) -> None:
    """Put away the notice of how a user's own request ended. Raises ModelRequest.DoesNotExist."""
    now = timezone.now()
    mine = ModelRequest.objects.filter(pk=request_id, user_id=user_id)
    if mine.exclude(state=RequestState.OPEN).filter(seen_at=None).update(seen_at=now, changed_at=now):
        events.requests_changed()
    else:
        mine.get()


def cleaned(text: str) -> str:
    """Return `text` as one line without control characters, of at most LONGEST characters."""
    words = "".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in text).split()
    return " ".join(words)[:LONGEST].strip()


def unanswered() -> list[ModelRequest]:
    """Return the open requests, oldest first, each with its user."""
    return list(ModelRequest.objects.filter(state=RequestState.OPEN).select_related("user"))


def notices(users: Iterable[int]) -> dict[int, list[page_schema.ModelRequest]]:
    """Return for each of these users the requests to show: open, or ended and not put away, oldest first."""
    found: dict[int, list[page_schema.ModelRequest]] = {user: [] for user in users}
    recent = Q(seen_at=None, ended_at__gt=timezone.now() - NOTICE_FOR)
    rows = list(ModelRequest.objects.filter(Q(state=RequestState.OPEN) | recent, user_id__in=found))
    names = titles({row.target for row in rows})
    for row in rows:
        found[row.user_id].append(describe(row, names.get(row.target, row.target)))
    return {user: each[-MOST_NOTICES:] for user, each in found.items()}


def titles(targets: Iterable[str]) -> dict[str, str]:
    """Return {name: display name} of these models, as far as they are in the catalog."""
    return {each.name: str(each) for each in TabbyModel.objects.filter(name__in=set(targets))}


def describe(request: ModelRequest, name: str) -> page_schema.ModelRequest:
    """Return a request as its user is shown it; `name` is the model's display name."""
    return {
        "id": request.pk,
        "model": request.target,
        "name": name,
        "state": RequestState(request.state),
        "reason": request.reason,
        "answer": request.answer,
        "asked_at": request.asked_at.isoformat(),
        "ended_at": iso(request.ended_at),
    }


def changed_since(when: datetime) -> list[tuple[int, int, datetime]]:
    """Return (request, user, changed at) of the requests that were written after `when`, oldest first."""
    changed = ModelRequest.objects.filter(changed_at__gt=when).order_by(F("changed_at"))
    return list(changed.values_list("pk", "user_id", "changed_at"))
