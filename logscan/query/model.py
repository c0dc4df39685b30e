"""A question as a tree: conditions, and how they are put together; what is wrong with a text that is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class QueryError(ValueError):
    """A text that is no query; the message says what is wrong, ``place`` and ``size`` where (in characters)."""

    def __init__(self, message: str, text: str, place: int, size: int = 1) -> None:
        super().__init__(message)
        self.text = text
        self.place = min(max(place, 0), len(text))
        self.size = max(1, min(size, len(text) - self.place))

    @property
    def message(self) -> str:
        """What is wrong, in a sentence."""
        return str(self.args[0])


@dataclass(frozen=True)
class Pattern:
    """A text as people write it: the parts between its ``*``; one part where there is none."""

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text as it was written."""
        return "*".join(self.parts)

    @property
    def wild(self) -> bool:
        """Whether it has a ``*``."""
        return len(self.parts) > 1


@dataclass(frozen=True)
class Number:
    """A comparison: ``op`` is ``<``, ``<=``, ``>``, ``>=`` or ``=``; the value in bytes, seconds or points."""

    op: str
    value: float


@dataclass(frozen=True)
class Word:
    """One of few values, as the tables have it."""

    value: str


@dataclass(frozen=True)
class Moment:
    """A time, in UTC or, without a zone, in the server's."""

    time: datetime


Value = Pattern | Number | Word | Moment


@dataclass(frozen=True)
class Term:
    """A condition on one field; an empty field is any of those that people search by."""

    field: str
    value: Value


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: Node


@dataclass(frozen=True)
class And:
    """All of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """One of the parts, or several."""

    parts: tuple[Node, ...]


Node = Term | Not | And | Or


def terms(node: Node) -> list[Term]:
    """Return the conditions of a query, in their order."""
    match node:
        case Term():
            return [node]
        case Not(part):
            return terms(part)
        case And(parts) | Or(parts):
            return [term for each in parts for term in terms(each)]
