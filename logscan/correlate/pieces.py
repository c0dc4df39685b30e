"""A piece of a correlated log: mails that are closed, with their event rows, numbered by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.build import Correlated, Found
from logscan.correlate.closing import Gone
from logscan.correlate.codes import Bools, Ints
from logscan.correlate.frames import frame
from logscan.correlate.rows import concatenated, run_of
from logscan.correlate.verdicts import unique_rows
from logscan.tables.schema import EVENTS

FRAMES = ("entries", "deliveries", "legs", "mails", "verdicts")


@dataclass
class Piece:
    """The joined tables of closed mails, and the event rows handed on with them; numbers of rows are the piece's own."""

    correlated: Correlated
    tables: dict[str, pa.Table]

    @property
    def rows(self) -> int:
        """How many event rows it holds."""
        return sum(len(table) for table in self.tables.values())


def cut(found: Found, verdicts: pa.Table, parted: Gone) -> Correlated:
    """Take out what is gone, and number it anew; ``verdicts`` is the event table."""
    masks = {
        "entries": parted.entries,
        "deliveries": parted.rows["deliveries"],
        "legs": parted.entries[found.legs["child"]],
        "mails": parted.entries[found.mails["entry"]],
        "verdicts": parted.rows["verdicts"][unique_rows(verdicts)[0]],
    }
    if all(mask.all() for mask in masks.values()) and all(rows.all() for rows in parted.rows.values()):
        return found.whole()
    place = {name: _places(mask) for name, mask in masks.items()}
    place |= {name: _places(parted.rows[name]) for name in ("clients", "stores")}
    frames = {}
    for name in ("entries", "deliveries", "legs", "mails"):
        draft = dict(getattr(found, name))
        rows = None if masks[name].all() else np.flatnonzero(masks[name])
        for column, to in REFERENCES[name].items():
            draft[column] = place[to][draft[column]]
        frames[name] = frame(draft, rows)
    frames["verdicts"] = _some(found.verdicts, masks["verdicts"])
    frames["verdicts"]["entry"] = place["entries"][frames["verdicts"]["entry"].to_numpy()]
    return Correlated(**frames, local_domains=found.local_domains, learnt=found.learnt)


REFERENCES = {
    "entries": {"root": "entries", "parent": "entries", "mail": "mails", "client_row": "clients"},
    "deliveries": {"entry": "entries", "mail": "mails", "store_row": "stores", "verdict_row": "verdicts"},
    "legs": {"parent": "entries", "child": "entries", "delivery": "deliveries"},
    "mails": {"entry": "entries"},
    "verdicts": {"entry": "entries"},
}
"""Columns that number rows of other tables, and of which; -1 stays."""


def _some(frame: pd.DataFrame, mask: Bools) -> pd.DataFrame:
    run = run_of(mask)
    some = frame.iloc[np.flatnonzero(mask)] if run is None else frame.iloc[slice(*run)]
    return some.set_axis(pd.RangeIndex(len(some)))


def _places(mask: Bools) -> Ints:
    """Return the new number of each row, and -1 for those that stay behind and for none."""
    out = np.full(len(mask) + 1, -1, np.int64)
    out[:-1][mask] = np.arange(int(mask.sum()))
    return out


def joined(pieces: Iterable[Piece]) -> Piece:
    """Put pieces together as one."""
    every = list(pieces)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in FRAMES}
    start = dict.fromkeys((*FRAMES, *EVENTS), 0)
    for piece in every:
        for name in FRAMES:
            frame = getattr(piece.correlated, name).copy(deep=False)
            for column, to in REFERENCES[name].items():
                number = frame[column].to_numpy()
                frame[column] = np.where(number >= 0, number + start[to], number)
            frames[name].append(frame)
        for name in ("entries", "deliveries", "legs", "mails"):
            start[name] += len(getattr(piece.correlated, name))
        start["clients"] += len(piece.tables["clients"])
        start["stores"] += len(piece.tables["stores"])
        start["verdicts"] += len(piece.correlated.verdicts)
    whole = {name: _concatenated(some) for name, some in frames.items()}
    last = every[-1].correlated
    tables = {name: concatenated([piece.tables[name] for piece in every], name) for name in EVENTS}
    return Piece(Correlated(**whole, local_domains=last.local_domains, learnt=last.learnt), tables)


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one frame; categories are those of all."""
    for column, kind in frames[0].dtypes.items():
        if isinstance(kind, pd.CategoricalDtype):
            values = pd.Index(dict.fromkeys(value for frame in frames for value in frame[column].cat.categories))
            for frame in frames:
                frame[column] = frame[column].cat.set_categories(values)
    return pd.concat(frames, ignore_index=True)
