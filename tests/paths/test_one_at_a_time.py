"""At most one change at a time, whatever asks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import environ
import psycopg
import redis
from support.people import Person
from support.system import QUICK
from support.tabby import Tabby, until
from system.running import Gantry


def test_the_same_target_joins_the_running_switch(tabby: Tabby, admin: Person) -> None:
    numbers = {admin.start_switch("slow-13B") for _ in range(3)}
    assert len(numbers) == 1
    assert admin.switch("slow-13B").status_code == 200
    assert len(tabby.log("/v1/model/load")) == 1


def test_another_target_is_a_conflict_that_names_it(tabby: Tabby, admin: Person) -> None:
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        answer = admin.switch("beta-8B-Q5")
        assert answer.status_code == 409
        assert "slow-13B" in answer.json()["detail"]
        assert admin.call("POST", "/api/admin/models/unload").status_code == 409
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end")


def test_ten_threads_through_two_processes_make_one_switch(
    tabby: Tabby, admin: Person, second_url: str
) -> None:
    targets = ["beta-8B-Q5", "gamma-VL-7B"] * 5

    def ask(index: int) -> int:
        url = (admin.url, second_url)[index % 2]
        cookie = {"Cookie": f"session_id={admin.cookie}", "Prefer": "respond-async"}
        body = {"model_id": targets[index]}
        return admin.session.post(
            f"{url}/api/admin/models/switch", json=body, headers=cookie, timeout=30
        ).status_code

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(10)))
    assert set(answers) <= {202, 409}
    assert 202 in answers
    with admin.watch() as page:
        page.until(lambda each: each.backend["switch"] is None, "the end")
    loads = [each["model"] for each in tabby.log("/v1/model/load")]
    assert len(set(loads)) == len(loads) <= 2
    unloads = tabby.log("/v1/model/unload")
    assert len(unloads) <= 2


def test_a_task_that_is_delivered_again_changes_nothing(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    """Every task message that the worker takes is put into the queue again, twice."""
    number = admin.start_switch("slow-13B")
    with redis.Redis(unix_socket_path=str(gantry.folder / "redis.sock")) as broker:
        task = _task_message(number)
        with admin.watch() as page:
            page.until(lambda each: (each.backend["switch"] or {}).get("state") == "loading", "the load")
            broker.lpush("gantry", task, task)
            page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end")
            assert page.backend["last"]["state"] == "succeeded"
            broker.lpush("gantry", task)
            until(lambda: broker_is_empty(broker), "the queue to be empty")
    assert len(tabby.log("/v1/model/load")) == 1
    assert admin.switch_row(number)["state"] == "succeeded"


def postgres(url: str) -> Any:
    facts = environ.Env.db_url_config(url)
    names = {"host": "HOST", "user": "USER", "dbname": "NAME", "password": "PASSWORD"}
    return psycopg.connect(**{name: facts[key] for name, key in names.items()})


@contextmanager
def locked(gantry: Gantry, number: int) -> Iterator[Callable[[], timedelta]]:
    """Let nobody write to the database (PostgreSQL: to that switch) for a while; gives the age of its heartbeat."""
    asked = f"SELECT heartbeat FROM models_admin_switch WHERE id = {number}"
    url = gantry.env["DATABASE_URL"]
    database: Any = postgres(url) if url else sqlite3.connect(gantry.folder / "gantry.sqlite3")
    with closing(database):
        database.execute(f"{asked} FOR UPDATE" if url else "BEGIN IMMEDIATE")

        def age() -> timedelta:
            beat = database.execute(asked).fetchone()[0]
            moment = beat if url else datetime.fromisoformat(beat).replace(tzinfo=UTC)
            return datetime.now(UTC) - moment

        yield age
        database.rollback()


def test_a_locked_database_does_not_make_two_runners_of_one_switch(
    tabby: Tabby, gantry: Gantry, admin: Person
) -> None:
    """While nobody can write, a heartbeat grows old without anybody's death."""
    tabby.state(seconds_per_module={"slow-13B": 0.3})
    ttl = timedelta(seconds=float(QUICK["HEARTBEAT_TTL"]))
    with admin.watch() as page:
        number = admin.start_switch("slow-13B")
        page.until(lambda each: (each.backend["switch"] or {}).get("percent", 0) > 5, "the load")
        with (
            locked(gantry, number) as age,
            redis.Redis(unix_socket_path=str(gantry.folder / "redis.sock")) as broker,
        ):
            until(lambda: age() > 2 * ttl, "a heartbeat that looks like death")
            broker.lpush("gantry", *[_task_message(number) for _ in range(5)])
            until(lambda: broker_is_empty(broker), "workers that want to take it over")
            until(lambda: age() > 2.5 * ttl, "them to wait for the database")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end", 60)
        assert page.backend["last"]["state"] == "succeeded"
    assert len(tabby.log("/v1/model/load")) == 1


def broker_is_empty(broker: redis.Redis) -> bool:
    return broker.llen("gantry") == 0


def _task_message(number: int) -> bytes:
    """The message that `run_switch.delay(number)` sends, as Celery's Redis transport stores it."""
    import base64
    import json
    import uuid

    name = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([[number], {}, {}]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": "models_admin.tasks.run_switch", "id": name, "root_id": name,
                        "parent_id": None, "group": None, "argsrepr": "", "kwargsrepr": "", "origin": "test"},
            "properties": {
                "correlation_id": name,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "gantry"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": name,
            },
        }
    ).encode()  # fmt: skip
