"""The ASGI application: Django's pages and the two sockets, for any ASGI server."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
pages = get_asgi_application()  # loads the applications; what follows may import their models

from gantry_site.routing import build  # noqa: E402

application = build(pages)
