"""What the benchmark of several servers says of a crowd, by replies whose times are known."""

from __future__ import annotations

import pytest

from bench.crowd import RATE, Crowd, Stretch
from bench.stream_client import Taken

STRETCH = Stretch(10.0, 20.0)


def reply(asked: float, *arrivals: float) -> Taken:
    return Taken(asked, [(at, 1) for at in arrivals])


@pytest.fixture
def crowd() -> Crowd:
    before, through, cut = reply(1, 2, 9), reply(9, 9.5, 13, 21), reply(12, 12.25, 18, 19)
    return Crowd([], 5.0, [before, through, cut, reply(19.5, 22)])


def test_waits_are_those_of_messages_that_were_sent_in_the_stretch(crowd: Crowd) -> None:
    assert crowd.waits(STRETCH) == [0.25, 2.5]


def test_the_share_is_of_what_everybody_could_have_had(crowd: Crowd) -> None:
    crowd.pages = [None] * 2  # type: ignore[list-item]
    assert crowd.share(STRETCH) == pytest.approx(4 / (10 * RATE * 2))
