"""What a running Gantry tells Prometheus, from either web process, and to whom."""

from __future__ import annotations

import time

import requests
from prometheus_client.parser import text_string_to_metric_families
from support.people import Person
from support.tabby import Tabby, until
from system.running import Gantry

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(url: str, **headers: str) -> Samples:
    answer = requests.get(f"{url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"gantry_{name}", frozenset(labels.items())), 0.0)


def settled(url: str) -> Samples:
    """What there is once the counts have stood still for longer than any process keeps its own to itself: a second."""
    known, since = scrape(url), time.monotonic()

    def still() -> bool:
        nonlocal known, since
        now = scrape(url)
        if any(now[key] != known.get(key) for key in now if key[0].endswith(("_total", "_count"))):
            known, since = now, time.monotonic()
        return time.monotonic() - since > 1.5

    until(still, "counts that stand still")
    return known


def test_it_counts_what_happens_for_all_processes_together(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person, second_url: str
) -> None:
    until(lambda: value(scrape(gantry.url), "workers") == 1, "a worker")
    before = settled(gantry.url)
    for name in ("tabbyapi_up", "database_up", "redis_up", "workers"):
        assert value(before, name) == 1
    assert value(before, "model_loaded", model="alpha-7B") == 1
    assert admin.switch("beta-8B-Q5").status_code == 200
    assert admin.switch("huge-70B").status_code == 502
    with alice.page() as page:
        page.answered(page.say("[[tokens=20]]"))
    with alice.page(url=second_url) as page:
        page.answered(page.say("[[tokens=20]]"))
    with admin.watch() as page:
        tabby.state(loaded="alpha-7B")
        page.until(lambda each: each.backend["model"] == "alpha-7B", "the change from outside")

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    def counted() -> bool:
        nonlocal after
        after = scrape(gantry.url)
        return more("replies_total", outcome="complete") == 2

    after = before
    until(counted, "both replies")
    assert more("switches_total", kind="switch", outcome="succeeded", source="api") == 1
    assert more("switches_total", kind="switch", outcome="failed", source="api") == 1
    assert more("switches_total", kind="rollback", outcome="succeeded", source="rollback") == 1
    assert more("drift_total") == 1
    assert more("switch_step_seconds_count", step="loading") == 2
    assert more("switch_step_seconds_sum", step="loading") > 0
    assert more("tokens_total", kind="completion") == 40
    assert more("tokens_total", kind="prompt") > 0
    assert more("loop_delay_seconds_count") > 0
    assert more("first_token_seconds_count") == 2
    assert more("claim_wait_seconds_count") == 2
    assert more("claim_wait_seconds_sum") > 0
    assert more("token_delay_seconds_count") > 0
    assert value(after, "token_delay_seconds_bucket", le="+Inf") == value(after, "token_delay_seconds_count")
    for name in ("replies_in_flight", "queue_length", "queue_oldest_seconds", "switch_running"):
        assert value(after, name) == 0
    assert value(after, "model_loaded", model="alpha-7B") == 1
    until(lambda: scrape(second_url) == scrape(gantry.url), "the same from both")


def test_what_waits_shows(tabby: Tabby, gantry: Gantry, admin: Person, alice: Person) -> None:
    assert admin.call("POST", "/api/admin/models/unload").status_code == 200
    with alice.page() as page:
        page.say("[[echo]]Anybody?")
        until(lambda: value(scrape(gantry.url), "queue_length") == 1, "a message that waits")
        until(lambda: value(scrape(gantry.url), "queue_oldest_seconds") > 0.2, "its age")
        assert not [key for key in scrape(gantry.url) if key[0] == "gantry_model_loaded"]
        assert admin.switch("alpha-7B").status_code == 200
        until(lambda: value(scrape(gantry.url), "queue_length") == 0, "an empty queue")


def test_only_this_machine_may_read_it_and_not_through_a_proxy(gantry: Gantry, admin: Person) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        refused = admin.get("/metrics", headers={header: "127.0.0.1"})
        assert refused.status_code == 403
        assert "METRICS_TOKEN" in refused.text
