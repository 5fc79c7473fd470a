"""Hands a token for the hub from whoever asks for a download to the worker that carries it out: through Redis alone.

It is in no row, task, page or log. Redis forgets it after KEPT_SECONDS, and when the download has ended. Until then another
worker finds it there, which takes the download up when the first one was killed. Where Redis has lost it (it was restarted,
and keeps nothing on a disk), such a download ends: the token has to be given again.
"""

from __future__ import annotations

import redis
from django.conf import settings

KEPT_SECONDS = 24 * 3600
PATIENCE_SECONDS = 3.0


class NoHandover(Exception):
    """Redis does not take the token, or has it no more; str() is a sentence."""


def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
    )


def _key(download_id: int) -> str:
    return f"gantry:hub-token:{download_id}"


def put(download_id: int, token: str) -> None:
    """Keep the token of a download; raises NoHandover."""
    try:
        with _redis() as client:
            client.set(_key(download_id), token, ex=KEPT_SECONDS)
    except (redis.RedisError, OSError):
        raise NoHandover("Redis, which hands the token to the worker, does not answer. Try again.") from None


def get(download_id: int) -> str:
    """Return the token of a download; raises NoHandover."""
    try:
        with _redis() as client:
            found = client.get(_key(download_id))
    except (redis.RedisError, OSError):
        raise NoHandover("Redis, which has the token for the hub, does not answer") from None
    if not isinstance(found, bytes):
        raise NoHandover("The token for the hub is not kept any more")
    return found.decode()


def drop(download_id: int) -> None:
    """Forget the token of a download; Redis does so by itself, later, where it does not answer now."""
    try:
        with _redis() as client:
            client.delete(_key(download_id))
    except (redis.RedisError, OSError):
        pass
