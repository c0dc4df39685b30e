"""Which test shows which check, with which filter, at which verdict: recorded beside the tests' data, for docs/checks/matrix.md.

``LOGSCAN_ACCEPT=1 pytest tests/test_cases.py tests/test_lab.py tests/test_stories.py -n 0`` records anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from logscan.scan import kinds
from logscan.scan.scan import Scan
from logscan.tables.partials import Partial

RECORD = Path(__file__).parent / "data" / "matrix.json"
FILTERS = ("dspam", "amavis", "rspamd", "spamassassin")


def filter_of(scan: Scan) -> str:
    """Return the filter that a log is about: one of :data:`FILTERS`, ``other``, or ``none`` where it shows none."""
    names = kinds.Kinds.of(Partial(kinds.look(scan)), scan.log).names
    known = [name for name in FILTERS if name in names]
    return known[0] if known else "other" if names else "none"


def recorded() -> dict[str, dict[str, Any]]:
    """Return the record: by the test's name the filter and the verdicts by check."""
    found: dict[str, dict[str, Any]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def on_record(name: str, told: str, verdicts: dict[str, str]) -> None:
    """Hold what a test saw to the record."""
    seen = {"filter": told, "verdicts": dict(sorted(verdicts.items()))}
    if os.environ.get("LOGSCAN_ACCEPT") == "1":
        every = recorded() | {name: seen}
        RECORD.write_text(json.dumps(dict(sorted(every.items())), indent=1) + "\n")
        return
    assert recorded().get(name) == seen, "LOGSCAN_ACCEPT=1 records it anew"
