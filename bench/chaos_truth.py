"""The database as the judge: read past the application, so that nobody's word is taken for what is written."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environ
import psycopg
from psycopg import sql

ACTIVE = ("queued", "draining", "unloading", "loading", "verifying", "rolling_back")
OPEN = ("queued", "streaming")


class Database:
    """Gantry's database: SQLite in `folder`, or one of our own in the PostgreSQL server that `server_url` names."""

    def __init__(self, folder: Path, server_url: str = "") -> None:
        self._file = folder / "gantry.sqlite3"
        self._server_url = server_url
        self._name = f"chaos_{uuid.uuid4().hex[:12]}"
        self.url = f"{server_url.rpartition('/')[0]}/{self._name}" if server_url else ""

    def create(self) -> None:
        """Make the database, where the application does not do that itself."""
        if self._server_url:
            with self._postgres(self._server_url) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._name)))

    def drop(self) -> None:
        """Drop what create() made."""
        if self._server_url:
            with self._postgres(self._server_url) as connection:
                name = sql.Identifier(self._name)
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def facts(self, after: int) -> Facts:
        """All that the checks need, read at one moment; of the messages those with an id above `after`."""
        with self._open() as ask:
            servers = ask("SELECT id, name, model, unreachable_since FROM models_admin_server ORDER BY id")
            switches = ask("SELECT id, state, target FROM models_admin_switch ORDER BY id")
            rollouts = ask("SELECT id FROM models_admin_rollout WHERE finished_at IS NULL")
            spans = ask(
                "SELECT id, server_id, rollout_id, started_at, finished_at FROM models_admin_switch "
                "WHERE started_at IS NOT NULL AND source <> 'rollback' ORDER BY started_at"
            )
            leases = ask("SELECT subject, holder FROM models_admin_lease")
            calls = ask("SELECT id, state, holder FROM gateway_call WHERE state <> 'ended'")
            downloads = ask("SELECT folder, state, error FROM models_admin_modeldownload")
            messages = ask(
                "SELECT id, conversation_id, parent_id, role, status, client_id, text, error, model, html, handovers, "
                "compared_with_id "
                f"FROM chat_message WHERE id > {int(after)} ORDER BY id"
            )
        running = [
            f"switch {pk} to {target or 'nothing'} is {state}"
            for pk, state, target in switches
            if state in ACTIVE
        ]
        return Facts(
            servers=[Seen(name, model, since is None) for _, name, model, since in servers],
            running=[*running, *(f"rollout {pk} is running" for (pk,) in rollouts)],
            overlaps=overlaps(spans),
            leases=[f"a lease is left: {subject} in {holder}" for subject, holder in leases],
            calls=[f"call {pk} of {holder} is {state}" for pk, state, holder in calls],
            downloads={folder: (state, error) for folder, state, error in downloads},
            messages=[_message(row) for row in messages],
        )

    def last_message(self) -> int:
        """The highest message id so far."""
        with self._open() as ask:
            return int(ask("SELECT COALESCE(MAX(id), 0) FROM chat_message")[0][0])

    def switching(self) -> str:
        """The name of a server that is switched at this moment; '' if none is, or if there is only one."""
        states = ", ".join(f"'{state}'" for state in ACTIVE)
        with self._open() as ask:
            rows = ask(
                "SELECT server.name FROM models_admin_switch switch JOIN models_admin_server server "
                f"ON server.id = switch.server_id WHERE switch.state IN ({states}) ORDER BY switch.started_at"
            )
        return str(rows[0][0]) if rows else ""

    def carries(self, folder: str) -> int | None:
        """The pid of the worker that holds the download into a folder, if there is one."""
        with self._open() as ask:
            rows = ask(
                f"SELECT owner FROM models_admin_modeldownload WHERE folder = '{folder}' AND owner <> ''"
            )
        return int(rows[0][0].split(":")[-2]) if rows else None

    def owner(self) -> int | None:
        """The pid of the worker that carries a switch out, if there is one."""
        states = ", ".join(f"'{state}'" for state in ACTIVE)
        with self._open() as ask:
            rows = ask(f"SELECT owner FROM models_admin_switch WHERE state IN ({states}) AND owner <> ''")
        return int(rows[0][0].split(":")[-2]) if rows else None

    def workers(self) -> list[str]:
        """The names of the workers that have shown themselves."""
        try:
            with self._open() as ask:
                return [name for (name,) in ask("SELECT name FROM models_admin_worker")]
        except (sqlite3.Error, psycopg.Error):
            return []

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        if self._server_url:
            with self._postgres(self.url) as connection:
                connection.execute("SET statement_timeout = '5s'")
                yield lambda text: connection.execute(text).fetchall()
            return
        file = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=5)
        with contextlib.closing(file):
            yield lambda text: file.execute(text).fetchall()

    def _postgres(self, url: str) -> psycopg.Connection[Any]:
        facts = environ.Env.db_url_config(url)
        return psycopg.connect(
            host=facts["HOST"],
            port=facts["PORT"] or None,
            user=facts["USER"],
            password=facts["PASSWORD"] or None,
            dbname=facts["NAME"],
            autocommit=True,
            connect_timeout=5,
        )


