"""Runs the checks of a model, and keeps what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from models_admin.checks import past
from models_admin.checks.asking import Asking, Question, questions
from models_admin.checks.judging import Judgement, judge
from models_admin.models import GATED, Check, CheckResult, CheckRun, RunKind, Switch, TabbyModel, Verdict
from models_admin.servers import connections
from models_admin.tabby.errors import TabbyError
from models_admin.tabby.wire import ModelCard
from models_admin.visible import visible

AT_ONCE = 4  # questions side by side, where the card does not say how many the server takes
MOST_AT_ONCE = 8
POLL = 0.2  # seconds between two looks at whether the run shall go on
RUNS_KEPT = 100  # of each model
LONGEST_KEPT = 4_000  # characters of what was asked and answered
LONGEST_TOLD = 300  # of those in an error
CHECKING = "Checking: "  # with which a switch's detail says how many checks are done


class CheckFailed(TabbyError):
    """The loaded model's answer to a check was not good enough."""

    kind = "check_failed"
    default_advice = (
        "The answers to all checks stand with this switch in the history. If the check is wrong, change it or turn it off, "
        "or switch again without checks."
    )


def due(model: str, *, serving: bool) -> list[Check]:
    """Return the checks of a model that are on: all, or those before serving."""
    row = TabbyModel.objects.filter(name=model).first()
    tags = [str(each) for each in row.tags] if row else []
    its = Q(model="", tag="") | Q(model=model) | Q(model="", tag__in=tags)
    wanted = Q(before_serving=True) if serving else Q()
    return list(Check.objects.filter(its, wanted, enabled=True))


def before_serving(
    switch: Switch, card: ModelCard, *, shown: Callable[[int, str], None], going_on: Callable[[], bool]
) -> None:
    """Run the checks before serving on the target of a switch, which is loaded. Raises CheckFailed.

    `shown` is told the percentage and how far it is in words. `going_on` is asked again and again whether to go on; what it
    raises ends the run, too. A run that is given up leaves no row.
    """
    found = due(card.id, serving=True)
    if not found:
        return
    run = Run(switch.server_id, card, found, shown=shown, going_on=going_on, stop_at_a_failure=True)
    if not run.carry_out():
        return
    run.keep(RunKind.SERVING, switch)
    for check, question, judgement in run.judged():
        if judgement.verdict == Verdict.FAILED:
            raise CheckFailed(_failure(check, question, judgement))


def of_a_try(
    switch: Switch, card: ModelCard, *, shown: Callable[[int, str], None], going_on: Callable[[], bool]
) -> None:
    """Run all checks on what a switch tries out, and keep what came; the arguments are before_serving()'s."""
    if found := due(card.id, serving=False):
        run = Run(switch.server_id, card, found, shown=shown, going_on=going_on, stop_at_a_failure=False)
        if run.carry_out():
            run.keep(RunKind.TRY, switch)


def now(server: int) -> CheckRun | None:
    """Run all checks of the loaded model while it serves, and keep what came; return None where a switch came between."""
    with connections.client(server) as client:
        card = client.current()
    found = due(card.id, serving=False) if card else []
    if card is None or not found:
        return None

    def going_on() -> bool:
        return not Switch.objects.filter(server_id=server, state__in=GATED).exists()

    run = Run(
        server, card, found, shown=lambda percent, words: None, going_on=going_on, stop_at_a_failure=False
    )
    return run.keep(RunKind.NOW, None) if going_on() and run.carry_out() else None


def _failure(check: Check, question: Question, judgement: Judgement) -> str:
    came = question.answer.said.strip() or question.answer.thoughts.strip()
    # Behind a quotation stands no full stop: it has its own.
    answer = f"Answer: “{_short(came)}”" if came else "There was no answer"
    return f"The check “{check.name}” failed: {judgement.why}. Question: “{_short(check.prompt)}” {answer}"


def _short(text: str) -> str:
    flat = " ".join(visible(text).split())
    return flat if len(flat) <= LONGEST_TOLD else f"{flat[: LONGEST_TOLD - 2]} …"


