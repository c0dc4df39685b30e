"""Networks of addresses: what one customer of a provider holds, and what one provider holds."""

from __future__ import annotations

import functools
import ipaddress

MAPPED = "::ffff:"
"""What an IPv4 address begins with that is written as an IPv6 one (RFC 4291)."""

SHARED = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)
"""Addresses of a house's own (RFC 1918, 3927, 4193, 4291)."""


@functools.lru_cache(1 << 16)
def network(address: str | None) -> str:
    """Return the /24 of an IPv4 address, the /64 of an IPv6 one; empty for anything else."""
    text = (address or "").strip("[]").lower().removeprefix(MAPPED)
    if ":" not in text:
        parts = text.split(".")
        if len(parts) != 4 or not all(each.isascii() and each.isdigit() and len(each) < 4 for each in parts):
            return ""
        return f"{'.'.join(parts[:3])}.0/24"
    try:
        whole = ipaddress.ip_network((text.partition("%")[0], 64), strict=False)
    except ValueError:
        return ""
    return str(whole)


@functools.lru_cache(1 << 14)
def provider(net: str) -> str:
    """Return the /16 of an IPv4 network, the /32 of an IPv6 one: seldom two providers share one."""
    if not net:
        return ""
    if ":" in net:
        return str(ipaddress.ip_network((net.partition("/")[0], 32), strict=False))
    return f"{'.'.join(net.split('.')[:2])}.0.0/16"


@functools.lru_cache(1 << 14)
def in_house(net: str) -> bool:
    """Whether a network's addresses are a house's own, or this host's."""
    try:
        first = ipaddress.ip_network(net)[0] if net else None
    except ValueError:
        return False
    if first is None:
        return False
    return first.is_loopback or net == "::/64" or any(first in each for each in SHARED if each.version == first.version)
