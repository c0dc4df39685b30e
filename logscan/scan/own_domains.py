"""Whose an address is: the domains of this server as all windows and the configuration tell them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.memo import per_window
from logscan.scan.submitted import own_names
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

Bools = npt.NDArray[np.bool_]

NAMES, MAIL = "own_domains.names", "own_domains.mail"
"""The parts of a partial that this module makes and reads."""


@per_window
def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts from which :class:`OwnDomains` is made. For look."""
    mail = {name.lower() for name in window.correlated.local_domains if name}
    return {
        NAMES: Keyed.of({"name": pa.array(sorted(own_names(window, settings)), pa.string())}, once=True),
        MAIL: Keyed.of({"name": pa.array(sorted(mail), pa.string())}, once=True),
    }


@dataclass(frozen=True)
class OwnDomains:
    """The names of this server, lower case. For conclude."""

    names: frozenset[str]
    """All of them: domains of mail, localhost, host names as Postfix writes them."""
    mail: frozenset[str]
    """Those whose mail this server takes, by the configuration or since it stored some."""

    @classmethod
    def of(cls, partial: Partial, log: Log) -> OwnDomains:
        """Return what all windows told of them."""
        names, mail = (frozenset(partial.frame(part)["name"].tolist()) for part in (NAMES, MAIL))
        told = frozenset(log.settings.local_domains)
        return cls(names | told, (mail | told) - LOCAL)

    def has(self, domain: str) -> bool:
        """Whether a domain (lower case) is one of these names, or below one of them."""
        return domain in self.names or any(above in self.names for above in _above(domain))

    def are(self, domains: pd.Series) -> Bools:
        """Return which domains are of this server (:meth:`has`); missing ones aren't."""
        names = domains.fillna("").tolist()
        own = {name: self.has(name) for name in set(names)}
        return np.array([own[name] for name in names], np.bool_)

    def takes(self, domain: str) -> bool:
        """Whether mail to a domain (lower case) ends here."""
        return domain in self.mail


LOCAL = frozenset({"localhost", "localhost.localdomain", "localhost.localhost"})


def _above(domain: str) -> Iterable[str]:
    """Return the domains that a domain lies below."""
    parts = domain.split(".")
    return (".".join(parts[at:]) for at in range(1, len(parts) - 1))


def domains(addresses: pa.Array) -> pa.Array:
    """Return the domain of each address, lower case; empty where it has none."""
    made = pc.replace_substring_regex(addresses, r"(?s)^.*@", "")
    return pc.utf8_lower(pc.if_else(pc.match_substring(addresses, "@"), made, ""))
