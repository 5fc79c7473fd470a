"""What is too large is refused before it is kept: bodies, frames, addresses, headers; on either server."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from paths.test_sessions import code_at_the_end
from paths.test_sign_ins import From
from support.page import Page, Socket
from support.people import Person
from support.tabby import until
from system.running import Gantry, Process, environment, free_port
from websockets.exceptions import ConnectionClosed, InvalidStatus

MEGABYTE = 1024 * 1024
SERVERS = pytest.mark.parametrize("server", ["daphne", "uvicorn"])


@pytest.fixture(scope="module")
def uvicorn(gantry: Gantry) -> Iterator[Process]:
    """One more web process of the running Gantry."""
    port = free_port()
    env = {**environment(gantry.folder, port), **gantry.env, "PORT": str(port)}
    argv = (sys.executable, "-m", "gantry_site.serve", "--server=uvicorn", f"--port={port}")
    with Process(*argv, env=env) as web:
        until(lambda: gantry.serves(port), "the web process")
        yield web
        web.end()


@pytest.fixture
def web(server: str, gantry: Gantry, uvicorn: Process) -> tuple[str, int]:
    """The address of a web process on that server, and its process id."""
    if server == "daphne":
        return f"http://127.0.0.1:{gantry.port}", gantry.children()["web"]
    return f"http://127.0.0.1:{uvicorn.env['PORT']}", uvicorn.popen.pid


def most_memory(pid: int) -> int:
    """The most that the process ever held, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def sent(url: str, head: str, part: bytes = b"", times: int = 0, end: bytes = b"") -> bytes:
    """Send a head, `part` so many times, and an end, or until no more is taken; return the answer."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        with suppress(OSError):
            for _ in range(times):
                connection.sendall(part)
            connection.sendall(end)
        answer = b""
        with suppress(ConnectionResetError):
            while not _whole(answer) and (taken := connection.recv(65536)):
                answer += taken
    return answer


def _whole(answer: bytes) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return bool(gap) and length is not None and len(body) >= int(length[1])


@SERVERS
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "in chunks"])
@pytest.mark.parametrize("path", ["/api/admin/models/switch", "/accounts/login/"], ids=["API", "page"])
def test_a_body_of_100_megabytes_is_refused_and_not_kept(
    web: tuple[str, int], admin: Person, path: str, chunked: bool
) -> None:
    url, pid = web
    before = most_memory(pid)
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {100 * MEGABYTE}"
    head = f"POST {path} HTTP/1.1\nHost: localhost\nCookie: session_id={admin.cookie}\n{size}\n\n"
    part = b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE) if chunked else b"x" * MEGABYTE
    answer = sent(url, head, part, 100, b"0\r\n\r\n" if chunked else b"")
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.splitlines()[0].split()[1] == b"413"
    assert b"content-security-policy: default-src" in top.lower()
    if path.startswith("/api/"):
        assert json.loads(body)["detail"] == "The body is too big."
    else:
        assert "What was sent is larger" in body.decode()
    assert most_memory(pid) - before < 30 * MEGABYTE
    assert not list(Path("/tmp").glob("daphne*")), "nothing is left behind"
    assert requests.get(f"{url}/healthz", timeout=10).status_code == 200


@SERVERS
def test_a_body_that_is_announced_too_large_is_not_waited_for(web: tuple[str, int]) -> None:
    head = f"POST /accounts/login/ HTTP/1.1\nHost: localhost\nExpect: 100-continue\nContent-Length: {2 * MEGABYTE}\n\n"
    answer = sent(web[0], head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@SERVERS
def test_a_body_just_within_the_bound_is_read(web: tuple[str, int], admin: Person) -> None:
    data = b'{"model_id": "' + b"x" * (MEGABYTE - 100) + b'"}'
    headers = {"Cookie": f"session_id={admin.cookie}", "Content-Type": "application/json"}
    answer = requests.post(f"{web[0]}/api/admin/models/switch", data=data, headers=headers, timeout=20)
    assert answer.status_code == 400
    assert "cannot be a model's name" in answer.json()["detail"]
    assert answer.headers["Content-Security-Policy"]


@SERVERS
def test_a_form_of_a_thousand_and_one_fields_is_refused(web: tuple[str, int], alice: Person) -> None:
    form = {f"f{number}": "" for number in range(1001)}
    headers = {"Origin": web[0], "Cookie": f"csrftoken={alice.session.cookies['csrftoken']}"}
    answer = requests.post(f"{web[0]}/accounts/logout/", form, headers=headers, timeout=20)
    assert answer.status_code == 400
    assert "This could not be understood" in answer.text


@SERVERS
@pytest.mark.parametrize("where", ["address", "header", "headers"])
def test_a_head_that_is_too_long_is_refused(web: tuple[str, int], where: str) -> None:
    long = "x" * 100_000
    head = {
        "address": f"GET /{long} HTTP/1.1\nHost: localhost\n\n",
        "header": f"GET / HTTP/1.1\nHost: localhost\nCookie: {long}\n\n",
        "headers": "GET / HTTP/1.1\nHost: localhost\n" + "A: b\n" * 20_000 + "\n",
    }[where]
    answer = sent(web[0], head)
    assert answer.partition(b"\r\n")[0].split()[1:2] in ([b"400"], [b"414"], [b"431"], []), answer[:200]
    assert requests.get(f"{web[0]}/healthz", timeout=10).status_code == 200


@SERVERS
@pytest.mark.parametrize("pieces", [1, 40], ids=["one frame", "many pieces"])
def test_a_frame_over_a_megabyte_ends_the_socket(web: tuple[str, int], alice: Person, pieces: int) -> None:
    url, pid = web
    before = most_memory(pid)
    with alice.page(url=url) as page:
        with suppress(ConnectionClosed):
            page.socket.send([b"x" * (20 * MEGABYTE // pieces)] * pieces)
        assert code_at_the_end(page) in (1009, 0)  # 0: the connection went before the reason could be read
    assert most_memory(pid) - before < 15 * MEGABYTE
    with alice.page(url=url) as page:
        assert page.backend


@SERVERS
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "http://localhost.evil.example",
        "https://{}",
        "ftp://{}",
        "http://x@{}",
        "http://{}/",
        "null",
        "http://[",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/ws/models/", "/ws/chat/{}/"], ids=["models", "chat"])
def test_a_socket_is_for_our_own_pages(web: tuple[str, int], alice: Person, path: str, origin: str) -> None:
    """Another port of this machine is another site; so is a page that does not say where it comes from."""
    page = Socket(web[0], alice.cookie)
    page.origin = origin.format(urlsplit(web[0]).netloc) or None  # type: ignore[assignment]
    with pytest.raises(InvalidStatus) as refusal, page.open(path.format(alice.conversation())):
        pass
    told = refusal.value.response.status_code
    assert told == 403 or (told == 400 and origin == "http://["), "which Daphne itself refuses"


@SERVERS
def test_an_unknown_socket_is_refused(web: tuple[str, int], alice: Person) -> None:
    with pytest.raises(InvalidStatus) as refusal, Socket(web[0], alice.cookie).open("/ws/nothing/"):
        pass
    assert refusal.value.response.status_code == 403


@SERVERS
def test_where_the_site_begins_is_no_clients_to_say(web: tuple[str, int], alice: Person) -> None:
    headers = {"Daphne-Root-Path": "/x", "Cookie": f"session_id={alice.cookie}"}
    assert requests.get(f"{web[0]}/x/accounts/login/", headers=headers, timeout=20).status_code == 404
    odd = requests.get(f"{web[0]}/healthz", headers={"Daphne-Root-Path": "ü".encode()}, timeout=20)  # type: ignore[dict-item]
    assert odd.status_code == 200


@SERVERS
@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; charset=ö"]
)
def test_a_body_that_cannot_be_read_is_answered_in_json(
    web: tuple[str, int], alice: Person, kind: str
) -> None:
    headers = {"Cookie": f"session_id={alice.cookie}", "Content-Type": kind.encode()}
    answer = requests.post(f"{web[0]}/api/conversations", b"abc", headers=headers, timeout=20)  # type: ignore[arg-type]
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert answer.headers["Cache-Control"] == "no-store"


@SERVERS
def test_a_name_that_is_not_ours_opens_no_socket(web: tuple[str, int], alice: Person) -> None:
    """As in DNS rebinding: page and host agree, and both are somebody else's."""
    page = Page(web[0].replace("127.0.0.1", "127.0.0.1.evil.example"), alice.cookie)
    head = (
        "GET /ws/models/ HTTP/1.1\nHost: {0}\nOrigin: http://{0}\nConnection: Upgrade\nUpgrade: websocket\n"
        "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\n\n"
    ).format(urlsplit(page.url).netloc)
    assert sent(web[0], head).startswith(b"HTTP/1.1 403 ")


@SERVERS
def test_the_server_itself_believes_no_forwarded_address(web: tuple[str, int]) -> None:
    with requests.Session() as session:
        session.mount("http://", From("127.0.0.31"))
        forged = {"X-Forwarded-For": "127.0.0.32", "X-Forwarded-Proto": "https"}
        found = session.get(f"{web[0]}/accounts/login/", headers=forged, timeout=20)
    assert "https://" not in found.url
