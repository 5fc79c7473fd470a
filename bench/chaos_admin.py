"""The administrator: watches /ws/models/ through both web processes, and asks for switches over the API."""

from __future__ import annotations

import asyncio
import random
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
        self._seen: set[tuple[int, str]] = set()
        self._news = asyncio.Event()
        for page in self.pages:
            page.listener = self._listen

    def _listen(self, backend: dict[str, Any]) -> None:
        for part in ("switch", "last"):
            if switch := backend.get(part):
                self._seen.add((switch["id"], switch["state"]))
                self._news.set()

    async def sees(self, switch: int, state: str, patience: float) -> bool:
        """Wait until a page has shown that switch in that state; False if it ended, or time ran out, before."""
        try:
            async with asyncio.timeout(patience):
                while (switch, state) not in self._seen:
                    if any((switch, end) in self._seen for end in ("succeeded", "failed", "cancelled")):
                        return False
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def switch(self, target: str) -> int | None:
        """Ask for a switch, at either web process; return its number, or None if it was not taken."""
        webs = self._dice.sample(self._webs, 2)
        for web in webs:
            headers = {"Cookie": f"session_id={self._cookie}", "Prefer": "respond-async"}
            url, body = f"{web}/api/admin/models/switch", {"model_id": target}
            try:
                async with (
                    asyncio.timeout(4),
                    self._session.post(url, json=body, headers=headers) as answer,
                ):
                    if answer.status == 202:
                        return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])
                    if answer.status == 409:
                        return None
            except (aiohttp.ClientError, OSError, TimeoutError):
                continue
        return None
