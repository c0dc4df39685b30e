"""Leaves out of windows the lines that another lane has too, and counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from logscan.clocks.wall import NEVER, Ints
from logscan.reading.assembling import Share
from logscan.reading.reads import SourceRead
from logscan.reading.strands import ENDLESS, Piece, Strand
from logscan.reading.twins import SLACK, Seen


class Dropping:
    """Which lanes' lines are looked for in which others; ``pairs`` as in :attr:`logscan.reading.survey.Survey.twins`."""

    def __init__(
        self, strands: Sequence[Strand], pairs: Mapping[int, Sequence[int]], reads: Sequence[SourceRead]
    ) -> None:
        self.strands, self.pairs, self.reads = strands, pairs, reads
        self.better = {each for some in pairs.values() for each in some}
        for rank in (*pairs, *self.better):
            strands[rank].seen = Seen()

    def cap(self) -> int:
        """Return the place in the stream up to which all twins are there."""
        fronts = [self.strands[rank].front for rank in self.better if not self.strands[rank].over]
        return max(min(fronts), NEVER + SLACK) - SLACK if fronts else ENDLESS

    def without(self, shares: list[Share]) -> list[Share]:
        """Return what is left of a window without its copies; with no shares, only count the last lines."""
        if not self.pairs:
            return shares
        here = max((int(share.settled.stream[-1]) for share in shares), default=ENDLESS)
        by_rank = {share.rank: share for share in shares}
        for rank, betters in self.pairs.items():
            seen, share = self.strands[rank].seen, by_rank.get(rank)
            assert seen is not None
            upto = int(share.settled.key[-1]) if share else -1
            behind = int(np.searchsorted(seen.stream, here))
            if behind:
                upto = max(upto, int(seen.key[behind - 1]))
            gone = seen.copies(upto, [other for each in betters if (other := self.strands[each].seen) is not None])
            self._count(rank, gone)
            if share and len(gone):
                share.pieces = [_without(piece, gone) for piece in share.pieces]
        for rank in {*self.pairs, *self.better}:
            seen = self.strands[rank].seen
            assert seen is not None
            seen.forget(max(here, NEVER + SLACK) - SLACK)
        return shares

    def _count(self, rank: int, gone: Ints) -> None:
        members = self.strands[rank].lane.members
        for member, lines in zip(*np.unique(np.unique(gone) >> 32, return_counts=True), strict=True):
            self.reads[members[int(member)]].copies += int(lines)


def _without(piece: Piece, gone: Ints) -> Piece:
    """Return the rows of a piece whose lines are not among ``gone`` (keys)."""
    tables, lines = {}, {}
    for name, numbers in piece.lines.items():
        stays = ~np.isin(numbers.astype(np.int64) | piece.member << 32, gone)
        tables[name], lines[name] = piece.tables[name].filter(pa.array(stays)), numbers[stays]
    return Piece(piece.member, piece.last, tables, lines)
