"""TabbyAPI's address and keys, and the errors of an exchange: what the blocking and the async client share."""

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
    name: str = ""  # of the server, where there are several

    @property
    def base(self) -> str:
        """Return `scheme://host:port[/prefix]`, without credentials, a trailing slash or `/v1`.

        Raises Unreachable where `host` is no http address.
        """
        try:
            parts = urlsplit(self.host.strip())
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            parts, port = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not parts.hostname:
            what = (
                f"TABBY_HOST gives {self.name} no http address"
                if self.name
                else "TABBY_HOST is not an http address"
            )
            raise Unreachable(what, advice="Set it to such as http://tabbyapi:5000.")
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{name}{port}{parts.path.rstrip('/').removesuffix('/v1')}"

    def headers(self, *, chat: bool = False) -> dict[str, str]:
        """Return the headers of a request, with the admin key, or the API key where that is not set.

        For a `chat`, the API key comes first. Raises KeyRefused where the key has characters that no header takes.
        """
        keys = (self.api_key, self.admin_key) if chat else (self.admin_key, self.api_key)
        key = next((key.strip() for key in keys if key.strip()), "")
        if key and not _KEY.fullmatch(key):
            raise KeyRefused("The key for TabbyAPI has characters that no key can have")
        headers = {"Accept-Encoding": "identity", "User-Agent": "Gantry"}
        return headers | {"Authorization": f"Bearer {key}"} if key else headers

    def clean(self, words: str) -> str:
        """Return `words` without the keys, which TabbyAPI may repeat."""
        for key in (self.admin_key.strip(), self.api_key.strip()):
            if key:
                words = words.replace(key, "•••")
        return words

    def failure(self, status: int, doing: str, body: bytes) -> TabbyError:
        """Return the exception for an answer with a `status` other than 200.

        `doing` completes “TabbyAPI … while …”, such as “listing the models”.
        """
        words, code = words_of_body(body)
        return status_failure(status, doing, self.clean(words), code=code)

    def words(self, event: Any) -> str | None:
        """Return the words of an error event without keys; None where `event` is no error."""
        words = error_words(event)
        return None if words is None else self.clean(words)

    def unreachable(self, doing: str, cause: BaseException | None = None) -> Unreachable:
        """Return the exception for a connection that could not be made, or broke before an answer."""
        error = Unreachable(f"TabbyAPI at {self.base} cannot be reached while {doing}")
        while cause is not None and not error.refused:
            error.refused = isinstance(cause, ConnectionRefusedError)
            cause = cause.__cause__ or cause.__context__
        return error

    def no_events(self, doing: str, body: bytes) -> Garbled:
        """Return the exception for a 200 that is no stream of events although it should be."""
        words, _ = words_of_body(body)
        if not words and is_whole_reply(body):
            return Garbled(
                f"TabbyAPI does not stream: it sent a whole reply while {doing}",
                advice="Set disable_request_streaming to false in TabbyAPI's config.yml, and restart it: chats are streams.",
            )
        return Garbled(f"TabbyAPI answered no event stream while {doing}", self.clean(words))
