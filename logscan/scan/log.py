"""What is known of a log as a whole, beside its rows: its sources, the configuration, what the survey fixed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from logscan.scan.options import Options
from logscan.writing import readers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from logscan.reading.reads import Read
    from logscan.settings import Settings
    from logscan.settings.dspam_home import Inventory
    from logscan.sources.losses import Loss
    from logscan.tables.partials import Partial


@dataclass(frozen=True)
class Facts:
    """What holds for the whole log and is fixed before its first window is looked at; each is made in one place.

    A window adds what it shows itself (:meth:`logscan.scan.window.Window.facts`), so that a survey that was too short
    makes nobody blind for what stands in front of them.
    """

    dspam_relays: frozenset[str] = frozenset()
    """Relays that are DSPAM (:func:`logscan.scan.hops.dspam_relays`)."""
    filter_relays: frozenset[str] = frozenset()
    """Relays by which mail goes to filters (:func:`logscan.scan.hops.filter_relays`)."""
    mailbox_relays: frozenset[str] = frozenset()
    """Relays by which mail comes into mailboxes here (:func:`logscan.scan.hops.mailbox_relays`)."""
    services: frozenset[str] = frozenset()
    """Services that took mail in, as their tags name them (:func:`logscan.scan.ports.services`)."""

    def __or__(self, other: Facts) -> Facts:
        """Return what either knows."""
        return Facts(**{name: getattr(self, name) | getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(eq=False)
class Log:
    """A log and what is known of it; the windows of a log share it."""

    read: Read
    """Sources with their counts; complete only when all is read."""
    settings: Settings
    inventory: Inventory | None = None
    options: Options = field(default_factory=Options)
    notes: list[str] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    """What could not be read, each with the reason."""
    named: bool = True
    """Whether sources were named, rather than this host's own log looked for."""
    configured: bool = False
    """Whether configuration was named, beside the sources or alone."""
    spool: Any = None
    """The temporary file that standard input was kept in."""
    modes: list[tuple[int, int]] = field(default_factory=list)
    """Mode and group of each file that was read."""
    zone: Any = None
    """The server's time zone (tzinfo), in which reports show times."""
    facts: Facts = field(default_factory=Facts)
    pasts: Mapping[str, Partial] = field(default_factory=dict)
    """By name of the check, what it remembers of earlier runs; none where nothing is remembered."""
    losses: Sequence[Loss] = ()
    """Lines that the daily run knows to have been written, and never read."""
    rows: int = 0
    """Event rows that were looked at so far."""

    @property
    def audit(self) -> bool:
        """Whether the configuration alone speaks: it was named, and there is no log."""
        if not self.settings.kinds or not (self.named or self.configured):
            return False
        return not any(each.lines for each in self.read.sources) and (not self.named or not self.read.sources)

    @property
    def readers(self) -> int:
        """The mode of a new file that nobody may read who can't read every file that was read."""
        return readers(self.modes)
