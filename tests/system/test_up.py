"""`manage.py up`: it serves, it heals, it tells, and it ends."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings
from supervisor.options import ServerOptions

from gantry_site import children as site
from gantry_site.celery import LESS_URGENT
from gantry_site.child_log import LONGEST_LINE, Log
from gantry_site.children import Child
from gantry_site.management.commands.up import ensure_admin
from gantry_site.serve import SERVERS, Lifespan
from gantry_site.supervise import configuration
from models_admin.ops import foundations

from .running import PATIENCE, ROOT, Gantry, Process, environment, free_port, lives, until

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def run_up(folder: Path, port: int, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py up` where it is expected to end soon."""
    argv = [sys.executable, "manage.py", "up", *words]
    env = environment(folder, port, **settings)
    return subprocess.run(
        argv, cwd=ROOT, env=env, text=True, capture_output=True, timeout=PATIENCE, check=False
    )


def serving(gantry: Gantry, name: str) -> int:
    """The process of this name that has said that it serves; 0 if none has."""
    path = gantry.folder / "run" / f"{name}.pid"
    return int(path.read_text() or 0) if path.exists() else 0


def open_sockets(pid: int) -> int:
    found = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(each.readlink()).startswith("socket:")
    return found


def urgencies(pid: int) -> set[int]:
    """The `nice` values of all threads of a process, {} of one that has gone; more is less urgent."""
    found = set()
    with suppress(FileNotFoundError):
        for each in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                found.add(os.getpriority(os.PRIO_PROCESS, int(each.name)))
    return found


@contextmanager
def asking(url: str) -> Iterator[list[Exception]]:
    """Ask for `url` again and again, each time anew, while the block runs; what went wrong is in the list."""
    failures: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                requests.get(url, timeout=PATIENCE).raise_for_status()
            except requests.RequestException as error:
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield failures
    finally:
        over.set()
        thread.join()


