"""Where it left off, by content: what of the logs that are found now was read before, what is new, and what is missing.

A name says little: logs are renamed, copied, cut, packed and put back. So a file is known by a digest of its head and one of
the bytes before the place up to which it was read, wherever it lies now and whether it is packed or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from logscan.reading.keeping import keep
from logscan.sources import rotation
from logscan.sources.finding import first_time, order
from logscan.store.contents import ENDS, Content, digest
from logscan.store.copied import Known, without_copies
from logscan.store.journals import Journals
from logscan.store.missing import Missing
from logscan.store.model import Cursor, Loss

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead
    from logscan.sources.source import Source

MOST_AWAY = 500
"""Cursors of files that are found no more which are kept, in case they come back (a disk that isn't mounted)."""


@dataclass
class Part:
    """What is to be read of one content: bytes from ``start`` (where ``cursor`` left off) to ``stop``; None: all there is."""

    content: Content
    cursor: Cursor | None
    start: int = 0
    stop: int | None = None
    live: bool = True
    source: Source | None = None
    """As it is to be read; None where nothing of it is new."""


@dataclass
class Continuation:
    """What to read, and what is missing.

    ``sources`` are in the order of :func:`logscan.sources.finding.order`; each begins where it was left off. ``losses`` are
    complete once :meth:`after` was called. ``notes`` are sentences.
    """

    sources: list[Source] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    away: list[Cursor] = field(default_factory=list)
    """Of what isn't there now, but may come back."""
    journals: Journals = field(default_factory=Journals)

    def after(self, reads: Sequence[SourceRead]) -> list[Cursor]:
        """Return the cursors to be believed next time, made from what was really read of ``sources``.

        What can't be told before, when a loss ended and what couldn't be read, is added to ``losses``: call it once, before
        these are made use of.
        """
        read_of = {id(read.source): read for read in reads}
        out = []
        for part in self.parts:
            read = read_of.get(id(part.source)) if part.source is not None else None
            if part.source is None or read is None:
                out += [_moved(part)] if part.cursor is not None or part.source is None else []
            else:
                out.append(self._read(part, read))
        out += self.journals.after(read_of, self.losses)
        self.losses[:] = [_until(loss, reads) for loss in self.losses]
        return [*out, *self.away[-MOST_AWAY:]]

    def _read(self, part: Part, read: SourceRead) -> Cursor:
        """Return the cursor of a part that was read."""
        cursor = part.cursor
        stop = part.content.size if part.stop is None else part.stop
        last = read.bounds[1] if read.bounds else cursor.last if cursor else None
        if read.error:
            self.losses.append(
                Loss(
                    "unreadable",
                    part.content.source.path,
                    None,
                    cursor.last if cursor else None,
                    None,
                    f"not all of it could be read: {read.error}",
                )
            )
        return _cursor(part, read.kind, stop, (cursor.lines if cursor else 0) + read.lines, last)


def continued(sources: Sequence[Source], before: Sequence[Cursor]) -> Continuation:
    """Return what of ``sources`` is new to ``before``, the cursors of the last run.

    ``sources`` are all that were found (:func:`logscan.sources.finding.discover`). What can be read only once is kept on disk
    from here on. Raises ValueError for standard input: nobody can go on in it.
    """
    if any(each.opener.kind == "stream" or each.path == "-" for each in sources):
        raise ValueError("standard input can't be gone on in: name files, folders or journal:")
    out = Continuation()
    logs = [each for each in sources if each.opener.kind != "journal"]
    for each in logs:
        keep(each)
    contents = [Content(each) for each in logs]
    files = [each for each in before if not each.journal]
    found, fitted = _fitting(contents, files)
    missing = Missing.of(files, found, fitted)
    for content, cursor in without_copies(found, out.notes):
        part = Part(content, cursor, cursor.offset if cursor else 0, live=_live(content, contents))
        if id(content) in missing.older:
            part.cursor = _all_of(part, missing.older[id(content)])
        else:
            _bound(part)
        out.parts.append(part)
    out.losses += missing.losses
    out.notes += missing.notes
    out.away += missing.away
    out.journals = Journals.of([each for each in sources if each.opener.kind == "journal"], before)
    out.losses += out.journals.losses
    new = [part.source for part in out.parts if part.source is not None]
    out.sources = order([*new, *out.journals.sources])
    return out


def _fitting(contents: Sequence[Content], before: Sequence[Cursor]) -> tuple[list[Known], set[int]]:
    """Return each content with the cursor that leads furthest into it (None where it is new), and the ids of all that fit."""
    heads: dict[tuple[int, str], list[Cursor]] = {}
    stored = {each.stored: each for each in before if each.stored}
    for cursor in before:
        if cursor.offset:
            heads.setdefault((cursor.head_size, cursor.head), []).append(cursor)
    sizes = sorted({size for size, _ in heads}, reverse=True)
    out: list[Known] = []
    fitted: set[int] = set()
    for content in contents:
        known = stored.get(content.stored) if content.stored else None
        if known is not None:
            content.known(known.offset)
            fitted.add(id(known))
            out.append((content, known))
            continue
        head = content.head
        some = [cursor for size in sizes if size <= len(head) for cursor in heads.get((size, digest(head[:size])), ())]
        content.ask(cursor.offset for cursor in some)
        some = [cursor for cursor in some if _fits(content, cursor)]
        fitted |= {id(cursor) for cursor in some}
        some.sort(key=lambda each: (-each.offset, each.path != content.source.path, each.inode != content.inode))
        out.append((content, some[0] if some else None))
    return out, fitted


def _fits(content: Content, cursor: Cursor) -> bool:
    found = content.before(cursor.offset, cursor.tail_size)
    return found is not None and digest(found) == cursor.tail


def _live(content: Content, contents: Sequence[Content]) -> bool:
    """Whether lines may still come: no newer file of its set has any, and the name isn't that of a rotated one."""
    mine = rotation.parse(content.source.path)
    if content.source.compression or mine.age[2] < 0:
        return False
    for other in contents:
        name = rotation.parse(other.source.path)
        if name.set == mine.set and name.age > mine.age and (other.packed or other.size):
            return False
    return True


def _bound(part: Part) -> None:
    """Tell up to where a part is to be read, and make its source."""
    content, source = part.content, part.content.source
    if not content.packed:
        part.stop = content.whole_lines(part.start) if part.live else content.size
    elif part.cursor is not None:
        part.stop = content.whole_lines(part.start) if content.error else content.size
    if part.stop is not None and part.stop <= part.start:
        return
    cursor = part.cursor
    size = part.stop - part.start if part.stop is not None and not source.compression else source.size
    began = first_time(content.behind(part.start), source.kind) if part.start else source.first_time
    part.source = replace(
        source,
        start=part.start,
        stop=part.stop,
        before=cursor.lines if cursor else 0,
        since=cursor.last if cursor else None,
        size=size,
        first_time=began,
        error="",
    )


def _cursor(part: Part, kind: str, offset: int, lines: int, last: int | None) -> Cursor:
    """Return the cursor of a content at a place."""
    content = part.content
    head = content.head[: min(ENDS, offset)]
    tail = content.before(offset, ENDS) or b""
    return Cursor(
        path=content.source.path,
        kind=kind,
        head=digest(head),
        head_size=len(head),
        offset=offset,
        tail=digest(tail),
        tail_size=len(tail),
        lines=lines,
        inode=content.inode,
        last=last,
        live=part.live,
        stored=content.stored,
    )


def _moved(part: Part) -> Cursor:
    """Return the cursor of a content of which nothing was read now, as it lies there now."""
    content, cursor = part.content, part.cursor
    if cursor is None:  # an empty file: it tells that older ones of its set get no lines any more
        return _cursor(part, content.source.kind, 0, 0, None)
    unread = part.source is not None
    return replace(
        cursor,
        path=content.source.path,
        inode=content.inode,
        live=part.live or unread,
        stored="" if unread else content.stored,
    )


def _all_of(part: Part, cursor: Cursor) -> Cursor:
    """Return the cursor of a content all of which was read before, as the beginning of another one."""
    stop = part.content.whole_lines(0)
    return _cursor(part, part.content.source.kind, stop, part.content.lines(), cursor.last)


def _until(loss: Loss, reads: Sequence[SourceRead]) -> Loss:
    """Return a loss with the time of the first line that was read after it."""
    if loss.until is not None:
        return loss
    mine = rotation.parse(loss.path).set
    begun = [
        read.bounds[0] for read in reads if read.bounds is not None and rotation.parse(read.source.path).set == mine
    ]
    later = [each for each in begun if loss.since is None or each >= loss.since]
    return replace(loss, until=min(later)) if later else loss
