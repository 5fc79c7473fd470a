"""The metrics of /metrics. Any web process answers for all: they come from the database and from counters.py.

Switches that have ended never change, so each process counts each of them once and reads only new ones at the next scrape.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import product

import redis
from django.db import DatabaseError
from django.db.models import Max, Min
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from models_admin import counters, process
from models_admin.models import ACTIVE, ENDED, ModelRequest, RequestState, Server, Source, Switch, Worker
from models_admin.servers import known, state_row
from models_admin.switching import demand, gate
from models_admin.usage.reading import ModelTotals

_KINDS = [
    *product(("switch", "unload"), (Source.ADMIN, Source.API, Source.COMMAND, Source.RULE)),
    ("switch", Source.KEEP),
    ("rollback", Source.ROLLBACK),
]
MOST_MODELS, OTHER = 100, "other"  # labels of models
STEP_BOUNDS = (0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900)


def exposition() -> tuple[bytes, str]:
    """Return the metrics in Prometheus' text format, and its content type; a database or Redis that is down is a metric."""
    return generate_latest(_Registry()), CONTENT_TYPE_LATEST


class _Registry:
    """All metrics, as prometheus_client's registry."""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, each once."""
        yield from _of_redis()
        try:
            rows = list(_of_database())
        except DatabaseError:
            yield _gauge("database_up", "Whether the database answers.", 0)
        else:
            yield _gauge("database_up", "Whether the database answers.", 1)
            yield from rows


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gantry_{name}", says, value=value)


def _counter(name: str, says: str, label: str, values: dict[str, float]) -> Metric:
    family = CounterMetricFamily(f"gantry_{name}", says, labels=[label])
    for word, value in sorted(values.items()):
        family.add_metric([word], value)
    return family


def _of_redis() -> Iterator[Metric]:
    try:
        kept = counters.all_counts()
    except (redis.RedisError, OSError):
        yield _gauge("redis_up", "Whether Redis answers.", 0)
        return
    yield _gauge("redis_up", "Whether Redis answers.", 1)
    outcomes = {each: kept.get(f"replies:{each}", 0.0) for each in ("complete", "stopped", "failed", "cut")}
    yield _counter(
        "replies", "Replies by how they ended; cut ones go on with the next model.", "outcome", outcomes
    )
    tokens = {each: kept.get(f"tokens:{each}", 0.0) for each in ("prompt", "completion")}
    yield _counter("tokens", "Tokens of finished replies, as TabbyAPI counted them.", "kind", tokens)
    for histogram, says in (
        (counters.FIRST_TOKEN, "From asking TabbyAPI to the first token of a reply."),
        (counters.CLAIM_WAIT, "How long a message or a call waited in line before it was begun."),
        (counters.TOKEN_DELAY, "Between two arrivals of tokens of one reply."),
        (
            counters.LOOP_DELAY,
            "How late the event loop of a web process that relays is, looked at once a second.",
        ),
    ):
        buckets, total = histogram.read(kept)
        yield HistogramMetricFamily(
            f"gantry_{histogram.name}_seconds", says, buckets=buckets, sum_value=total
        )


def _of_database() -> Iterator[Metric]:
    now, rows = timezone.now(), [state_row.row(server) for server in known.all_servers()]
    reached = all(row.unreachable_since is None and row.seen_at is not None for row in rows)
    yield _gauge("tabbyapi_up", "Whether TabbyAPI answered when it was last asked.", reached)
    loaded = GaugeMetricFamily("gantry_model_loaded", "The model that TabbyAPI runs.", labels=["model"])
    for model, servers in Counter(row.model for row in rows if row.model).items():
        loaded.add_metric([model], servers)
    yield loaded
    if known.several():
        yield from _of_servers(rows)
    alive = Worker.objects.filter(seen_at__gte=process.oldest_alive()).count()
    yield _gauge("workers", "Celery workers that are alive.", alive)
    replying = sum(gate.in_flight(row.pk) for row in rows)
    yield _gauge("replies_in_flight", "Replies that are being written (leases).", replying)
    waiting = demand.now()
    yield _gauge("queue_length", "Messages that wait for a reply.", waiting.waiting)
    age = (now - waiting.oldest).total_seconds() if waiting.oldest else 0.0
    yield _gauge("queue_oldest_seconds", "How long the oldest of them has waited.", max(0.0, age))
    asked = ModelRequest.objects.filter(state=RequestState.OPEN).count()
    yield _gauge("model_requests_open", "Users' requests for a model that nobody has answered.", asked)
    yield from _of_usage()
    yield from _switches.collect()


def _of_servers(rows: list[Server]) -> Iterator[Metric]:
    up = GaugeMetricFamily("gantry_server_up", "Whether this TabbyAPI answered last.", labels=["server"])
    busy = GaugeMetricFamily("gantry_server_replies_in_flight", "Replies written there.", labels=["server"])
    for row in rows:
        up.add_metric([row.name], row.unreachable_since is None and row.seen_at is not None)
        busy.add_metric([row.name], gate.in_flight(row.pk))
    yield from (up, busy)


def _of_usage() -> Iterator[Metric]:
    """What replies took, by model; of many models those that came first have a label of their own."""
    totals = _totals.read()
    own = set(list(dict.fromkeys(model for model, _ in totals))[:MOST_MODELS])
    replies: Counter[tuple[str, str]] = Counter()
    tokens: Counter[tuple[str, str]] = Counter()
    for (model, outcome), (number, prompt, completion) in totals.items():
        label = model if model in own else OTHER
        replies[label, outcome] += number
        tokens[label, "prompt"] += prompt
        tokens[label, "completion"] += completion
    for name, says, word, values in (
        ("usage_replies", "Replies of chat and programs by the model that ended them.", "outcome", replies),
        (
            "usage_tokens",
            "Tokens of these replies; parts that were cut count by their events.",
            "kind",
            tokens,
        ),
    ):
        family = CounterMetricFamily(f"gantry_{name}", says, labels=["model", word])
        for labels, value in sorted(values.items()):
            family.add_metric(labels, value)
        yield family


class _Switches:
    """The counts of all switches that have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._seen = 0
        # Every label begins with 0: else Prometheus would not see the first switch as an increase.
        self._ended: Counter[tuple[str, str, str]] = Counter(
            {(kind, state.value, source.value): 0 for kind, source in _KINDS for state in ENDED}
        )
        self._steps: dict[str, list[float]] = {}  # counts by bound, then the sum
        self._drift = self._cut = 0

    def collect(self) -> Iterator[Metric]:
        """Add what has ended since the last time; yield the metrics."""
        running = Switch.objects.filter(state__in=ACTIVE)
        with self._lock:
            # In this order: a switch that comes between the two is not among those that have ended.
            newest = Switch.objects.aggregate(pk=Max("pk"))["pk"] or 0
            end = running.aggregate(pk=Min("pk"))["pk"]
            if newest < self._seen:
                self._forget()  # another database: a restored one
            self._add(newest if end is None else end - 1)
            ended, drift, cut = Counter(self._ended), self._drift, self._cut
            steps = {step: list(counts) for step, counts in self._steps.items()}
        yield _gauge("switch_running", "Whether a switch is under way.", end is not None)
        labels = ["kind", "outcome", "source"]
        family = CounterMetricFamily(
            "gantry_switches", "Switches and unloads that have ended.", labels=labels
        )
        for words, number in sorted(ended.items()):
            family.add_metric(words, number)
        yield family
        yield CounterMetricFamily(
            "gantry_drift", "Models changed by somebody else, not by Gantry.", value=drift
        )
        yield CounterMetricFamily("gantry_switch_replies_cut", "Replies cut by switches.", value=cut)
        times = HistogramMetricFamily(
            "gantry_switch_step_seconds", "Time in each step of a switch.", labels=["step"]
        )
        bounds = [*(f"{bound:g}" for bound in STEP_BOUNDS), "+Inf"]
        for step, counts in sorted(steps.items()):
            cumulative = [sum(counts[: place + 1]) for place in range(len(bounds))]
            times.add_metric([step], list(zip(bounds, cumulative, strict=True)), counts[-1])
        yield times

    def _add(self, last: int) -> None:
        fields = ("pk", "target", "state", "source", "cause", "seconds", "replies_cut")
        new = Switch.objects.filter(pk__gt=self._seen, pk__lte=last).order_by("pk").values_list(*fields)
        for pk, target, state, source, cause, seconds, cut in new:
            self._seen = pk
            if source == Source.OUTSIDE:
                self._drift += 1
                continue
            if source == Source.LATE:
                continue  # its switch is counted already
            kind = "rollback" if cause else "switch" if target else "unload"
            self._ended[(kind, state, source)] += 1
            self._cut += cut
            for step, spent in ({} if cause else seconds).items():
                counts = self._steps.setdefault(step, [0.0] * (len(STEP_BOUNDS) + 2))
                counts[bisect_left(STEP_BOUNDS, spent)] += 1
                counts[-1] += spent


_switches = _Switches()
_totals = ModelTotals()
