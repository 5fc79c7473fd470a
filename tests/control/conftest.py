"""Rows, users and clients for the administrator's side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from control_rows import ALL_THE_WAY, LLAMA, MISTRAL, QWEN, MakeUser, Worked
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from models_admin.models import Server, State, TabbyModel, Worker
from models_admin.servers import known, names, presence, state_row


@pytest.fixture(scope="session", autouse=True)
def _no_late_words() -> Iterator[None]:
    """Let the threads that tell a worker of a switch find out that there is none, before the logs are closed."""
    yield
    for thread in threading.enumerate():
        if thread.name == "nudge":
            thread.join(30)


@pytest.fixture(autouse=True)
def _nobody_there(settings: Any) -> None:
    """What asks TabbyAPI in these tests is refused at once."""
    settings.TABBY_HOST = "http://127.0.0.1:9"


@pytest.fixture
def catalog(db: None) -> dict[str, TabbyModel]:
    """Three models, of which Llama is loaded, all seen just now; and a worker that is alive."""
    now = timezone.now()
    Server.objects.update_or_create(
        pk=1,
        defaults={
            "model": LLAMA,
            "parameters": {"max_seq_len": 8192},
            "loaded_at": now,
            "seen_at": now,
            "catalog_at": now,
        },
    )
    Worker.objects.update_or_create(name="worker", defaults={"seen_at": now})
    rows = {}
    for name in (LLAMA, QWEN, MISTRAL):
        facts = names.read(name)
        rows[name] = TabbyModel.objects.create(
            name=name,
            parameters_b=facts.parameters_b,
            quantization=facts.quantization,
            bits=facts.bits,
            family=facts.family,
        )
    return rows


@pytest.fixture
def two(catalog: dict[str, TabbyModel], settings: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two servers, gpu1 and gpu2, that both have the catalog and run Llama; gpu1's address has a password."""
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    settings.TABBY_HOST = "gpu1=http://us:sesame@127.0.0.1:9,gpu2=http://127.0.0.1:10"
    known._rows.clear()
    first, second = known.all_servers()
    now = timezone.now()
    for server in (first, second):
        row = state_row.row(server)
        row.model, row.parameters, row.loaded_at = LLAMA, {"max_seq_len": 8192}, now
        row.seen_at = row.catalog_at = now
        row.save()
        presence.mark(server, list(catalog), now)
    return first, second


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """make_user("viewer", "view_tabbymodel"): a staff user with these permissions."""

    def make(username: str, *permissions: str, **fields: Any) -> User:
        user = User.objects.create_user(username, **{"is_staff": True, **fields})
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="models_admin", codename__in=permissions)
        )
        return user

    return make


@pytest.fixture
def admin_client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture
def viewer(make_user: MakeUser) -> Client:
    client = Client()
    client.force_login(make_user("viewer", "view_tabbymodel"))
    return client


@pytest.fixture
def worker(transactional_db: None) -> Iterator[Callable[..., Worked]]:
    """worker(State.DRAINING, …): the next switch goes through these states, the last one with the given fields."""
    started: list[Worked] = []

    def start(*states: State, **ending: Any) -> Worked:
        thread = Worked(*(states or ALL_THE_WAY), **ending)
        started.append(thread)
        thread.start()
        return thread

    yield start
    for thread in started:
        thread.join(30)
        if thread.error:
            raise thread.error
