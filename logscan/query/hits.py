"""The mails that a query found, as a table: one row a mail, told by those of its recipients who are meant."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.query.asking import Answer, ask
from logscan.query.fields import OUTCOMES
from logscan.query.hits_columns import COLUMNS
from logscan.query.model import Node
from logscan.query.rows import Rows
from logscan.tables import texts

Ints = npt.NDArray[np.int64]

MAILS = {"queue_id": "queue_id", "message_id": "message_id", "from": "sender", "user": "sasl_username",
         "direction": "direction", "host": "host"}  # fmt: skip
"""Columns of what is found that the mails' table has, and their names there."""


@dataclass
class Found:
    """What was found so far: the ``frame`` of :data:`COLUMNS` (and ``mail``: its number), ``count`` mails in all."""

    frame: pd.DataFrame | None = None
    count: int = 0
    columns: Collection[str] = tuple(COLUMNS)
    """Those of :data:`COLUMNS` that are made."""
    unclear: int = 0
    """Mails of which the logs don't tell whether they are meant."""
    why: frozenset[str] = field(default_factory=frozenset)

    def add(self, query: Node, rows: Rows, zone: Any, sort: str = "-time", most: int | None = None) -> None:
        """Ask a query of some more rows; ``most`` mails are kept, the first ones in the order of ``sort``."""
        answer = ask(query, rows, zone)
        self.unclear += len(answer.unclear)
        self.why |= answer.why
        wanted = {*self.columns, sort.removeprefix("-")}
        count, frame = _frame(rows, answer, sort, most, wanted)
        self.count += count
        if self.frame is None or len(frame):
            both = [frame] if self.frame is None or not len(self.frame) else [self.frame, frame]
            self.frame = _cut(pd.concat(both, ignore_index=True), sort, most)

    @property
    def table(self) -> pd.DataFrame:
        """What was found; empty where nothing was asked."""
        return self.frame if self.frame is not None else pd.DataFrame(columns=["mail", *self.columns])


def _cut(frame: pd.DataFrame, sort: str, most: int | None) -> pd.DataFrame:
    name, up = sort.removeprefix("-"), not sort.startswith("-")
    ordered = frame.sort_values(name, ascending=up, kind="stable", na_position="last", ignore_index=True)
    return ordered if most is None else ordered.head(most).reset_index(drop=True)


def _frame(
    rows: Rows, answer: Answer, sort: str, most: int | None, wanted: Collection[str]
) -> tuple[int, pd.DataFrame]:
    """Return how many mails are meant, and the first ``most`` of them as a table."""
    meant = np.flatnonzero(answer.rows)
    mails = np.unique(rows.of[meant])
    count = len(mails)
    keys = _keys(rows, mails, meant, sort.removeprefix("-"))
    order = pd.Series(keys).sort_values(ascending=not sort.startswith("-"), kind="stable", na_position="last").index
    mails = mails[order.to_numpy()[:most]]
    return count, _shown(rows, mails, meant, wanted)


def _keys(rows: Rows, mails: Ints, meant: Ints, name: str) -> Any:
    """Return what mails are sorted by."""
    if name == "time":
        return rows.first()[mails]
    if name == "size":
        return rows.mail_numbers("size")[mails]
    if name == "others":
        return _others(rows, meant)[mails]
    if name in ("delay", "score"):
        return (_most(rows, meant, rows.delays()[meant]) if name == "delay" else _scores(rows))[mails]
    return _texts(rows.of_mails(MAILS[name]), mails)


