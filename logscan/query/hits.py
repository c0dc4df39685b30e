"""The mails that a query found, as a table: one row a mail, told by those of its recipients who are meant."""

from __future__ import annotations

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

ENDS = {"to": "recipient", "relay": "relay", "mailbox": "mailbox", "folder": "folder"}


@dataclass
class Found:
    """What was found so far: the ``frame`` of :data:`COLUMNS` (and ``mail``: its number), ``count`` mails in all."""

    frame: pd.DataFrame | None = None
    count: int = 0
    unclear: int = 0
    """Mails of which the logs don't tell whether they are meant."""
    why: frozenset[str] = field(default_factory=frozenset)

    def add(self, query: Node, rows: Rows, zone: Any, sort: str = "-time", most: int | None = None) -> None:
        """Ask a query of some more rows; ``most`` mails are kept, the first ones in the order of ``sort``."""
        answer = ask(query, rows, zone)
        self.unclear += len(answer.unclear)
        self.why |= answer.why
        count, frame = _frame(rows, answer, sort, most)
        self.count += count
        if self.frame is None or len(frame):
            both = [frame] if self.frame is None or not len(self.frame) else [self.frame, frame]
            self.frame = _cut(pd.concat(both, ignore_index=True), sort, most)

    @property
    def table(self) -> pd.DataFrame:
        """What was found; empty where nothing was asked."""
        return self.frame if self.frame is not None else pd.DataFrame(columns=["mail", *COLUMNS])


def _cut(frame: pd.DataFrame, sort: str, most: int | None) -> pd.DataFrame:
    name, up = sort.removeprefix("-"), not sort.startswith("-")
    ordered = frame.sort_values(name, ascending=up, kind="stable", na_position="last", ignore_index=True)
    return ordered if most is None else ordered.head(most).reset_index(drop=True)


def _frame(rows: Rows, answer: Answer, sort: str, most: int | None) -> tuple[int, pd.DataFrame]:
    """Return how many mails are meant, and the first ``most`` of them as a table."""
    meant = np.flatnonzero(answer.rows)
    mails = np.unique(rows.of[meant])
    count = len(mails)
    keys = _keys(rows, mails, meant, sort.removeprefix("-"))
    order = pd.Series(keys).sort_values(ascending=not sort.startswith("-"), kind="stable", na_position="last").index
    mails = mails[order.to_numpy()[:most]]
    return count, _shown(rows, mails, meant)


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


def _shown(rows: Rows, mails: Ints, meant: Ints) -> pd.DataFrame:
    """Return the table of some mails (rows of the mails' table), in their order."""
    place = np.full(len(rows.number), -1, np.int64)
    place[mails] = np.arange(len(mails))
    chosen = meant[place[rows.of[meant]] >= 0]
    by = place[rows.of[chosen]]
    found: dict[str, Any] = {"mail": rows.number[mails]}
    first = rows.first()[mails]
    missing = first == np.iinfo(np.int64).min
    found["time"] = pd.DatetimeIndex(np.where(missing, np.datetime64("NaT"), first.view("M8[ns]")), tz="UTC")
    found |= {name: _texts(rows.of_mails(column), mails) for name, column in MAILS.items()}
    named, address = (_texts(rows.of_mails(each), mails).fillna("") for each in ("client", "client_address"))
    client = [f"{a}[{b}]" if a and b else a or b or None for a, b in zip(named, address, strict=True)]
    found["client"] = pd.Series(client, dtype="str")
    told = {name: _end(rows, column, chosen) for name, column in ENDS.items()}
    inside = rows.end_numbers("outside")[chosen] == 0
    told["mailbox"] = [word if here else None for word, here in zip(told["mailbox"], inside, strict=True)]
    told["status"] = [OUTCOMES[code] for code in rows.outcome[chosen].tolist()]
    through = _end(rows, "status", chosen)
    replies = _end(rows, "reply", chosen)
    told["reason"] = [None if how == "sent" else said for how, said in zip(through, replies, strict=True)]
    spam = rows.end_numbers("spam")[chosen].tolist()
    told["verdict"] = ["spam" if each == 1 else "innocent" if each == 0 else "unknown" for each in spam]
    found |= {name: _gathered(by, values, len(mails)) for name, values in told.items()}
    found["others"] = _others(rows, meant)[mails]
    found["size"] = pd.array(rows.mail_numbers("size")[mails], "Float64").astype("Int64")
    found["score"] = _scores(rows)[mails]
    found["delay"] = _most(rows, meant, rows.delays()[meant])[mails]
    return pd.DataFrame(found)[["mail", *COLUMNS]]


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
