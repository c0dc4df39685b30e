"""Shows on a terminal how far reading is."""

from __future__ import annotations

import time

from logscan import console


class Progress:
    """A line on stderr for what takes longer than a second: bytes, lines and rate."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = 0.0

    def __call__(self, done: int, lines: int, total: int) -> None:
        """Show how far it is, at most five times a second."""
        now = time.monotonic()
        if now - self.start > 1 and now - self.shown > 0.2:
            self.shown = now
            rate = lines / (now - self.start)
            left = f", {(total - done) * (now - self.start) / done:.0f} s left" if total > done > 0 else ""
            shown = f"{done / 1e6:,.0f} MB, {lines:,} lines, {rate:,.0f} lines/s{left}"
            console.progress(shown)

    def done(self) -> None:
        """Clear the line."""
        if self.shown:
            console.cleared()
