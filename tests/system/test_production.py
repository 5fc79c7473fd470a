"""Gantry with the settings of production, as README and docker-compose.yml recommend them: behind a proxy that ends TLS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from .running import ROOT, environment

PRODUCTION = {
    "ALLOWED_HOSTS": "gantry.example.org,localhost",
    "HTTPS": "true",
    "GANTRY_TRUSTED_PROXIES": "172.16.0.0/12",
    "TABBY_HOST": "http://tabbyapi:5000",
    "TABBY_ADMIN_KEY": "an-admin-key",
    "DATABASE_URL": "postgres://gantry:gantry@postgres:5432/gantry",
    "REDIS_URL": "redis://redis:6379/0",
    "GANTRY_BIND": "0.0.0.0",
}
LOOK = """
import json
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_user("ann", password="right")
answers = {}
def keep(name, answer):
    answers[name] = {"status": answer.status_code, "headers": dict(answer.headers)}
client = Client(SERVER_NAME="gantry.example.org")
over_tls = {"HTTP_X_FORWARDED_PROTO": "https"}
for name in ("/", "/accounts/login/", "/api/models", "/healthz"):
    keep(f"plain {name}", client.get(name))
    keep(f"tls {name}", client.get(name, **over_tls))
keep("sign in", client.post("/accounts/login/", {"username": "ann", "password": "right"}, **over_tls))
answers["cookies"] = {
    name: [each["secure"], each["httponly"], each["samesite"]] for name, each in client.cookies.items()
}
print(json.dumps(answers))
"""


def manage(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder, 8000, **{**PRODUCTION, **more})
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:gantry_site", "manage.py", *words],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_deployment_check_finds_nothing(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout
    # What is said about is not what was left out on purpose: see the settings.
    assert settings.SILENCED_SYSTEM_CHECKS == ["security.W005", "security.W021"]


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (
            {"DEBUG": "true", "SECRET_KEY": "short", "GANTRY_TRUSTED_PROXIES": ""},
            {"security.W018", "security.W009", "gantry.W011"},
        ),
        (
            {
                "HTTPS": "false",
                "GANTRY_TRUSTED_PROXIES": "proxy",
                "SIGN_IN_ATTEMPTS": "0",
                "GATEWAY_CORS_ORIGINS": "*",
            },
            {"security.W012", "gantry.E010", "gantry.E011", "gantry.E012"},
        ),
    ],
    ids=["warnings", "errors"],
)
def test_it_finds_what_is_not_for_production(tmp_path: Path, wrong: dict[str, str], found: set[str]) -> None:
    checked = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **wrong)
    assert checked.returncode == 1
    assert found <= set(re.findall(r"\(([a-z]+\.[EW]\d+)\)", checked.stderr)), checked.stderr


def test_pages_are_for_https_only_and_so_are_cookies(tmp_path: Path) -> None:
    sqlite = {"DATABASE_URL": ""}
    assert manage(tmp_path, "migrate", "-v0", **sqlite).returncode == 0
    ended = manage(tmp_path, "shell", "--no-imports", "-c", LOOK, **sqlite)
    assert ended.returncode == 0, ended.stderr
    answers = json.loads(ended.stdout)
    cookies = answers.pop("cookies")
    assert set(cookies) == {"session_id", "csrftoken", "signed_in_before"}
    assert set(map(tuple, cookies.values())) == {(True, True, "Lax")}
    for name, answer in answers.items():
        if name.startswith("tls") and name != "tls /healthz":
            assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000"
    for name in ("/", "/accounts/login/"):
        sent_on = answers[f"plain {name}"]
        assert (sent_on["status"], sent_on["headers"]["Location"]) == (
            301,
            f"https://gantry.example.org{name}",
        )
    assert answers["plain /healthz"]["status"] == 200
    assert answers["plain /api/models"]["status"] == 401, "a script on this machine is answered, not sent on"
