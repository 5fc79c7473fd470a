"""Programs that call a running Gantry's OpenAI-compatible API, with OpenAI's own package and with bare requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from openai import OpenAI

PAGES = "https://chat.example.org"  # whose pages may call from within a browser
WORDS = 200  # of a reply that a test looks at word by word


def words(first: int, last: int) -> str:
    """What the sandbox says to [[tokens=…]], from one word to another."""
    return "".join(f" w{number}" for number in range(first, last + 1))


class Caller:
    """A program with a token."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @contextmanager
    def client(self, **more: Any) -> Iterator[OpenAI]:
        """OpenAI's own package, as its documentation shows it; it tries nothing twice."""
        settings = {"base_url": f"{self.url}/v1", "api_key": self.token, "max_retries": 0, **more}
        with OpenAI(**settings) as client:
            yield client

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(f"{self.url}/v1/{path}", headers=self.headers, timeout=60, **more)

    def post(
        self, path: str, body: Any, headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        own = {**self.headers, **(headers or {})}
        return requests.post(f"{self.url}/v1/{path}", json=body, headers=own, timeout=120, **more)

    def ask(self, text: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        """A chat of one message."""
        return self.post("chat/completions", {"messages": said(text), **more}, headers)

    @contextmanager
    def stream(self, text: str, headers: dict[str, str] | None = None, **more: Any) -> Iterator[Wire]:
        """The same as a stream, read line by line."""
        body = {"messages": said(text), "stream": True, **more}
        with self.post("chat/completions", body, headers, stream=True) as response:
            wire = Wire(response)  # kept here: without it the response would be closed
            yield wire


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Wire:
    """A stream of events as it comes. Comments count as lines of the event that follows them."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self.events: list[Any] = []
        self.done = False
        self._lines = response.iter_lines(chunk_size=1)

    @property
    def text(self) -> str:
        """What has been said so far."""
        return "".join(content(each) for each in self.events)

    @property
    def models(self) -> list[str]:
        """Which models have said it, in order."""
        return list(dict.fromkeys(each["model"] for each in self.events if content(each)))

    def line(self) -> str:
        """The next line."""
        line: str = next(self._lines).decode()
        if line.startswith(":"):
            self.comments.append(line)
        elif line == "data: [DONE]":
            self.done = True
        elif line:
            self.events.append(json.loads(line.removeprefix("data: ")))
        return line

    def until(self, wanted: str) -> None:
        """Read until this has been said."""
        while wanted not in self.text:
            self.line()

    def rest(self) -> str:
        """Read to the end; return all that was said."""
        try:
            while True:
                self.line()
        except StopIteration:
            return self.text


def content(event: Any) -> str:
    """The text of one event."""
    return "".join(choice.get("delta", {}).get("content") or "" for choice in event.get("choices", []))
