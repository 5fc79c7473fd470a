"""A profile of a server: `python -m bench.stream_profile FILE MODULE ARGUMENTS…` runs the module as __main__ and samples it.

After each millisecond of the process's CPU time, the main thread, which runs the event loop, is asked where it is. At the
end FILE has the functions by the share of samples that were in them, and by the share that were in them or below them;
and the CPU seconds of each thread. Waiting takes no CPU time, and makes no samples.
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

EVERY = 0.001
TICKS = os.sysconf("SC_CLK_TCK")


class Profile:
    """Counts where the main thread is found."""

    def __init__(self) -> None:
        self.samples = 0
        self.inside: Counter[CodeType] = Counter()
        self.below: Counter[CodeType] = Counter()
        self.threads: dict[int, str] = {}

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
        if self.samples % 500 == 1:
            self.threads |= {each.native_id or 0: each.name for each in threading.enumerate()}

    def report(self) -> str:
        """The tables, as text."""
        lines = [f"{self.samples} samples, one a millisecond of CPU time", "", "CPU seconds of each thread"]
        lines += [f"  {seconds:8.2f}  {name}" for seconds, name in sorted(self._seconds(), reverse=True)]
        for title, counts in (("In the function itself", self.inside), ("In it or below it", self.below)):
            lines += ["", title]
            for code, count in counts.most_common(70):
                lines.append(f"  {100 * count / max(1, self.samples):5.1f} %  {_name(code)}")
        return "\n".join(lines) + "\n"

    def _seconds(self) -> list[tuple[float, str]]:
        found = []
        for task in Path("/proc/self/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / TICKS
            found.append((seconds, self.threads.get(int(task.name), f"thread {task.name}")))
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
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(profile.report())


if __name__ == "__main__":
    main()
