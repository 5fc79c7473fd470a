"""A small web server for the chat page: its template, its static files, and an API that answers as it is told."""

from __future__ import annotations

import json
import mimetypes
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import RequestFactory
from played_events import HERE, TITLE, listed
from support import schema_checks

from chat.page_schema import Boot
from gantry_site.middleware import POLICY

OTHER = "22222222" + HERE[8:]


class Served:
    """`answers`: (method, path) → (status, JSON); `calls`: what the page asked of the API, as (method, path, body)."""

    def __enter__(self) -> Self:
        self.forget()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def forget(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.given: list[tuple[str, str, int, Any]] = []  # answers, each with its call
        self.boot: dict[str, Any] = {}
        self.silent = False  # whether calls of the API are not answered
        self.heard_again = threading.Event()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                if served.silent and self.path.startswith("/api/"):
                    served.calls.append((self.command, self.path, body))
                    served.heard_again.wait(30)  # for longer than the page does
                    return
                status, kind, content = served.respond(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Cache-Control", "max-age=600" if "/static/" in self.path else "no-store")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def respond(self, method: str, path: str, body: Any) -> tuple[int, str, bytes]:
        if path.startswith("/static/"):
            found = finders.find(path.removeprefix("/static/"))
            assert isinstance(found, str), path
            return 200, mimetypes.guess_type(found)[0] or "text/plain", Path(found).read_bytes()
        if path.startswith("/api/"):
            self.calls.append((method, path, body))
            status, answer = self.answers.get((method, path), (404, {"detail": f"There is no {path}."}))
            self.given.append((method, path, status, answer))
            return status, "application/json", b"" if status == 204 else json.dumps(answer).encode()
        return 200, "text/html; charset=utf-8", chat_page(path, **self.boot).encode()


def chat_page(path: str, **more: Any) -> str:
    """The page's own template, for a user and a conversation that no database knows."""
    request = RequestFactory().get(path)
    request.user = User(pk=1, username="ada", first_name="Ada", last_name="Lovelace", is_staff=True)
    conversation = listed(HERE, TITLE) if path.startswith("/c/") else None
    rows = [listed(HERE, TITLE), listed(OTHER, "Another one")]
    person = {"id": 1, "name": "Ada Lovelace", "initials": "AL"}
    boot = {
        "user": person,
        "conversation": conversation,
        "list": {"conversations": rows, "next": None},
        "aliases": [],
        "may_switch": False,
        "max_chars": 1000,
        **more,
    }
    schema_checks.value(Boot, boot)
    known = {"conversation": conversation, "person": person, "boot": boot}
    return render_to_string("chat/chat.html", known, request)
