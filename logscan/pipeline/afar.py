"""Has workers look at windows: they are independent of one another, and looking takes longer than joining them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from logscan.checking import judging
from logscan.correlate.build import Correlated
from logscan.pipeline.ways import Packed, packed
from logscan.reading.reads import Read
from logscan.reading.workers import Crew, Lost
from logscan.report import building
from logscan.scan.log import Facts, Log
from logscan.scan.window import Window
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    import pyarrow as pa


class Seen(NamedTuple):
    """What a window showed, by name of what looked: checks and the report's panels; and what is kept of it for later."""

    checks: dict[str, Partial]
    panels: dict[str, Partial]
    ways: Packed | None = None


def seen(names: Sequence[str], window: Window) -> Seen:
    """Look at a window with the checks of these names, and with all panels."""
    return Seen(judging.looked(judging.wanted(names), window) if names else {}, building.looked(window))


class Afar:
    """Sends windows of a log to a crew."""

    def __init__(self, log: Log, crew: Crew, names: Sequence[str]) -> None:
        self.log, self.crew, self.names = log, crew, tuple(names)
        self._log = pickle.dumps(_told(log), pickle.HIGHEST_PROTOCOL)

    def look(self, window: Window) -> Callable[[], Seen]:
        """Have a worker look; what is returned waits for what it saw. Where workers died, this process looks itself."""
        asked: Future[Any] = self.crew.ask(_look, self._log, window.correlated, window.tables, window.facts, self.names)

        def got() -> Seen:
            result = asked.result()
            return _whole(self.names, window) if isinstance(result, Lost) else result

        return got


def _told(log: Log) -> Log:
    """Return what looks may ask of a log: no row, no open file, nothing that only who concludes asks for."""
    read = Read({}, log.read.sources, log.read.programs, {}, {}, log.read.solution, [])
    return replace(log, read=read, spool=None, notes=[], errors=[], pasts={}, losses=())


def _look(
    log: bytes, correlated: Correlated, tables: dict[str, pa.Table], facts: Facts, names: tuple[str, ...]
) -> Seen:
    """Look at a window, in a worker. The log is the same object for all its windows: what is kept by it is kept once."""
    known = _LOGS.get(log)
    if known is None:
        _LOGS.clear()
        known = _LOGS[log] = pickle.loads(log)  # noqa: S301 (made by the process that this one works for)
    return _whole(names, Window(known, correlated, tables, facts))


def _whole(names: tuple[str, ...], window: Window) -> Seen:
    return seen(names, window)._replace(ways=packed(window))


_LOGS: dict[bytes, Log] = {}
"""The log that this worker was told of last."""
