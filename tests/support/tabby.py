"""A sandbox TabbyAPI as a process of its own, with fast models, and the test's hand on it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
STARTER_QUESTIONS = (
    "Say hello in one short sentence.",
    "Explain in about five sentences why the sky is blue.",
)
ADMIN_KEY = "the-admin-key-of-the-tests"

MODELS = f"""
[server]
ping_seconds = 0.05
order = "random"
initial_model = "alpha-7B"
embedding_model = "embed-1"
[auth]
admin_key = "{ADMIN_KEY}"
api_key = "the-api-key-of-the-tests"
[[model]]
name = "alpha-7B"
modules = 10
seconds_per_module = 0.01
tokens_per_second = 200
max_seq_len = 4096
[[model]]
name = "beta-8B-Q5"
modules = 20
seconds_per_module = 0.02
tokens_per_second = 200
max_seq_len = 8192
[[model]]
name = "gamma-VL-7B"
modules = 8
vision = true
vision_modules = 4
draft = true
draft_modules = 4
seconds_per_module = 0.01
tokens_per_second = 200
[[model]]
name = "slow-13B"
modules = 40
seconds_per_module = 0.05
tokens_per_second = 200
[[model]]
name = "thinker-8B"
modules = 5
seconds_per_module = 0.01
reasoning = true
tokens_per_second = 300
[[model]]
name = "huge-70B"
modules = 10
seconds_per_module = 0.01
oom_at = 7
[[model]]
name = "broken-7B"
modules = 10
seconds_per_module = 0.01
corrupted = true
[[model]]
name = "stuck-7B"
modules = 10
seconds_per_module = 0.01
hang_at = 4
"""


class Tabby:
    """The sandbox: what it did, and what it is to do wrong next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.session.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, on: str, kind: str, **more: Any) -> None:
        """Have the next call of this sort go wrong; see tabby_sandbox/README.md."""
        self._call("POST", "fault", {"on": on, "kind": kind, **more})

    def no_faults(self) -> None:
        self._call("DELETE", "fault")

    def reset(self) -> None:
        """Everything as at the start: alpha-7B loaded, no faults, an empty log."""
        self._call("POST", "reset")

    def state(self, **changes: Any) -> Any:
        """What is loaded and running; with `loaded=…` or `models=…`, change it behind Gantry's back."""
        return self._call("POST", "state", changes) if changes else self._call("GET", "state")

    def log(self, path: str = "") -> list[dict[str, Any]]:
        """The requests so far, or those to one path, oldest first."""
        records = self._call("GET", "log")["requests"]
        return [each for each in records if not path or each["path"] == path]

    def chats(self) -> list[dict[str, Any]]:
        """The chats so far without those of switches: the one token, and the starter set's questions."""
        return [each for each in self.log("/v1/chat/completions") if not of_a_switch(each["body"])]


def of_a_switch(body: Mapping[str, Any]) -> bool:
    """Whether a switch asked this, to see that its model answers, and answers well."""
    asked = body.get("messages") or [{}]
    return body.get("max_tokens") == 1 or asked[-1].get("content") in STARTER_QUESTIONS


@contextmanager
def running(
    folder: Path, models: str = MODELS, port: int = 0
) -> Iterator[tuple[Tabby, subprocess.Popen[str]]]:
    """Start a sandbox; end it with the block."""
    config = folder / "models.toml"
    config.write_text(models)
    argv = [sys.executable, "-m", "tabby_sandbox", "--port", str(port), "--config", str(config)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with process.stdout:
            url = process.stdout.readline().strip().rpartition(" ")[2]
            assert url.startswith("http"), "the sandbox did not start"
            yield Tabby(url), process
    finally:
        process.kill()
        process.wait()


def until(check: Any, what: str, patience: float = 120.0) -> Any:
    """Ask `check` until it gives something true, and return that; fail after `patience` seconds."""
    end = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < end, f"waited {patience:g} s for {what}"
        time.sleep(0.03)
    return found
