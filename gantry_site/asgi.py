"""The ASGI application: Django's pages and the two sockets, for any ASGI server."""

from __future__ import annotations

import gc
import os

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry_site.settings")
pages = get_asgi_application()  # loads the applications; what follows may import their models

from gantry_site.routing import build  # noqa: E402

application = build(pages)

# What is loaded by now stays: the collector need not look through it again, which would hold up every reply for a
# tenth of a second. The addresses load most of what is left.
get_resolver().url_patterns  # noqa: B018
gc.collect()
gc.freeze()
