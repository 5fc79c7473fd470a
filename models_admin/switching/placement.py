"""Which server writes which generation: behind the gates of all, the one with the least to do that runs the model.

A server is given none while its gate is closed, while it is out of reach, and while it is out of service. Who asks for a
model that none of the others runs gets the team's, and so does who asks for none. Of the servers that run it, the one with
the fewest leases for its limit is taken, but the one that answered last where that is not much busier: it has the prompt in
its cache. Where all of these are full, whoever asked for no model is not kept waiting for room that another has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models_admin.servers import known, team
from models_admin.switching import gate
from models_admin.switching.gate import Entered, Row

USUAL_LIMIT = 16  # generations that a server runs at once, where its card does not say it
# The one that answered last may have this many more than the least busy one has, and this share of its limit more.
MORE, MORE_OF_LIMIT = 2, 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What a generation is to be written with: the model ('': the team's), and the server that last answered."""

    model: str = ""
    near: int | None = None


def enter() -> Placement:
    """Pass the gates of all servers that are open, or raise gate.Closed. To be called like gate.enter()."""
    return placement(gate.lock(known.all_servers()))


def placement(rows: Sequence[Row]) -> Placement:
    """Return the same for rows that are locked already, as gate.lock() does. Raises gate.Closed."""
    return Placement(rows, gate.passed(rows))


def models() -> set[str]:
    """Return the models that generations may be given to, once the gates are open."""
    return set(team.able(team.rows()))


class Placement:
    """The servers whose gates were passed, and what each has to do: it grows with each generation that is placed."""

    def __init__(self, rows: Sequence[Row], entered: Sequence[Entered]) -> None:
        self._servers = {each.pk: each for each in entered}
        self._leases = {each.pk: each.leases for each in entered}
        self._team = team.of(rows, [each.model for each in entered]) if len(entered) > 1 else ""

    def place(self, wish: Wish) -> Entered:
        """Return the server for a generation, which counts there from now on."""
        found = self._least_busy(self._with_model(wish.model))
        near = self._servers.get(wish.near) if wish.near is not None else None
        if near is not None and near.model == found.model and self._is_little_more(near, found):
            found = near
        self._leases[found.pk] += 1
        return found

    def place_without(self, model: str) -> Entered | None:
        """Return the server for a generation that this model must not write; None where all run it."""
        others = [each for each in self._servers.values() if each.model != model]
        if not others:
            return None
        found = self._least_busy([each for each in others if each.model == self._team] or others)
        self._leases[found.pk] += 1
        return found

    def _with_model(self, model: str) -> list[Entered]:
        """Return the servers that may write what asks for this model."""
        servers = list(self._servers.values())
        if asked := [each for each in servers if each.model == model]:
            return asked
        teams = [each for each in servers if each.model == self._team] or servers
        with_room = [each for each in servers if self._share(each) < 1]
        return [each for each in teams if each in with_room] or with_room or teams

    def _least_busy(self, servers: Iterable[Entered]) -> Entered:
        return min(servers, key=lambda each: (self._share(each), each.pk))

    def _share(self, server: Entered) -> float:
        """Return how much of its limit a server has in flight."""
        return self._leases[server.pk] / (server.most or USUAL_LIMIT)

    def _is_little_more(self, near: Entered, least: Entered) -> bool:
        limit = near.most or USUAL_LIMIT
        return self._leases[near.pk] <= (self._share(least) + MORE_OF_LIMIT) * limit + MORE
