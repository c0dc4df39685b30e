"""What was left off in a file that isn't there any more: whether lines are missing, and how that came, as far as can be told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from logscan.sources import rotation
from logscan.sources.losses import Loss
from logscan.store import recent
from logscan.store.contents import ENDS, digest
from logscan.store.model import Cursor
from logscan.store.parts import at

if TYPE_CHECKING:
    from logscan.store.contents import Content
    from logscan.store.copied import Known

_OLDER = "older content was put in its place: the {:,} lines that were read before aren't read again."


@dataclass
class Missing:
    """What became of the files of cursors that nothing goes on from."""

    losses: list[Loss] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    away: list[Cursor] = field(default_factory=list)
    """Cursors that are kept, in case their files come back."""
    known: dict[int, Cursor] = field(default_factory=dict)
    """By content (its id): where what is new in it begins, though no cursor fits it."""

    by_path: dict[str, Content] = field(default_factory=dict)
    """New contents."""
    by_set: dict[str, list[Content]] = field(default_factory=dict)
    """The same by the rotated set they are of."""
    by_head: dict[str, list[Content]] = field(default_factory=dict)
    """The same by a digest of their heads, where those are whole."""
    failed: Mapping[str, str] = field(default_factory=dict)
    sets: set[str] = field(default_factory=set)
    """Rotated sets of which there are any files."""

    @classmethod
    def of(
        cls, before: Sequence[Cursor], found: Sequence[Known], fitted: set[int], failed: Mapping[str, str]
    ) -> Missing:
        """Look at what is missing.

        ``found`` are all contents with their cursors, ``fitted`` the ids of all cursors that fit any, ``failed`` the paths of
        what couldn't be looked at, with why.
        """
        out = cls(failed=failed)
        for content, known in found:
            out.sets.add(rotation.parse(content.path).set)
            if known is None:
                out.by_path[content.path] = content
                out.by_set.setdefault(rotation.parse(content.path).set, []).append(content)
                if len(content.head) == ENDS:
                    out.by_head.setdefault(digest(content.head), []).append(content)
        paths = {content.path for content, _ in found} | failed.keys()
        for cursor in before:
            if id(cursor) in fitted:
                out._look_at_older(cursor)
            elif cursor.path not in paths and os.path.isfile(cursor.path) and not _unreadable(cursor.path):  # noqa: PTH113 -- raises nothing
                out.away.append(cursor)
                if cursor.live:
                    out.notes.append(
                        f"{cursor.path}: it was read before, but isn't among the logs that are read now: it is gone on in once "
                        "it is."
                    )
            else:
                out._look(cursor)
        for content, known in found:
            if known is not None and known.path != content.path:
                out._look_at_cut(known, content)
        return out

    def _look(self, cursor: Cursor) -> None:
        """Look what became of a file."""
        mine = rotation.parse(cursor.path).set
        why_not = self.failed.get(cursor.path) or _unreadable(cursor.path)
        if "://" in cursor.path and mine not in self.sets:
            why_not = "nothing could be read there now"
        if why_not:
            self.away.append(cursor)
            if cursor.live:
                self._lost("unreadable", cursor, _grown(cursor), why_not)
            return
        if not cursor.offset:
            if cursor.live and mine not in self.sets:
                self._lost("gone", cursor, None, "it was empty, and is gone: what was written to it since wasn't read")
            return
        # dspam_logrotate calls it so meanwhile
        here = self.by_set.get(mine) or self.by_set.get(rotation.parse(cursor.path.removesuffix(".in")).set) or []
        alike = self.by_head.get(cursor.head, []) if cursor.head_size == ENDS else []
        if any(self._was_known(each, cursor) for each in [*here, *alike]):
            return
        self.away.append(replace(cursor, live=False, recent=""))
        if cursor.live:
            self._vanished(cursor, self.by_path.get(cursor.path))

    def _look_at_older(self, cursor: Cursor) -> None:
        """Look whether older content took the place of a log that is found elsewhere."""
        content = self.by_path.get(cursor.path)
        if content is None or digest(content.head[: cursor.head_size]) != cursor.head:
            return
        place = recent.goes_on(content, cursor, gone=False)
        if place is not None and id(content) not in self.known:
            self.known[id(content)] = _known(content, place[0], place[1], cursor)
            self.notes.append(f"{content.source.label}: {_OLDER.format(place[1])}")

    def _was_known(self, content: Content, cursor: Cursor) -> bool:
        """Whether a content is what was read before, written anew: without its oldest lines, or as it once was."""
        if id(content) in self.known:
            return False
        label = content.source.label
        place = recent.goes_on(content, cursor, gone=True)
        if place is not None:
            offset, lines, whole = place
            self.known[id(content)] = _known(content, offset, lines, cursor)
            if whole:
                return True
            self.notes.append(f"{label}: {_OLDER.format(lines)}")
        elif _is_earlier(content, cursor):
            offset = content.whole_lines(0)
            self.known[id(content)] = _known(content, offset, content.count(offset), cursor)
            self.notes.append(
                f"{label}: it holds the first {content.size:,} of {cursor.offset:,} bytes that were read before: they "
                "aren't read again."
            )
        else:
            return False
        self.away.append(replace(cursor, live=False, recent=""))
        if cursor.live:
            why = "older content was put in its place: lines that were written to it since it was read are gone"
            self._lost("overwritten", cursor, None, why)
        return True

    def _vanished(self, cursor: Cursor, here: Content | None) -> None:
        if here is None or here.inode != cursor.inode:
            why = "it is gone, and no other file goes on where it was left off"
            self._lost("gone", cursor, None, why)
            return
        nuls = _nuls(here)
        size = nuls - cursor.offset if nuls >= cursor.offset else None
        if size != 0:
            self._lost(
                "cut", cursor, size, "it holds other lines now, and no copy has what it held where it was left off"
            )

    def _look_at_cut(self, cursor: Cursor, copy: Content) -> None:
        """Tell of a file that was copied and cut: what was written in between is lost."""
        here = self.by_path.get(cursor.path)
        if here is None or here.inode is None or here.inode != cursor.inode or copy.inode == cursor.inode:
            return
        nuls = _nuls(here)
        if nuls > copy.size:
            self._lost("cut", cursor, nuls - copy.size, f"it was written to between its copy ({copy.path}) and the cut")
        elif nuls < copy.size and not copy.packed:  # an inode is free again once its file was packed
            why = f"it was copied to {copy.path} and cut (copytruncate): a line written in between is in neither"
            self.losses.append(Loss("window", cursor.path, None, None, None, why))

    def _lost(self, kind: object, cursor: Cursor, size: int | None, why: str) -> None:
        self.losses.append(Loss(kind, cursor.path, size, cursor.last, None, why))  # type: ignore[arg-type]


def _is_earlier(content: Content, cursor: Cursor) -> bool:
    """Whether a content is what a file was before all of it was read: it begins alike, and is shorter."""
    same = cursor.head_size == ENDS == len(content.head) and digest(content.head) == cursor.head
    return same and content.size < cursor.offset


def _known(content: Content, offset: int, lines: int, cursor: Cursor) -> Cursor:
    """Return the cursor of lines that stand in a content too."""
    made = at(content, offset, lines, cursor.last, tail=content.before(offset, ENDS) or b"")
    return replace(made, recent=cursor.recent, stored="")


def _unreadable(path: str) -> str:
    """Return why a path can't be read, though it is there; empty where it can, or isn't there."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return "it may not be read by this user any more; run as root or as a member of the group adm"
    except (OSError, ValueError):
        return ""
    return ""


def _grown(cursor: Cursor) -> int | None:
    """Return how many bytes a file that can't be read has beyond what was read; None where that can't be told."""
    try:
        status = Path(cursor.path).stat()
    except (OSError, ValueError):
        return None
    same = (status.st_dev, status.st_ino) == cursor.inode and not cursor.stored and status.st_size >= cursor.offset
    return status.st_size - cursor.offset if same else None


def _nuls(content: Content) -> int:
    """Return how many NUL bytes a file begins with: where its writer stood when it was cut under it."""
    if content.packed or content.head[:1] != b"\0":
        return 0
    return content.leading(b"\0")
