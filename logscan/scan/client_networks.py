"""Networks of clients' addresses: what one household, office or machine has, and what can't come from the internet."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

PRIVATE = (
    r"^(?:10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|169\.254\.|127\."
    r"|::1$|(?i:f[cd][0-9a-f]{2}:|fe80:))"
)
"""Addresses that no stranger on the internet has (RFC 1918, 6598, 3927, 4193)."""


def private(addresses: pa.Array) -> pa.Array:
    """Return which addresses can't come from the internet."""
    return pc.match_substring_regex(pc.replace_substring_regex(addresses, r"^::ffff:", ""), PRIVATE)


def network(address: str, four: int = 24, six: int = 64) -> str:
    """Return the network of an address, ``192.0.2.0/24``, ``2001:db8::/64``; what is no address is its own."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    if mapped is not None:
        ip = mapped
    return str(ipaddress.ip_network((ip, four if ip.version == 4 else six), strict=False))


def networks(addresses: Iterable[str]) -> list[str]:
    """Return the network of each address."""
    known: dict[str, str] = {}
    return [known[each] if each in known else known.setdefault(each, network(each)) for each in addresses]


def is_private(address: str) -> bool:
    """Whether one address can't come from the internet."""
    return bool(re.search(PRIVATE, address.lower().removeprefix("::ffff:")))
