"""What a running Gantry has written of replies, and what the sandbox has told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from system.running import Gantry

from support.system import manage
from support.tabby import Tabby, of_a_switch

READ = """
import json
from django.db.models import Q, Sum
from models_admin.models import Usage
SUMS = {"replies": "replies", "prompt": "prompt_tokens", "completion": "completion_tokens"}
sums = {name: Sum(column, default=0) for name, column in SUMS.items()}
print(json.dumps([Usage.objects.filter(at__isnull=each).aggregate(**sums) for each in (False, True)]))
"""
PEOPLE = """
import json
from django.contrib.auth.models import User
from models_admin.models import Usage
rows = Usage.objects.filter(at=None, token={token}).values_list("person", "name", "replies")
names = dict(User.objects.values_list("pk", "username"))
print(json.dumps([[names.get(person, ""), name, replies] for person, name, replies in rows]))
"""
KEPT = """
from django.db.models import F, Sum
from chat.models import Message
from gateway.models import Call
print(*[each.aggregate(sum=Sum("spent_completion", default=0))["sum"]
    for each in (Message.objects.filter(status="streaming"), Call.objects.filter(state="running"))])
"""


def written(gantry: Gantry) -> dict[str, int]:
    """How many replies and tokens the usage rows have in all: each by itself, and in the sums."""
    single, sums = json.loads(_shell(gantry, READ))
    assert single == sums
    return dict(single)


def kept(gantry: Gantry) -> list[int]:
    """How many tokens of chat replies and of calls, which run, are in their rows so far."""
    return [int(each) for each in _shell(gantry, KEPT).split()]


def people_of(gantry: Gantry, token: int) -> list[tuple[str, str, int]]:
    """Whose replies a token has brought: username, name of somebody without an account, how many."""
    return [
        (user, name, replies)
        for user, name, replies in json.loads(_shell(gantry, PEOPLE.format(token=token)))
    ]


def _shell(gantry: Gantry, code: str) -> str:
    answer = manage(gantry, "shell", "--no-imports", "-c", code)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def told(tabby: Tabby) -> dict[str, int]:
    """The same by the sandbox's log; what a stream that was cut has brought counts by its events."""
    asked = [each for each in tabby.log() if each["method"] == "POST" and _generates(each)]
    usages: list[Mapping[str, int]] = [
        each["usage"] or {"prompt": 0, "completion": each["tokens"] or 0} for each in asked
    ]
    return {name: sum(each[name] for each in usages) for name in ("prompt", "completion")}


def _generates(record: Mapping[str, Any]) -> bool:
    paths = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
    return record["path"] in paths and not of_a_switch(record["body"])
