"""A real nginx in front: one that passes no sockets on, and one that gives Gantry a folder of its host."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from support.api_calls import Caller, words
from support.nginx import HOST, UPGRADE, nginx
from support.people import Person
from support.system import PASSWORD, QUICK, manage
from support.tabby import ADMIN_KEY, Tabby, running
from system.running import Gantry
from windows import MODELS, Windows, say, status_is

CALL = """
async ([url, token, body]) => {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  try {
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    await answer.text();
    return [answer.status, Boolean(answer.headers.get("x-request-id"))];
  } catch {
    return [0, false];
  }
}
"""


@contextmanager
def windows_on(browser: Browser, url: str) -> Iterator[Windows]:
    opened = Windows(browser, url)
    yield opened
    opened.close()


class TestAProxyWithoutUpgrade:
    @pytest.fixture(autouse=True)
    def _forgotten(self, gantry: Gantry) -> Iterator[None]:
        """What requests showed of the proxy is told for a day: not to the tests that come later."""
        yield
        forget = "from gantry_site.models import SeenFault; SeenFault.objects.all().delete()"
        assert manage(gantry, "shell", "-c", forget).returncode == 0

    @pytest.fixture
    def url(self, gantry: Gantry, tabby: Tabby, tmp_path: Path) -> Iterator[str]:
        with nginx(tmp_path, gantry.url, HOST) as url:
            yield url

    def test_pages_say_what_is_missing_and_so_does_the_doctor(
        self, browser: Browser, gantry: Gantry, admin: Person, url: str
    ) -> None:
        with windows_on(browser, url) as windows:
            chat = windows.open(admin, "/")
            banner = chat.locator("#banner")
            expect(banner).to_contain_text("live connections (WebSockets) do not")
            expect(banner).to_contain_text("proxy_set_header Upgrade")
            models = windows.open(admin, MODELS)
            expect(models.locator("#gantry-link")).to_contain_text("proxy_set_header Upgrade")
        said = manage(gantry, "doctor").stdout
        assert "! Pages come through the reverse proxy, and live connections (WebSockets) do not." in said

    def test_a_proxy_without_host_too(
        self, browser: Browser, gantry: Gantry, admin: Person, tmp_path: Path
    ) -> None:
        with nginx(tmp_path / "hostless", gantry.url.replace("localhost", "127.0.0.1"), UPGRADE) as url:
            form = {"username": "admin", "password": PASSWORD}
            page = requests.get(f"{url}/accounts/login/", timeout=10)
            form["csrfmiddlewaretoken"] = page.cookies["csrftoken"]
            answer = requests.post(
                f"{url}/accounts/login/", form, cookies=page.cookies, headers={"Origin": url}, timeout=10
            )
            assert answer.status_code == 403
            assert "proxy_set_header Host $http_host" in answer.text
            with windows_on(browser, url) as windows:
                banner = windows.open(admin, "/").locator("#banner")
                expect(banner).to_contain_text("proxy_set_header Host $http_host")


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """Another site, whose pages may call."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pages: str) -> Iterator[Gantry]:
    """A Gantry that has a folder of its host, with a sandbox of its own."""
    with running(tmp_path_factory.mktemp("tabby")) as (sandbox, _):
        settings = {
            "TABBY_HOST": sandbox.url,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "GANTRY_ADMIN_PASSWORD": PASSWORD,
        }
        data = tmp_path_factory.mktemp("data")
        own = {"FORCE_SCRIPT_NAME": "/gantry/", "GATEWAY_CORS_ORIGINS": pages}
        with Gantry(data, **own, **settings, **QUICK) as process:
            assert process.url == f"http://localhost:{process.port}/gantry"
            yield process
            process.end()


