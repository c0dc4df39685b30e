"""Reads of large logs only what the trace of one mail needs, where that comes to the same; else all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.pipeline.excerpts import LEAST, Cutting, Excerpt, Sizes, cutting
from logscan.pipeline.opening import Opened
from logscan.report.trace_finding import find
from logscan.report.tracing import members
from logscan.scan.options import Options
from logscan.tables import cells

if TYPE_CHECKING:
    from logscan.report.trace_model import Trace
    from logscan.scan.scan import Scan

ROUNDS = 4
"""Times that an excerpt is read anew, since what was read named further queue IDs."""

INNER = re.compile(r"127\.|::1$|::ffff:127\.")
"""Addresses by which a filter hands mail back: a mail that seems to begin there may have begun elsewhere."""


def read_for(
    *sources: str | Path,
    what: str,
    config: Sequence[str | Path] = (),
    dspam_home: str | Path | None = None,
    year: int | None = None,
    timezone: str | None = None,
    jobs: int | None = None,
    options: Options | None = None,
    progress: Any = None,
    stdin: Any = None,
    sizes: Sizes | None = None,
    least: int = LEAST,
) -> tuple[Scan, tuple[Excerpt, ...]]:
    """Return a scan in which ``what`` can be traced, and the excerpts that it was made of (none where all was read).

    Takes what :func:`logscan.pipeline.running.read` takes. What of an excerpt is shown by its lines' numbers goes through
    :func:`numbered`. Excerpts are for queue IDs and message-ids in ``least`` bytes of logs or more.
    """
    opened = Opened(sources, config, dspam_home, options or Options(), stdin)
    every = opened.logs
    with suppress(OSError):  # a file that is taken away meanwhile: reading says so
        cut = cutting(every, what, sizes, least)
        found = _quickly(opened, cut, what, year, timezone) if cut is not None else None
        if found is not None:
            return found
    opened.logs = every
    opened.waiting.clear()
    return opened.scan(jobs=jobs, year=year, timezone=timezone, progress=progress), ()


def _quickly(
    opened: Opened, cut: Cutting, what: str, year: int | None, timezone: str | None
) -> tuple[Scan, tuple[Excerpt, ...]] | None:
    """Return the scan of excerpts; None where it can't be told from them that reading all would come to the same."""
    for _ in range(ROUNDS):
        excerpts = cut.excerpts()
        if excerpts is None:
            return None
        opened.logs = list(excerpts)
        scan = opened.scan(jobs=1, year=year, timezone=timezone, progress=None)
        roots = find(scan, what)
        if not roots:
            return None
        entries = scan.entries
        lives = [one for root in roots for one in members(scan, root)]
        more = cut.also({str(entries["queue_id"].iat[one]) for one in lives})
        if more is None:
            return None
        if not more:
            return (scan, tuple(excerpts)) if all(_begins(scan, root) for root in roots) else None
    return None


def _begins(scan: Scan, root: int) -> bool:
    """Whether a mail surely begins with this entry, and isn't what a filter handed back of one that wasn't found."""
    row = scan.entries.iloc[root]
    return bool(row["opened"]) and not INNER.match(cells.text(row["client_address"]) or "")


def numbered(traces: Sequence[Trace], excerpts: Sequence[Excerpt]) -> None:
    """Give the lines of traces of excerpts the numbers that they have in the whole sources."""
    by_label = {each.label: each for each in excerpts}
    lists = [life.lines for trace in traces for life in trace.lives]
    lists += [refusal.lines for trace in traces for refusal in trace.refusals]
    for lines in lists if by_label else ():
        lines[:] = [replace(each, line=by_label[each.source].line(each.line)) for each in lines]
