"""How often somebody may try to sign in: counted in the database, for all processes together.

A try is counted before the password is looked at, and given back when it was right. So a hundred tries at the same
instant count as a hundred. Two counts can refuse it: that of one name from one place, and a higher one of all names from
that place, where a whole team may sit. A browser in which somebody has signed in before carries a signed cookie, and has a
count of its own for that name: nobody else can use it up, whatever they try from the same address.

Nothing here depends on whether there is such a user, so nothing tells.
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

from gantry_site.addresses import client_address, household, read
from gantry_site.models import SignInCount

log = logging.getLogger(__name__)

COOKIE = "signed_in_before"
COOKIE_AGE = timedelta(days=180)
SALT = "gantry_site.sign_in"
KEPT = timedelta(
    hours=1
)  # counts that have ended are of no use; this long no other process is about to change one


class Throttled(Exception):
    """Too many tries; `wait` is how long to wait before the next."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("Too many sign-ins went wrong")
        self.wait = wait


@dataclass(frozen=True)
class Attempt:
    """One try, which has been counted as one that goes wrong."""

    name: str
    source: str
    known: bool

    def succeeded(self) -> None:
        """The password was right: forget the name's count, and give back the place's."""
        SignInCount.objects.filter(name=self.name, source=self.source).delete()
        if not self.known:
            place = SignInCount.objects.filter(name="", source=self.source, failures__gt=0)
            place.update(failures=F("failures") - 1)


def begin(request: HttpRequest, username: str) -> Attempt:
    """Count a try to sign in as `username`; raises Throttled where there were too many."""
    now = timezone.now()
    name = digest(username)
    device = _device(request, name)
    attempt = Attempt(name, device or household(client_address(request)), bool(device))
    SignInCount.objects.filter(ends_at__lt=now - KEPT).delete()
    with transaction.atomic():
        if not attempt.known:
            _count("", attempt.source, settings.SIGN_IN_ATTEMPTS_PER_ADDRESS, now)
        _count(name, attempt.source, settings.SIGN_IN_ATTEMPTS, now)
    return attempt


def digest(username: str) -> str:
    """What is kept of a name: the same for every way to write it."""
    return salted_hmac(SALT, username.casefold(), algorithm="sha256").hexdigest()


def device_cookie(attempt: Attempt) -> str:
    """The cookie for a browser in which somebody has just signed in."""
    device = attempt.source if attempt.known else f"browser {secrets.token_urlsafe(12)}"
    return signing.dumps([attempt.name, device], salt=SALT)


def forget(username: str = "", address: str = "") -> int:
    """Forget what was counted for a name, at an address, or all of it; return how many counts went."""
    counts = SignInCount.objects.all()
    if username:
        counts = counts.filter(name=digest(username))
    if address:
        counts = counts.filter(source=household(read(address)))
    return counts.delete()[0]


def _device(request: HttpRequest, name: str) -> str:
    """What stands for the browser in which `name` has signed in before; '' where that is not known."""
    try:
        named, device = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if named == name else ""


def _count(name: str, source: str, most: int, now: datetime) -> None:
    """Add one to a count, or raise Throttled. The count that reaches `most` holds for the whole cool-off."""
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