@pytest.fixture(scope="module", params=["kept", "stripped"])
def url(
    request: pytest.FixtureRequest, folder: Gantry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Behind a proxy that passes the folder on as it is, and behind one that takes it away."""
    upstream = f"http://127.0.0.1:{folder.port}{'/' if request.param == 'stripped' else ''}"
    with nginx(tmp_path_factory.mktemp("nginx"), upstream, location="/gantry/") as url:
        yield f"{url}/gantry"


class TestAFolderOfAHost:
    def test_people_sign_in_chat_and_come_back(self, browser: Browser, url: str) -> None:
        with windows_on(browser, url) as windows:
            page = windows.open()
            strays = _strays(page, url)
            page.goto(f"{url}/")
            expect(page).to_have_url(re.compile(r"/gantry/accounts/login/\?next=/gantry/$"))
            expect(page.get_by_text("Please sign in to see that page")).to_have_count(0)
            page.get_by_label("Username").fill("admin")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            expect(page).to_have_url(f"{url}/")
            status_is(say(page, "Where are you?"), "complete")
            expect(page).to_have_url(re.compile(r"/gantry/c/[0-9a-f-]+/$"))
            page.reload()
            expect(page.locator("#messages")).to_contain_text("Where are you?")
            page.locator("#conversations a").first.click()
            expect(page).to_have_url(re.compile(r"/gantry/c/[0-9a-f-]+/$"))
            page.get_by_role("button", name=re.compile("Profile")).click()
            page.get_by_role("menuitem", name="Admin Dashboard").click()
            expect(page).to_have_url(f"{url}/admin/")
            page.goto(f"{url}{MODELS}")
            expect(page.locator("#gantry-state")).to_contain_text("alpha-7B")
            expect(page.locator("#gantry-link")).to_have_text("")
            for cookie in page.context.cookies():
                assert cookie["path"] == "/gantry", cookie
            page.goto(f"{url}/")
            page.get_by_role("button", name=re.compile("Profile")).click()
            page.get_by_role("menuitem", name="Sign out").click()
            expect(page).to_have_url(f"{url}/accounts/signed-out/")
            assert windows.complaints == []
        assert strays == []

    def test_api_docs_and_switches(self, url: str, folder: Gantry) -> None:
        admin = Person(url, "admin", PASSWORD)
        assert f"{url}/api/admin/models/switch" in admin.get("/api/docs").text
        paths = admin.get("/api/openapi.json").json()["paths"]
        assert "/gantry/api/admin/models" in paths
        number = admin.start_switch("beta-8B-Q5")
        with admin.watch() as page:
            page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the switch")
        answer = admin.call("GET", f"/api/admin/switches/{number}")
        assert answer.json()["state"] == "succeeded"
        assert admin.switch("alpha-7B").status_code == 200
        big = requests.post(f"{folder.url}/api/conversations", b"x" * 2_000_000, timeout=10)
        assert (big.status_code, big.json()) == (413, {"detail": "The body is too big."})

    def test_programs_and_pages_of_other_sites_call(self, browser: Browser, url: str, pages: str) -> None:
        admin = Person(url, "admin", PASSWORD)
        caller = Caller(url, admin.token("chat"))
        with admin.watch() as page:
            page.until(lambda each: each.backend["model"] == "alpha-7B", "a model")
        with caller.client() as client:
            assert [each.id for each in client.models.list().data] == ["alpha-7B"]
        with caller.stream("[[tokens=5]]") as wire:
            assert wire.rest() == words(1, 5)
        assert _called(browser, pages, caller) == (200, True)
        assert _called(browser, pages.replace("localhost", "127.0.0.1"), caller) == (0, False)


def _called(browser: Browser, site: str, caller: Caller) -> tuple[int, bool]:
    """What a page of this site is shown of an answer: its status (0: nothing), and whether its id."""
    page = browser.new_page()
    page.goto(f"{site}/")
    body = {"messages": [{"role": "user", "content": "[[tokens=1]]"}]}
    status, named = page.evaluate(CALL, [f"{caller.url}/v1/chat/completions", caller.token, body])
    page.close()
    return status, named


def _strays(page: Page, url: str) -> list[str]:
    """The addresses outside of the folder that a page asks for, as they come, and answers that are errors."""
    found: list[str] = []
    inside = url.removeprefix("http")
    page.on("request", lambda each: None if each.url.startswith(url) else found.append(each.url))
    page.on("websocket", lambda each: None if each.url.startswith(f"ws{inside}/") else found.append(each.url))
    page.on(
        "response", lambda each: found.append(f"{each.status} {each.url}") if each.status >= 400 else None
    )
    return found
