"""Where TabbyAPI is and with which key: what the blocking and the async client share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from models_admin.tabby.errors import Garbled, KeyRefused, TabbyError, Unreachable
from models_admin.tabby.failures import status_failure
from models_admin.tabby.refusals import error_words, words_of_body
from models_admin.tabby.wire import is_whole_reply

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
MAX_BODY: Final = 8 * 1024 * 1024
MAX_ERROR_BODY: Final = 64 * 1024
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Access:
    """TabbyAPI's address and keys. A key is shown by no method, message or repr of it."""

    host: str
    admin_key: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)

    @property
    def base(self) -> str:
        """`scheme://host:port[/prefix]`, without credentials, a trailing slash or `/v1`. Raises Unreachable
        if it is no address.
        """
        try:
            parts = urlsplit(self.host.strip())
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            parts, port = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(
                "TABBY_HOST is not an http address", advice="Set it to such as http://tabbyapi:5000."
            )
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{name}{port}{parts.path.rstrip('/').removesuffix('/v1')}"

    def headers(self, *, chat: bool = False) -> dict[str, str]:
        """The headers that identify Gantry: the admin key, or the other where it is not set; for `chat`, the
        API key first.
        """
        keys = (self.api_key, self.admin_key) if chat else (self.admin_key, self.api_key)
        key = next((key.strip() for key in keys if key.strip()), "")
        if key and not _KEY.fullmatch(key):
            raise KeyRefused("The key for TabbyAPI has characters that no key can have")
        headers = {"Accept-Encoding": "identity", "User-Agent": "Gantry"}
        return headers | {"Authorization": f"Bearer {key}"} if key else headers

    def clean(self, words: str) -> str:
        """`words` without the keys, should TabbyAPI repeat one."""
        for key in (self.admin_key.strip(), self.api_key.strip()):
            if key:
                words = words.replace(key, "•••")
        return words

    def failure(self, status: int, doing: str, body: bytes) -> TabbyError:
        """The exception for an answer with `status` (not 200) and `body`, to a request that was `doing`
        something.
        """
        words, code = words_of_body(body)
        return status_failure(status, doing, self.clean(words), code=code)

    def words(self, event: Any) -> str | None:
        """The words of an error event without keys, or None where `event` is no error."""
        words = error_words(event)
        return None if words is None else self.clean(words)

    def unreachable(self, doing: str, cause: BaseException | None = None) -> Unreachable:
        """The exception for a connection that could not be made, or broke before an answer."""
        error = Unreachable(f"TabbyAPI at {self.base} cannot be reached while {doing}")
        while cause is not None and not error.refused:
            error.refused = isinstance(cause, ConnectionRefusedError)
            cause = cause.__cause__ or cause.__context__
        return error

    def no_events(self, doing: str, body: bytes) -> Garbled:
        """The exception for a 200 that should have been a stream of events and is something else."""
        words, _ = words_of_body(body)
        if not words and is_whole_reply(body):
            return Garbled(
                f"TabbyAPI does not stream: it sent a whole reply while {doing}",
                advice="Set disable_request_streaming to false in TabbyAPI's config.yml, and restart it: chats are streams.",
            )
        return Garbled(f"TabbyAPI answered no event stream while {doing}", self.clean(words))
