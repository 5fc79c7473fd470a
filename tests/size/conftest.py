"""A database with some thousand messages and switches: enough for a planner to prefer an index where there is one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from bench.size_rows import Size, seed

SOME = Size(messages=16_000, switches=3_000, users=50, long=1_200, tokens=500, requests=500, models=10)


@pytest.fixture
def reader(db: None) -> User:
    """The administrator of it, who has more conversations than others."""
    return seed(SOME)
