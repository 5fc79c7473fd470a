"""KEEP_MODEL through every process: a load of somebody else's is left alone, and a server that was away gets its model."""

from __future__ import annotations

import threading

import pytest
import requests
from support.people import Person
from support.system import PASSWORD, QUICK
from support.tabby import ADMIN_KEY, MODELS, Tabby, running
from system.running import Gantry, free_port

EMPTY = MODELS.replace('initial_model = "alpha-7B"', "")


def load(tabby: Tabby, model: str) -> threading.Thread:
    """Have somebody load a model, not through Gantry."""
    how = {"json": {"model_name": model}, "headers": {"Authorization": f"Bearer {ADMIN_KEY}"}, "timeout": 60}
    thread = threading.Thread(target=requests.post, args=(f"{tabby.url}/v1/model/load",), kwargs=how)
    thread.start()
    return thread


def test_a_model_is_kept_but_not_against_somebodys_choice(tmp_path_factory: pytest.TempPathFactory) -> None:
    port = free_port()
    with running(tmp_path_factory.mktemp("tabby-keep"), port=port) as (tabby, process):
        settings = {
            **QUICK,
            "TABBY_HOST": tabby.url,
            "TABBY_ADMIN_KEY": ADMIN_KEY,
            "GANTRY_ADMIN_PASSWORD": PASSWORD,
            "KEEP_MODEL": "alpha-7B",
            "KEEP_MODEL_AFTER": "600",
            "REFRESH_INTERVAL": "0.5",
        }
        with Gantry(tmp_path_factory.mktemp("gantry-keep"), **settings) as gantry:
            admin = Person(gantry.url, "admin", PASSWORD)
            with admin.watch() as page:
                page.until(lambda each: each.backend["model"] == "alpha-7B", "the first look")
                tabby.state(seconds_per_module={"slow-13B": 0.1})
                loading = load(tabby, "slow-13B")
                page.until(lambda each: each.backend["state"] == "unloaded", "a server that names no model")
                page.until(lambda each: each.backend["model"] == "slow-13B", "somebody's model")
                loading.join()
                assert [each["model"] for each in tabby.log("/v1/model/load")] == ["slow-13B"]

                process.kill()
                process.wait()
                page.until(lambda each: each.backend["state"] == "unreachable", "a server that is away")
                with running(tmp_path_factory.mktemp("tabby-anew"), EMPTY, port) as (anew, _):
                    page.until(lambda each: each.backend["model"] == "alpha-7B", "the model that is kept")
                    assert page.backend["last"]["source"] == "keep"
                    assert anew.state()["loaded"] == "alpha-7B"
            gantry.end()
