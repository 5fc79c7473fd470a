"""Which tests run on each database, and which run one after the other in one of the processes of xdist.

A pytest plugin, named in tests/conftest.py. `make test DB=postgres` runs the tests with the marker `database`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from system import running
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Whoever has one of these uses a database: the test's own, or that of the running system.
FIXTURES = {"django_db_setup", "gantry"}
# Whoever names one of these starts a Gantry with a database of its own.
STARTERS = (running.Gantry, running.environment)
WITH_BROWSER = re.compile(r"/browser/|/test_page_")
# A page does the same whatever database its words come from, and what tells pages something is tested without them on each.
# The newcomer's story goes through all of it once more on each.
WITH_BROWSER_ON_EACH = "/browser/test_newcomer.py"


def runs_on_each_database(item: pytest.Item) -> bool:
    """Whether the test says something about the database that it touches."""
    return touches_database(item) and (
        not WITH_BROWSER.search(item.nodeid) or WITH_BROWSER_ON_EACH in item.nodeid
    )


def touches_database(item: pytest.Item) -> bool:
    """Whether the test can find something else on another database."""
    if item.get_closest_marker("django_db") or item.get_closest_marker("database"):
        return True
    return bool(FIXTURES & set(fixtures(item))) or _starts_gantry(getattr(item, "module", None))


def fixtures(item: pytest.Item) -> list[str]:
    """The names of all fixtures that the test brings about."""
    return list(getattr(item, "fixturenames", []))


def _starts_gantry(module: ModuleType | None) -> bool:
    return any(value in STARTERS for value in vars(module).values() if callable(value))


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what has to run on each database, and see that each test has an id of its own: xdist runs one of each id."""
    for item in items:
        if item.id.params is None and "[" in item.name:  # schemathesis names a test when its id has been made
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))
        if runs_on_each_database(item):
            item.add_marker(pytest.mark.database)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Refuse a Gantry to a test of which that is not known: it would not run on PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "is_allowed", touches_database(item))
        return (yield)


class Scheduler(LoadScopeScheduling):
    """Gives a module with a browser to one process, so that it starts once, and any other test to whichever is free.

    Modules come first, single tests fill up. Each process has a running Gantry of its own. (The marker xdist_group
    does nothing: xdist 3.8 writes it where pytest 9.2 no longer reads it.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if WITH_BROWSER.search(file) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    """Share the tests out as above."""
    return Scheduler(config, log)
