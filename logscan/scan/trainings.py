"""Trainings: what users taught the filter, in vain or not, with the dictionary named in the call and the signature's owner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.scan.aliases import owning
from logscan.scan.hops import dspam_hops
from logscan.scan.memo import per_window
from logscan.settings.dspam_home import user_of_path
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

SECOND = 10**9

WITHIN = 2000
"""Milliseconds within which the lines of one failed call lie (one process, or one thread of the daemon)."""


def signature_time(signatures: pd.Series) -> pd.Series:
    """Return when DSPAM made each signature: its first eight hex digits behind an optional ``uid,`` (dspam.md §4)."""
    digits = signatures.astype("str").str.extract(r"^(?:\d+,)?([0-9a-f]{8})\d", expand=False)
    seconds = [int(value, 16) if isinstance(value, str) else None for value in digits]
    return pd.to_datetime(pd.Series(seconds, index=signatures.index, dtype="Int64"), unit="s", utc=True).dt.as_unit(
        "ns"
    )


def owners(scan: Window) -> dict[str, str]:
    """Return, by signature, the user under whom DSPAM learned that mail: from its logs, else from its home."""
    verdicts = scan.verdicts
    rows = verdicts[(verdicts["filter"] == "dspam") & verdicts["signature"].notna() & verdicts["user"].notna()]
    found = dict(zip(rows["signature"], rows["user"], strict=True))
    found.pop("", None)
    return found


@per_window
def trainings(scan: Window) -> pd.DataFrame:
    """Return one row per training call.

    Columns of the event table, and ``belongs_to`` (str, the signature's owner or null) and ``made`` (datetime64, when the
    signature was made). ``outcome`` is learned, missed, called or failed. A call that DSPAM's SQL drivers report without
    a path has no ``user``.
    """
    frame = scan.events("trainings").copy()
    frame = _without_copies(frame)
    missed = frame["outcome"] == "missed"
    frame.loc[missed, "user"] = frame.loc[missed, "path"].map(
        lambda path: user_of_path(path) if isinstance(path, str) else None
    )
    frame = _without_echoes(frame)
    owner = owners(scan)
    inventory = scan.inventory
    belongs = [
        owner.get(signature) or (inventory.owner_of(signature) if inventory else None)
        if isinstance(signature, str) and signature
        else None
        for signature in frame["signature"]
    ]
    frame["made"] = signature_time(frame["signature"])
    frame["inferred"] = False
    frame["belongs_to"] = pd.Series(belongs, index=frame.index, dtype="object")
    _by_time(scan, frame)
    frame["belongs_to"] = frame["belongs_to"].astype("str")
    return frame.sort_values(["time", "source", "line"], kind="stable", ignore_index=True)


def _by_time(scan: Window, frame: pd.DataFrame) -> None:
    """Find owners that no file of DSPAM tells: whom DSPAM was handed mail for in the second the signature was made.

    Of several recipients, the one that can be the caller's: the same local part, or an alias. Sets ``inferred``.
    """
    open_rows = frame.index[(frame["outcome"] == "missed") & frame["belongs_to"].isna() & frame["made"].notna()]
    if not len(open_rows):
        return
    deliveries = scan.deliveries[dspam_hops(scan)]
    second = deliveries["time"].dt.as_unit("ns").astype("int64").to_numpy() // SECOND
    codes, delays = texts.coded(deliveries["delays"])
    parts = pd.to_numeric(delays.str.extract(r"([^/]*)$", expand=False), errors="coerce")
    spent = np.append(np.ceil(parts.fillna(0).to_numpy(dtype=np.float64) * 1.05), 0)[codes]
    order = np.argsort(second, kind="stable")
    second, spent = second[order], spent[order]
    longest = float(spent.max(initial=0))
    code, recipients = texts.coded(deliveries["recipient"])
    code, recipients = code[order], recipients.tolist()
    made = frame["made"].dt.as_unit("ns").astype("int64").to_numpy() // SECOND
    owned = owning(scan)
    for position, row in zip(frame.index.get_indexer(open_rows), open_rows, strict=True):
        low, high = np.searchsorted(second, (made[position] - 1, made[position] + longest + 2))
        inside = second[low:high] - spent[low:high] - 1 <= made[position]
        names = sorted({recipients[one] for one in code[low:high][inside].tolist()})
        caller = str(frame.at[row, "user"] or "")
        user = caller.lower().partition("@")[0]
        # It lies elsewhere than under the caller, or it isn't kept any more.
        others = [name for name in names if name != caller]
        likely = [name for name in others if name.lower().partition("@")[0].partition("+")[0] == user]
        likely += [name for name in others if name.lower() in owned and _among(user, owned[name.lower()][1])]
        chosen = likely if len(likely) == 1 else names if len(names) == 1 else []
        if chosen:
            frame.at[row, "belongs_to"], frame.at[row, "inferred"] = chosen[0], True


def _among(local: str, people: Iterable[str]) -> bool:
    return any(person.partition("@")[0] == local for person in people)


def _without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop rows of the user logs that system.log has too."""
    from_user_log = frame["program"] == "dspam.user"
    if not from_user_log.any() or from_user_log.all():
        return frame
    keys = ["time", "user", "class", "signature"]
    seen = pd.MultiIndex.from_frame(frame.loc[~from_user_log, keys].astype("str"))
    mine = pd.MultiIndex.from_frame(frame[keys].astype("str"))
    return frame[~(from_user_log.to_numpy() & mine.isin(seen))]


def _without_echoes(frame: pd.DataFrame) -> pd.DataFrame:
    """Fold `Signature retrieval for ... failed` into the miss with a path, where there is one; alone it is a miss itself."""
    echo = (frame["outcome"] == "unresolved").to_numpy()
    if not echo.any():
        return frame
    missed = (frame["outcome"] == "missed").to_numpy()
    signature = texts.coded(frame["signature"])[0]
    millisecond = frame["time"].dt.as_unit("ns").astype("int64").to_numpy() // 10**6
    timed = frame["time"].notna().to_numpy()
    # Lines without a stamp have no time: there the signature alone has to do.
    alone = np.isin(signature, signature[missed & ~timed]) | ~timed & np.isin(signature, signature[missed])
    near = np.zeros(len(frame), np.bool_)
    if (missed & timed).any():
        start = millisecond[timed].min() - WITHIN
        span = millisecond[timed].max() - start + 2 * WITHIN
        place = signature * span + np.where(timed, millisecond - start, 0)
        known = np.sort(place[missed & timed])
        near = timed & (np.searchsorted(known, place - WITHIN) < np.searchsorted(known, place + WITHIN, "right"))
    drop = echo & (signature >= 0) & (alone | near)
    frame = frame[~drop].copy()
    frame["outcome"] = frame["outcome"].astype("str").replace("unresolved", "missed").astype("category")
    return frame