@dataclass
class Run:
    """One run of some checks on the loaded model."""

    server: int
    card: ModelCard
    checks: Sequence[Check]
    shown: Callable[[int, str], None]
    going_on: Callable[[], bool]
    stop_at_a_failure: bool
    judgements: dict[int, Judgement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began, self._started_at = time.monotonic(), timezone.now()
        self._asked = questions(self.checks)
        slow = [check for check in self.checks if check.least_share]
        self._past = {check.pk: past.rate(check, self.card.id) for check in slow}
        self._failed = False

    def carry_out(self) -> bool:
        """Ask everything and judge it, for CHECK_SECONDS at most; return False where the run was given up."""
        deadline = self._began + settings.CHECK_SECONDS
        self._show()
        at_once = self.card.parameters.get("max_batch_size")
        several = min(int(at_once), MOST_AT_ONCE) if isinstance(at_once, int) and at_once > 0 else AT_ONCE
        if not self._ask(self._asked, several, deadline):
            return False
        for question in self._asked:
            self._judge(question)
        return self._ask_the_slow_again(deadline)

    def judged(self) -> list[tuple[Check, Question, Judgement]]:
        """Return each check, with its question and what its answer is worth, those that failed first."""
        found = [
            (check, question, self.judgements[check.pk])
            for question in self._asked
            for check in question.checks
        ]
        return sorted(found, key=lambda each: each[2].verdict != Verdict.FAILED)

    @property
    def verdict(self) -> Verdict:
        """What the run as a whole is worth."""
        found = {each.verdict for each in self.judgements.values()}
        order = (Verdict.FAILED, Verdict.PASSED, Verdict.NOT_JUDGED)
        return next(each for each in order if each in found)

    def keep(self, kind: RunKind, switch: Switch | None) -> CheckRun:
        """Write the run and its results, and delete the model's oldest runs."""
        spent = round(time.monotonic() - self._began, 3)
        with transaction.atomic():
            run = CheckRun.objects.create(
                server_id=self.server, switch=switch, model=self.card.id, kind=kind, verdict=self.verdict,
                started_at=self._started_at, seconds=spent,
            )  # fmt: skip
            there = set(Check.objects.filter(pk__in=self.judgements).values_list("pk", flat=True))
            CheckResult.objects.bulk_create(_row(run, there, *each) for each in self.judged())
            kept = CheckRun.objects.filter(model=run.model).order_by("-id").values_list("pk", flat=True)
            CheckRun.objects.filter(pk__in=list(kept[RUNS_KEPT : RUNS_KEPT * 2])).delete()
        return run

    def _ask(self, asked: Sequence[Question], at_once: int, deadline: float) -> bool:
        tabby = connections.async_client(self.server, patience=2 * settings.CHECK_SECONDS)
        asking = Asking(tabby, asked, at_once=at_once, deadline=deadline, settled=self._settled)
        given_up = False
        with ThreadPoolExecutor(1, thread_name_prefix="checks") as pool:
            work = pool.submit(copy_context().run, asking.run)
            try:
                while not wait([work], timeout=POLL).done:
                    if not given_up and not self.going_on():
                        given_up = True
                        asking.stop()
            finally:
                asking.stop()
        work.result()
        return not given_up

    def _settled(self, question: Question) -> bool:
        """Judge an answer that has ended; return whether to go on. Runs in the thread that asks."""
        self._judge(question)
        self._show()
        judged = [self.judgements[check.pk] for check in question.checks]
        return not (self.stop_at_a_failure and any(map(_is_certain_failure, judged)))

    def _judge(self, question: Question) -> None:
        for check in question.checks:
            patience = settings.CHECK_SECONDS / 2
            self.judgements[check.pk] = judge(check, question.answer, self._past.get(check.pk), patience)

    def _ask_the_slow_again(self, deadline: float) -> bool:
        """Ask again, one after the other, what was answered too slowly: it may have been so because of the others."""
        if any(map(_is_certain_failure, self.judgements.values())):
            return True
        for check, question, judgement in self.judged():
            if not judgement.slow or time.monotonic() >= deadline:
                continue
            again = Question(question.body, [check])
            if not self._ask([again], 1, deadline):
                return False
            second = judge(check, again.answer, self._past.get(check.pk), settings.CHECK_SECONDS / 2)
            if second.verdict == Verdict.PASSED:
                question.answer = again.answer
            else:
                second = judgement
            self.judgements[check.pk] = second
        return True

    def _show(self) -> None:
        done, total = len(self.judgements), len(self.checks)
        self.shown(100 * done // total, f"{CHECKING}{done} of {total}")


def _is_certain_failure(judgement: Judgement) -> bool:
    return judgement.verdict == Verdict.FAILED and not judgement.slow


def _row(
    run: CheckRun, there: set[int], check: Check, question: Question, judgement: Judgement
) -> CheckResult:
    answer = question.answer
    text = answer.text or answer.thoughts
    called = "".join(f"[calls {name}]" for name in answer.tools[:10])
    numbers: Mapping[str, Any] = {
        "tokens": answer.tokens,
        "first_token": answer.first_token,
        "rate": answer.rate,
    }
    return CheckResult(
        run=run, check_row_id=check.pk if check.pk in there else None, name=check.name, verdict=judgement.verdict,
        why=judgement.why[:LONGEST_KEPT], asked=visible(check.prompt)[:LONGEST_KEPT],
        answer=f"{text[:LONGEST_KEPT]}{called}", **numbers,
    )  # fmt: skip
