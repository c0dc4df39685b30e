"""Where it left off, by content: what of the logs that are found now was read before, what is new, and what is missing.

A name says little: logs are renamed, copied, cut, packed and put back. So a file is known by a digest of its head and one of
the bytes before the place up to which it was read, wherever it lies now and whether it is packed or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from logscan.reading.keeping import keep
from logscan.sources import rotation
from logscan.sources.finding import order
from logscan.sources.losses import Loss
from logscan.store import recent
from logscan.store.contents import Content, digest, placed
from logscan.store.copied import Known, copies
from logscan.store.journals import Journals
from logscan.store.missing import Missing
from logscan.store.model import Cursor
from logscan.store.parts import Part, Sets

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead
    from logscan.sources.source import Source

MOST_AWAY = 10_000
"""Cursors of files that are found no more which are kept, in case they come back (a disk that isn't mounted): 400 bytes each."""


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
    copies: list[tuple[Part, Content]] = field(default_factory=list)
    """What is read as the beginning of another content, and that."""
    away: list[Cursor] = field(default_factory=list)
    """Of what isn't there now, but may come back."""
    journals: Journals = field(default_factory=Journals)

    def after(self, reads: Sequence[SourceRead]) -> list[Cursor]:
        """Return the cursors to be believed next time, made from what was really read of ``sources``.

        What can't be told before, when a loss ended and what couldn't be read, is added to ``losses``: call it once, before
        these are made use of.
        """
        read_of = {id(read.source): read for read in reads}
        made = {id(part.content): part.after(read_of.get(id(part.source)), self.losses) for part in self.parts}
        out = [*made.values(), *(part.copied(made[id(whole)]) for part, whole in self.copies)]
        out += self.journals.after(read_of, self.losses)
        self.losses[:] = [_until(loss, reads) for loss in self.losses]
        return [*recent.bounded([each for each in out if each is not None]), *self.away[:MOST_AWAY]]


def continued(sources: Sequence[Source], before: Sequence[Cursor]) -> Continuation:
    """Return what of ``sources`` is new to ``before``, the cursors of the last run.

    ``sources`` are all that were found (:func:`logscan.sources.finding.discover`). What can be read only once is kept on disk
    from here on. Raises ValueError for standard input and pipes: nobody can go on in these.
    """
    for each in sources:
        if each.opener.kind == "stream" or each.path == "-":
            what = "standard input" if each.path == "-" else each.path
            raise ValueError(
                f"{what} can be read only once, so nobody can go on in it: name files, folders or journal:"
            )
    logs = [each for each in sources if each.opener.kind != "journal"]
    for each in logs:
        keep(each)
    contents = [Content(each) for each in logs]
    files = [each for each in before if not each.journal]
    found, fitted = _fitting(contents, files)
    failed = {content.path: content.error for content, cursor in found if _in_doubt(content, cursor, files)}
    found = [each for each in found if each[0].path not in failed]
    missing = Missing.of(files, found, fitted, failed)
    journals = Journals.of([each for each in sources if each.opener.kind == "journal"], before)
    out = Continuation(
        losses=[*missing.losses, *journals.losses], notes=missing.notes, away=missing.away, journals=journals
    )
    sets = Sets(contents)
    found = [(content, missing.known.get(id(content), cursor)) for content, cursor in found]
    whole = copies(found)
    cursors = _furthest(found, whole)
    for content, cursor in found:
        if id(content) not in whole:
            out.parts.append(Part.of(content, cursors.get(id(content)), sets))
            continue
        other = whole[id(content)]
        out.copies.append((Part(content, cursor, sets.live(content)), other))
        if cursor is None:
            out.notes.append(
                f"{content.source.label}: what it holds stands in {other.source.label} too, from the first byte on: it is "
                "read there."
            )
    new = [part.source for part in out.parts if part.source is not None]
    out.sources = order([*new, *journals.sources])
    return out


def _furthest(found: Sequence[Known], whole: Mapping[int, Content]) -> dict[int, Cursor]:
    """Return, by content (its id), the cursor that leads furthest into it, be it that of one of its copies."""
    out: dict[int, Cursor] = {}
    for content, cursor in found:
        place = id(whole.get(id(content), content))
        if cursor is not None and (place not in out or out[place].offset < cursor.offset):
            out[place] = cursor
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
        some.sort(key=lambda each: (-each.offset, each.path != content.path, each.inode != content.inode))
        out.append((content, some[0] if some else None))
    return out, fitted


def _in_doubt(content: Content, cursor: Cursor | None, before: Sequence[Cursor]) -> bool:
    """Whether a content can't be told to be new, since what it is known by couldn't be read now."""
    if not content.error or cursor is not None or content.source.compression:
        return False
    return content.source.opener.kind != "kept" or any(each.path == content.path for each in before)


def _fits(content: Content, cursor: Cursor) -> bool:
    found = content.before(cursor.offset, cursor.tail_size)
    return found is not None and digest(found) == cursor.tail


def _until(loss: Loss, reads: Sequence[SourceRead]) -> Loss:
    """Return a loss with the time of the first line that was read after it."""
    if loss.until is not None:
        return loss
    mine = rotation.parse(loss.path).set
    begun = [
        read.bounds[0]
        for read in reads
        if read.bounds is not None and rotation.parse(placed(read.source.path)).set == mine
    ]
    later = [each for each in begun if loss.since is None or each >= loss.since]
    return replace(loss, until=min(later)) if later else loss
