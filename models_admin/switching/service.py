"""Takes a server out of service, so that it is given no replies, and puts it back. It can be switched meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from django.db import transaction
from django.utils import timezone

from models_admin import events
from models_admin.models import Server
from models_admin.servers import known, state_row
from models_admin.switching import admin_log, gate

log = logging.getLogger(__name__)


class LastInService(Exception):
    """The server was not taken out of service, because nobody would get a reply without it; str() is a sentence."""


class Known(Protocol):
    """What is known of a server: a row, read or locked."""

    @property
    def pk(self) -> int: ...
    @property
    def model(self) -> str: ...
    @property
    def unreachable_since(self) -> datetime | None: ...
    @property
    def out_of_service_since(self) -> datetime | None: ...


def objection(server: int, rows: Sequence[Known]) -> str:
    """Return why a server is to stay in service, in a sentence, by the rows of all; '' where nothing speaks against it."""
    name = known.name(server) or "The server"
    there = {row.pk: row for row in rows if row.out_of_service_since is None}
    own = there.pop(server, None)
    if own is None:
        return ""
    if not there:
        return f"{name} is the last server in service: nobody would get a reply without it."
    if _answers(own) and not any(map(_answers, there.values())):
        return f"{name} is the last server that answers: nobody would get a reply without it."
    return ""


def _answers(row: Known) -> bool:
    return bool(row.model) and row.unreachable_since is None


def take_out(
    server: int, *, user_id: int | None = None, forced: bool = False, let_go: bool = False
) -> Server:
    """Give a server no more replies, and return its row. Raises LastInService, unless `forced`.

    Those in flight finish, or with `let_go` go on at other servers at once. One that is out already stays so. The admin
    log says who did it.
    """
    with transaction.atomic():
        why = objection(server, gate.lock(known.all_servers()))
        if why and not forced:
            raise LastInService(why)
        if state_row.set_out_of_service(server, timezone.now()):
            _tell(server, "was taken out of service", user_id)
        if let_go:
            gate.revoke(server)
    if let_go:
        events.let_go()
    events.backend_changed()
    return state_row.row(server)


def put_back(server: int, *, user_id: int | None = None) -> Server:
    """Give a server replies again, and return its row; one that is in service stays so."""
    with transaction.atomic():
        gate.lock([server])
        if state_row.set_out_of_service(server, None):
            _tell(server, "was put back into service", user_id)
    events.backend_changed()
    return state_row.row(server)


def _tell(server: int, what: str, user_id: int | None) -> None:
    words = f"{known.name(server) or 'The server'} {what}"
    admin_log.write_about(server, f"{words}.", user_id)
    transaction.on_commit(partial(log.info, words))
