"""How fast a model has been so far: in the same check, else in replies."""

from __future__ import annotations

from datetime import timedelta
from statistics import median

from django.db.models import Sum
from django.utils import timezone

from models_admin.models import Check, CheckResult, Usage, UsageOutcome, Verdict

_RESULTS = 10
_FEWEST_RESULTS = 2
_DAYS = 30
_FEWEST_REPLIES = 20


def rate(check: Check, model: str) -> float | None:
    """Return the model's tokens a second of before; None where too little is known of it."""
    results = CheckResult.objects.filter(check_row=check, run__model=model, rate__isnull=False).exclude(
        verdict=Verdict.FAILED
    )
    rates = list(results.order_by("-id").values_list("rate", flat=True)[:_RESULTS])
    if len(rates) >= _FEWEST_RESULTS:
        return median(each for each in rates if each is not None)
    since = timezone.localdate() - timedelta(days=_DAYS)
    replies = Usage.objects.filter(
        at__isnull=True, day__gte=since, model=model, kind="chat", outcome=UsageOutcome.COMPLETE
    )
    sums = replies.aggregate(
        n=Sum("replies"), t=Sum("completion_tokens"), s=Sum("seconds"), f=Sum("first_seconds")
    )
    spent = (sums["s"] or 0) - (sums["f"] or 0)
    return sums["t"] / spent if (sums["n"] or 0) >= _FEWEST_REPLIES and spent > 0 and sums["t"] else None
