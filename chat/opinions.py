"""What readers say of a model's replies, for the report on it: counts, words, verdicts; nothing of a conversation."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, time, timedelta

from django.db.models import Count
from django.utils import timezone

from chat.models import Better, Feedback, Thumb, Verdict
from models_admin.presentation.model_reports import Compared, Opinions, Said
from models_admin.usage.reading import Span

MOST_OTHERS = 50  # models that one is compared with


def of_model(model: str, span: Span, most: int) -> Opinions:
    """Return the counts of these days, the newest words, so many at most, and the models that it was compared with."""
    begin, end = (
        timezone.make_aware(datetime.combine(day, time())) for day in (span.first, span.last + timedelta(1))
    )
    given = Feedback.objects.filter(model=model, changed_at__gte=begin, changed_at__lt=end).order_by()
    counts = dict(given.values_list("thumb").annotate(Count("pk")))
    newest = given.exclude(words="").order_by("-changed_at").values_list("changed_at", "thumb", "words")
    words = tuple(Said(at, thumb == Thumb.UP, text) for at, thumb, text in newest[:most])
    compared = _compared(model, begin, end)
    return Opinions(counts.get(Thumb.UP, 0), counts.get(Thumb.DOWN, 0), words, compared)


def _compared(model: str, begin: datetime, end: datetime) -> tuple[Compared, ...]:
    others: dict[str, Counter[str]] = defaultdict(Counter)
    # What is better where the model stands first, and where it stands second.
    for own, other, words in (
        ("first", "second", {Better.FIRST: "better", Better.SAME: "same", Better.SECOND: "worse"}),
        ("second", "first", {Better.SECOND: "better", Better.SAME: "same", Better.FIRST: "worse"}),
    ):
        given = Verdict.objects.filter(**{own: model}, changed_at__gte=begin, changed_at__lt=end).order_by()
        for name, better, number in given.values_list(other, "better").annotate(Count("pk")):
            others[name][words[Better(better)]] += number
    ranked = sorted(others.items(), key=lambda each: (-each[1].total(), each[0]))[:MOST_OTHERS]
    return tuple(Compared(name, found["better"], found["same"], found["worse"]) for name, found in ranked)
