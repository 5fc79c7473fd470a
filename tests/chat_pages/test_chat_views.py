"""The pages as a browser without JavaScript gets them: who may see what, and nothing inline."""

from __future__ import annotations

import json
import re
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import Client

from chat.models import Conversation

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one
    return User.objects.create_user("ada", password="engine", first_name="Ada", last_name="Lovelace")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


class Elements(HTMLParser):
    """All elements of a page, as (tag, attributes), and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts.append((self.found[-1][1], data))


def boot(html: str) -> dict[str, Any]:
    found = next(text for attributes, text in Elements(html).scripts if attributes.get("id") == "boot")
    data: dict[str, Any] = json.loads(found)
    return data


@pytest.mark.parametrize("path", ["/", "/c/0b5e1c52-6f0e-4b44-9a53-5a1de0000001/"])
def test_whoever_is_not_signed_in_is_asked_to(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


def test_signing_in_leads_to_the_page_that_was_wanted(ada: User) -> None:
    mine = Conversation.objects.create(owner=ada, title="Looms")
    client = Client()
    page = client.get(f"/accounts/login/?next=/c/{mine.pk}/").content.decode()
    assert f'name="next" value="/c/{mine.pk}/"' in page
    form = {"username": "ada", "password": "engine", "next": f"/c/{mine.pk}/"}
    assert client.post("/accounts/login/", form)["Location"] == f"/c/{mine.pk}/"


def test_a_wrong_password_is_said_and_the_name_is_kept(ada: User) -> None:
    page = Client().post("/accounts/login/", {"username": "ada", "password": "wrong"}).content.decode()
    assert 'role="alert"' in page
    assert 'value="ada"' in page
    assert "wrong" not in page


def test_signing_out_is_a_post(client: Client) -> None:
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/")["Location"] == "/accounts/signed-out/"
    assert client.get("/").status_code == 302


def test_the_page_boots_with_the_user_and_the_conversations(client: Client, ada: User) -> None:
    mine = Conversation.objects.create(owner=ada, title="Looms")
    other = User.objects.create_user("bob")
    Conversation.objects.create(owner=other, title="Private")

    data = boot(client.get(f"/c/{mine.pk}/").content.decode())

    assert data["user"] == {"id": ada.pk, "name": "Ada Lovelace", "initials": "AL"}
    assert data["conversation"]["id"] == str(mine.pk)
    assert [row["title"] for row in data["list"]["conversations"]] == ["Looms"]
    assert boot(client.get("/").content.decode())["conversation"] is None


@pytest.mark.parametrize(
    ("names", "initials"),
    [
        (("grace", "", ""), "GR"),
        (("grace.hopper", "", ""), "GH"),
        (("g", "", ""), "G"),
        (("x", "Élan", "Vital"), "ÉV"),
    ],
)
def test_the_profile_shows_initials(names: tuple[str, str, str], initials: str) -> None:
    user = User.objects.create_user(names[0], first_name=names[1], last_name=names[2])
    client = Client()
    client.force_login(user)
    assert boot(client.get("/").content.decode())["user"]["initials"] == initials


def test_somebody_elses_conversation_is_not_found(client: Client) -> None:
    bob = User.objects.create_user("bob")
    theirs = Conversation.objects.create(owner=bob, title="Private plans")
    answer = client.get(f"/c/{theirs.pk}/")
    assert answer.status_code == 404
    assert "Private" not in answer.content.decode()
    assert client.get(f"/c/{uuid.uuid4()}/").status_code == 404


def test_a_deleted_conversation_is_not_found(client: Client, ada: User) -> None:
    gone = Conversation.objects.create(owner=ada, title="Gone", deleted_at="2026-01-01T00:00:00Z")
    assert client.get(f"/c/{gone.pk}/").status_code == 404


def test_only_staff_see_the_way_to_the_admin_dashboard(client: Client, ada: User) -> None:
    assert "Admin Dashboard" not in client.get("/").content.decode()
    ada.is_staff = True
    ada.save()
    assert 'href="/admin/"' in client.get("/").content.decode()
    assert "Admin Dashboard" in client.get("/").content.decode()


def test_other_methods_are_refused(client: Client) -> None:
    assert client.post("/").status_code == 405


def test_the_page_is_not_kept_by_caches(client: Client) -> None:
    assert "no-store" in client.get("/")["Cache-Control"]


def test_titles_cannot_break_out_of_the_page(client: Client, ada: User) -> None:
    title = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    mine = Conversation.objects.create(owner=ada, title=title)
    html = client.get(f"/c/{mine.pk}/").content.decode()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert boot(html)["conversation"]["title"] == title


@pytest.mark.parametrize("path", ["/", "/accounts/login/?next=/x", "/c/nonsense"])
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(client: Client, path: str) -> None:
    answer = Client().get(path) if "login" in path else client.get(path)
    html = answer.content.decode()
    page = Elements(html)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    for tag, attributes in page.found:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action"):
            assert not re.match(r"(?:[a-z]+:)?//|data:|javascript:", attributes.get(name) or "")
    assert [attributes["id"] for attributes, text in page.scripts if text.strip()] in (["boot"], [])


def test_what_the_pages_refer_to_exists(client: Client) -> None:
    html = client.get("/").content.decode() + Client().get("/accounts/login/").content.decode()
    names = set(re.findall(r'"/static/([^"#]+)', html))
    assert {"chat/main.js", "chat/base.css", "chat/icons.svg", "chat/favicon.svg"} <= names
    missing = [name for name in names if finders.find(name) is None]
    assert missing == []
    drawn = set(re.findall(r'icons.svg#([\w-]+)"', html))
    icons = finders.find("chat/icons.svg")
    assert isinstance(icons, str)
    assert drawn <= set(re.findall(r'<symbol id="([\w-]+)"', Path(icons).read_text()))


def test_the_modules_import_only_what_exists() -> None:
    main = finders.find("chat/main.js")
    assert isinstance(main, str)
    waiting, seen = {"chat/main.js"}, set()
    while waiting:
        name = waiting.pop()
        path = finders.find(name)
        assert isinstance(path, str), name
        seen.add(name)
        imported = re.findall(r'from "\./([\w.]+)"', Path(path).read_text())
        waiting |= {f"chat/{other}" for other in imported} - seen
    assert len(seen) > 10


@pytest.mark.parametrize("template", ["404.html", "403.html", "500.html", "403_csrf.html"])
def test_the_pages_for_trouble_need_nothing(template: str) -> None:
    html = render_to_string(template)  # 500.html is rendered without a request
    assert "<h1>" in html
    assert "Traceback" not in html


def test_a_form_from_an_old_page_is_explained(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/accounts/login/")
    form = {"username": "ada", "password": "x", "csrfmiddlewaretoken": "y" * 64}
    answer = client.post("/accounts/login/", form)
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
