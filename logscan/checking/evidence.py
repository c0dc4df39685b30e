"""What checks share: filter hand-overs, who submitted a mail how, evidence by row, times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.findings import Evidence, Result

if TYPE_CHECKING:
    from logscan.scan.window import Window

MOST_EVIDENCE = 12
"""Lines shown per finding; all cases are listed anyway."""


def rows_at(scan: Window, table: str, index: Iterable[int]) -> list[Evidence]:
    """Return evidence for rows of an event table or of ``deliveries``."""
    frame = scan.deliveries if table == "deliveries" else scan.events(table)
    chosen = [int(i) for i in index if int(i) >= 0][:MOST_EVIDENCE]
    sources, lines = frame["source"].to_numpy(), frame["line"].to_numpy()
    return [Evidence(scan.label(int(sources[i])), int(lines[i]), "") for i in chosen]


def first_lines(scan: Window, entries: Iterable[int]) -> list[Evidence]:
    """Return the line that opened each entry (smtpd client=, pickup)."""
    row = scan.entries["client_row"].to_numpy()
    return rows_at(scan, "clients", [row[int(e)] for e in entries])


def first_line_each(scan: Window, entries: npt.NDArray[np.int64]) -> list[Evidence]:
    """Return the line that opened each entry, one for each: all at once, where there are many."""
    rows = scan.entries["client_row"].to_numpy()[entries]
    clients = scan.events("clients")
    labels = [source.label for source in scan.log.read.sources]
    sources, lines = clients["source"].to_numpy()[rows].tolist(), clients["line"].to_numpy()[rows].tolist()
    return [Evidence(labels[source], line, "") for source, line in zip(sources, lines, strict=True)]


def merged(*parts: Sequence[Evidence]) -> list[Evidence]:
    """Return the parts one after the other, each line once, at most :data:`MOST_EVIDENCE`."""
    seen: dict[tuple[str, int], Evidence] = {}
    for part in parts:
        for item in part:
            seen.setdefault((item.source, item.line), item)
    return list(seen.values())[:MOST_EVIDENCE]


def mails(count: int, recipients: int = 0) -> str:
    """Return ``7 mails to 28 recipients``; without the recipients where they are as many as mails."""
    text = f"{count:,} mail{'s' * (count != 1)}"
    return text if recipients in (0, count) else f"{text} to {recipients:,} recipient{'s' * (recipients != 1)}"


COVERED = 0.95
"""The share of the eligible cases that has to be looked at for a check to be clear."""


def too_few(result: Result) -> bool:
    """Whether too many of the eligible cases couldn't be looked at."""
    return result.checked < COVERED * result.eligible


def rows_at_frame(scan: Window, frame: pd.DataFrame) -> list[Evidence]:
    """Return evidence for the rows of a derived frame, which carry ``source`` and ``line`` themselves."""
    some = frame.head(MOST_EVIDENCE)
    return [
        Evidence(scan.label(int(source)), int(line), "")
        for source, line in zip(some["source"], some["line"], strict=True)
    ]
