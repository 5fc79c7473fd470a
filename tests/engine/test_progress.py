"""TabbyAPI's phases as one percentage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.switching.loader import Percentage
from models_admin.tabby.wire import LoadProgress


def course(*phases: tuple[str, int]) -> list[int]:
    """The percentages of phases with so many modules each, as TabbyAPI sends them."""
    percentage = Percentage()
    shown = []
    for phase, modules in phases:
        shown += [
            percentage.add(LoadProgress(phase, n, modules, finished=False)) for n in range(1, modules + 1)
        ]
        shown.append(percentage.add(LoadProgress(phase, modules, modules, finished=True)))
    return shown


def test_a_model_alone_is_counted_by_its_modules() -> None:
    assert course(("model", 4)) == [25, 50, 75, 99, 100]


def test_no_early_phase_looks_like_the_end() -> None:
    assert course(("vision", 2)) == [5, 10, 10]
    assert course(("draft", 2)) == [12, 25, 25]


@given(
    st.lists(st.tuples(st.sampled_from(["vision", "draft"]), st.integers(1, 9)), max_size=2),
    st.integers(1, 50),
)
def test_it_never_falls_and_ends_at_100(early: list[tuple[str, int]], modules: int) -> None:
    shown = course(*early, ("model", modules))
    assert shown == sorted(shown)
    assert shown[-1] == 100
    assert 100 not in shown[:-1]


@pytest.mark.parametrize(("module", "modules"), [(0, 0), (5, 3), (1, 0)])
def test_odd_counts_do_no_harm(module: int, modules: int) -> None:
    assert 0 <= Percentage().add(LoadProgress("model", module, modules, finished=False)) <= 99
