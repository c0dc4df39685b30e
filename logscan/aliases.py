"""Which address each delivery was for before and after each expansion, and when an alias' trouble ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan import evidence as ev
from logscan import texts

if TYPE_CHECKING:
    from logscan.scan import Scan


def top_rows(scan: Scan) -> npt.NDArray[np.int64]:
    """Return, per delivery, the first delivery row of its chain: the hand-over from which, leg by leg, it came.

    A delivery of an entry that came out of nothing is its own.
    """
    deliveries, legs = scan.deliveries, scan.legs
    size = len(scan.entries)
    hand_over = np.full(size + 1, -1, np.int64)
    usable = legs["kind"].isin(["filter", "relay", "forward"]).to_numpy()
    hand_over[legs["child"].to_numpy()[usable]] = legs["delivery"].to_numpy()[usable]
    entry = deliveries["entry"].to_numpy()
    at = np.arange(len(deliveries))
    for _ in range(16):
        above = hand_over[entry[at]]
        above = np.where(entry[at] >= 0, above, -1)
        if (above < 0).all():
            break
        at = np.where(above >= 0, above, at)
    return at


def asked(frame: pd.DataFrame) -> pd.Series:
    """Return the address each delivery was for as it came in, lower case."""
    return texts.lower(texts.either(frame["original_recipient"], frame["recipient"]))


def reloads(scan: Scan) -> pd.Series:
    """Return the times at which Postfix started or reloaded."""
    events = scan.events("service_events")
    wanted = events[(events["program"] == "master") & events["event"].isin(["start", "reload"])]
    times: pd.Series = wanted["time"].sort_values()
    return times


def mended_since(scan: Scan, last_bad: pd.Timestamp, good: pd.Series) -> pd.Timestamp | None:
    """Return since when it goes right: the reload between the last bad and the first good case, else that case.

    ``good`` are the times at which the same situation came up and went right. None when it never did after ``last_bad``.
    """
    later = good[good > last_bad]
    if later.empty:
        return None
    first = later.min()
    between = reloads(scan)
    between = between[(between > last_bad) & (between <= first)]
    since: pd.Timestamp = between.iloc[0] if len(between) else first
    return since


def owned_aliases(scan: Scan) -> pd.DataFrame:
    """Return :func:`_owned_aliases` of this scan, made once."""
    cache: pd.DataFrame | None = scan.__dict__.get("_owned_aliases")
    if cache is None:
        cache = scan.__dict__["_owned_aliases"] = _owned_aliases(scan)
    return cache


def _owned_aliases(scan: Scan) -> pd.DataFrame:
    """Return hand-overs to a filter that learns per recipient, one row each.

    Columns: ``time``, ``entry``, ``user`` (the recipient as the filter saw it), ``asked``, ``child`` (entry or -1),
    ``expanded`` (behind the filter it became other addresses), ``kept`` (it is a mailbox, or lists itself),
    ``known`` (what came out of the filter is in the log), ``people`` (tuple of mailboxes, where expanded), ``by_local``
    (local(8) expanded it, from aliases(5), which no option before the filter can do), ``row``.
    """
    deliveries = scan.deliveries
    rows = np.flatnonzero(ev.dspam_hops(scan))
    frame = deliveries.iloc[rows][["time", "entry", "recipient", "mailbox", "outside"]].copy()
    frame["row"] = rows
    frame["asked"] = asked(deliveries.iloc[rows]).to_numpy()
    child_of = np.full(len(deliveries) + 1, -1, np.int64)
    filters = scan.legs[(scan.legs["kind"] == "filter") & (scan.legs["delivery"] >= 0)]
    child_of[filters["delivery"].to_numpy()] = filters["child"].to_numpy()
    frame["child"] = child_of[rows]
    frame["user"] = frame["recipient"].astype("str")
    ends = deliveries[(deliveries["entry"] >= 0) & (deliveries["final"] | deliveries["last"])]
    ends = ends.assign(asked=asked(ends), to=texts.lower(ends["recipient"]))
    merged = frame[["row", "child", "user"]].merge(
        ends[["entry", "asked", "to", "mailbox", "program"]], left_on="child", right_on="entry"
    )
    user = texts.lower(merged["user"])
    merged["mine"] = merged["asked"] == user
    merged["self"] = merged["to"] == user
    some = merged[merged["mine"]]
    by = some.groupby("row")
    frame = frame.set_index("row", drop=False)
    frame["known"] = by.size().reindex(frame.index).fillna(0) > 0
    kept = by["self"].any().reindex(frame.index)
    frame["kept"] = kept.fillna(False).astype(bool)
    by_local = (some["program"].astype("str") == "local").groupby(some["row"]).all().reindex(frame.index)
    frame["by_local"] = by_local.fillna(False).astype(bool)
    frame["expanded"] = frame["known"] & ~frame["kept"]
    frame["people"] = _tuples(some[some["row"].isin(frame.index[frame["expanded"]])]).reindex(frame.index)
    return frame.reset_index(drop=True)


def _tuples(some: pd.DataFrame) -> pd.Series:
    """Return the mailboxes of each ``row``, sorted and each once, as tuples by row; made by slices, since rows are many."""
    named = some[["row", "mailbox"]].dropna().drop_duplicates().sort_values(["row", "mailbox"])
    rows = np.unique(some["row"].to_numpy())
    ends = np.searchsorted(named["row"].to_numpy(), rows, "right").tolist()
    names = named["mailbox"].tolist()
    return pd.Series([tuple(names[a:b]) for a, b in zip([0, *ends], ends, strict=False)], index=rows, dtype="object")


def alias_state(scan: Scan, frame: pd.DataFrame, alias: str) -> tuple[str, pd.Timestamp | None]:
    """Return (state, since) of an alias that owned a dictionary: mended when its mail later came expanded to the filter."""
    bad = frame[(frame["user"].str.lower() == alias) & frame["expanded"]]
    good = frame[(frame["asked"] == alias) & (frame["user"].str.lower() != alias)]
    since = mended_since(scan, bad["time"].max(), good["time"])
    return ("mended", since) if since is not None else ("active", None)


def owning(scan: Scan) -> dict[str, tuple[str, pd.Timestamp | None, frozenset[str]]]:
    """Return, by alias that owns a dictionary, its state, since when it is mended, and the people behind it."""
    frame = owned_aliases(scan)
    kept = texts.values(texts.lower(frame.loc[frame["kept"], "user"]))
    out: dict[str, tuple[str, pd.Timestamp | None, frozenset[str]]] = {}
    for alias, rows in ev.groups(frame[frame["expanded"]], frame.loc[frame["expanded"], "user"].str.lower()):
        if alias in kept:
            continue
        state, since = alias_state(scan, frame, str(alias))
        people = frozenset(name for names in rows["people"] for name in names)
        out[str(alias)] = (state, since, people)
    return out
