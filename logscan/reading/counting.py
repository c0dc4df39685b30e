"""Counts a chunk's lines by program and format, and those that no format knows by their template."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logscan.grammar.formats import LogFormat
from logscan.reading.bounded import Templates
from logscan.reading.parsed import Head, Parsed
from logscan.visible import without_passwords

Ints = npt.NDArray[np.int64]

LONGEST = 1000
"""Bytes of an unknown line that are kept as the example of its template."""


class Counter:
    """Counts lines (not bodies: glued records of DSPAM are several bodies of one line) by program and format."""

    def __init__(self, parsed: Parsed, number: npt.NDArray[np.int32]) -> None:
        self.parsed = parsed
        self.number = number
        """The bodies' lines, rising."""
        self.several = set(number[1:][np.diff(number) == 0].tolist())
        """Lines with several bodies that haven't been counted."""
        self.counted: set[int] = set()
        """Lines with several bodies that have been."""
        self.templates = Templates()

    def again(self, line: int) -> bool:
        """Whether the line has been counted with another of its bodies; from now on it has."""
        if line in self.several:
            self.several.remove(line)
            self.counted.add(line)
            return False
        return line in self.counted

    def count(self, fmt: LogFormat, heads: npt.NDArray[np.int32], index: Sequence[int] | Ints) -> None:
        """Count the lines of one shape, ``heads`` and ``index`` (of bodies) being one a row."""
        if self.several or self.counted:
            new = [not self.again(line) for line in self.number[np.asarray(index, np.int64)].tolist()]
            heads = heads[new]
        by_head = np.bincount(heads, minlength=1)
        for head in np.flatnonzero(by_head).tolist():
            lines_of = int(by_head[head])
            counts = self.parsed.programs.setdefault(shown_name(self.parsed.heads[head]), [0, 0, 0])
            if fmt.table:
                self.parsed.understood += lines_of
                counts[0] += lines_of
            else:
                self.parsed.noise += lines_of
                counts[1] += lines_of
            self.parsed.formats[fmt.name] = self.parsed.formats.get(fmt.name, 0) + lines_of

    def unknown(self, head: int, i: int, text: bytes) -> None:
        """Count the line of body ``i``, which no grammar took."""
        line = int(self.number[i])
        if self.again(line):
            return
        self.parsed.unknown += 1
        name = shown_name(self.parsed.heads[head])
        self.parsed.programs.setdefault(name, [0, 0, 0])[2] += 1
        example = without_passwords(text[:LONGEST].decode("utf-8", "backslashreplace"))
        self.templates.put((name, without_passwords(template(text))), (1, 0, line, example))

    def close(self) -> None:
        """Hand the templates on: no line comes any more."""
        self.parsed.templates = self.templates.result()


def shown_name(head: Head) -> str:
    """Return the program as it is shown: with its service, where it has one."""
    name = head.program if head.service == head.program else f"{head.service}/{head.program}"
    return name or "(no program)"


_FOLDS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"<[^<>]*>"), b"<...>"),
    (re.compile(rb"\[[0-9a-fA-F.:]+\](?::\d+)?"), b"[...]"),
    (re.compile(rb"\b(?=\w*\d)[0-9A-Za-z]{6,}\b"), b"*"),
    (re.compile(rb"\d+(?:\.\d+)*"), b"N"),
)


def template(text: bytes) -> str:
    """Return the text with addresses, IDs and numbers folded, so that like lines get one name."""
    folded = text[:400]
    for pattern, replacement in _FOLDS:
        folded = pattern.sub(replacement, folded)
    return folded[:200].decode("utf-8", "backslashreplace")
