"""The team's model: the one that people get who ask for none, wherever it is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from models_admin.models import Server
from models_admin.servers import known, state_row


class Chosen(Protocol):
    """What a server runs, what was last chosen for it, and the number of the switch that did."""

    @property
    def model(self) -> str: ...
    @property
    def wanted(self) -> str: ...
    @property
    def chosen_by(self) -> int: ...


def rows() -> list[Server]:
    """Return the rows of all servers, in order."""
    servers = known.all_servers()
    if not known.several():
        return [state_row.row(servers[0])]
    found = Server.objects.in_bulk(servers)
    return [found[each] for each in servers if each in found]


def model() -> str:
    """Return the team's model, by what all servers run; '' if none runs any."""
    return serving(rows())


def serving(servers: Sequence[Server]) -> str:
    """Return the team's model by the rows of all servers: of those that can be given replies where any runs it, else all."""
    return of(servers, able(servers)) or of(servers)


def able(servers: Iterable[Server]) -> list[str]:
    """Return the models of those of the servers that are within reach and in service."""
    return [
        each.model
        for each in servers
        if each.model and each.unreachable_since is None and each.out_of_service_since is None
    ]


def of(servers: Sequence[Chosen], running: Collection[str] | None = None) -> str:
    """Return the model that a switch of any of the servers chose last, of those that are `running` (default: anywhere).

    Where none of these was ever chosen, it is the first one; '' where there is none.
    """
    there = [each.model for each in servers if each.model] if running is None else list(running)
    chosen = max(((each.chosen_by, each.wanted) for each in servers if each.wanted in there), default=None)
    return chosen[1] if chosen else next(iter(there), "")


def names(servers: Iterable[Chosen]) -> list[str]:
    """Return the models that are loaded anywhere, each once, in the order of the servers."""
    return list(dict.fromkeys(each.model for each in servers if each.model))