def _most(rows: Rows, meant: Ints, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out = np.full(len(rows.number), -np.inf)
    np.fmax.at(out, rows.of[meant], values)
    return np.where(np.isinf(out), np.nan, out)


def _scores(rows: Rows) -> npt.NDArray[np.float64]:
    at, score = rows.scores()
    out = np.full(len(rows.number), -np.inf)
    np.fmax.at(out, at, score)
    return np.where(np.isinf(out), np.nan, out)


def _others(rows: Rows, meant: Ints) -> Ints:
    count = len(rows.number)
    out: Ints = np.bincount(rows.of, minlength=count) - np.bincount(rows.of[meant], minlength=count)
    return out


def _texts(column: tuple[Ints, pa.Array], at: Ints) -> pd.Series:
    codes, known = column
    chosen = codes[at]
    return texts.series(known.take(pa.array(chosen, mask=chosen < 0)).cast(pa.large_string()))


def _shown(rows: Rows, mails: Ints, meant: Ints, wanted: Collection[str]) -> pd.DataFrame:
    """Return the table of some mails (rows of the mails' table), in their order, with the columns that are wanted."""
    place = np.full(len(rows.number), -1, np.int64)
    place[mails] = np.arange(len(mails))
    chosen = meant[place[rows.of[meant]] >= 0]
    by = place[rows.of[chosen]]
    found: dict[str, Any] = {"mail": rows.number[mails]}
    for name in COLUMNS:
        if name not in wanted:
            continue
        if name in OF_MAILS:
            found[name] = OF_MAILS[name](rows, mails)
        elif name in MAILS:
            found[name] = _texts(rows.of_mails(MAILS[name]), mails)
        elif name in OF_MEANT:
            found[name] = OF_MEANT[name](rows, meant)[mails]
        else:
            found[name] = _gathered(by, OF_ENDS[name](rows, chosen), len(mails))
    return pd.DataFrame(found)


def _times(rows: Rows, mails: Ints) -> pd.DatetimeIndex:
    first = rows.first()[mails]
    missing = first == np.iinfo(np.int64).min
    return pd.DatetimeIndex(np.where(missing, np.datetime64("NaT"), first.view("M8[ns]")), tz="UTC")


def _sizes(rows: Rows, mails: Ints) -> Any:
    return pd.array(rows.mail_numbers("size")[mails], "Float64").astype("Int64")


def _clients(rows: Rows, mails: Ints) -> pd.Series:
    named, address = (_texts(rows.of_mails(each), mails).fillna("") for each in ("client", "client_address"))
    told = [f"{a}[{b}]" if a and b else a or b or None for a, b in zip(named, address, strict=True)]
    return pd.Series(told, dtype="str")


def _mailboxes(rows: Rows, chosen: Ints) -> list[str | None]:
    inside = rows.end_numbers("outside")[chosen] == 0
    return [word if here else None for word, here in zip(_end(rows, "mailbox", chosen), inside, strict=True)]


def _reasons(rows: Rows, chosen: Ints) -> list[str | None]:
    through, replies = _end(rows, "status", chosen), _end(rows, "reply", chosen)
    return [None if how == "sent" else said for how, said in zip(through, replies, strict=True)]


def _verdicts(rows: Rows, chosen: Ints) -> list[str | None]:
    spam = rows.end_numbers("spam")[chosen].tolist()
    return ["spam" if each == 1 else "innocent" if each == 0 else "unknown" for each in spam]


def _end(rows: Rows, name: str, chosen: Ints) -> list[str | None]:
    codes, known = rows.of_ends(name)
    at = codes[chosen]
    told: list[str | None] = known.take(pa.array(at, mask=at < 0)).to_pylist()
    return told


def _gathered(by: Ints, values: list[str | None], count: int) -> list[tuple[str, ...]]:
    """Return, for each mail, its values without repeats and without those missing."""
    out: list[dict[str, None]] = [{} for _ in range(count)]
    for place, value in zip(by.tolist(), values, strict=True):
        if value:
            out[place][value] = None
    return [tuple(each) for each in out]


OF_MAILS: dict[str, Callable[[Rows, Ints], Any]] = {"time": _times, "size": _sizes, "client": _clients}
"""Columns that are made of the mails' own."""

OF_MEANT: dict[str, Callable[[Rows, Ints], Any]] = {
    "others": _others,
    "score": lambda rows, _meant: _scores(rows),
    "delay": lambda rows, meant: _most(rows, meant, rows.delays()[meant]),
}
"""Columns with a value for each mail, of all rows that are meant."""

OF_ENDS: dict[str, Callable[[Rows, Ints], list[str | None]]] = {
    "to": lambda rows, chosen: _end(rows, "recipient", chosen),
    "relay": lambda rows, chosen: _end(rows, "relay", chosen),
    "folder": lambda rows, chosen: _end(rows, "folder", chosen),
    "mailbox": _mailboxes,
    "reason": _reasons,
    "verdict": _verdicts,
    "status": lambda rows, chosen: [OUTCOMES[code] if code >= 0 else None for code in rows.outcome[chosen].tolist()],
}
"""Columns of recipients."""
