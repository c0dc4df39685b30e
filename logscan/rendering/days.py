"""Draws a strip of days: one shape a day, which tells the verdict without its colour. A path for each kind keeps it small."""

from __future__ import annotations

from collections.abc import Sequence

SIDE = 10
"""Width and height of a day, in the drawing's own units."""

SHAPES = {
    "found": "m.8 .8h8.4v8.4h-8.4z",
    "clear": "m3.2 5a1.8 1.8 0 1 1 3.6 0a1.8 1.8 0 1 1-3.6 0",
    "blind": "m1.8 1.8h6.4v6.4h-6.4z",
    "not-applicable": "m3 4.5h4v1h-4z",
}
"""A full square, a dot, an outline, a dash; from a day's upper left corner."""


def paths(verdicts: Sequence[str | None]) -> list[tuple[str, str]]:
    """Return (verdict, path) of those verdicts that occur; a day without a report has no shape."""
    return [
        (kind, "".join(f"M{SIDE * at} 0{shape}" for at, each in enumerate(verdicts) if each == kind))
        for kind, shape in SHAPES.items()
        if kind in verdicts
    ]
