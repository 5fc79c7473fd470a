"""How modules may depend on each other, and what only one of them may do: read from the source."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("models_admin", "chat", "gateway", "gantry_site")


def sources() -> dict[str, Path]:
    """The modules by their dotted names, without migrations."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "migrations" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path
    return found


def imported(tree: ast.AST, modules: dict[str, Path]) -> set[str]:
    """The modules that are imported anywhere in a module: in functions and for type checkers too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            within = {f"{node.module}.{each.name}" for each in node.names}
            names |= {each if each in modules else str(node.module) for each in within}
    return names & modules.keys()


def graph() -> dict[str, set[str]]:
    """Each module, and the modules that it imports."""
    modules = sources()
    return {name: imported(ast.parse(path.read_text()), modules) for name, path in modules.items()}


def circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules that are left when those are taken away, again and again, that import none or that none imports."""
    left = dict(imports)
    while True:
        wanted = {each for targets in left.values() for each in targets}
        stays = {name: targets & left.keys() for name, targets in left.items() if name in wanted}
        stays = {name: targets for name, targets in stays.items() if targets}
        if stays == left:
            return sorted(left)
        left = stays


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, ["a", "b"]),
        ({"top": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a", "low"}, "low": set()}, ["a", "b", "c"]),
    ],
)
def test_circles_are_found(imports: dict[str, set[str]], expected: list[str]) -> None:
    assert circle(imports) == expected


def test_imports_in_functions_and_for_type_checkers_count() -> None:
    modules = dict.fromkeys(["models_admin.a", "models_admin.b", "models_admin.c"], ROOT)
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from models_admin import a
def late():
    from models_admin.b import name
    import models_admin.c
"""
    assert imported(ast.parse(text), modules) == modules.keys()


def test_no_module_imports_one_that_imports_it() -> None:
    assert circle(graph()) == []


def askers() -> Iterator[str]:
    """The modules that ask Django for a user's permissions."""
    for name, path in sources().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("has_perm", "has_perms", "has_module_perms"):
                yield name


def test_one_module_asks_for_permissions() -> None:
    assert set(askers()) == {"models_admin.permissions"}


# Each imports only itself and those before it.
ROOMS = (
    *(
        "ground",
        "usage",
        "model_files",
        "tabby",
        "servers",
        "aliases",
        "checks",
        "switching",
        "adding",
        "presentation",
        "automation",
    ),
    *("model_requests", "setup", "live", "api", "admin", "ops", "top"),
)
TOP = ("tasks", "apps", "management")


def room(name: str) -> str:
    """The room of a module of models_admin."""
    inner = [*name.split(".")[1:], ""][0]
    return "top" if inner in TOP else inner if inner in ROOMS else "ground"


def test_a_room_imports_only_rooms_below_it() -> None:
    upwards = [
        f"{name} imports {each}"
        for name, targets in graph().items()
        if name.split(".")[0] == "models_admin"
        for each in targets
        if each.split(".")[0] != "models_admin" or ROOMS.index(room(each)) > ROOMS.index(room(name))
    ]
    assert upwards == []


def test_other_applications_import_only_what_a_room_offers() -> None:
    inside = [
        f"{name} imports {each}"
        for name, targets in graph().items()
        if name.split(".")[0] != "models_admin"
        for each in targets
        if len(parts := each.split(".")) == 3 and parts[0] == "models_admin"
        if parts[2] not in importlib.import_module(".".join(parts[:2])).OFFERS
    ]
    assert inside == []


# What says which servers there are, or where one is.
ROWS = re.compile(r"\bServer\.objects\b|\b(?:pk|id|server|server_id)\s*=\s*1\b")
ADDRESSES = re.compile(r"\bsettings\.TABBY_(?:HOST|ADMIN_KEY|API_KEY)\b")


def places(what: re.Pattern[str]) -> set[str]:
    """The modules whose source says so."""
    return {name for name, path in sources().items() if what.search(path.read_text())}


@pytest.mark.parametrize(
    "text", ["Server.objects.get()", "gate.enter(server=1)", "f(pk=1)", "f(server_id = 1)"]
)
def test_code_that_knows_the_one_server_is_found(text: str) -> None:
    assert ROWS.search(text)
    assert not ROWS.search("TabbyServer.objects, server=10, server_id=server, epk=1")


def test_only_one_room_knows_which_servers_there_are() -> None:
    assert {name for name in places(ROWS) if not name.startswith("models_admin.servers.")} == set()


def test_only_one_module_knows_where_a_server_is() -> None:
    # What no log line may contain has to be known before anything else is.
    assert places(ADDRESSES) == {"models_admin.servers.addresses", "gantry_site.logs"}


def test_few_modules_are_in_no_room() -> None:
    assert len(list((ROOT / "models_admin").glob("*.py"))) <= 16


@pytest.mark.parametrize("page", ["architecture.md", "decisions.md"])
def test_the_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`([\w/-]+\.(?:py|js|css|html))`", (ROOT / "docs" / page).read_text())
    places = (
        ROOT,
        ROOT / "models_admin",
        ROOT / "models_admin/tabby",
        ROOT / "chat",
        ROOT / "gateway",
        ROOT / "gantry_site",
    )
    scripts = (
        ROOT / "models_admin/static/shared",
        ROOT / "chat/static/chat",
        ROOT / "models_admin/static/models_admin",
        ROOT / "chat/static",
        ROOT / "models_admin",
    )
    missing = [name for name in named if not any((place / name).exists() for place in (*places, *scripts))]
    assert named
    assert missing == []


@pytest.mark.parametrize("name", ["stream", "switch", "size", "schema", "chaos"])
def test_a_benchmark_begins_before_django_is_set_up(name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, "-c", f"import bench.{name}"], cwd=ROOT, env=environment, check=True)
