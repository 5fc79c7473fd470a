"""Django's system checks of how the site is reached."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from gateway import cors


@register()
def proxies_and_sign_ins(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report proxies that are no address (gantry.E010), and limits of sign-ins that cannot work (gantry.E011)."""
    found: list[CheckMessage] = []
    for word in settings.TRUSTED_PROXIES:
        try:
            ip_network(word.strip(), strict=False)
        except ValueError:
            hint = "Give addresses or networks, with commas between them: 10.0.0.7,172.16.0.0/12"
            found.append(
                Error(f"GANTRY_TRUSTED_PROXIES: {word!r} is no address", hint=hint, id="gantry.E010")
            )
    for name in ("SIGN_IN_ATTEMPTS", "SIGN_IN_ATTEMPTS_PER_ADDRESS", "SIGN_IN_COOL_OFF"):
        if getattr(settings, name) < 1:
            hint = "Nobody could sign in, or everybody could try without end."
            found.append(Error(f"{name} must be at least 1", hint=hint, id="gantry.E011"))
    return found


@register()
def pages_that_may_call(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Report what is no origin (gantry.E012): no browser would ever send it."""
    hint = "Give each as scheme://host or scheme://host:port, in small letters, without a path. “*” is not possible."
    return [
        Error(f"GATEWAY_CORS_ORIGINS: {word!r} is no origin", hint=hint, id="gantry.E012")
        for word in settings.GATEWAY_CORS_ORIGINS
        if not cors.ORIGIN.fullmatch(word)
    ]


@register(Tags.security, deploy=True)
def people_behind_a_proxy(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Warn of HTTPS without a named proxy (gantry.W011): everybody would have the proxy's address."""
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    hint = (
        "Set it to the address from which the proxy reaches Gantry. Until then all people count as one "
        "place, and one of them who mistypes passwords can keep the others from signing in for a while."
    )
    return [
        Warning("HTTPS is on, and GANTRY_TRUSTED_PROXIES names no proxy", hint=hint, id="gantry.W011"),
    ]
