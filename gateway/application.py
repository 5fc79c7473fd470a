"""/v1 as an ASGI application of its own: each request is answered in the event loop, from its token to its last byte.

It stands beside Django's pages, not within them: see docs/decisions.md, “The gateway is an application of its own”.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from gateway import aliases, asked, cors, limits, models_list, people
from gateway.answer import Answer, Send, Slow
from gateway.asked import CHAT, EMBEDDINGS, TEXT, Asked
from gateway.calls import LiveCall
from gateway.dispatch import dispatcher
from gateway.errors import OURS, Refused, of_tabby, unavailable
from gateway.limits import Arrival
from gateway.models import Outcome
from gateway.relay import Relay
from gateway.request import Gone, Receive, Request
from models_admin import db_threads, log_context
from models_admin.live.hub import hub
from models_admin.models import Token
from models_admin.presentation import team_snapshots
from models_admin.tabby.errors import Busy, NotLoaded, TabbyError
from models_admin.tabby.passage import tokens_of
from models_admin.tabby.wire import MAX_NAME, word

log = logging.getLogger(__name__)
access = logging.getLogger("gantry.access")

PREFIX = "/v1"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
EMBED_SECONDS = 300.0
ENDPOINTS = {"models": "GET", CHAT: "POST", TEXT: "POST", EMBEDDINGS: "POST"}
KNOWN = ", ".join(f"{method} {PREFIX}/{path}" for path, method in ENDPOINTS.items())


def is_for(path: str) -> bool:
    """Return whether a request for this path, within Gantry's folder, is the gateway's."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request; `scope["path"]` begins with /v1."""
    path = scope["path"].removeprefix(PREFIX).strip("/")
    request = Request(scope, path, receive)
    with log_context.request(request.headers.get("x-request-id", "")) as name:
        begun = time.monotonic()
        headers = {**HEADERS, **cors.headers(request.headers.get("origin", ""))}
        if dispatcher.closing:
            headers["connection"] = "close"
        answer = Answer(send, name, headers)
        try:
            await _answered(request, answer)
        except (Gone, Slow):
            pass
        finally:
            answer.drop()
            request.end()
            _note(request, answer, begun)


def _note(request: Request, answer: Answer, begun: float) -> None:
    """Write down what was asked: without the query, and the path only where it is one."""
    path = request.path if request.path in ENDPOINTS or request.path.startswith("models/") else "…"
    status = answer.status or 499  # the caller left before there was one
    ms = round((time.monotonic() - begun) * 1000, 1)
    facts = {"method": request.method, "path": f"{PREFIX}/{path}"[:300], "status": status, "ms": ms}
    access.info("%s %s %s", facts["method"], facts["path"], status, extra=facts)


async def _answered(request: Request, answer: Answer) -> None:
    try:
        await _route(request, answer)
    except (Gone, Slow):
        raise
    except Refused as error:
        await _refuse(request, answer, error)
    except DatabaseError as error:
        log.warning("A call could not be answered: %s", error)
        refusal = unavailable("Gantry's database does not answer. Try again.", 5, "database_unavailable")
        await _refuse(request, answer, refusal)
    except Exception:
        log.exception("A call failed inside Gantry")
        refusal = Refused(
            500, "internal", "Something went wrong in Gantry itself; its log says what.", kind=OURS
        )
        await _refuse(request, answer, refusal)


async def _refuse(request: Request, answer: Answer, error: Refused) -> None:
    if not answer.ended:
        await request.skip()
        await answer.refuse(error)


