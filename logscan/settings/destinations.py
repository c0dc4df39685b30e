"""Reads where mail goes: ``transport:nexthop``, and the ports and hosts in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

PORTS = {
    "smtp": 25,
    "submission": 587,
    "smtps": 465,
    "submissions": 465,
    "urd": 465,
    "ssmtp": 465,
    "lmtp": 24,
    "smtp-alt": 2525,
}
"""Service names of /etc/services that master.cf uses; 24 is what dspam and cyrus call lmtp."""


def port_number(name: str) -> int | None:
    """Return the port that a number or a service's name stands for; None when it stands in no table at hand."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 6 else PORTS.get(name.lower())


def is_loopback(host: str) -> bool:
    """Whether an address or name is this host's own."""
    return host.strip("[]").lower() in {"localhost", "::1", "ip6-localhost"} or host.startswith("127.")


@dataclass(frozen=True)
class Destination:
    """A ``transport:nexthop``: to a socket (``path``) or to ``host`` and ``port``."""

    raw: str
    transport: str
    host: str = ""
    port: int | None = None
    path: str = ""


def parse_destination(text: str) -> Destination:
    """Read ``lmtp:unix:/path``, ``smtp-amavis:[127.0.0.1]:10024``, ``scan:localhost:10025``, ``dspam:`` ..."""
    raw = text.strip()
    transport, _, hop = raw.partition(":")
    if hop.startswith(("unix:", "/")):
        return Destination(raw, transport, path=hop.removeprefix("unix:"))
    hop = hop.removeprefix("inet:")
    match = re.fullmatch(r"\[([^\]]*)\](?::(\w+))?|([^:]*)(?::(\w+))?", hop)
    if not match:
        return Destination(raw, transport, host=hop)
    return Destination(raw, transport, host=match[1] or match[3] or "", port=port_number(match[2] or match[4] or ""))
