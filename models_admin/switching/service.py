"""Takes a server out of service, so that it is given no replies, and puts it back. It can be switched meanwhile."""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone

from models_admin import events
from models_admin.models import Server
from models_admin.servers import known, state_row
from models_admin.switching import gate

log = logging.getLogger(__name__)


class LastInService(Exception):
    """The server was not taken out of service, because no other is in service; str() is a sentence."""

    def __init__(self, server: int) -> None:
        name = known.name(server) or "The server"
        super().__init__(f"{name} is the last server in service: nobody would get a reply without it.")


def take_out(server: int, *, forced: bool = False, let_go: bool = False) -> Server:
    """Give a server no more replies, and return its row. Raises LastInService, unless `forced`.

    Those in flight finish, or with `let_go` go on at other servers at once. One that is out already stays so.
    """
    with transaction.atomic():
        gate.lock(known.all_servers())
        if not forced and not state_row.others_in_service(server):
            raise LastInService(server)
        taken = state_row.set_out_of_service(server, timezone.now())
        if let_go:
            gate.revoke(server)
    if taken:
        log.info("%s was taken out of service", known.name(server) or "The server")
    if let_go:
        events.let_go()
    events.backend_changed()
    return state_row.row(server)


def put_back(server: int) -> Server:
    """Give a server replies again, and return its row; one that is in service stays so."""
    with transaction.atomic():
        gate.lock([server])
        back = state_row.set_out_of_service(server, None)
    if back:
        log.info("%s is in service again", known.name(server) or "The server")
    events.backend_changed()
    return state_row.row(server)
