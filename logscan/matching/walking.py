"""Runs a program's grammar over many lines at once: each element is a few array operations instead of a match a line.

The third execution of a grammar, for the bulk of a large log. It takes the same tree of alternatives as the compiled
pattern, element by element: a literal is a comparison of words, a run of characters a search among the places of those
that end it. Elements never give back what they took, so a line needs no stack, only a position.

It claims a line only where the pattern would, with the same fields. What it can't decide (an element it has no operation
for, a choice inside an element that would have to be taken back) it leaves to the pattern, and so also everything that too
few lines have in common. A property test holds the two equal.
"""

from __future__ import annotations

import sys

import numpy as np

from logscan.grammar.formats import Pattern, Tree
from logscan.matching import programs
from logscan.matching.operations import Lines
from logscan.matching.programs import compiled
from logscan.matching.text import Ints, Text

__all__ = ["AVAILABLE", "LEAST", "WHY_NOT", "Lines", "Text", "run"]

LEAST = 48
"""Lines below which arrays cost more than matching one by one (measured: some 20 operations of 2 µs a shape)."""

AVAILABLE = sys.byteorder == "little" and programs.AVAILABLE
"""Words are compared as little-endian numbers."""

WHY_NOT = (
    "Python's own parser of patterns isn't where it was; a newer logscan may know it"
    if sys.byteorder == "little"
    else "this machine isn't little-endian"
)
"""Why lines can't be read as columns, where they can't."""


def run(pattern: Pattern, text: Text, starts: Ints, ends: Ints, least: int | None = None) -> Lines:
    """Run a program's grammar over the lines from ``starts`` to ``ends`` (rising, int64).

    No line holds a newline, a blank stands before each, and behind it a newline or the text's end.

    In what is returned, ``found`` has the numbers of the lines that each shape claimed, rising, by the shape's number, and
    ``groups`` the places of its fields. The other lines are the pattern's to match.
    """
    lines = Lines(text, ends, LEAST if least is None else least)
    _walk(lines, pattern.tree, np.arange(len(ends)), starts)
    return lines


def _walk(lines: Lines, tree: Tree, rows: Ints, pos: Ints) -> None:
    for step in tree:
        if len(rows) < lines.least:
            lines.done[rows] = True
            return
        if isinstance(step, int):
            claimed = rows[pos == lines.end[rows]]
            lines.found[step] = claimed
            lines.done[claimed] = True
        else:
            ok, new = compiled(step.pattern, step.groups).run(lines, rows, pos)
            if ok is None:
                _walk(lines, step.behind, rows, new)
            elif ok.any():
                _walk(lines, step.behind, rows[ok], new[ok])
        left = ~lines.done[rows]
        rows, pos = rows[left], pos[left]
