"""How many examples the tests of properties try: some by day, many by night (NIGHTLY=1)."""

from __future__ import annotations

import os

from hypothesis import settings

NIGHTLY = bool(os.environ.get("NIGHTLY"))
BY_NIGHT = 1000  # of a test that names no number
_FEWER = 4


def examples(by_night: int) -> int:
    """The number for this run, of a test that tries `by_night` at night."""
    return by_night if NIGHTLY else max(by_night // _FEWER, 30)


def pytest_configure() -> None:
    """Have the tests that name no number try more at night; whether they are random stays as it is."""
    settings.register_profile("nightly", settings(), max_examples=BY_NIGHT)
    if NIGHTLY:
        settings.load_profile("nightly")
