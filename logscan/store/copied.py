"""The same content found twice: a log and its packed copy while that is made, a backup beside it. It is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from logscan.store.contents import ENDS

if TYPE_CHECKING:
    from logscan.store.contents import Content
    from logscan.store.model import Cursor

Known = tuple["Content", "Cursor | None"]
"""A content, and the cursor that leads furthest into it."""


def copies(found: Sequence[Known]) -> dict[int, Content]:
    """Return, by content (its id), what it is the beginning of, or all of; the longest where there are several."""
    out: dict[int, Content] = {}
    for group in _alike([each for each in found if not _packed_and_read(*each)]):
        group.sort(key=lambda each: (-each[0].size, _strange(*each), each[0].packed, each[0].path))
        kept: list[Content] = []
        for content, _ in group:
            whole = next((other for other in kept if _begins(content, other)), None)
            if whole is None:
                kept.append(content)
            else:
                out[id(content)] = whole
    return out


def _packed_and_read(content: Content, cursor: Cursor | None) -> bool:
    return cursor is not None and content.packed and content.size <= cursor.offset


def _strange(content: Content, cursor: Cursor | None) -> bool:
    return cursor is not None and cursor.path != content.path


def _alike(found: Sequence[Known]) -> Iterator[list[Known]]:
    """Yield those that begin alike, as far as the shorter goes."""
    group: list[Known] = []
    shortest = b""
    for each in sorted((each for each in found if each[0].head), key=lambda each: each[0].head):
        if group and not each[0].head.startswith(shortest):
            if len(group) > 1:
                yield group
            group = []
        if not group:
            shortest = each[0].head
        group.append(each)
    if len(group) > 1:
        yield group


def _begins(short: Content, long: Content) -> bool:
    """Whether one content is how another begins: alike at the head, and before the place where it ends."""
    size = min(len(short.head), len(long.head))
    if short.size > long.size or short.head[:size] != long.head[:size]:
        return False
    return short.before(short.size, ENDS) == long.before(short.size, ENDS)
