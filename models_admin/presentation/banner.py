"""The banner of the Models page: what TabbyAPI runs, since when, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

from models_admin.models import Source, State
from models_admin.page_schema import Backend, Line, Rollout, Switch
from models_admin.presentation import server_facts, waiting
from models_admin.servers import differences, known, machine, team
from models_admin.switching.admin_log import WHERE


def banner(snapshot: Backend) -> dict[str, Any]:
    """Return what the banner's template shows of a server's snapshot.

    {"key", "step", "trouble" (whether to show it),
    "tone": "good"|"busy"|"idle"|"bad" (never "good" beside a trouble), "headline", "since" (a time or None),
    "facts": [words], "notes": [sentences on what is loaded], "replying", "snapshot", "switch",
    "work" (what waits, where the headline does not say it), "last" (with "ended", a time, and "who"), "rollout" (with
    "cancel", the id of a switch by which it can be cancelled, and "begun", whether a server has been changed), "servers" (of
    several: {"name", "tone", "text"} for each)}; the key changes whenever the words do, but not with a running step's
    progress or the number of replies.
    """
    tone, headline = _headline(snapshot)
    troubled = not snapshot["worker"] or bool(snapshot["findings"])
    last = snapshot["last"]
    rollout = snapshot.get("rollout")
    since = snapshot["unreachable_since" if snapshot["state"] == "unreachable" else "loaded_at"]
    return {
        "key": key(snapshot),
        "step": step(snapshot),
        "tone": "busy" if tone in ("good", "idle") and troubled else tone,
        "headline": headline,
        "trouble": snapshot["trouble"] != "" and not _keys_fault(snapshot),  # a finding says it better
        "since": parse_datetime(since) if since and tone != "busy" else None,
        "facts": _facts(snapshot),
        "notes": _notes(snapshot),
        "replying": _replying(snapshot["replying"]),
        "snapshot": snapshot,
        "switch": snapshot["switch"],
        "work": _work(snapshot, tone),
        "rollout": _rollout(rollout) if rollout else None,
        "last": _ended(last, snapshot["model"]) if last and not rollout else None,
        "servers": [
            {"name": each["name"], "tone": tone, "text": text}
            for each in snapshot.get("servers", [])
            for tone, text in [server_facts.words(each)]
        ],
    }


def alarm() -> str:
    """Return what is wrong with a server or this machine, in a few words for the top of each page; '' if nothing is."""
    rows = team.rows()
    titles = [each["title"] for each in machine.as_known() if each["level"] == "error"]
    on_machine = bool(titles)
    for row in rows:
        prefix = known.prefix(row.pk)
        own = [f"{prefix}{each['title']}" for each in row.findings if each["level"] == "error"]
        if row.unreachable_since is not None and not own and not on_machine:
            own = [f"{prefix}TabbyAPI cannot be reached"]
        titles += own
    return ". ".join(titles)


def key(snapshot: Backend) -> str:
    """Return a name of the state that the banner shows. changes.js makes the same of each event, to reload the page."""
    switch: Mapping[str, Any] = snapshot["switch"] or {}
    last: Mapping[str, Any] = snapshot["last"] or {}
    parts = (
        snapshot["state"],
        snapshot["model"],
        snapshot["unreachable_since"] or "",
        "worker" if snapshot["worker"] else "",
        str(switch.get("id", "")),
        "back" if switch.get("state") == State.ROLLING_BACK else "",
        "cancelled" if switch.get("cancel_requested") else "",
        str(last.get("id", "")),
        ",".join(each["id"] for each in snapshot["findings"]),
        snapshot["busy_with"],
        *_of_servers(snapshot),
    )
    return "|".join(parts)


def _of_servers(snapshot: Backend) -> Iterator[str]:
    """Yield the parts of the key where there are several servers."""
    if rollout := snapshot.get("rollout"):
        yield str(rollout["id"])
        yield "cancelled" if rollout["cancel_requested"] else ""
    yield from map(server_facts.key, snapshot.get("servers", []))


def step(snapshot: Backend) -> str:
    """Return what the rows of a switch's two models show of it (columns.py); '' without one. changes.js does the same."""
    match snapshot["switch"] and snapshot["switch"]["state"]:
        case None:
            return ""
        case State.QUEUED | State.DRAINING:
            return "next"
        case State.UNLOADING:
            return "unloading"
        case _:
            return "loading"


