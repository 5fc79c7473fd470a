"""Tries a model out: it is loaded, all of its checks are run behind the closed gate, and what was loaded is loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models_admin.models import Rollout, RolloutState, Switch
from models_admin.servers import known
from models_admin.switching import rollout, transitions


def request_on(names: Sequence[str], target: str, **how: Any) -> Switch:
    """Ask for `target` to be tried out, and return the Switch that will do it; `how` is transitions.request()'s.

    Of several servers it is the one that is named, or the first for which another stands in. Raises SwitchRefused.
    """
    if not target:
        raise transitions.SwitchRefused("Say which model is to be tried out.")
    if len(names) > 1:
        raise transitions.SwitchRefused("A model is tried out on one server: name only one.")
    if known.several() and (running := Rollout.objects.filter(state=RolloutState.RUNNING).first()):
        raise rollout.Busy(running)
    return transitions.request(_server(rollout.chosen(names, target)), target, tries=True, **how)


def _server(usable: Sequence[int]) -> int:
    answering = rollout.answering()
    return next((each for each in usable if set(answering) - {each}), usable[0])
