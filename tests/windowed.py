"""Compares correlated tables whole: every column of every frame, numbers of rows by what they point to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.build import Correlated
from logscan.correlate.pieces import REFERENCES
from logscan.tables.joined import JOINED
from logscan.tables.schema import COMMON, EVENTS

Texts = np.ndarray


def texts(frame: pd.DataFrame, columns: list[str]) -> Texts:
    """Return one text a row of these columns."""
    out = np.full(len(frame), "", object)
    for column in columns:
        values = frame[column]
        if str(values.dtype).startswith("datetime"):
            values = values.dt.as_unit("ns").astype("int64")
        out = out + "|" + values.astype("object").map(str).to_numpy(dtype=object)
    return out


def lines_of(table: pa.Table) -> Texts:
    """Return each event row's source and line."""
    return texts(table.select(["source", "line"]).to_pandas(), ["source", "line"])


def rows(correlated: Correlated, tables: dict[str, pa.Table]) -> dict[str, Counter[str]]:
    """Return how often each row is there, by table; a row is all its columns as text."""
    names: dict[str, Texts] = {
        "clients": lines_of(tables["clients"]),
        "stores": lines_of(tables["stores"]),
        "deliveries": texts(correlated.deliveries, ["source", "line", "recipient"]),
        "verdicts": texts(correlated.verdicts, ["source", "line", "recipients", "user"]),
        "entries": texts(correlated.entries, ["host", "instance", "queue_id", "first", "last", "life", "message_id"]),
    }
    names["mails"] = names["entries"][correlated.mails["entry"].to_numpy()]
    out = {}
    for name in ("entries", "deliveries", "legs", "mails", "verdicts"):
        frame = getattr(correlated, name)
        assert set(frame.columns) - {"spam"} <= set(JOINED[name].kinds()) | {"spam"}, name
        assert list(frame.index) == list(range(len(frame))), name
        found = texts(frame, [column for column in frame.columns if column not in REFERENCES[name]])
        for column, to in REFERENCES[name].items():
            number = frame[column].to_numpy()
            assert number.min(initial=-1) >= -1
            found = found + f"|{column}=" + np.append(names[to], "none")[number]
        out[name] = Counter(found.tolist())
    for name in EVENTS:
        columns = [tables[name].column(each.name).to_pylist() for each in (*COMMON, *EVENTS[name].columns)]
        out[f"events {name}"] = Counter(map(str, zip(*columns, strict=True)))
    return out


def check_same(one: dict[str, Counter[str]], other: dict[str, Counter[str]]) -> None:
    """Fail with the first rows that only one of them has."""
    for name in one:
        if one[name] != other[name]:
            lost, more = one[name] - other[name], other[name] - one[name]
            raise AssertionError(f"{name}: {len(lost)} lost {sorted(lost)[:2]}, {len(more)} more {sorted(more)[:2]}")


def summed(pieces: list[tuple[Correlated, dict[str, pa.Table]]]) -> dict[str, Counter[str]]:
    """Return the rows of all pieces; numbers point into each piece's own tables."""
    out: dict[str, Counter[str]] = {}
    for correlated, tables in pieces:
        for name, found in rows(correlated, tables).items():
            out.setdefault(name, Counter()).update(found)
    return out