def _headline(snapshot: Backend) -> tuple[str, str]:
    """Return the banner's tone and headline."""
    model = snapshot["model"]
    running = snapshot["switch"]
    match snapshot["state"]:
        case "switching" if running is not None:
            return "busy", _under_way(running)
        case "ready" if not snapshot["healthy"]:
            return "bad", f"{model} is loaded, but may not answer"
        case "ready":
            return "good", f"✓ {model} is loaded"
        case "unloaded":
            return "idle", "Model not available"
        case _ if snapshot["unreachable_since"]:
            return "bad", _keys_fault(snapshot) or "TabbyAPI cannot be reached"
        case _:
            return "bad", "TabbyAPI has not answered yet"


def _keys_fault(snapshot: Backend) -> str:
    """Return what is wrong with the key for TabbyAPI, in a few words; '' if nothing is."""
    return next((str(each["title"]) for each in snapshot["findings"] if each["id"] == "key"), "")


def _under_way(switch: Switch) -> str:
    target, previous = switch["target"], switch["previous"]
    if switch["state"] == State.ROLLING_BACK:
        return f"Going back to {previous}" if previous else "Going back"
    if not target:
        return f"Unloading {previous}" if previous else "Unloading"
    if "tried" in switch:
        return f"Trying {target} out"
    return f"Switching from {previous} to {target}" if previous else f"Loading {target}"


def _work(snapshot: Backend, tone: str) -> str:
    """Return what is under way, where the headline does not say it."""
    switch, rollout = snapshot["switch"], snapshot.get("rollout")
    if rollout:
        what = f"Switching to {rollout['target']}" if rollout["target"] else "Unloading"
        return f"{what} on {len(rollout['servers'])} servers, one after the other"
    if switch is None or (tone == "busy" and "server" not in switch):
        return ""
    where = f"{switch['server']}: " if "server" in switch else ""
    return f"{where}{_under_way(switch)}"


def _rollout(rollout: Rollout) -> dict[str, Any]:
    """Return a rollout with `cancel`, the switch by which it can be cancelled, and whether any server is changed."""
    numbers = [each["switch"] for each in rollout["servers"] if each["switch"] is not None]
    changed = any(each["state"] == State.SUCCEEDED for each in rollout["servers"])
    return {**rollout, "cancel": max(numbers, default=None), "begun": changed}


def _ended(last: Switch, model: str) -> dict[str, Any]:
    """Return a switch that has ended, with `ended` as a time, and `who` asked in words.

    Notes on `model`, which is loaded, are left out.
    """
    ended = parse_datetime(last["finished_at"] or "")
    if last["source"] == Source.OUTSIDE:
        again = (
            " again, with other parameters" if last["target"] and last["target"] == last["previous"] else ""
        )
        text = f"Changed from outside Gantry: {last['target'] or 'no model'} was found loaded{again}"
        text += f" ({last['detail']})" if last["detail"] else ""
        return {**last, "ended": ended, "who": "", "lines": [{"text": text, "state": "waiting"}]}
    if "server" in last:
        last = {**last, "lines": _lines_of_several(last)}
    elif last["result"] == model:
        last = {**last, "lines": [line for line in last["lines"] if line["state"] != "note"]}
    where = f"rule “{last['rule']}”" if last["rule"] else WHERE[Source(last["source"])]
    return {**last, "ended": ended, "who": f"asked for by {last['by']} ({where})" if last["by"] else where}


def _lines_of_several(last: Switch) -> list[Line]:
    """Return the lines of a switch that has ended: with its server's name, or of the rollout that it was a part of."""
    if (number := last.get("rollout")) is not None:
        return waiting.describe_rollout(number)["lines"]
    first, *rest = [line for line in last["lines"] if line["state"] != "note"]
    return [{**first, "text": f"{last.get('server', '')}: {first['text']}"}, *rest]


def _facts(snapshot: Backend) -> list[str]:
    facts = []
    if snapshot["state"] == "unreachable":
        return [f"{snapshot['model']} was loaded when it last answered"] if snapshot["model"] else []
    if snapshot["state"] == "ready":
        if snapshot["context"]:
            facts.append(f"context {snapshot['context']:,} tokens")
        # The context is what max_seq_len has led to.
        shown_already = {"max_seq_len"} if snapshot["context"] else set()
        options = {name: value for name, value in snapshot["options"].items() if name not in shown_already}
        facts += differences.as_loaded(options, snapshot["parameters"], snapshot["differences"])
    return facts


def _notes(snapshot: Backend) -> list[str]:
    """Return what was asked for the loaded model and is not so; what is not confirmed is among the facts."""
    if snapshot["state"] != "ready":
        return []
    return differences.sentences(each for each in snapshot["differences"] if each["kind"] != "unconfirmed")


def _replying(count: int) -> str:
    return "" if not count else "1 reply in flight" if count == 1 else f"{count} replies in flight"
