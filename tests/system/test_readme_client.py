"""README's “Point your client at Gantry”, word for word, on a Gantry as `make run` starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.api_calls import words
from support.people import Person
from support.tabby import Tabby

from .running import ROOT, Gantry, until

NEXT = "Mistral-7B-Instruct-v0.3-Q5"


def _blocks(gantry: Gantry, token: str) -> tuple[str, str]:
    """The program and the command line, with the address, the token and the question of this test."""
    text = (ROOT / "README.md").read_text().partition("## Point your client at Gantry")[2]
    python, curl = re.findall(
        r"^```(?:python)?\n((?:from openai|curl).*?)^```$", text, re.MULTILINE | re.DOTALL
    )[:2]
    for old, new in (("http://localhost:8000", gantry.url), ("gantry_…", token)):
        python, curl = python.replace(old, new), curl.replace(old, new)
    return python.replace("Hello", "[[tokens=150 rate=15]]"), curl.replace("Hello", "[[tokens=20 rate=0]]")


def test_a_program_goes_on_through_a_switch(tmp_path: Path) -> None:
    with Gantry(tmp_path, DRAIN_TIMEOUT="1.5") as gantry:
        admin = Person(gantry.url, "admin", gantry.password)
        token = admin.token("chat")
        python, curl = _blocks(gantry, token)
        until(lambda: NEXT in admin.call("GET", "/api/admin/models").text, "the sandbox's models")

        program = [sys.executable, "-u", "-c", python]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            said = ""
            while "w5 " not in said:
                said += running.stdout.read(1) or "(it has ended)"
                assert "ended" not in said, said
            admin.start_switch(NEXT)
            assert (said + running.stdout.read()).rstrip("\n") == words(1, 150)
        assert running.returncode == 0
        sandbox = Tabby((gantry.folder / "run" / "tabby_host").read_text().strip())
        outcomes = [each["outcome"] for each in sandbox.log("/v1/chat/completions")]
        assert (outcomes[0], outcomes[-1]) == ("disconnected", "completed"), "cut, and gone on with"

        env = {**os.environ, "GANTRY_TOKEN": token}
        told = subprocess.run(
            ["bash", "-c", curl], env=env, capture_output=True, text=True, check=True
        ).stdout
        assert "".join(re.findall(r'"content":"([^"]*)"', told)) == words(1, 20)
        assert f'"model":"{NEXT}"' in told
        assert told.endswith("data: [DONE]\n\n")
        gantry.end()
