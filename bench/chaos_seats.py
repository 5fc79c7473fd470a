"""`python -m bench.chaos_seats COUNT`: make that many users, sign them and the admin in; print {name: cookie} as JSON."""

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

    cookies = {}
    users = get_user_model()
    for name in ["admin", *(f"user{number}" for number in range(1, int(sys.argv[1]) + 1))]:
        user, _ = users.objects.get_or_create(username=name)
        client = Client()
        client.force_login(user)
        cookies[name] = client.cookies[settings.SESSION_COOKIE_NAME].value
    print(json.dumps(cookies))


if __name__ == "__main__":
    main()
