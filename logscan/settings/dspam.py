"""Answers what dspam.conf and DSPAM's group file say: delivery, users, preferences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from logscan.settings.facts import Fact


class Dspam:
    """dspam.conf and the group file."""

    def __init__(self, facts: Mapping[str, Sequence[Fact]], groups: Sequence[Fact]) -> None:
        self.facts = {name: tuple(values) for name, values in facts.items()}
        self.groups = tuple(groups)

    def fact(self, name: str) -> Fact | None:
        """Return a setting (names are compared without case); the last one counts."""
        values = self.facts.get(name.lower())
        return values[-1] if values else None

    def get(self, name: str, default: str = "") -> str:
        """Return a setting's value."""
        fact = self.fact(name)
        return fact.value if fact else default

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.get(name).lower() in {"on", "yes", "true"}

    def preference(self, name: str) -> str:
        """Return a default preference: ``spamAction`` ..."""
        for fact in reversed(self.facts.get("preference", ())):
            key, _, value = fact.value.partition("=")
            if key.strip().lower() == name.lower():
                return value.strip()
        return ""

    @property
    def home(self) -> str:
        """Where the dictionaries lie."""
        return self.get("Home", "/var/dspam")

    @property
    def delivery(self) -> Fact | None:
        """The port, or socket, that mail is handed back to."""
        return self.fact("DeliveryPort") or self.fact("DeliveryHost")

    @property
    def delivery_port(self) -> int | None:
        """DeliveryPort as a number; None for a socket."""
        port = self.get("DeliveryPort", "25" if self.fact("DeliveryHost") else "")
        if self.get("DeliveryHost").startswith("/"):
            return None
        return int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None

    @property
    def fixed_user(self) -> str | None:
        """The one user whom all mail is filtered for (``--user`` in ServerParameters, a shared group of all)."""
        match = re.search(r"--user[= ]\s*(\S+)", self.get("ServerParameters"))
        if match and not re.search(r"[$%]", match[1]):
            return match[1]
        for fact in self.groups:
            name, kind, members = ([*fact.value.split(":", 2), "", ""])[:3]
            if "shared" in kind.lower().split(",") and members.strip() == "*":
                return name
        return None
