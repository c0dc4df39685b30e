"""How much of a long report is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """How much of each finding a page shows, so that it stays below 1.5 MB on the worst of days."""

    findings: int = 80
    """Cards; further causes stand in a list."""
    members: int = 12
    """Cards of one cause; further findings of it stand in its table."""
    named: int = 300
    """Rows of that table."""
    cases: int = 50
    evidence: int = 20
    paths: int = 8
    path_lines: int = 60
    rows: int = 100
    """Of each table."""
    unknown: int = 100
    text: int = 800
    """Characters of one line of text."""
    case_size: int = 14_000
    """Characters of all cases of one finding; likewise below."""
    evidence_size: int = 8_000
    path_size: int = 20_000

    @classmethod
    def fit(cls, findings: int, tables: int = 0, spared: int = 0) -> Limits:
        """Return limits for so many findings and tables: the more there are, the less is said of each.

        ``spared`` characters are for what else stands on the page.
        """
        cards = max(1, min(findings, cls.findings))
        return cls(
            rows=max(15, min(cls.rows, 600 // max(1, tables))),
            case_size=min(cls.case_size, (250_000 - spared) // cards),
            evidence_size=min(cls.evidence_size, 150_000 // cards),
            path_size=min(cls.path_size, 300_000 // cards),
        )


def take(lines: Sequence[T], most: int, size: int, length: Callable[[T], int]) -> Sequence[T]:
    """Return the first lines: at most ``most``, of ``size`` characters together, at least one."""
    for index, line in enumerate(lines[:most]):
        size -= length(line)
        if size < 0:
            return lines[: max(1, index)]
    return lines[:most]
