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


def without_copies(found: Sequence[Known], notes: list[str]) -> list[Known]:
    """Return ``found`` without what is the beginning of another content, or all of it; ``notes`` are told what was left."""
    dropped: set[int] = set()
    for group in _groups(found):
        group.sort(key=lambda each: (-each[0].size, _strange(each), each[0].packed, each[0].source.path))
        kept: list[Known] = []
        for each in group:
            content, cursor = each
            whole = next((other for other, _ in kept if _begins(content, other)), None)
            if whole is None:
                kept.append(each)
                continue
            dropped.add(id(content))
            if cursor is None or content.size > cursor.offset:
                notes.append(
                    f"{content.source.label}: what it holds stands in {whole.source.label} too, from the first byte on: "
                    "it is read there."
                )
    return [each for each in found if id(each[0]) not in dropped]


def _strange(known: Known) -> bool:
    content, cursor = known
    return cursor is not None and cursor.path != content.source.path


def _groups(found: Sequence[Known]) -> Iterator[list[Known]]:
    """Yield those that may be copies of each other: what goes on behind one cursor, and what is new and begins alike."""
    by_cursor: dict[int, list[Known]] = {}
    new: list[tuple[bytes, Known]] = []
    for each in found:
        content, cursor = each
        if cursor is not None:
            by_cursor.setdefault(id(cursor), []).append(each)
        elif content.head:
            new.append((content.head, each))
    yield from (group for group in by_cursor.values() if len(group) > 1)
    new.sort(key=lambda each: each[0])
    group: list[Known] = []
    shortest = b""
    for head, each in new:
        if group and not head.startswith(shortest):
            if len(group) > 1:
                yield group
            group = []
        if not group:
            shortest = head
        group.append(each)
    if len(group) > 1:
        yield group


def _begins(short: Content, long: Content) -> bool:
    """Whether one content is how another begins: alike at the head, and before the place where it ends."""
    size = min(len(short.head), len(long.head))
    if short.size > long.size or short.head[:size] != long.head[:size]:
        return False
    return short.before(short.size, ENDS) == long.before(short.size, ENDS)
