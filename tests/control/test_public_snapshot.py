"""What people who only chat are shown of the backend's state."""

from __future__ import annotations

import json

from control_rows import LLAMA, QWEN, running
from django.contrib.auth.models import User
from django.test import Client
from support.servers import SERVER

from models_admin.models import Server, State, TabbyModel
from models_admin.presentation import snapshots


def test_administrators_matters_are_left_out(admin_client: Client, catalog: dict[str, TabbyModel]) -> None:
    secret = "http://10.1.2.3:5000"
    TabbyModel.objects.filter(name=LLAMA).update(notes="for everybody")
    Server.objects.update(
        options={"gpu_split": [20]},
        trouble=secret,
        advice=secret,
        findings=[{"id": "key", "level": "error", "title": "x", "detail": secret, "hint": ""}],
    )
    admin = User.objects.get(username="admin")
    running(
        State.ROLLING_BACK,
        requested_by=admin,
        rule="Secret rule",
        advice="Look at it",
        error="It does not fit.",
    )
    whole, told = snapshots.current(SERVER), snapshots.public(snapshots.current(SERVER))
    assert set(told) == set(whole)
    assert set(told["switch"]) == set(whole["switch"])
    text = json.dumps(told)
    for hidden in (secret, "gpu_split", "Secret rule", "Look at it", '"admin"', "max_seq_len"):
        assert hidden in json.dumps(whole).replace('"source": "admin"', ""), "else nothing is tested"
        assert hidden not in text.replace('"source": "admin"', "")
    assert (told["model"], told["context"], told["about"]["notes"]) == (LLAMA, 8192, "for everybody")
    assert (told["switch"]["target"], told["switch"]["error"]) == (QWEN, "It does not fit.")


def test_the_notes_on_a_hidden_model_are_left_out(catalog: dict[str, TabbyModel]) -> None:
    TabbyModel.objects.filter(name=LLAMA).update(notes="a merger", visible=False)
    assert snapshots.current(SERVER)["about"]["notes"] == "a merger"
    assert snapshots.public(snapshots.current(SERVER))["about"] is None


def test_without_a_switch_there_is_nothing_to_leave_out(catalog: dict[str, TabbyModel]) -> None:
    told = snapshots.public(snapshots.current(SERVER))
    assert (told["switch"], told["last"]) == (None, None)
