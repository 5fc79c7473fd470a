"""Which pages are Gantry's own, by what a browser says of the page that asks: the rule for the API and for sockets."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings


def is_ours(origin: str, host: str) -> bool:
    """Whether a page from `origin` (scheme://host[:port]) may ask a Gantry that it knows as `host` (host[:port]).

    The port counts: another program on the same machine is another site, although cookies do not tell the two apart.
    """
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:  # such as "http://["
        return False
    return netloc.lower() == host.lower() or origin in settings.CSRF_TRUSTED_ORIGINS