@dataclass(frozen=True)
class Row:
    """A message as it is written."""

    pk: int
    conversation: str
    parent: int | None
    role: str
    status: str
    client_id: str
    text: str
    error: str
    model: str
    html: str
    continued: bool = False  # begun by a model, gone on with by another
    beside: int | None = None  # the reply that it is compared with


def _message(row: Sequence[Any]) -> Row:
    pk, conversation, parent, role, status, client_id, text, error, model, html, handovers, beside = row
    named = str(uuid.UUID(str(client_id))) if client_id else ""
    begun = handovers if isinstance(handovers, list) else json.loads(handovers)
    conversation = str(uuid.UUID(str(conversation)))
    return Row(pk, conversation, parent, role, status, named, text, error, model, html, bool(begun), beside)


def overlaps(spans: Sequence[Sequence[Any]]) -> list[str]:
    """What is wrong with switches (id, server, rollout, begun, ended) that were carried out at the same time.

    Two of one server never are, nor are two of one rollout: its servers would be out of service together.
    """
    wrong: list[str] = []
    last: dict[tuple[str, int], tuple[int, Any]] = {}
    for pk, server, rollout, begun, ended in spans:
        for key in (("server", server), ("rollout", rollout)):
            if key[1] is None:
                continue
            before = last.get(key)
            if before is not None and (before[1] is None or before[1] > begun):
                wrong.append(f"switches {before[0]} and {pk} of one {key[0]} ran at the same time")
            last[key] = (pk, ended)
    return wrong


@dataclass(frozen=True)
class Seen:
    """What the database says of a server; '' is the name of the only one."""

    name: str
    model: str
    reachable: bool


@dataclass
class Facts:
    """What the database says."""

    servers: list[Seen]
    running: list[str]
    overlaps: list[str]  # of switches, which must not be
    leases: list[str]
    calls: list[str]  # that are open
    downloads: dict[str, tuple[str, str]]  # by folder, the state and the error
    messages: list[Row]


@dataclass
class Verdict:
    """What became of the messages that were sent: each in words that say what is wrong with it."""

    open: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answered: int = 0
    continued: int = 0  # of those, by another model than the one that began
    compared: int = 0  # replies that another model's stands beside
    failed: int = 0
    errors: list[str] = field(default_factory=list)


def judge(sent: dict[str, int], rows: list[Row]) -> Verdict:
    """Compare what was sent ({client_id: words asked for}) with what is written."""
    verdict = Verdict()
    asked: dict[str, list[Row]] = defaultdict(list)
    replies: dict[int | None, list[Row]] = defaultdict(list)
    comparisons: list[Row] = []
    for row in rows:
        if row.role == "user":
            asked[row.client_id].append(row)
        elif row.beside is not None:
            comparisons.append(row)
        else:
            replies[row.parent].append(row)
    for client_id, words in sent.items():
        found = asked[client_id]
        if not found:
            verdict.lost.append(f"message {client_id} was never written")
        elif len(found) > 1:
            verdict.doubled.append(f"message {client_id} was written {len(found)} times")
        else:
            _judge_replies(found[0], replies[found[0].pk], words, verdict)
    numbers = {row.pk: sent[row.client_id] for row in rows if row.client_id in sent}
    models = {row.pk: row.model for row in rows}
    for row in comparisons:
        if row.status != "awaiting" and row.parent in numbers:
            _judge_reply(row, numbers[row.parent], verdict, other=models.get(row.beside or 0, ""))
    unasked = set(asked) - set(sent)
    verdict.wrong += [f"nobody sent the message {client_id}" for client_id in unasked]
    return verdict


def _judge_replies(message: Row, replies: list[Row], words: int, verdict: Verdict) -> None:
    if not replies:
        verdict.lost.append(f"message {message.pk} has no reply")
    elif len(replies) > 1:
        verdict.doubled.append(f"message {message.pk} has {len(replies)} replies")
    else:
        _judge_reply(replies[0], words, verdict)


def _judge_reply(reply: Row, words: int, verdict: Verdict, other: str | None = None) -> None:
    """Judge a reply; one that is compared with a reply of the model `other` is all of another one."""
    whole = expected(words)
    name = f"reply {reply.pk} ({reply.status})"
    if reply.status in OPEN:
        verdict.open.append(f"{name} has not ended")
        return
    if reply.status == "failed" and not reply.error:
        verdict.wrong.append(f"{name} does not say why")
    elif reply.status not in ("complete", "failed"):
        verdict.wrong.append(f"{name} was stopped by nobody")
    if other is not None and (reply.continued or (reply.model == other and reply.status == "complete")):
        verdict.wrong.append(f"{name} of {reply.model} is no comparison with one of {other}")
    verdict.compared += other is not None and reply.status == "complete"
    if reply.status == "complete":
        verdict.answered += 1
        verdict.continued += reply.continued
        fits = reply.text == whole
    else:
        verdict.failed += 1
        verdict.errors.append(reply.error)
        fits = whole.startswith(reply.text)
    if not fits:
        numbers = [int(each) for each in re.findall(r"w(\d+)", reply.text)]
        again = len(numbers) != len(set(numbers))
        (verdict.doubled if again else verdict.lost).append(
            f"{name} is no text of {words} words: {reply.text!r}"
        )


def expected(words: int) -> str:
    """What a model says to `[[tokens=…]]`, whichever it is and however often it is cut and continued."""
    return "".join(f" w{number}" for number in range(1, words + 1))
