"""A profile of a server: `python -m bench.stream_profile FILE MODULE ARGUMENTS…` runs the module as __main__ and samples it.

SIGUSR1 begins a measurement, and another one ends it. In between, after every few milliseconds of the process's CPU time
(as fine as the kernel's clock), the main thread, which runs the event loop, is asked where it is. At the process's end FILE
has the functions by the share of samples that were in them, and by the share that were in them or below them; and the
CPU seconds of each thread. Waiting takes no CPU time, and makes no samples.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

EVERY = 0.001  # the kernel rounds it up
TICKS = os.sysconf("SC_CLK_TCK")


class Profile:
    """Counts where the main thread is found."""

    def __init__(self) -> None:
        self.samples = 0
        self.inside: Counter[CodeType] = Counter()
        self.below: Counter[CodeType] = Counter()
        self.running = False
        self.spent: dict[str, float] = {}
        self._before: dict[int, float] = {}

    def toggle(self, number: int, frame: FrameType | None) -> None:
        """Begin or end a measurement."""
        self.running = not self.running
        signal.setitimer(signal.ITIMER_PROF, *((EVERY, EVERY) if self.running else (0, 0)))
        seconds = _seconds()
        if not self.running:
            names = {each.native_id: each.name for each in threading.enumerate()}
            for thread, spent in seconds.items():
                name = names.get(thread, "other")
                self.spent[name] = self.spent.get(name, 0.0) + spent - self._before.get(thread, 0.0)
        self._before = seconds

    def sample(self, number: int, frame: FrameType | None) -> None:
        """Count one look at the stack."""
        self.samples += 1
        if frame is not None:
            self.inside[frame.f_code] += 1
        seen: set[CodeType] = set()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self.below.update(seen)

    def report(self) -> str:
        """The tables, as text."""
        lines = [f"{self.samples} samples", "", "CPU seconds of each thread"]
        lines += [
            f"  {self.spent[name]:8.2f}  {name}"
            for name in sorted(self.spent, key=self.spent.__getitem__)[::-1]
        ]
        for title, counts in (("In the function itself", self.inside), ("In it or below it", self.below)):
            lines += ["", title]
            for code, count in counts.most_common(70):
                lines.append(f"  {100 * count / max(1, self.samples):5.1f} %  {_name(code)}")
        return "\n".join(lines) + "\n"


def _seconds() -> dict[int, float]:
    """CPU seconds of each thread so far."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def _name(code: CodeType) -> str:
    path = code.co_filename
    for mark in ("/site-packages/", "/lib/python3.11/"):
        path = path.rpartition(mark)[2]
    return f"{path.removeprefix(str(Path.cwd()) + '/')}:{code.co_qualname}"


def main() -> None:
    """Run the module under the profile; write the report when it ends."""
    target, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    profile = Profile()
    signal.signal(signal.SIGPROF, profile.sample)
    signal.signal(signal.SIGUSR1, profile.toggle)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(profile.report())


if __name__ == "__main__":
    main()
