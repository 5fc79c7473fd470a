"""Which pages are Gantry's own, by the Origin that a browser sends: the rule for the API and for sockets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def is_ours(origin: str, host: str, *, secure: bool) -> bool:
    """Whether a page from `origin` (scheme://host[:port]) may ask a Gantry that it knows as `host` (host[:port]).

    Scheme, host and port must agree. A page that came by plain HTTP may have been changed on its way. Another program on the
    same machine is another site, although cookies do not tell ports apart. `secure` says that the request came by TLS; with
    HTTPS=true it did, as far as the proxy.
    """
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme = "https" if secure or settings.HTTPS else "http"
    return _address(origin, scheme) == _address(f"{scheme}://{host}", scheme) is not None


def _address(origin: str, scheme: str) -> str | None:
    """Return `host:port` of an origin of this scheme; None for anything else."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as "http://["
        return None
    netloc = parts.netloc.lower()
    if not netloc or origin.lower() != f"{scheme}://{netloc}":
        return None
    return netloc if re.search(r":\d+$", netloc) else netloc + _DEFAULT_PORTS[scheme]
