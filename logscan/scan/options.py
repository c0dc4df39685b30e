"""What the user asks for, beside the sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from logscan.findings import Suppression


@dataclass
class Options:
    """Names as on the command line."""

    since: datetime | None = None
    until: datetime | None = None
    """Without a zone it is a time of the server's clock, whose zone the logs tell."""
    local_domains: tuple[str, ...] = ()
    services: dict[str, int] = field(default_factory=dict)
    """Tag → port, from ``--service NAME=PORT``."""
    host_aliases: dict[str, str] = field(default_factory=dict)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Thresholds by check and name, from ``[checks.NAME]`` of the settings file."""
    suppressions: tuple[Suppression, ...] = ()
