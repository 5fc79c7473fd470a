"""The address of the client that sent a request, also through the proxies that an administrator trusts."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def client_address(request: HttpRequest) -> Address | None:
    """Return the address of the client that sent the request; None where the server knows none (a Unix socket).

    It is the other end of the connection. Where that end is one of GANTRY_TRUSTED_PROXIES, it is the last address in
    X-Forwarded-For that is no such proxy: a client may have made up everything that stands before it.
    """
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    if address is None or not _trusted(address):
        return address
    for text in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        named = parse_address(text)
        if named is None:
            break
        address = named
        if not _trusted(address):
            break
    return address


def source_of(address: Address | None) -> str:
    """Return the source under which sign-ins from `address` are counted together.

    It is an IPv4 address, or an IPv6 network of the size that one customer is given (/64); "unknown" for no address.
    """
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address) if address else "unknown"


def parse_address(text: str) -> Address | None:
    """Return the address that `text` spells (an IPv4-mapped one as IPv4, without a zone); None where it spells none."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusted(address: Address) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text.strip(), strict=False) for text in texts)
