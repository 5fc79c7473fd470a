"""docs/operations.md, “Add, replace and remove a server”, word for word, while people go on chatting."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
from support.api_calls import words
from support.people import PASSWORD, Person, add_user
from support.tabby import ADMIN_KEY, MODELS, Tabby, running

from bench.chaos_people import Page

from .running import PATIENCE, ROOT, free_port, lives, until

LEFT_OUT = (".git", ".venv", "var", "node_modules", "tests", "__pycache__", ".*_cache", ".hypothesis")
WORDS, RATE = 40, 20
DONE = "---done---"
MODEL = "beta-8B-Q5"
EMPTY = MODELS.replace('initial_model = "alpha-7B"', "")


def _blocks() -> list[str]:
    """The blocks of the section: add, take out, put back, remove."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("## Add, replace and remove a server")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    return blocks


class Installation:
    """Gantry in a folder of its own, with its settings in .env and its data in var/."""

    def __init__(self, folder: Path, host: str) -> None:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "var").mkdir(mode=0o700)
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.facts = {"TABBY_HOST": host, "MODEL": MODEL}
        settings = {
            "TABBY_HOST": host,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "PORT": str(self.port),
            "GANTRY_BIND": "127.0.0.1",
            "GANTRY_ADMIN_PASSWORD": PASSWORD,
            "WEBS": "2",
            "DRAIN_TIMEOUT": "5",
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    async def begin(self) -> None:
        """Open the shell in which the operator works."""
        self.shell = await asyncio.create_subprocess_exec(
            *("bash", "-e"),
            cwd=self.folder,
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, block: str) -> str:
        """Run a block of the page in the folder, with its variables; return what it printed."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        given = "".join(f"{name}={value}\n" for name, value in self.facts.items())
        script = given + block.replace("http://localhost:8000", self.url)
        self.shell.stdin.write(f"{script}\necho {DONE}\n".encode())
        printed = ""
        try:
            async with asyncio.timeout(3 * PATIENCE):
                while (line := (await self.shell.stdout.readline()).decode()) != f"{DONE}\n":
                    assert line, "the block failed"
                    printed += line
        except (AssertionError, TimeoutError) as error:
            log = self.folder / "var" / "gantry.log"
            error.add_note(f"{printed}\n{log.read_text() if log.exists() else ''}")
            raise
        return printed

    def end(self) -> None:
        """Close the shell, and stop Gantry if it runs."""
        with suppress(ProcessLookupError):
            self.shell.kill()
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int((self.folder / "var" / "run" / "up.lock").read_text())
            os.kill(pid, signal.SIGTERM)
            until(lambda: not lives(pid), "the end of Gantry")
        with suppress(ProcessLookupError):
            os.killpg(self.shell.pid, signal.SIGKILL)


@asynccontextmanager
async def installed(folder: Path, host: str) -> AsyncIterator[Installation]:
    installation = Installation(folder, host)
    await installation.begin()
    try:
        yield installation
    finally:
        await asyncio.to_thread(installation.end)
        await installation.shell.wait()


@asynccontextmanager
async def chatting(url: str, *people: Person) -> AsyncIterator[list[Page]]:
    """Have each of the people read one reply after the other; then wait until all that was asked is answered."""
    quiet = asyncio.Event()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        pages = [
            Page(session, [url], person.cookie, person.conversation(), random.Random(number))
            for number, person in enumerate(people)
        ]

        async def read(page: Page) -> None:
            page.open()
            while not quiet.is_set():
                await page.say(WORDS, RATE)
                while page.waits():
                    await asyncio.sleep(0.05)

        readers = [asyncio.create_task(read(page)) for page in pages]
        try:
            yield pages
            quiet.set()
            await asyncio.wait_for(asyncio.gather(*readers), PATIENCE)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await asyncio.gather(*(page.close() for page in pages))


async def answered_by(tabby: Tabby) -> None:
    """Wait until this server is asked once more."""
    before = len(await asyncio.to_thread(tabby.chats))
    async with asyncio.timeout(PATIENCE):
        while len(await asyncio.to_thread(tabby.chats)) == before:
            await asyncio.sleep(0.1)


async def test_people_go_on_chatting_while_a_server_is_added_replaced_and_removed(tmp_path: Path) -> None:
    add, out, back, remove = _blocks()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "one") as (first, _), running(tmp_path / "two", EMPTY) as (second, process):
        async with installed(tmp_path / "gantry", first.url) as gantry:
            gantry.facts["SECOND_HOST"] = second.url
            begin = add[
                add.index(".venv/bin/python manage.py up") : add.index(".venv/bin/python manage.py switch")
            ]
            await gantry.run(begin)
            admin = await asyncio.to_thread(Person, gantry.url, "admin", PASSWORD)
            people = [await asyncio.to_thread(add_user, admin, name) for name in ("mara", "noor", "olu")]
            async with chatting(gantry.url, *people) as pages:
                await answered_by(first)
                assert "gpu2" in await gantry.run(add)
                await answered_by(second)

                await gantry.run(out)
                before = len(second.chats())
                await answered_by(first)
                await answered_by(first)
                assert len(second.chats()) == before, "it is out of service"
                process.kill()
                process.wait()
                with running(tmp_path / "two", EMPTY, port=int(second.url.rpartition(":")[2])) as (anew, _):
                    await gantry.run(back)
                    await answered_by(anew)
                    *_, last = (await gantry.run(remove)).splitlines()
                    assert "gpu1" in last, "the only one that is left"
                    left = len(anew.chats())
                    await answered_by(first)
                    await answered_by(first)
                    assert len(anew.chats()) == left
            for page in pages:
                assert not page.refused
                assert page.connections >= 3, "it came back after each restart"
                replies = [each for each in page.messages.values() if each["role"] == "assistant"]
                assert {(each["status"], each["text"]) for each in replies} == {("complete", words(1, WORDS))}
