"""`python -m bench.chaos_seats COUNT`: make that many users, sign them and the admin in.

Prints {name: [session cookie, API token]} as JSON.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Needs the environment of the Gantry that the users are for."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
    import django  # noqa: PLC0415 (after the environment)

    django.setup()
    from django.conf import settings  # noqa: PLC0415
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    from models_admin.api import tokens  # noqa: PLC0415

    seats = {}
    users = get_user_model()
    for name in ["admin", *(f"user{number}" for number in range(1, int(sys.argv[1]) + 1))]:
        user, _ = users.objects.get_or_create(username=name)
        client = Client()
        client.force_login(user)
        _, token = tokens.make(user, "a program", [tokens.Scope.CHAT])
        seats[name] = client.cookies[settings.SESSION_COOKIE_NAME].value, token
    print(json.dumps(seats))


if __name__ == "__main__":
    main()
