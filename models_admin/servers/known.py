"""Which TabbyAPI servers there are. Each is named by the id of its row, as the first argument of most functions.

People know servers by the names in TABBY_HOST, and one without a name by none. The names are given to rows here, when a
process first asks: the row of the time with one address becomes the first named one, and one that is no longer named keeps
its row, for the history, and gets it back when it is named again.
"""

from __future__ import annotations

from django.db import IntegrityError, connection, transaction
from django.db.models import Max

from models_admin.models import Server
from models_admin.servers import addresses
from models_admin.visible import printable

_ONLY = 1
_ATTEMPTS = 5  # to name rows, while other processes do the same
_rows: dict[tuple[str, ...], dict[str, int]] = {}  # by the names, which stay as they are while a process runs


def default() -> int:
    """Return the server that is meant where none is named: the first."""
    return all_servers()[0]


def all_servers() -> list[int]:
    """Return all servers, in the order of TABBY_HOST."""
    return list(_ids().values())


def several() -> bool:
    """Whether there is more than one server."""
    return len(addresses.servers()) > 1


def name(server: int) -> str:
    """Return a server's name; '' for the only one, and for one that is no longer named."""
    return next((name for name, each in _ids().items() if each == server), "")


def find(name: str) -> int | None:
    """Return the server of that name; None if there is none."""
    return _ids().get(name)


def none_of(name: str) -> str:
    """Return that there is no server of that name, and which there are, in two sentences."""
    there = ", ".join(_ids()) if several() else "one, without a name"
    return f"There is no server “{printable(name)}”. There are: {there}."


def prefix(server: int) -> str:
    """Return what to put before words that are about a server: its name, where there are several."""
    return f"{name(server)}: " if several() else ""


def _ids() -> dict[str, int]:
    names = tuple(addresses.servers())
    if names == ("",):
        return {"": _ONLY}
    if (ids := _rows.get(names)) is not None:
        return ids
    ids = _read(names) or _named(names)
    if not connection.in_atomic_block:  # else the new rows may be rolled back
        _rows.clear()
        _rows[names] = ids
    return ids


def _read(names: tuple[str, ...]) -> dict[str, int] | None:
    """Return the ids of the rows with these names; None if any is missing."""
    there = dict(Server.objects.filter(name__in=names).values_list("name", "id"))
    return {name: there[name] for name in names} if len(there) == len(names) else None


def _named(names: tuple[str, ...]) -> dict[str, int]:
    """Give each name a row."""
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                _name_rows(names)
        except IntegrityError:
            pass  # another process has done so
        if (ids := _read(names)) is not None:
            return ids
    raise RuntimeError(f"The rows of the servers {', '.join(names)} could not be named")


def _name_rows(names: tuple[str, ...]) -> None:
    there = set(Server.objects.filter(name__in=names).values_list("name", flat=True))
    missing = [name for name in names if name not in there]
    if names[0] in missing and Server.objects.filter(name="").update(name=names[0]):
        missing.remove(names[0])
    last = Server.objects.aggregate(last=Max("id"))["last"] or 0
    for number, each in enumerate(missing, last + 1):
        Server.objects.create(id=number, name=each)
