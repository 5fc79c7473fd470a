"""What the control plane is told of the people here: models_admin.switching.demand asks."""

from __future__ import annotations

from chat.models import OPEN, Message, Role, Status
from models_admin.switching.demand import Demand


def demand() -> Demand:
    """Return how many messages wait, whose they and the replies in flight are, and when a reply last ended."""
    replies = Message.objects.filter(role=Role.ASSISTANT)
    open_ones = list(
        replies.filter(status__in=OPEN).values_list("status", "conversation__owner_id", "queued_at")
    )
    last = Message.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    return Demand(
        waiting=sum(status == Status.QUEUED for status, _, _ in open_ones),
        people=len({owner for _, owner, _ in open_ones}),
        last_reply=last.values_list("finished_at", flat=True).first(),
        oldest=min(
            (since for status, _, since in open_ones if status == Status.QUEUED and since), default=None
        ),
    )
