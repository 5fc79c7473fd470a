"""POST /v1/download, which brings a repository of the pretend hub into the model folder.

As in TabbyAPI, the answer comes when all is there, and not a byte before; a caller who goes away, or an error, has the
folder deleted. The half-finished folder is in the list of models from its first byte on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from aiohttp import web

from .auth import require_admin
from .config import ModelSpec
from .hub import Hub, Repository
from .sandbox import CALL, Call
from .wire import Refusal, invalid, json_response

TICK_SECONDS = 0.05
_LISTS = ("include", "exclude")
_NO_ROOM = "[Errno 28] No space left on device"
_NOT_FOUND = (
    "404 Client Error. (Request ID: Root=1-0000)\n\nRepository Not Found for url: https://huggingface.co/api/models/{}/tree/"
    "{}?recursive=True&expand=False.\nPlease make sure you specified the correct `repo_id` and `repo_type`."
)
_NO_REVISION = (
    "404 Client Error. (Request ID: Root=1-0000)\n\nRevision Not Found for url: https://huggingface.co/api/models/{}/tree/"
    "{}?recursive=True&expand=False.\n\nInvalid rev id: {}"
)
_GATED = (
    "401, message='HTTP 401: Access to model {0} is restricted. You must have access to it and be authenticated to access "
    "it. Please log in.', url='https://huggingface.co/{0}/resolve/main/config.json'"
)
_FORBIDDEN = (
    "403, message='HTTP 403: Access to model {0} is restricted and you are not in the authorized list. Visit "
    "https://huggingface.co/{0} to ask for access.', url='https://huggingface.co/{0}/resolve/main/config.json'"
)
_BROKEN = (
    "Response payload is not completed: <ContentLengthError: 400, message='Not enough data for satisfy content length "
    "header.'>"
)


class HubError(Exception):
    """What TabbyAPI answers with a 400; str() is its words."""


async def download(request: web.Request) -> web.Response:
    """Answer when the repository is in the model folder."""
    call = request[CALL]
    call.require_json()
    require_admin(call.sandbox.config.auth, request.headers)
    call.record.permission = "admin"
    body = call.body()
    _check(body)
    name = body.get("folder_name") or str(body["repo_id"]).split("/")[-1]
    try:
        async with asyncio.timeout(body.get("timeout")):
            await _bring(call, body, name)
    except TimeoutError:
        raise Refusal(400, "") from None
    except HubError as error:
        raise Refusal(400, str(error)) from None
    return json_response({"download_path": f"models/{name}"})


def _check(body: dict[str, Any]) -> None:
    if "repo_id" not in body:
        raise invalid("missing", ["repo_id"], "Field required", body)
    for name in ("repo_id", "folder_name", "revision", "token"):
        if body.get(name) is not None and not isinstance(body[name], str):
            raise invalid("string_type", [name], "Input should be a valid string", body[name])
    for name in _LISTS:
        if name in body and not isinstance(body[name], list):
            raise invalid("list_type", [name], "Input should be a valid list", body[name])


async def _bring(call: Call, body: dict[str, Any], name: str) -> None:
    hub, models = call.sandbox.hub, call.sandbox.engine.models
    repository, files = _asked(hub, body)
    place = hub.folder / name if hub.folder else None
    if name in models or name in hub.downloads or (place is not None and place.exists()):
        raise HubError(f"The path models/{name} already exists. Remove the folder and try again.")
    models[name] = ModelSpec(name)
    hub.downloads[name] = 0
    try:
        if place is not None:
            place.mkdir(parents=True)
        if repository.forbidden or (repository.token and body.get("token") != repository.token):
            raise HubError((_FORBIDDEN if repository.forbidden else _GATED).format(repository.name))
        await _receive(hub, repository, files, place, name)
    except BaseException:
        models.pop(name, None)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    finally:
        hub.downloads.pop(name, None)


def _asked(hub: Hub, body: dict[str, Any]) -> tuple[Repository, dict[str, int]]:
    """Return the repository that is asked for, and the files of it."""
    wanted, revision = body["repo_id"], body.get("revision") or "main"
    if wanted.count("/") > 1 or " " in wanted:
        raise HubError(f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{wanted}'.")
    repository = hub.repositories.get(wanted)
    if repository is None:
        raise HubError(_NOT_FOUND.format(wanted, revision))
    if revision not in repository.revisions:
        raise HubError(_NO_REVISION.format(wanted, revision, revision))
    include, exclude = body.get("include", ["*"]), body.get("exclude", [])
    files = {
        name: size
        for name, size in repository.files.items()
        if any(fnmatch(name, each) for each in include) and not any(fnmatch(name, each) for each in exclude)
    }
    if not files:
        raise HubError(f"File list for repo {wanted} is empty. Check your filters?")
    return repository, files


async def _receive(
    hub: Hub, repository: Repository, files: dict[str, int], place: Path | None, name: str
) -> None:
    """Let all files grow together, as TabbyAPI asks for all of them at once."""
    loop = asyncio.get_running_loop()
    total, began = sum(files.values()), loop.time()
    done = 0
    while done < total:
        await asyncio.sleep(TICK_SECONDS)
        done = min(total, int((loop.time() - began) * repository.bytes_per_second))
        hub.downloads[name] = done
        for path, size in files.items():
            if place is not None:
                _grow(place / path, size * done // total, repository.begins.get(path, "").encode("latin-1"))
        if hub.room is not None and done > hub.room:
            raise HubError(_NO_ROOM)
        if repository.breaks_at is not None and done >= repository.breaks_at:
            raise HubError(_BROKEN)


def _grow(path: Path, size: int, begins: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        at = os.fstat(file.fileno()).st_size
        if at < min(size, len(begins)):
            file.write(begins[at:size])
        if at < size:
            file.truncate(size)
