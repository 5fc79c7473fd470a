"""What a team has done in thirty days with two models, written into the database: `manage.py shell < docs/staged_life.py`.

Replies with their speed, loads, what readers say, and what names the model that is to be retired.
"""

from __future__ import annotations

from datetime import time, timedelta
from random import Random
from unittest.mock import patch

from django.utils import timezone

from chat.models import Better, Feedback, Thumb, Verdict
from models_admin.models import Alias, Check, Rule, State, Switch, TabbyModel, Trigger, UsageOutcome
from models_admin.servers import known
from models_admin.usage.meter import Measured
from models_admin.usage.recording import CHAT, ReplyUsage, record

NEW, OLD, RETIRING = "Qwen3-8B-4.0bpw", "Llama-3.1-8B-Instruct", "Mistral-7B-Instruct-v0.3-Q5"
DAYS, PEOPLE = 30, 7
NOTES = {
    NEW: "For support and the status page. Short, and keeps to the house style.",
    OLD: "The all-rounder. Long answers; good at summaries.",
    RETIRING: "The newsletter's model, until Qwen3 writes it.",
}
# Tokens a second, seconds to the first token, replies on a weekday, seconds of a load.
FACTS = {NEW: (52.0, 0.31, 64, 15.0), OLD: (39.0, 0.55, 41, 21.0)}
WORDS = (
    (NEW, Thumb.UP, "Kept to our style guide without being told twice."),
    (NEW, Thumb.UP, "The steps for the refund were right, and in the right order."),
    (OLD, Thumb.DOWN, "Twice as long as the customer will read."),
    (NEW, Thumb.DOWN, "Invented a menu item that our settings page does not have."),
    (OLD, Thumb.UP, "Good summary of the incident; I only changed the title."),
    (NEW, Thumb.UP, "Found the off-by-one in the invoice export at once."),
    (OLD, Thumb.DOWN, "Answered in English, and the customer had written in French."),
    (RETIRING, Thumb.UP, "Nice tone for the newsletter."),
    (NEW, Thumb.UP, ""),
    (NEW, Thumb.UP, ""),
    (OLD, Thumb.UP, ""),
    (NEW, Thumb.UP, ""),
    (RETIRING, Thumb.DOWN, "Lost the thread after the third question."),
    (OLD, Thumb.UP, "The SQL was fine as it was."),
)
EXCHANGE = (
    "Where do customers change the address on their invoice?",
    "Under *Settings*, *Billing*, *Addresses*: they choose **Edit** beside the address, and **Save**.",
)
VERDICTS = ((Better.FIRST, 14), (Better.SAME, 6), (Better.SECOND, 5))
dice = Random(7)  # noqa: S311 (figures that look like a team's)


def replies(model: str, days: int) -> list[ReplyUsage]:
    """The replies of one day; at weekends there are few, and a bad day is slower."""
    rate, first, often, _ = FACTS[model]
    weekend = (timezone.localdate() - timedelta(days=days)).weekday() > 4
    slow = 0.72 if (model, days) in ((OLD, 4), (NEW, 9)) else 1.0
    found = []
    for number in range(int((often // 6 if weekend else often) * dice.uniform(0.75, 1.2))):
        failed = number % 31 == 30
        context = int(dice.triangular(300, 9000, 1400))
        speed = max(6.0, dice.gauss(rate * slow, rate / 7) - context / 900)
        long = int(dice.triangular(60, 700, 210))
        begins = max(0.12, dice.gauss(first / slow, first / 5) + context / 20000)
        took = Measured(context - long // 2, long, begins, begins + long / speed, speed, context)
        outcome = UsageOutcome.FAILED if failed else UsageOutcome.COMPLETE
        found.append(
            ReplyUsage(
                number % PEOPLE + 1, 0, model, CHAT, outcome, took,
                reason="stream_cut" if failed else "", taken_over=number % 23 == 22,
            )
        )  # fmt: skip
    return found


def load(model: str, days: float) -> None:
    """A switch to a model that went well."""
    at, other = timezone.now() - timedelta(days=days), OLD if model == NEW else NEW
    seconds = round(FACTS[model][3] * dice.uniform(0.92, 1.2), 1)
    Switch.objects.create(
        server_id=known.default(), target=model, previous=other, result=model, source="admin", drain_seconds=20,
        state=State.SUCCEEDED, created_at=at, started_at=at, state_since=at, finished_at=at + timedelta(seconds=seconds + 5),
        seconds={"draining": 1.8, "unloading": 2.6, "loading": seconds},
    )  # fmt: skip


now = timezone.now()
for ago in range(DAYS - 1, -1, -1):
    for _ in range(3):
        load(OLD, ago)
        load(NEW, ago)
    with patch("django.utils.timezone.now", return_value=now - timedelta(days=ago)):
        for name in FACTS:
            record(replies(name, ago))
for name, notes in NOTES.items():
    TabbyModel.objects.filter(name=name).update(notes=notes)
for number, (name, thumb, words) in enumerate(WORDS):
    at = now - timedelta(hours=3 + 17 * number)
    question, answer = EXCHANGE if number == 3 else ("", "")
    Feedback.objects.create(
        model=name, thumb=thumb, words=words, question=question, answer=answer, created_at=at, changed_at=at
    )
for better, count in VERDICTS:
    for number in range(count):
        at = now - timedelta(hours=5 + 11 * number)
        Verdict.objects.create(first=NEW, second=OLD, better=better, changed_at=at)
Check.objects.create(
    name="Answers in English", prompt="Explain in about five sentences why the sky is blue.", language="en"
)
Alias.objects.create(
    name="newsletter", model=RETIRING, system_prompt="You write for customers, warmly and briefly."
)
Alias.objects.create(name="support", model=NEW)
Rule.objects.create(
    name="Newsletter on Fridays", trigger=Trigger.TIME, target=RETIRING, days=[5], at=time(7, 30)
)
Rule.objects.create(name="Support on weekdays", trigger=Trigger.TIME, target=NEW, at=time(8))
Rule.objects.create(name="Quiet nights", trigger=Trigger.IDLE, idle_minutes=90)
