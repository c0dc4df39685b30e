"""What is known of lines that were written and never read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Loss:
    """Lines that were written and never read, or may have been."""

    kind: Literal["gone", "cut", "overwritten", "vacuumed", "unreadable", "window"]
    """Its file is gone; it was cut (copytruncate) before all was read; it holds other content; the journal let go of records;
    it can't be read; it was copied and cut, and nobody can tell whether a line was written in between."""
    path: str
    size: int | None
    """Bytes that are known to be missing; None where nobody can tell."""
    since: int | None
    """When the last line that was read before was written."""
    until: int | None
    """When the first line that was read after was written; None where there is none yet."""
    why: str
    """A sentence: what happened, as far as it can be told."""
