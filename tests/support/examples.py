"""How much the tests of properties and of long times try: some by day, many by night (NIGHTLY=1)."""

from __future__ import annotations

import os

from hypothesis import settings

NIGHTLY = bool(os.environ.get("NIGHTLY"))
BY_NIGHT = 1000  # of a test that names no number
_FEWER = 4


def examples(by_night: int) -> int:
    """The number for this run, of a test that tries `by_night` at night."""
    return by_night if NIGHTLY else max(by_night // _FEWER, 30)


def moments(until: int) -> range:
    """Seconds from 0 on, at which what runs every five seconds is tried: each by night, each twelfth by day."""
    return range(0, until, 5 if NIGHTLY else 60)


def pytest_configure() -> None:
    """Have the tests that name no number try more at night; whether they are random stays as it is."""
    settings.register_profile("nightly", settings(), max_examples=BY_NIGHT)
    if NIGHTLY:
        settings.load_profile("nightly")
