"""Limits how often somebody may try to sign in: counted in the database, for all processes together.

An attempt is counted before the password is checked, and taken back when the password was right. So a hundred attempts at
the same instant count as a hundred. Two counts can refuse one: the count of one name from one source, and a higher one of
all names from that source, where a whole team may sit. A browser in which somebody has signed in before carries a signed
cookie, and is a source of its own for that name: nobody else can use its count up from the same address.

Nothing here depends on whether there is such a user, so nothing reveals it.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from gantry_site.addresses import client_address, parse_address, source_of
from gantry_site.models import SignInCount

log = logging.getLogger(__name__)

COOKIE = "signed_in_before"
COOKIE_AGE = timedelta(days=180)
SALT = "gantry_site.sign_in"
# Counts that have ended are of no use. After this time no other process is about to change one, and it is deleted.
KEPT = timedelta(hours=1)


class Throttled(Exception):
    """There were too many attempts; the next may come after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("Too many sign-ins went wrong")
        self.wait = wait


@dataclass(frozen=True)
class Attempt:
    """One attempt to sign in, counted as a failure until it has succeeded.

    `name` is the digest of the name, `source` the address, network or browser, `known` whether it is a browser.
    """

    name: str
    source: str
    known: bool

    def succeeded(self) -> None:
        """Take the attempt back, as the password was right: delete the name's count, and lower that of all names by one."""
        SignInCount.objects.filter(name=self.name, source=self.source).delete()
        if not self.known:
            all_names = SignInCount.objects.filter(name="", source=self.source, failures__gt=0)
            all_names.update(failures=F("failures") - 1)


def begin(request: HttpRequest, username: str) -> Attempt:
    """Count an attempt to sign in as `username`; raises Throttled where there were too many."""
    now = timezone.now()
    name = digest(username)
    device = _device(request, name)
    attempt = Attempt(name, device or source_of(client_address(request)), bool(device))
    SignInCount.objects.filter(ends_at__lt=now - KEPT).delete()
    with transaction.atomic():
        if not attempt.known:
            _count("", attempt.source, settings.SIGN_IN_ATTEMPTS_PER_ADDRESS, now)
        _count(name, attempt.source, settings.SIGN_IN_ATTEMPTS, now)
    return attempt


def digest(username: str) -> str:
    """Return what is kept of a name: a keyed SHA-256, in hexadecimal, whatever the case of its letters."""
    return salted_hmac(SALT, username.casefold(), algorithm="sha256").hexdigest()


def device_cookie(attempt: Attempt) -> str:
    """Return the value of the cookie for a browser in which somebody has just signed in."""
    device = attempt.source if attempt.known else f"browser {secrets.token_urlsafe(12)}"
    return signing.dumps([attempt.name, device], salt=SALT)


def forget(username: str = "", address: str = "") -> int:
    """Delete the counts of a name, of an address, of both together, or all; return how many."""
    counts = SignInCount.objects.all()
    if username:
        counts = counts.filter(name=digest(username))
    if address:
        counts = counts.filter(source=source_of(parse_address(address)))
    return counts.delete()[0]


def _device(request: HttpRequest, name: str) -> str:
    """Return the source for a browser in which `name` (a digest) has signed in before; '' without a valid cookie."""
    try:
        named, device = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if named == name else ""


def _count(name: str, source: str, most: int, now: datetime) -> None:
    """Add one to a count; raises Throttled where it is `most`. One that reaches `most` lasts for the whole cool-off."""
    end = now + timedelta(seconds=settings.SIGN_IN_COOL_OFF)
    locked = SignInCount.objects.select_for_update()
    row, _ = locked.get_or_create(name=name, source=source, defaults={"ends_at": end})
    if row.ends_at <= now:
        row.failures, row.ends_at = 0, end
    if row.failures >= most:
        raise Throttled(row.ends_at - now)
    row.failures += 1
    if row.failures == most:
        row.ends_at = end
        log.warning(
            "%d sign-ins from %s%s went wrong: more are refused for %g s",
            most,
            source,
            " with one name" if name else "",
            settings.SIGN_IN_COOL_OFF,
        )
    row.save(update_fields=["failures", "ends_at"])
