"""The blocking client, for the worker and for commands: one method per thing that TabbyAPI does."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter

from models_admin.tabby import probe as probing
from models_admin.tabby import wire
from models_admin.tabby.access import CONNECT_SECONDS, MAX_BODY, READ_SECONDS, Access
from models_admin.tabby.errors import (
    Garbled,
    NotLoaded,
    Rejected,
    TabbyError,
    TimedOut,
    clean_words,
)
from models_admin.tabby.loading import LoadStream
from models_admin.tabby.probe import Probe

__all__ = ["LoadStream", "TabbyClient"]

_BLOCK = 65536


class TabbyClient:
    """A client of TabbyAPI at `host` (such as `http://tabbyapi:5000`); several threads may use it.

    Of the network's errors, methods raise TabbyError alone. The environment's proxies and .netrc are not used: they would
    send the admin key elsewhere, or replace it. Timeouts are in seconds.
    """

    def __init__(
        self,
        host: str,
        admin_key: str = "",
        api_key: str = "",
        *,
        switch_timeout: float = 30.0,
        read_timeout: float = READ_SECONDS,
    ) -> None:
        self._access = Access(host, admin_key, api_key)
        self._switch_timeout = switch_timeout
        self._read_timeout = read_timeout
        self._session = requests.Session()
        self._session.trust_env = False
        # Reading the system's certificates takes as long as some calls.
        if host.strip().lower().startswith("https:"):
            self._session.mount("https://", _SystemCertificates())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def permission(self) -> Literal["admin", "api"]:
        """Return what the key may do: only "admin" may switch models."""
        answer = self._json("GET", "/v1/auth/permission", "asking what the key may do")
        return cast("Literal['admin', 'api']", wire.read_permission(answer))

    def models(self) -> list[str]:
        """Return the names of all models in TabbyAPI's model folder (with an API key: of the loaded one), sorted."""
        return wire.read_models(self._json("GET", "/v1/models", "listing the models"))

    def draft_models(self) -> list[str] | None:
        """Return the names of the draft models in TabbyAPI's folder for these, sorted; None if it does not list them."""
        return self._names("/v1/model/draft/list", "listing the draft models", wire.read_models)

    def templates(self) -> list[str] | None:
        """Return the names of TabbyAPI's own prompt templates, sorted; None if it does not list them."""
        return self._names("/v1/templates", "listing the prompt templates", wire.read_templates)

    def _names(self, path: str, doing: str, read: Callable[[Any], list[str]]) -> list[str] | None:
        """Return a list that a release of TabbyAPI may lack (404, 405), or whose folder may be missing (500): then None."""
        status, body = self._call("GET", path, doing)
        if status in (404, 405, 500):
            return None
        if status != 200:
            raise self._access.failure(status, doing, body)
        return read(wire.decode_json(body, doing))

    def models_answer(self) -> str:
        """Return the first 300 characters of TabbyAPI's answer to GET /v1/models, for a person to read."""
        status, body = self._call("GET", "/v1/models", "listing the models")
        if status != 200:
            raise self._access.failure(status, "listing the models", body)
        return self._access.clean(clean_words(body[:1200].decode(errors="replace"))[:300])

    def current(self) -> wire.ModelCard | None:
        """Return the loaded model's card; None if no model is loaded, which is also TabbyAPI's answer all through a load."""
        try:
            return wire.read_card(self._json("GET", "/v1/model", "asking which model is loaded"))
        except NotLoaded:
            return None

    def health_issues(self) -> list[str]:
        """Return the issues that TabbyAPI reports since its start, in words; empty when it is healthy."""
        status, body = self._call("GET", "/health", "asking for its health")
        if status not in (200, 503):
            raise self._access.failure(status, "asking for its health", body)
        issues = wire.read_issues(wire.decode_json(body, "its health"))
        return issues or (["It does not say why"] if status == 503 else [])

    def load(
        self, name: str, options: Mapping[str, Any] | None = None, *, read_seconds: float | None = None
    ) -> LoadStream:
        """Return a stream that loads `name` with TabbyAPI's load options when it is iterated: see LoadStream.

        `read_seconds` is how long not even a ping may come (default: the client's switch_timeout). Raises Rejected for a
        name that could leave the model folder: TabbyAPI would follow it.
        """
        if not wire.usable_name(name):
            raise Rejected(
                "This cannot be a model's name", ascii(name), advice="Choose a model from the list."
            )
        read = self._switch_timeout if read_seconds is None else read_seconds
        return LoadStream(self._access, name, options or {}, read_seconds=read)

    def unload(self) -> bool:
        """Unload the model; return False if none was loaded (or one is just being loaded).

        It aborts all running replies in a way that leaves their streams hanging.
        """
        status, body = self._call("POST", "/v1/model/unload", "unloading", read=self._switch_timeout)
        if status == 200:
            return True
        error = self._access.failure(status, "unloading", body)
        if isinstance(error, NotLoaded):
            return False
        raise error

    def probe(self, timeout: float = READ_SECONDS) -> None:
        """Have the loaded model stream one token; raises TabbyError if it does not.

        TimedOut is raised after `timeout` seconds without an event; pings are no events.
        """
        probe = Probe(self._access, timeout)
        status, body = self._call(
            "POST", "/v1/chat/completions", probing.DOING,
            body=probing.BODY, read=timeout, chat=True, enough=probe.enough,
        )  # fmt: skip
        if status != 200:
            raise self._access.failure(status, probing.DOING, body)
        probe.settle(body)

    def _json(self, method: str, path: str, doing: str, **how: Any) -> Any:
        status, body = self._call(method, path, doing, **how)
        if status != 200:
            raise self._access.failure(status, doing, body)
        return wire.decode_json(body, doing)

    def _call(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        body: object = None,
        read: float | None = None,
        chat: bool = False,
        enough: Callable[[bytes], bool] | None = None,
    ) -> tuple[int, bytes]:
        """Send one request; return its status and its whole body (at most MAX_BODY). Raises TabbyError.

        `enough` is given each piece of the body of a 200; reading ends where it returns True. `read` is in seconds.
        """
        read = read or self._read_timeout
        url = self._access.base + path
        headers = self._access.headers(chat=chat)
        try:
            try:
                return self._exchange(method, url, headers, body, read=read, enough=enough)
            except requests.ConnectionError as error:
                # TabbyAPI closes a connection that was idle for some seconds. If it does so just as the next
                # request leaves, nothing was done, and nothing is wrong.
                if not _closed_unanswered(error):
                    raise
                return self._exchange(method, url, headers, body, read=read, enough=enough)
        except (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError) as error:
            raise self._access.unreachable(doing, error) from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise TimedOut(f"TabbyAPI gave no full answer within {read:g} s while {doing}") from error
        except _TooLong as error:
            raise Garbled(f"TabbyAPI's answer while {doing} is longer than {MAX_BODY:,} bytes") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._lost(error, doing) from error

    def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: object,
        *,
        read: float,
        enough: Callable[[bytes], bool] | None,
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + CONNECT_SECONDS + 2 * read
        with self._session.request(
            method,
            url,
            headers=headers,
            json=body,
            timeout=(CONNECT_SECONDS, read),
            allow_redirects=False,
            stream=True,
        ) as response:
            parts: list[bytes] = []
            size = 0
            # read1 gives what has come: one byte at a time cannot hold the call for ever.
            while part := response.raw.read1(_BLOCK, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > MAX_BODY:
                    raise _TooLong
                if enough is not None and response.status_code == 200 and enough(part):
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError
            return response.status_code, b"".join(parts)

    def _lost(self, error: Exception, doing: str) -> TabbyError:
        cause = error.args[0] if error.args else None
        reason = (
            cause.args[1]
            if isinstance(cause, urllib3.exceptions.ProtocolError) and len(cause.args) > 1
            else None
        )
        if isinstance(reason, http.client.HTTPException) and not isinstance(
            reason, http.client.RemoteDisconnected
        ):
            return Garbled(f"TabbyAPI's answer while {doing} is not HTTP, or is cut off")
        return self._access.unreachable(doing, error)


class _TooLong(Exception):
    """The body is longer than MAX_BODY."""


class _SystemCertificates(HTTPAdapter):
    """Trusts the system's certificates (and SSL_CERT_FILE), as the async client does."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)


def _closed_unanswered(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, urllib3.exceptions.ProtocolError) and isinstance(
        cause.args[-1], http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError
    )
