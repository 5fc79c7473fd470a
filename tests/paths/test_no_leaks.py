"""No key or password gets onto a page, into an answer, a log, an error or a repr; not even where TabbyAPI repeats it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.page import Page
from support.people import Person
from support.system import manage
from support.tabby import MODELS, Tabby, running
from system.running import ROOT, Gantry

from models_admin.tabby.aclient import AsyncTabby
from models_admin.tabby.client import TabbyClient

KEY = "canary-admin-key-0123456789"
API_KEY = "canary-api-key-0123456789"
SECRET = "canary-secret-key-0123456789-0123456789-0123456789-abcdefgh"
PASSWORD = "canary-password-0123456789"
CANARIES = (KEY, API_KEY, SECRET, PASSWORD)
PAGE = "/admin/models_admin/tabbymodel/"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabby]:
    keys = MODELS.replace("the-admin-key-of-the-tests", KEY).replace("the-api-key-of-the-tests", API_KEY)
    with running(tmp_path_factory.mktemp("tabby"), keys) as (tabby, _):
        yield tabby


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory, sandbox: Tabby) -> Iterator[Gantry]:
    """A Gantry whose keys are easy to find, and which logs all it can."""
    settings = {
        "TABBY_HOST": sandbox.url,
        "TABBY_ADMIN_KEY": KEY,
        "TABBY_API_KEY": API_KEY,
        "SECRET_KEY": SECRET,
        "GANTRY_ADMIN_PASSWORD": PASSWORD,
        "LOG_LEVEL": "DEBUG",
        "SWITCH_TIMEOUT": "2",
    }
    with Gantry(tmp_path_factory.mktemp("noisy"), **settings) as gantry:
        yield gantry


def told(gantry: Gantry, *command: str, **env: str) -> str:
    """All that a command says."""
    done = manage(gantry, *command, **env)
    return done.stdout + done.stderr


def failures(page: Page) -> int:
    return sum(message["status"] == "failed" for message in page.messages.values())


def clean(where: str, text: str, *others: str) -> None:
    assert [each for each in (*CANARIES, *others) if each in text] == [], f"{where}:\n{text}"


def test_none_gets_out_of_a_running_gantry(noisy: Gantry, sandbox: Tabby) -> None:
    # It waits for long; and it takes none of the faults, which are for others.
    dead = {
        "DATABASE_URL": f"postgres://gantry:{PASSWORD}@127.0.0.1:1/gantry",
        "TABBY_HOST": "http://127.0.0.1:9",
    }
    waiting = ThreadPoolExecutor(1).submit(told, noisy, "doctor", **dead)
    admin = Person(noisy.url, "admin", PASSWORD)
    token = admin.token("read")
    assert admin.call("GET", "/api/admin/models", Authorization=f"Bearer {token}").status_code == 200
    echo = f"wrong key: Bearer {KEY} {API_KEY}"
    said = []
    for fault in (
        {"on": "load", "kind": "error", "message": echo},
        {"on": "permission", "kind": "status", "status": 401, "body": f'{{"detail":"{echo}"}}'},
        {"on": "models", "kind": "status", "status": 500, "body": echo},
        {"on": "load", "kind": "garbage", "body": echo},
        {"on": "unload", "kind": "error", "status": 500, "body": echo},
    ):
        sandbox.fault(**fault)  # type: ignore[arg-type]
        said.append(admin.switch("beta-8B-Q5").text)
        sandbox.no_faults()
        said.append(admin.get(PAGE).text)
    assert "wrong key" in "".join(said)
    with admin.page() as page:
        for count, kind in enumerate(("error", "garbage"), start=1):
            sandbox.fault("chat", kind, message=echo, body=echo, times=-1)
            page.say("Hello")
            page.until(lambda each: failures(each) == count, "the failure")  # noqa: B023 (waited for here)
            sandbox.no_faults()
        said.append(str(page.messages) + str(page.backends))
    sandbox.fault("models", "status", status=500, body=echo)
    admin.post_form(f"{PAGE}refresh/")
    paths = (
        PAGE,
        f"{PAGE}1/change/",
        f"{PAGE}1/switch/",
        "/",
        "/admin/models_admin/token/",
        "/admin/",
        "/readyz",
        "/healthz",
        "/metrics",
    )
    paths += ("/admin/models_admin/switch/", "/admin/models_admin/switch/export/", "/api/admin/switches")
    paths += (
        "/api/openapi.json",
        "/api/docs",
        "/api/admin/models",
        "/nothing",
        "/admin/models_admin/switch/1/change/",
    )
    said += [admin.get(path).text for path in paths]
    said += [told(noisy, "doctor"), told(noisy, "models"), told(noisy, "switch_model", "alpha-7B")]
    said += [told(noisy, "switch_model", "huge-70B"), told(noisy, "check")]
    said.append(told(noisy, "doctor", REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:1/0"))
    said.append(told(noisy, "doctor", TABBY_ADMIN_KEY=f"{KEY}x", TABBY_API_KEY=""))
    said.append(waiting.result())
    for each in said:
        clean("an answer", each, token)
    noisy.end()
    noisy.reader.join()
    while (line := noisy.lines.get()) is not None:
        noisy.seen.append(line)
    log = "\n".join(line for line in noisy.seen if "password:" not in line)  # shown once, on purpose
    assert "Switch" in log
    clean("the log", log, token)
    for path in noisy.folder.rglob("*"):  # the database, what Redis keeps, what `up` writes for its children
        if path.is_file():
            clean(str(path), path.read_bytes().decode("latin-1"), token)


def test_none_is_in_a_repr_or_an_error(sandbox: Tabby) -> None:
    client = TabbyClient("http://127.0.0.1:9", KEY, API_KEY)
    texts = [repr(client), str(client), repr(vars(client))]
    with pytest.raises(Exception, match="reached") as error:
        client.models()
    texts += [repr(error.value), str(error.value), repr(error.value.__cause__), str(error.getrepr())]
    other = AsyncTabby("http://127.0.0.1:9", KEY, API_KEY)
    texts += [repr(other), repr(vars(other))]
    for text in texts:
        clean("a repr", text)


REPORT = """
import sys, django; django.setup()
from django.conf import settings
from django.views.debug import get_exception_reporter_class
from django.test import RequestFactory
from models_admin.servers import connections, known
def broken():
    client = connections.client(known.default())
    headers = client._access.headers()
    words = [client, settings.DATABASES, settings.REDIS_URL, settings.TABBY_API_KEY]
    raise RuntimeError(f"broken with {headers}")
request = RequestFactory().get("/", headers={"Cookie": "session_id=" + settings.SECRET_KEY})
try:
    broken()
except RuntimeError:
    report = get_exception_reporter_class(request)(request, *sys.exc_info())
    print(report.get_traceback_html(), report.get_traceback_text(), settings)
"""


def test_none_is_on_the_page_of_a_traceback(tmp_path: Path, noisy: Gantry) -> None:
    env = {
        **noisy.env,
        "DEBUG": "true",
        "DJANGO_SETTINGS_MODULE": "gantry_site.settings",
        "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
        "DATABASE_URL": f"postgres://gantry:{PASSWORD}@127.0.0.1:1/gantry",
    }
    done = subprocess.run(
        [sys.executable, "-c", REPORT], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert "RuntimeError" in done.stdout
    assert "Authorization" in done.stdout
    assert "TABBY_ADMIN_KEY" in done.stdout
    clean("the page", done.stdout)