async def _route(request: Request, answer: Answer) -> None:
    if may := cors.preflight(request.method, request.headers):
        await answer.whole(200, b"", may)
        return
    token = await request.token()
    path = request.path
    endpoint = "models" if path.startswith("models/") else path
    if endpoint not in ENDPOINTS:
        raise Refused(
            404, "unknown_endpoint", f"There is nothing here. Gantry has: {KNOWN}, GET {PREFIX}/models/NAME."
        )
    allowed = ("GET", "HEAD") if endpoint == "models" else ("POST",)
    if request.method not in allowed:
        words = f"{request.method[:20]} is not possible here; use {allowed[0]}."
        raise Refused(405, "method_not_allowed", words, headers={"allow": ", ".join(allowed)})
    if endpoint == "models":
        name, head = path.removeprefix("models").lstrip("/"), request.method == "HEAD"
        await answer.whole(200, b"" if head else await _models(name, token.user_id))
        return
    await _call(request, answer, token, asked.read(endpoint, await request.body()))


async def _models(name: str, person: int) -> dict[str, Any]:
    """Return the card of one model or alias, or without a name all of them. Raises Refused (404)."""
    snapshot = await hub.current()
    if not name:
        return {"object": "list", "data": models_list.listed(snapshot, await aliases.usable(person))}
    if (alias := await aliases.find(name, person)) is not None:
        if card := models_list.alias_card(alias, snapshot):
            return card
        raise models_list.not_loaded(alias.model, snapshot, alias.name)
    if name not in models_list.served(snapshot):
        raise models_list.not_loaded(name, snapshot)
    return models_list.card(name, snapshot)


async def _call(request: Request, answer: Answer, token: Token, what: Asked) -> None:
    """Answer a call, until its caller goes: whatever it is at then ends at once."""
    patience = request.patience
    aside = what.endpoint == EMBEDDINGS
    person, stranger = await _caller(request, token)
    own = limits.of_token(token)
    arrival = Arrival(
        token.pk,
        person,
        what.endpoint,
        timezone.now(),
        aside,
        own,
        spoken_for=stranger,
        model=await aliases.model_of(what.model, token.user_id),
        near=dispatcher.answered_last.get(token.pk),
    )
    work = asyncio.create_task(_carry_out(arrival, what, answer, patience, token.user_id))
    gone = asyncio.create_task(request.gone())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        work.cancel()
        await asyncio.wait((work,))
    if work.cancelled():
        raise Gone
    await work


async def _caller(request: Request, token: Token) -> tuple[int, str]:
    """Return whose call it is: a user's id, and the name of somebody without an account for whom it is made."""
    said = people.said(request.headers)
    if not (token.speaks_for_others and said):
        return token.user_id, ""
    person = await db_threads.read(people.find, said)
    return (token.user_id, said.shown) if person is None else (person, "")


async def _carry_out(arrival: Arrival, what: Asked, answer: Answer, patience: float, user: int) -> None:
    """Answer a call; `user`, whose token it has, may need rights to what is asked for."""
    call = await dispatcher.enter(arrival)
    outcome = Outcome.GONE
    try:
        if arrival.aside:
            await _embed(what, call, answer)
        else:
            what = await aliases.applied(what, user)
            await Relay(what, call, answer, dispatcher, patience).run()
        outcome = Outcome.DONE
    except Refused as error:
        outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
        raise
    except (asyncio.CancelledError, Slow):
        raise
    except BaseException:
        outcome = Outcome.FAILED
        raise
    finally:
        dispatcher.end(call, outcome)


async def _embed(what: Asked, call: LiveCall, answer: Answer) -> None:
    """Answer with embeddings: they come from a model of their own beside the chat's, which no switch touches."""
    answer.live(str, stream=False)
    call.meter.begin()
    try:
        tabby = dispatcher.clients.of(team_snapshots.first_reached(await hub.current()))
        found = await tabby.pass_whole(what.path, what.body, EMBED_SECONDS)
    except (NotLoaded, Busy) as error:
        if not error.words:
            raise of_tabby(error) from error
        words = f"TabbyAPI has no embedding model loaded. ({error.words})"
        raise Refused(404, "model_not_found", words, param="model") from error
    except TabbyError as error:
        raise of_tabby(error) from error
    call.model = word(found.get("model"), MAX_NAME)
    call.meter.told(*tokens_of(found))
    await answer.whole(200, found)
