"""Holds what stands in a configuration text: values with file and line, assignments, overrides, problems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A value and where it stands: the file's label and the line, counted from 1."""

    value: str
    file: str
    line: int


@dataclass(frozen=True)
class Problem:
    """Something in a configuration text that could not be read or contradicts another text."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Entry:
    """One assignment: ``path`` is its name behind the names of the sections around it.

    ``span`` are the offsets of the whole statement in the text (whole lines), ``value_span`` those of the value when it
    stands there in one piece.
    """

    path: tuple[str, ...]
    value: str
    line: int
    span: tuple[int, int] = (0, 0)
    value_span: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path[-1]


@dataclass(frozen=True)
class Override:
    """An ``-o name=value`` of master.cf; ``span`` covers it from ``-o`` on, ``value_span`` only the value."""

    name: str
    value: str
    line: int
    span: tuple[int, int] | None = None
    value_span: tuple[int, int] | None = None
