"""The same content found twice: a log and its packed copy while that is made, a backup beside it. It is read once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from logscan.store.contents import ENDS

if TYPE_CHECKING:
    from logscan.store.contents import Content
    from logscan.store.model import Cursor

Known = tuple["Content", "Cursor | None"]
"""A content, and the cursor that leads furthest into it."""


def copies(found: Sequence[Known]) -> dict[int, Content]:
    """Return, by content (its id), what it is the beginning of, or all of: something that isn't one of these itself."""
    some = [each for each in found if each[0].head and not _packed_and_read(*each)]
    some.sort(key=lambda each: each[0].path, reverse=True)
    some.sort(key=lambda each: (each[0].head, not _strange(*each), not each[0].packed))
    out: dict[int, Content] = {}
    for (content, _), (other, _) in pairwise(some):
        # What is smaller than its head would be is all head: what begins with that stands right behind it.
        if len(content.head) < ENDS and other.head.startswith(content.head):
            out[id(content)] = other
    for _, group in groupby((each for each in some if len(each[0].head) == ENDS), key=lambda each: each[0].head):
        out |= _copies_of_large([content for content, _ in group][::-1])
    for content in [content for content, _ in some[::-1] if id(content) in out]:
        out[id(content)] = out.get(id(out[id(content)]), out[id(content)])
    return out


def _copies_of_large(alike: list[Content]) -> dict[int, Content]:
    """Return the copies among contents with the same head; of equal ones the first is kept."""
    out: dict[int, Content] = {}
    if len(alike) < 2:
        return out
    kept: list[Content] = []
    for content in sorted(alike, key=lambda each: -each.size):
        whole = next((each for each in kept if _begins(content, each)), None)
        if whole is None:
            kept.append(content)
        else:
            out[id(content)] = whole
    return out


def _packed_and_read(content: Content, cursor: Cursor | None) -> bool:
    return cursor is not None and content.packed and content.size <= cursor.offset


def _strange(content: Content, cursor: Cursor | None) -> bool:
    return cursor is not None and cursor.path != content.path


def _begins(short: Content, long: Content) -> bool:
    """Whether a content is how another with the same head begins: alike before the place where it ends."""
    return short.size <= long.size and short.before(short.size, ENDS) == long.before(short.size, ENDS)
