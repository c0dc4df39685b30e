"""Networks of addresses: what one customer of a provider holds, and what one provider holds."""

from __future__ import annotations

import functools
import ipaddress

MAPPED = "::ffff:"
"""What an IPv4 address begins with that is written as an IPv6 one (RFC 4291)."""

SHARED = (
    ipaddress.ip_network("fc00::/7"),
    ipaddress.ip_network("fe80::/10"),
)
"""IPv6 addresses of a house's own (RFC 4193, 4291); those of IPv4 (RFC 1918, 3927) are told by their first two numbers."""


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


@functools.lru_cache(1 << 16)
def provider(net: str) -> str:
    """Return the /12 of an IPv4 network, the /32 of an IPv6 one: a mobile provider's networks lie side by side in one."""
    if not net:
        return ""
    if ":" in net:
        return str(ipaddress.ip_network((net.partition("/")[0], 32), strict=False))
    first, second, *_ = net.split(".")
    return f"{first}.{int(second) & 0xF0}.0.0/12"


@functools.lru_cache(1 << 14)
def in_house(net: str) -> bool:
    """Whether a network (:func:`network`) is a house's own, or this host's."""
    if ":" not in net:
        first, _, rest = net.partition(".")
        second = rest.partition(".")[0]
        own = f"{first}.{second}" in ("192.168", "169.254") or (
            first == "172" and "16" <= second <= "31" and len(second) == 2
        )
        return own or first in ("10", "127")
    whole = ipaddress.ip_network(net)
    return net == "::/64" or any(whole[0] in each for each in SHARED)
