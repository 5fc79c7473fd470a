"""The settings that the README recommends for production, as Django's own check for them sees them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_deployment_check_finds_nothing(tmp_path: Path) -> None:
    settings = {
        "HTTPS": "true",
        "GANTRY_TRUSTED_PROXIES": "127.0.0.1",
        "ALLOWED_HOSTS": "gantry.example.org,localhost",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TABBY_HOST": "http://tabbyapi:5000",
        "TABBY_ADMIN_KEY": "a-key",
        "DEBUG": "",
        "GANTRY_DATA_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


PROBE = """
import django; django.setup()
from django.conf import settings
from django.test import Client
page = Client().get("/accounts/login/", headers={"Host": "gantry.example.org", "X-Forwarded-Proto": "https"})
print(page.status_code, page["Strict-Transport-Security"])
for cookie in (settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, settings.CSRF_COOKIE_SECURE):
    print(cookie)
print(page.cookies["csrftoken"].OutputString())
plain = Client().get("/accounts/login/", headers={"Host": "gantry.example.org"})
print(plain.status_code, plain["Location"])
print(Client().get("/healthz").status_code)
"""


def test_behind_tls_browsers_are_kept_to_it(tmp_path: Path) -> None:
    settings = {
        "HTTPS": "true",
        "ALLOWED_HOSTS": "gantry.example.org",
        "GANTRY_DATA_DIR": str(tmp_path),
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "gantry_site.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "200 max-age=31536000"
    assert lines[1:4] == ["True"] * 3
    assert "Secure" in lines[4]
    assert "SameSite=Lax" in lines[4]
    assert lines[5:] == ["301 https://gantry.example.org/accounts/login/", "200"]
