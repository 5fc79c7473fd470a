"""The people of a running Gantry, who come in by its front door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from support.page import Page

PASSWORD = "open-sesame-street-4711"


class Person:
    """A signed-in user: pages, sockets and the API, as that user."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url, self.name = url, name
        self.session = requests.Session()
        page = f"{url}/accounts/login/"
        self.session.get(page, timeout=10).raise_for_status()
        answer = self.post_form("/accounts/login/", username=name, password=password)
        assert answer.status_code == 302, f"{name} cannot sign in"

    @property
    def cookie(self) -> str:
        return str(self.session.cookies["session_id"])

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=60, allow_redirects=False, **more)

    def post_form(self, path: str, **form: Any) -> requests.Response:
        form["csrfmiddlewaretoken"] = self.session.cookies["csrftoken"]
        headers = {"Referer": self.url + path, "Origin": "/".join(self.url.split("/")[:3])}
        return self.session.post(self.url + path, form, headers=headers, timeout=60, allow_redirects=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """The API as curl uses it: the session's cookie and nothing else."""
        cookie = {"Cookie": f"session_id={self.cookie}"}
        return requests.request(method, self.url + path, json=body, headers={**cookie, **headers}, timeout=60)

    def switch(self, model: str, **headers: str) -> requests.Response:
        return self.call("POST", "/api/admin/models/switch", {"model_id": model}, **headers)

    def start_switch(self, model: str, *servers: str) -> int:
        """Begin a switch, of one of several servers; return its number."""
        body = {"model_id": model, **({"servers": servers} if servers else {})}
        answer = self.call("POST", "/api/admin/models/switch", body, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])

    def switch_row(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = self.call("GET", f"/api/admin/switches/{number}").json()
        return row

    def token(self, *scopes: str, name: str = "a script", **fields: str) -> str:
        """Make an API token in the admin site, and take it from the page that shows it."""
        led = self.post_form("/admin/models_admin/token/add/", name=name, scopes=scopes, **fields)
        assert led.status_code == 302, led.text[:2000]
        page = self.get(led.headers["Location"].removeprefix(urlsplit(self.url).path))
        found = re.search(r'id="token"[^>]* value="([^"]+)"', page.text)
        assert found, page.text[:2000]
        return found[1]

    def conversation(self) -> str:
        """A new conversation's id."""
        answer = self.call("POST", "/api/conversations", {})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @contextmanager
    def page(self, conversation: str = "", url: str = "") -> Iterator[Page]:
        """A page on a conversation (default: a new one), which shows what is so now."""
        with Page(url or self.url, self.cookie, conversation or self.conversation()) as page:
            page.event("requests")  # which come after a state that was read since the page came
            yield page

    @contextmanager
    def watch(self, url: str = "") -> Iterator[Page]:
        """A page on the models socket, which shows what is so now."""
        with Page(url or self.url, self.cookie) as page:
            page.event("requests")
            yield page


def add_user(admin: Person, name: str) -> Person:
    """Make a user in the admin site, and sign in as that one."""
    form = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    answer = admin.post_form("/admin/auth/user/add/", **form)
    assert answer.status_code == 302, answer.text[:2000]
    return Person(admin.url, name, PASSWORD)
