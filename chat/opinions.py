"""What readers say of a model's replies, for the report on it: counts and words, nothing of a conversation."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.db.models import Count
from django.utils import timezone

from chat.models import Feedback, Thumb
from models_admin.presentation.model_reports import Opinions, Said
from models_admin.usage.reading import Span


def of_model(model: str, span: Span, most: int) -> Opinions:
    """Return the counts of these days, and the newest words, so many at most."""
    begin, end = (
        timezone.make_aware(datetime.combine(day, time())) for day in (span.first, span.last + timedelta(1))
    )
    given = Feedback.objects.filter(model=model, changed_at__gte=begin, changed_at__lt=end).order_by()
    counts = dict(given.values_list("thumb").annotate(Count("pk")))
    newest = given.exclude(words="").order_by("-changed_at").values_list("changed_at", "thumb", "words")
    words = tuple(Said(at, thumb == Thumb.UP, text) for at, thumb, text in newest[:most])
    return Opinions(counts.get(Thumb.UP, 0), counts.get(Thumb.DOWN, 0), words)
