"""From which address a request comes, also through the proxies that an administrator trusts."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> Address | None:
    """The address of whoever made the request; None where the server knows none (a Unix socket).

    It is the other end of the connection. Where that is one of GANTRY_TRUSTED_PROXIES, it is the last address in
    X-Forwarded-For that is no such proxy: what stands before it may be anybody's invention.
    """
    address = read(request.META.get("REMOTE_ADDR", ""))
    if address is None or not _trusted(address):
        return address
    for word in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        named = read(word)
        if named is None:
            break
        address = named
        if not _trusted(address):
            break
    return address


def household(address: Address | None) -> str:
    """What counts as one place: an IPv4 address, or an IPv6 network of the size that one customer is given."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address) if address else "unknown"


def read(word: str) -> Address | None:
    """The address that is written there; None where it is none."""
    try:
        address = ip_address(word.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusted(address: Address) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=8)
def _networks(words: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(word.strip(), strict=False) for word in words)
