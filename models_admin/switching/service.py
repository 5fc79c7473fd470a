"""Takes a server out of service, so that it is given no replies, and puts it back. It can be switched meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from django.db import transaction
from django.utils import timezone

from models_admin import events
from models_admin.models import Server
from models_admin.servers import known, state_row
from models_admin.switching import admin_log, gate

log = logging.getLogger(__name__)


class LastInService(Exception):
    """The server was not taken out of service, because no other is in service, or none answers; str() is a sentence."""

    def __init__(self, server: int, *, others_in_service: bool) -> None:
        what = "that answers" if others_in_service else "in service"
        name = known.name(server) or "The server"
        super().__init__(f"{name} is the last server {what}: nobody would get a reply without it.")


def take_out(
    server: int, *, user_id: int | None = None, forced: bool = False, let_go: bool = False
) -> Server:
    """Give a server no more replies, and return its row. Raises LastInService, unless `forced`.

    Those in flight finish, or with `let_go` go on at other servers at once. One that is out already stays so. The admin
    log says who did it.
    """
    with transaction.atomic():
        rows = {row.pk: row for row in gate.lock(known.all_servers())}
        if not forced:
            _require_another(server, rows)
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


def _require_another(server: int, rows: Mapping[int, gate.Row]) -> None:
    """Raise LastInService where people would get no reply without this server, which is in service; `rows` are all."""
    own = rows.get(server)
    if own is not None and own.out_of_service_since is not None:
        return
    others = [row for row in rows.values() if row.pk != server and row.out_of_service_since is None]
    answers = own is not None and own.may_answer
    if not others or (answers and not any(row.may_answer for row in others)):
        raise LastInService(server, others_in_service=bool(others))
