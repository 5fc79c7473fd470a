"""The servers' addresses and keys, as the settings give them: one server without a name, or several with names.

    TABBY_HOST=http://10.0.0.5:5000
    TABBY_HOST=gpu1=http://10.0.0.5:5000,gpu2=http://10.0.0.6:5000

TABBY_ADMIN_KEY and TABBY_API_KEY are one key for all, or `gpu1=…,gpu2=…`. What is wrong with them is said by problems();
servers() has what can be read of them all the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from django.conf import settings

from models_admin.tabby.access import Access
from models_admin.tabby.errors import TabbyError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NAMED = re.compile(r"\s*[^=:/,]*=(?!=)\s*[^\s=]")
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)
KEYS = ("TABBY_ADMIN_KEY", "TABBY_API_KEY")


def servers() -> dict[str, Access]:
    """Return the servers by name, in the order of TABBY_HOST; the only one without a name has the name ''."""
    return _servers(*_given())


def problems() -> list[str]:
    """Return what is wrong with names and keys, a sentence each; whether an address is one, `Access.base` says."""
    host, *keys = _given()
    if not _is_list(host):
        return []
    found = list(_wrong_names(host))
    for setting, key in zip(KEYS, keys, strict=True):
        found += _wrong_keys(setting, key, servers().keys())
    return found


def _given() -> tuple[str, str, str]:
    return settings.TABBY_HOST, settings.TABBY_ADMIN_KEY, settings.TABBY_API_KEY


@lru_cache(maxsize=4)
def _servers(host: str, admin_key: str, api_key: str) -> dict[str, Access]:
    if not _is_list(host):
        return {"": Access(host, admin_key, api_key)}
    found: dict[str, Access] = {}
    for name, address in _pairs(host):
        if NAME.fullmatch(name) and name not in found:
            found[name] = Access(address.rstrip("/"), _key(admin_key, name), _key(api_key, name), name)
    return found or {"": Access("", admin_key, api_key)}


def _is_list(host: str) -> bool:
    parts = host.split(",")
    return bool(_NAMED.match(parts[0])) or len([each for each in parts if _ADDRESS.match(each)]) > 1


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and what they are given; a part without a name has the name ''."""
    for part in text.split(","):
        name, _, value = part.partition("=") if _NAMED.match(part) else ("", "", part)
        if value.strip():
            yield name.strip(), value.strip()


def _key(text: str, name: str) -> str:
    """Return a server's key: its own, or the one for all."""
    return dict(_pairs(text)).get(name, "") if _NAMED.match(text) else text


def _wrong_names(host: str) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, address in _pairs(host):
        place = _place(address)
        if not name:
            yield f"TABBY_HOST has an address without a name ({place})"
        elif not NAME.fullmatch(name):
            yield f"“{name}” in TABBY_HOST is no name: use up to 32 of a–z, 0–9 and -, such as gpu1"
        elif name in seen:
            yield f"TABBY_HOST names {name} twice"
        elif twin := next((each for each in seen if seen[each] == place), None):
            yield f"{twin} and {name} in TABBY_HOST have the same address"
        seen.setdefault(name, place)


def _place(address: str) -> str:
    """Return an address in the one way of writing it, without credentials."""
    try:
        return Access(address).base.lower()
    except TabbyError:
        return "no http address"


def _wrong_keys(setting: str, text: str, names: Collection[str]) -> Iterator[str]:
    if not _NAMED.match(text):
        return
    seen: set[str] = set()
    for name, _ in _pairs(text):
        if not name:
            yield f"{setting} has a key without a name"
        elif name not in names:
            yield f"{setting} has a key for “{name}”, which TABBY_HOST does not name"
        elif name in seen:
            yield f"{setting} names {name} twice"
        seen.add(name)
