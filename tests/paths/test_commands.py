"""The commands as processes: their exit status, their lines for programs, and doing it without a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from paths.test_doctor import manage
from support.people import Person
from support.tabby import ROOT, Tabby, until
from system.running import PATIENCE, Gantry, Process


def lines(ended: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_switch_as_lines_of_json_with_options(tabby: Tabby, gantry: Gantry) -> None:
    words = ("beta-8B-Q5", "--json", "--options", "max_seq_len=4096", "cache_mode=Q8", '{"vision": false}')
    ended = manage(gantry, "switch_model", *words)
    assert ended.returncode == 0, ended.stderr
    told = lines(ended)
    assert told[-1]["state"] == "succeeded"
    assert {each["id"] for each in told} == {told[-1]["id"]}
    sent = tabby.log("/v1/model/load")[-1]["body"]
    assert (sent["max_seq_len"], sent["cache_mode"], sent["vision"]) == (4096, "Q8", False)


def test_options_that_cannot_be_are_refused_before_anything(tabby: Tabby, gantry: Gantry) -> None:
    for words, status in (("cache_size=1000", 1), ("nothing", 2), ("{no json", 2)):
        ended = manage(gantry, "switch_model", "beta-8B-Q5", "--options", words)
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr
    assert tabby.state()["loaded"] == "alpha-7B"


def test_watching_what_somebody_else_began(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    nothing = manage(gantry, "switch_model", "--watch")
    assert (nothing.returncode, nothing.stderr.strip()) == (0, "No switch is under way.")
    tabby.state(seconds_per_module={"slow-13B": 1})  # however long the command takes to start, it goes on
    number = admin.start_switch("slow-13B")
    command = (sys.executable, "-u", "manage.py", "switch_model", "--watch", "--json")
    with Process(*command, env=gantry.env) as watching:
        watching.line(f'"id": ?{number}')
        tabby.state(seconds_per_module={"slow-13B": 0.01})
        assert json.loads(watching.line('"succeeded"').string)["id"] == number
        assert watching.popen.wait(PATIENCE) == 0


def test_a_command_that_waits_no_longer(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    ended = manage(gantry, "switch_model", "slow-13B", "--timeout", "0")
    assert ended.returncode == 124
    assert "it goes on" in ended.stderr
    with admin.watch() as page:
        page.until(lambda each: each.backend["model"] == "slow-13B", "the end of the switch")


def test_unload_list_and_refresh(tabby: Tabby, gantry: Gantry) -> None:
    assert manage(gantry, "unload_model").returncode == 0
    assert tabby.state()["loaded"] is None
    listed = json.loads(manage(gantry, "models", "--json").stdout)["models"]
    assert {"alpha-7B", "beta-8B-Q5"} <= {each["id"] for each in listed}
    assert not any(each["active"] for each in listed)
    assert "beta-8B-Q5" in manage(gantry, "models").stdout
    refreshed = manage(gantry, "refresh_models")
    assert (refreshed.returncode, refreshed.stdout.splitlines()[-1]) == (0, f"{len(listed)} models.")
    assert manage(gantry, "refresh_models", TABBY_HOST="http://127.0.0.1:9").returncode == 1


def test_what_a_command_has_to_tell_open_pages_is_told_before_it_ends(
    tabby: Tabby, gantry: Gantry, admin: Person
) -> None:
    """Such as the models that refresh_models has found: nobody else will tell of them."""
    with admin.watch() as page:
        ended = manage(gantry, "shell", "-c", "from models_admin import events; events.catalog_changed()")
        assert ended.returncode == 0, ended.stderr
        page.until(lambda each: any(event["type"] == "catalog" for event in each.events), "the event")


def test_programs_read_json_also_where_nothing_is_waited_for(
    tabby: Tabby, gantry: Gantry, admin: Person
) -> None:
    (told,) = lines(manage(gantry, "switch_model", "beta-8B-Q5", "--no-wait", "--json"))
    assert told["target"] == "beta-8B-Q5"
    with admin.watch() as page:
        page.until(lambda each: each.backend["model"] == "beta-8B-Q5", "the switch")
    listed = json.loads(manage(gantry, "switch_model", "--list", "--json").stdout)["models"]
    assert [each["id"] for each in listed if each["active"]] == ["beta-8B-Q5"]


def test_a_pipe_that_is_closed_early_is_no_error(tabby: Tabby, gantry: Gantry) -> None:
    piped = f"{sys.executable} manage.py models --json | head -c 1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", piped],
        check=False,
        cwd=ROOT,
        env=gantry.env,
        text=True,
        capture_output=True,
        timeout=90,
    )
    assert ended.stdout == "{"
    assert "Traceback" not in ended.stderr


def test_without_a_worker_a_command_can_do_it_itself(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    refused = manage(gantry, "switch_model", "beta-8B-Q5", "--direct")
    assert refused.returncode == 2
    assert "A worker is alive" in refused.stderr
    worker = gantry.children()["worker"]
    os.kill(worker, signal.SIGSTOP)
    try:
        with admin.watch() as page:
            page.until(lambda each: not each.backend["worker"], "the worker's absence")
        ended = manage(gantry, "switch_model", "beta-8B-Q5", "--direct")
        assert ended.returncode == 0, ended.stderr
        assert tabby.state()["loaded"] == "beta-8B-Q5"
    finally:
        os.kill(worker, signal.SIGCONT)
    with admin.watch() as page:
        page.until(lambda each: each.backend["worker"], "the worker's return")
    until(lambda: tabby.state()["loaded"] == "beta-8B-Q5", "a worker that leaves it so")
