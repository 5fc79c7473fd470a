"""The processes of a benchmark: what one has used, and the stand-in TabbyAPI's record."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A child process on one core, in its own group; its output goes to a file that is shown when it dies."""

    def __init__(self, name: str, argv: list[str], core: int, log: Path) -> None:
        self.name, self.log = name, log
        self.popen = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            cwd=ROOT,
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def check(self) -> None:
        """Raise RuntimeError, with its last words, if the process has ended."""
        if self.popen.poll() is not None:
            words = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} has ended with {self.popen.returncode}:\n{words}")

    def cpu(self) -> float:
        """CPU seconds so far, of all its threads, in user and system mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """MiB that are resident now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self) -> None:
        """Ask it to end, and kill its group if it does not."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait()


class Sandbox:
    """The stand-in TabbyAPI, and its record of what was asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def log(self, path: str) -> list[dict[str, Any]]:
        """The requests to `path` since the last forget(), oldest first."""
        return [each for each in self.call("GET", "log")["requests"] if each["path"] == path]

    def forget(self) -> None:
        """Empty the record."""
        self.call("DELETE", "log")