class TestUp:
    def test_it_serves_tells_how_to_sign_in_and_ends_everything_on_interrupt(self, tmp_path: Path) -> None:
        with Gantry(tmp_path / "data") as gantry:
            assert gantry.url == f"http://localhost:{gantry.port}"
            gantry.line(r"TabbyAPI: +sandbox at http://127.0.0.1:[0-9]+ ")
            gantry.line("Ctrl-C stops everything")
            assert gantry.serves()
            gantry.signed_in()
            pids = gantry.children()
            assert set(pids) == {"redis", "sandbox", "web", "worker", "beat"}
            sandbox = (gantry.folder / "run" / "tabby_host").read_text().strip()
            until(lambda: answers(f"{sandbox}/health"), "the sandbox")

            second = run_up(gantry.folder, free_port())
            assert second.returncode == 1
            assert (
                f"already runs with the data in {gantry.folder} (process {gantry.popen.pid})" in second.stderr
            )

            assert gantry.end(signal.SIGINT) == 0
            assert not [name for name, pid in pids.items() if lives(pid)]
        assert not (gantry.folder / "run" / "children.json").exists()
        assert gantry.folder.stat().st_mode & 0o777 == 0o700

    def test_a_second_start_keeps_the_data(self, tmp_path: Path) -> None:
        with Gantry(tmp_path) as gantry:
            first, secret = gantry.password, (tmp_path / "secret.key").read_text()
            session = gantry.signed_in()
            assert gantry.end(signal.SIGTERM) == 0
        with Gantry(tmp_path) as gantry:
            assert gantry.password == first
            assert (tmp_path / "secret.key").read_text() == secret
            gantry.signed_in(password=first)
            page = session.get(f"{gantry.url}/admin/", timeout=10, allow_redirects=False)
            assert page.status_code == 200, "who was signed in still is"

    def test_whatever_is_killed_comes_back(self, tmp_path: Path) -> None:
        with Gantry(tmp_path, "--webs", "2", "--own-ports", "--workers", "2") as gantry:
            names = {"redis", "sandbox", "web", "web-2", "worker", "worker-2", "beat"}
            assert set(gantry.children()) == names
            until(lambda: gantry.serves(gantry.port + 1), "the second web process")
            own = os.getpriority(os.PRIO_PROCESS, 0)
            less = {min(19, own + LESS_URGENT)}
            celery = ("worker", "worker-2", "beat")
            until(
                lambda: all(urgencies(gantry.children()[name]) == less for name in celery),
                "Celery's processes, less urgent in all their threads",
            )
            assert urgencies(gantry.children()["web"]) == {own}
            for name in sorted(names):
                gantry.kill(name)
                gantry.line(f"gantry +. {name} ended .terminated by SIGKILL.*: starting it again")
            until(gantry.serves, "the first web process")
            until(lambda: gantry.serves(gantry.port + 1), "the second web process")

            pids = gantry.children()
            gantry.end(signal.SIGKILL)
            until(lambda: not any(map(lives, pids.values())), "the end of the children of a killed `up`")

    @pytest.mark.parametrize("server", SERVERS)
    def test_web_processes_share_one_port_and_are_started_anew_one_by_one(
        self, tmp_path: Path, server: str
    ) -> None:
        with Gantry(tmp_path, WEBS="2", SERVER=server) as gantry:
            until(lambda: serving(gantry, "web") and serving(gantry, "web-2"), "both web processes")
            before = gantry.children()
            idle = {name: open_sockets(before[name]) for name in ("web", "web-2")}
            with ExitStack() as stack:
                for _ in range(40):
                    session = stack.enter_context(requests.Session())
                    assert session.get(f"{gantry.url}/healthz", timeout=PATIENCE).status_code == 200
                taken = {name: open_sockets(before[name]) - idle[name] for name in idle}
                assert min(taken.values()) >= 4, f"40 connections were taken like this: {taken}"

            with asking(f"{gantry.url}/healthz") as failures:
                os.kill(before["web-2"], signal.SIGKILL)
                gantry.line("web-2 ended .terminated by SIGKILL")
                until(lambda: serving(gantry, "web-2") not in (0, before["web-2"]), "its successor")
                gantry.popen.send_signal(signal.SIGUSR1)
                gantry.line("starting web anew")
                gantry.line("starting web-2 anew")
                assert serving(gantry, "web") not in (0, before["web"]), (
                    "the second ended before the first served"
                )
                gantry.line("all web processes have been started anew")
                assert serving(gantry, "web-2") == gantry.children()["web-2"]
            # A process that ends takes along what it has just accepted, here one request at most; and three ended.
            assert len(failures) <= 3, failures

    def test_the_web_processes_run_alone_where_the_rest_is_elsewhere(self, tmp_path: Path) -> None:
        assert run_up(tmp_path, free_port(), "--prepare").returncode == 0
        port = free_port()
        env = environment(tmp_path, port, WEBS="2")
        argv = (sys.executable, "-u", "manage.py", "up", "--only=web")
        with Process(*argv, env=env) as process:
            until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "a web process")
            children = json.loads((tmp_path / "run" / "children.json").read_text())
            assert set(children) == {"web", "web-2"}
            assert process.end(signal.SIGTERM) == 0

    def test_it_serves_the_addresses_of_ipv6(self, tmp_path: Path) -> None:
        with Gantry(tmp_path, GANTRY_BIND="::1", ALLOWED_HOSTS="localhost,[::1]") as gantry:
            assert requests.get(f"http://[::1]:{gantry.port}/healthz", timeout=PATIENCE).status_code == 200

    def test_a_crash_loop_is_reported_with_growing_pauses(self, tmp_path: Path) -> None:
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from gantry_site.children import Child\n"
            "from gantry_site.child_log import Log\n"
            "from gantry_site.supervise import supervise\n"
            "unlucky = Child('unlucky', ('sh', '-c', 'echo no such luck; exit 7'))\n"
            "lost = Child('lost', ('./nothing',))\n"
            "log = Log(sys.stdout, ['unlucky', 'lost'])\n"
            "supervise([unlucky, lost], folder=Path(sys.argv[1]), log=log)\n"
        )
        with Process(sys.executable, "-c", program, str(tmp_path), env=dict(os.environ)) as process:
            process.line(r"unlucky +\| no such luck")
            process.line(r"unlucky ended \(exit status 7.*\): starting it again in 1 s")
            process.line(r"lost .*nothing.*: starting it again in 2 s \(2 times in a row")
            process.line(r"unlucky +\| no such luck")
            process.line(r"unlucky ended \(exit status 7.*\): starting it again in 3 s \(3 times in a row")
            assert process.end() == 0

    def test_it_ends_when_nobody_reads_it_any_more(self, tmp_path: Path) -> None:
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from gantry_site.children import Child\n"
            "from gantry_site.child_log import Log\n"
            "from gantry_site.supervise import supervise\n"
            "clock = Child('clock', ('sh', '-c', 'echo $$; while sleep 0.1; do echo tick; done'))\n"
            "supervise([clock], folder=Path(sys.argv[1]), log=Log(sys.stdout, ['clock']))\n"
        )
        argv = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(argv, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                lines = (re.search(r"clock +. ([0-9]+)$", line) for line in process.stdout)
                pid = int(next(found for found in lines if found)[1])
                process.stdout.close()
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
        assert not lives(pid)

    def test_a_busy_port_is_named(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            refused = run_up(tmp_path, port)
        assert refused.returncode == 1
        assert refused.stderr.startswith(
            f"CommandError: Port {port} of 127.0.0.1 is taken by another program."
        )
        assert f"PORT={port + 1} make run" in refused.stderr

    @pytest.mark.parametrize(("port", "bind"), [("70000", "127.0.0.1"), ("8000", "192.0.2.1")])
    def test_an_impossible_address_is_named(self, tmp_path: Path, port: str, bind: str) -> None:
        refused = run_up(tmp_path, 0, PORT=port, GANTRY_BIND=bind)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"CommandError: Nothing can be served on port {port} of {bind}")


class TestServe:
    @pytest.mark.parametrize("server", SERVERS)
    def test_it_answers_and_ends_when_told(self, tmp_path: Path, server: str) -> None:
        port = free_port()
        argv = (sys.executable, "-m", "gantry_site.serve", "--server", server)
        with Process(*argv, env=environment(tmp_path, port)) as process:
            until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the server")
            # uvicorn, having closed everything, ends by the signal itself.
            assert process.end(signal.SIGTERM) in (0, -signal.SIGTERM)

    async def test_the_application_hears_of_the_beginning_and_of_the_end(self) -> None:
        heard: list[str] = []

        async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
            assert scope["type"] == "lifespan"
            while not heard or heard[-1] != "lifespan.shutdown":
                heard.append((await receive())["type"])
                await send({"type": f"{heard[-1]}.complete"})

        lifespan = Lifespan(application, asyncio.get_running_loop())
        lifespan.begin()
        await lifespan.end()
        assert heard == ["lifespan.startup", "lifespan.shutdown"]

    def test_a_busy_port_is_a_failure(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            with Process(
                sys.executable, "-m", "gantry_site.serve", env=environment(tmp_path, port)
            ) as process:
                process.line(f"Nothing could be served on 127.0.0.1 port {port}")
                assert process.popen.wait(PATIENCE) == 1


class TestWhatOthersMayRead:
    def test_a_database_is_nobody_elses_also_in_a_folder_that_is_open(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        given = {"SECRET_KEY": "chosen-" * 8, "DATABASE_URL": ""}
        for folder in (tmp_path, tmp_path / "new"):
            ended = run_up(folder, free_port(), "--prepare", **given)
            assert ended.returncode == 0, ended.stderr
            assert (folder / "gantry.sqlite3").stat().st_mode & 0o077 == 0

    def test_the_doctor_tells_what_others_can_read(self, tmp_path: Path, settings: Settings) -> None:
        settings.DATA_DIR = tmp_path
        secret = tmp_path / "secret.key"
        secret.write_text("x")
        secret.chmod(0o644)
        tmp_path.chmod(0o700)
        assert foundations.disk().level == "ok"
        tmp_path.chmod(0o755)
        found = foundations.disk()
        assert (found.level, found.title) == ("warning", "Others on this machine can read secret.key")
        secret.chmod(0o600)
        assert foundations.disk().level == "ok"

    def test_a_password_in_tabbyapis_address_is_not_told(self, tmp_path: Path) -> None:
        with Gantry(tmp_path / "data", TABBY_HOST="http://me:open-sesame@127.0.0.1:9") as gantry:
            gantry.line(r"TabbyAPI: +http://127.0.0.1:9$")
            gantry.line("Ctrl-C stops everything")
            assert gantry.end() == 0
        assert "open-sesame" not in "".join(gantry.seen)


@pytest.mark.django_db
class TestFirstAdmin:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, settings: Settings) -> None:
        settings.DATA_DIR = tmp_path
        settings.ADMIN_PASSWORD = ""

    def test_a_random_password_is_kept_for_its_owner_only(self, tmp_path: Path) -> None:
        shown = ensure_admin()
        assert User.objects.get(is_superuser=True).check_password(shown)
        assert (tmp_path / "admin-password").stat().st_mode & 0o777 == 0o600
        assert ensure_admin() == shown

    def test_a_password_that_was_changed_is_not_shown(self) -> None:
        ensure_admin()
        admin = User.objects.get(username="admin")
        admin.set_password("something else")
        admin.save()
        assert ensure_admin() == "as you set it"

    def test_a_password_that_was_given_is_neither_kept_nor_shown(
        self, tmp_path: Path, settings: Settings
    ) -> None:
        settings.ADMIN_PASSWORD = "correct horse"
        assert ensure_admin() == "as you set it"
        assert User.objects.get(username="admin").check_password("correct horse")
        assert not list(tmp_path.iterdir())

    def test_there_is_none_made_beside_another_superuser(self) -> None:
        User.objects.create_superuser("root", password="x")
        assert ensure_admin() == "as you set it"
        assert not User.objects.filter(username="admin").exists()


class TestChildren:
    def test_a_redis_and_a_tabbyapi_of_ones_own_are_not_started(self, settings: Settings) -> None:
        settings.REDIS_PRIVATE = False
        listed = site.children(webs=[3], workers=1, sandboxes=[])
        assert [child.name for child in listed] == ["web", "worker", "beat"]
        # None is less urgent from its first instruction on: on a busy machine it would take minutes to start.
        assert {child.argv[0] for child in listed} == {sys.executable}

    def test_where_no_redis_is_on_the_path_the_packaged_one_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert shutil.which("redis-server") is None
        said = subprocess.run([site.redis_binary(), "--version"], capture_output=True, text=True, check=True)
        assert said.stdout.startswith("Redis server v=")

    def test_odd_characters_in_a_command_reach_the_child_as_they_are(self, tmp_path: Path) -> None:
        argv = ("run", "100% of it", "a ;b", "c #d", "%(here)s", "it's", '"e"', "ü")
        path = tmp_path / "supervisord.conf"
        path.write_text(configuration([Child("odd", argv)]))
        options = ServerOptions()
        options.realize(["-c", str(path)])
        (group,) = options.process_group_configs
        assert tuple(shlex.split(group.process_configs[0].command)) == argv


class TestLog:
    def test_a_log_that_cannot_be_written_is_no_end_and_goes_on_with_room(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        with Path("/dev/full").open("w") as stream:
            log = Log(stream, ["web"])
            log.say("lost")
            log.feed("web", b"lost too\n")
            assert not log.reader_gone
            with path.open("w") as room:
                os.dup2(room.fileno(), stream.fileno())
            log.say("there is room")
            log.say("again")
        assert path.read_text() == (
            "gantry | 2 lines could not be written, as the disk was full\n"
            "gantry | there is room\ngantry | again\n"
        )

    def test_what_a_full_pipe_does_not_take_is_counted_and_it_goes_on(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)  # as another program that shares the terminal may leave it
        with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w") as stream:
            log = Log(stream, ["web"])
            log.say("x" * (2 << 20))  # more than a pipe takes
            log.say("lost too")
            assert log.lost == 2
            assert not log.reader_gone
            while reader.read(1 << 20)[-1:] == b"x" and select.select([reader], [], [], 0)[0]:
                pass
            log.say("there is room")
            told = reader.read(1 << 20).decode()
        assert told == (
            "\ngantry | 2 lines could not be written, as they were not read in time\ngantry | there is room\n"
        )

    def test_a_slow_reader_gets_all_of_a_long_line(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with os.fdopen(reading, "rb") as reader:
            read: list[bytes] = []
            thread = threading.Thread(target=lambda: read.append(reader.read()))
            thread.start()
            with os.fdopen(writing, "w") as stream:
                log = Log(stream, ["web"])
                log.say("x" * (1 << 20))
            thread.join(PATIENCE)
        assert log.lost == 0
        assert read == [b"gantry | " + b"x" * (1 << 20) + b"\n"]

    def test_what_never_ends_its_line_is_cut_and_not_kept(self) -> None:
        stream = io.StringIO()
        log = Log(stream, ["web"])
        for _ in range(10):
            log.feed("web", b"x" * 50_000)
            assert len(log.partial.get("web", b"")) <= LONGEST_LINE
        log.end("web")
        lines = stream.getvalue().splitlines()
        assert [len(line) for line in lines[:-1]] == [len("web    | ") + LONGEST_LINE] * 7
        assert "".join(line.removeprefix("web    | ") for line in lines) == "x" * 500_000

    def test_lines_are_printed_whole_behind_their_names(self) -> None:
        stream = io.StringIO()
        log = Log(stream, ["web", "worker"])
        log.feed("web", b"first\nsec")
        log.feed("worker", "gr\u00fcn\r\n".encode())
        log.feed("web", b"ond\n")
        log.feed("worker", b"\xff without an end")
        log.end("worker")
        log.end("web")
        assert stream.getvalue() == (
            "web    | first\nworker | grün\nweb    | second\nworker | \ufffd without an end\n"
        )


def answers(url: str) -> bool:
    """Whether anything at all is served there."""
    try:
        requests.get(url, timeout=5)
    except (requests.ConnectionError, requests.Timeout):
        return False
    return True


def test_control_characters_of_a_child_are_shown_and_not_sent() -> None:
    stream = io.StringIO()
    Log(stream, ["web"]).feed("web", b"It died of \x1b[2J\x07 and \xc2\x9b\n")
    assert stream.getvalue() == "web    | It died of ␛[2J␇ and \ufffd\n"
