"""What a trial does, drawn from its seed: at which step of a switch, to whom, what, when, and for how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import Any

# Where a switch stands when trouble comes; "idle" is chat without any switch.
STEPS = ("idle", "queued", "draining", "unloading", "loading", "verifying", "rolling_back")
DEEDS = ("kill", "freeze")
FAULTS = ("error", "hang", "cut", "garbage", "500", "slow")
ACTIONS = (
    *product(("web", "worker", "redis", "sandbox"), DEEDS),
    *product(("fault",), FAULTS),
)
CELLS = tuple(product(STEPS, ACTIONS))

MODELS = ("alpha-7B", "beta-8B-Q5", "gamma-VL-7B")
TOO_BIG = "huge-70B"  # its load fails: the way to a rollback

# What TabbyAPI is asked for at each step, and so where a fault of that step has to wait.
ENDPOINTS = {
    "idle": ("chat",),
    "queued": ("permission", "models", "model"),
    "draining": ("chat", "unload"),
    "unloading": ("unload",),
    "loading": ("load",),
    "verifying": ("chat", "model"),
    "rolling_back": ("load",),
}
# About how long the longer steps last (seconds); a blow must not come after the step.
LENGTHS = {"draining": 0.8, "loading": 0.6, "rolling_back": 0.8}
LOAD_ERRORS = ("oom", "corrupted", "error_event", "finished_then_error")


@dataclass(frozen=True)
class Plan:
    """One trial. Seconds throughout; `draw` picks (0–1) from what only the trial itself can list."""

    seed: int
    number: int
    step: str
    victim: str  # "web", "worker", "redis", "sandbox", or "fault"
    deed: str  # "kill", "freeze", or a kind of fault
    chatting: float  # before the switch is asked for
    delay: float  # from the moment that the step is seen
    lasting: float  # of a freeze or a fault
    down: float  # before somebody starts a killed sandbox again
    comes_back_empty: bool  # a killed sandbox: without a model
    of_owner: bool  # the worker that carries the switch out, rather than either
    switch_anyway: bool  # at the step "idle": a switch is asked for while the victim is away
    draw: float
    second: bool  # of several servers: trouble comes at this step of the second one
    fault: dict[str, Any] | None = None

    @property
    def action(self) -> str:
        """The victim and what happens to it, in words."""
        return f"{self.victim} {self.deed}"

    def random(self, who: str) -> random.Random:
        """A source of randomness for one part of the trial."""
        return random.Random(f"{self.seed}/{self.number}/{who}")


def plan(seed: int, number: int) -> Plan:
    """Return trial `number` (from 1) of the run `seed`. Every cell comes once before any comes again."""
    turn, place = divmod(number - 1, len(CELLS))
    cells = list(CELLS)
    random.Random(f"{seed}/turn {turn}").shuffle(cells)
    step, (victim, deed) = cells[place]
    dice = random.Random(f"{seed}/{number}")
    return Plan(
        seed=seed,
        number=number,
        step=step,
        victim=victim,
        deed=deed,
        chatting=dice.uniform(0.3, 1.2),
        delay=dice.uniform(0.0, LENGTHS.get(step, 0.25)),
        lasting=2 + 10 * dice.random() ** 3 if deed == "freeze" else dice.uniform(0.5, 6),
        down=dice.uniform(0, 2),
        comes_back_empty=dice.random() < 0.5,
        of_owner=dice.random() < 0.75,
        switch_anyway=dice.random() < 0.5,
        draw=dice.random(),
        fault=_fault(dice, step, deed) if victim == "fault" else None,
        second=step not in ("idle", "rolling_back") and dice.random() < 0.5,
    )


def _fault(dice: random.Random, step: str, kind: str) -> dict[str, Any]:
    """A fault as the sandbox takes it; `model` may say "previous", for the trial to put the name."""
    on = dice.choice(ENDPOINTS[step])
    fault: dict[str, Any] = {"on": on, "kind": kind, "times": dice.randint(1, 2)}
    if on == "chat" and step != "verifying":
        fault |= {"at": dice.randint(1, 30), "times": dice.randint(1, 8)}
    elif on == "load":
        fault |= {"at": dice.randint(0, 11)}
    if step == "rolling_back":
        fault["model"] = "previous"
    match kind:
        case "error" if on == "load":
            fault["kind"] = dice.choice(LOAD_ERRORS)
        case "error" if on == "chat":
            fault["kind"] = "error_event"
        case "error":
            fault |= {"status": 503, "message": "Not at the moment."}
        case "cut":
            fault["kind"] = "cut_mid_line"
        case "500":
            fault |= {"kind": "status", "status": 500}
        case "slow" if on == "load" or (on == "chat" and step != "verifying"):
            fault["seconds"] = dice.uniform(0.03, 0.1) * (
                2 if on == "load" else 1
            )  # for each event of the stream
        case "slow":
            # A pause before the answer; of the probe too, without making a reply behind it slow word by word.
            fault |= {"kind": "hang" if on == "chat" else "slow", "seconds": dice.uniform(0.5, 2.5)}
    return fault
