"""The administrator: watches /ws/models/ through both web processes, and asks for switches over the API."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import aiohttp

from bench.chaos_people import Page


class Admin:
    """Two watching pages, one to each web process, and a hand on the API."""

    def __init__(
        self, session: aiohttp.ClientSession, webs: list[str], cookie: str, dice: random.Random
    ) -> None:
        self._session, self._webs, self._cookie, self._dice = session, webs, cookie, dice
        self.pages = [Page(session, [web], cookie, "", dice) for web in webs]
        self._seen: set[tuple[str, int, str]] = set()  # (what was asked for, the switch, its state)
        self._news = asyncio.Event()
        for page in self.pages:
            page.listener = self._listen

    def _listen(self, backend: dict[str, Any]) -> None:
        parts = [backend.get("switch"), backend.get("last")]
        parts += [server["switch"] for server in backend.get("servers", [])]
        for switch in filter(None, parts):
            rollout = switch.get("rollout")
            asked = f"rollouts/{rollout}" if rollout else f"switches/{switch['id']}"
            self._seen.add((asked, switch["id"], switch["state"]))
            self._news.set()

    async def sees(self, asked: str, state: str, patience: float, turn: int = 1) -> bool:
        """Wait until a page has shown a switch that was asked for in that state: of a rollout, the switch of that turn.

        False if it ended, or time ran out, before.
        """
        try:
            async with asyncio.timeout(patience):
                while self._turns(asked, state) < turn:
                    if self._turns(asked, "failed", "cancelled") or self._turns(asked, "succeeded") >= turn:
                        return False
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def add(self, repository: str, folder: str) -> None:
        """Have a model downloaded, by either web process; raises RuntimeError where neither takes it."""
        for web in self._webs:
            headers = {"Cookie": f"session_id={self._cookie}"}
            body = {"repository": repository, "folder": folder}
            async with (
                asyncio.timeout(20),
                self._session.post(f"{web}/api/admin/models/add", json=body, headers=headers) as answer,
            ):
                if answer.status == 202:
                    return
        raise RuntimeError(f"no download was begun: {answer.status} {await answer.text()}")

    def _turns(self, asked: str, *states: str) -> int:
        """How many switches of what was asked for have been seen in one of these states."""
        return len({switch for what, switch, state in self._seen if what == asked and state in states})

    async def switch(self, target: str, servers: Sequence[str] = ()) -> str | None:
        """Ask for a switch of these servers, or all, at either web process.

        Return what was taken, as its address ends: "switches/7" or "rollouts/3"; None if it was not taken.
        """
        webs = self._dice.sample(self._webs, 2)
        for web in webs:
            headers = {"Cookie": f"session_id={self._cookie}", "Prefer": "respond-async"}
            url = f"{web}/api/admin/models/switch"
            body = {"model_id": target, **({"servers": list(servers)} if servers else {})}
            try:
                async with (
                    asyncio.timeout(4),
                    self._session.post(url, json=body, headers=headers) as answer,
                ):
                    if answer.status == 202:
                        return "/".join(answer.headers["Location"].rstrip("/").split("/")[-2:])
                    if answer.status == 409:
                        return None
            except (aiohttp.ClientError, OSError, TimeoutError):
                continue
        return None
