"""What is to be read of one log, from where it was left off to its last whole line, and the cursor that comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from logscan.sources import rotation
from logscan.sources.losses import Loss
from logscan.store import recent
from logscan.store.contents import ENDS, digest
from logscan.store.model import Cursor

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead
    from logscan.sources.source import Source
    from logscan.store.contents import Content


class Sets:
    """The rotated sets that some logs make: which of them still get lines."""

    def __init__(self, contents: Iterable[Content]) -> None:
        self.newest: dict[str, tuple[int, int, int]] = {}
        """By set: the age of its newest file that has any lines."""
        self.current: set[str] = set()
        """Names of files without number or date that have any."""
        for content in contents:
            name = rotation.parse(content.path)
            if content.packed or content.size:
                self.newest[name.set] = max(name.age, self.newest.get(name.set, name.age))
                if name.until is None and not name.age[2]:
                    self.current.add(PurePath(name.set).name)

    def growing(self, content: Content) -> bool:
        """Whether a line may still be under way: no newer file of its set has any."""
        name = rotation.parse(content.path)
        if content.source.compression or content.source.opener.kind not in ("local", "kept"):
            return False
        rotated = name.until is not None or name.age[2]
        if rotated and PurePath(name.set).name in self.current:
            return False  # perhaps into a folder of its own
        return name.age >= self.newest.get(name.set, name.age)

    def live(self, content: Content) -> bool:
        """Whether more lines are to come: it is growing, and its name has no number."""
        return self.growing(content) and not rotation.parse(content.path).age[2]


@dataclass
class Part:
    """What is to be read of one content: from where ``cursor`` left off, up to ``stop`` (None: to its end)."""

    content: Content
    cursor: Cursor | None
    live: bool
    stop: int | None = None
    source: Source | None = None
    """As it is to be read; None where nothing of it is new."""
    tail: bytes = b""
    """What stands before ``stop``, looked at before it is read: a file may be cut meanwhile."""

    @classmethod
    def of(cls, content: Content, cursor: Cursor | None, sets: Sets) -> Part:
        """Tell up to where a content is to be read, and make the source for that."""
        out = cls(content, cursor, sets.live(content))
        source, start = content.source, out.start
        growing = sets.growing(content) or bool(source.opener.broken)
        if cursor is None and not content.head and not content.error:
            out.stop = start
            return out
        if not content.packed or cursor is not None:
            out.stop = content.size if not growing and not content.error and _ended(content, cursor) else None
            out.stop = content.whole_lines(start) if out.stop is None else out.stop
            if out.stop <= start:
                return out
            out.tail = content.before(out.stop, ENDS) or b""
        size = source.size if out.stop is None or source.compression else out.stop - start
        lines, last = (cursor.lines, cursor.last) if cursor is not None else (0, None)
        out.source = replace(source, start=start, stop=out.stop, before=lines, since=last, size=size, error="")
        return out

    @property
    def start(self) -> int:
        """Where it was left off."""
        return self.cursor.offset if self.cursor is not None else 0

    def after(self, read: SourceRead | None, losses: list[Loss]) -> Cursor | None:
        """Return the cursor to be believed next time; ``losses`` are told what couldn't be read."""
        if self.source is None:
            return self._moved()
        if read is None:
            return self._unread()
        cursor, path = self.cursor, self.content.path
        since = cursor.last if cursor is not None else None
        last = read.bounds[1] if read.bounds else since
        lines = self.source.before + read.lines
        if read.error and not read.lines:
            losses.append(
                Loss(
                    "unreadable",
                    path,
                    None,
                    since,
                    None,
                    f"nothing of it could be read, the next run tries it again: {read.error}",
                )
            )
            return self._unread()
        if read.index and self.stop is not None and read.reached < self.stop:
            reached = max(read.reached, self.start)
            why = f"not all of it could be read, the next run looks for the rest: {read.error or 'it was cut'}"
            losses.append(Loss("unreadable", path, self.stop - reached, since, None, why))
            found = at(self.content, reached, lines, last, kind=read.kind, tail=b"")
            return replace(found, live=True)
        if read.missed or (read.error and not read.index):
            size = read.missed or None
            losses.append(Loss("unreadable", path, size, since, None, f"not all of it could be read: {read.error}"))
        stop = self.stop
        if stop is None:
            size = self.content.size
            stop = self.content.whole_lines(0) if self.content.error else size
        tail = self.tail if self.stop is not None else self.content.before(stop, ENDS)
        out = at(self.content, stop, lines, last, kind=read.kind, tail=tail or b"")
        return replace(out, live=self.live, recent=self._recent(stop))

    def _recent(self, stop: int) -> str:
        """Return what is to be kept of the last lines before ``stop``."""
        plain = not self.content.packed and self.source is not None and self.source.boundary == (b"\n",)
        return recent.added(self.cursor, self.content, self.start, stop) if self.live and plain else ""

    def copied(self, whole: Cursor | None) -> Cursor | None:
        """Return the cursor of what is read as the beginning of another content, of which that is the new cursor."""
        content = self.content
        stop = content.whole_lines(self.start) if self.live or content.error else content.size
        if whole is None or whole.offset < stop:
            return self._unread() if stop > self.start else self._moved()
        if stop <= self.start:
            return self._moved()
        tail = content.before(stop, ENDS) or b""
        return replace(at(content, stop, content.count(stop), whole.last, kind=whole.kind, tail=tail), live=self.live)

    def _moved(self) -> Cursor:
        """Return the cursor of a content of which nothing is new, as it lies there now."""
        content, cursor = self.content, self.cursor
        if cursor is None:  # without a whole line; it tells that older files of its set get none any more
            return replace(at(content, 0, 0, None, tail=b""), live=self.live)
        kept = cursor.recent if self.live else ""
        place = content.path
        return replace(cursor, path=place, inode=content.inode, live=self.live, stored=content.stored, recent=kept)

    def _unread(self) -> Cursor | None:
        """Return the cursor of a content that wasn't read, though it has something new."""
        if self.cursor is None:
            return None
        return replace(self.cursor, path=self.content.path, inode=self.content.inode, live=True, stored="")


def _ended(content: Content, cursor: Cursor | None) -> bool:
    """Whether a half line at the end of a log that was rotated is all that there will be of it.

    The logger may have the file open still, and write the rest when the next line comes: one run waits for it.
    """
    if content.packed or content.source.boundary != (b"\n",):
        return True  # a record of several lines looks unended until the next one begins
    whole = content.whole_lines(cursor.offset if cursor is not None else 0)
    return whole >= content.size or (cursor is not None and not cursor.live and cursor.offset >= whole)


def at(content: Content, offset: int, lines: int, last: int | None, *, kind: str = "", tail: bytes) -> Cursor:
    """Return the cursor of a content at a place, before which ``tail`` stands."""
    head = content.head[:offset]
    return Cursor(
        path=content.path,
        kind=kind or content.source.kind,
        head=digest(head),
        head_size=len(head),
        offset=offset,
        tail=digest(tail),
        tail_size=len(tail),
        lines=lines,
        inode=content.inode,
        last=last,
        stored=content.stored if offset else "",
    )
