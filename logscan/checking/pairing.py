"""What windows keep of copies, so that two of one mail are found wherever they lie: nearly all stay single.

Copies that have another in their own window are kept as they are. Of the others a packed row is kept, found by the hash of
message-id and mailbox, until nothing to come can lie within :data:`logscan.checking.duplicates.HORIZON`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import went_right
from logscan.checking.copies import SPEAKERS, chains, spoke, to_commands, told
from logscan.checking.duplicates import HORIZON, SAME_DAY, alone, groups_of, ordered
from logscan.checking.unanswered import broken, unanswered, unclaimed
from logscan.tables import cells, texts
from logscan.tables.partials import Keyed, Partial, Rows
from logscan.tables.recent import WORTH, Recent, hashed, repeated

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.partials import Mergeable

KEPT = HORIZON + SAME_DAY + 3600 * 10**9
"""Nanoseconds that rows are kept: what they are compared with lies up to a day from what is within the horizon of others."""

CONSTANT = ("outside", "command", "asked_at", "ident")
"""Columns that single copies need no more, or have all alike."""


def look(window: Window) -> dict[str, Mergeable | int]:
    """Return the parts for one window."""
    frame = told(window)
    here = ~frame["outside"]
    entry = window.deliveries["entry"].to_numpy()
    frame["group"] = groups_of(frame)
    cut_off, again = broken(window, frame[here])
    keep = frame["group"].duplicated(keep=False).to_numpy()
    keep = keep | np.isin(entry[frame.index.to_numpy()], again)
    keep_rows = frame.index.to_numpy()[keep]
    single = frame[~keep & ~alone(frame)]
    last = int(frame["time"].max()) if len(frame) else 0
    return {
        "to_mailboxes": int((here & ~frame["command"]).sum()),
        "here": int(here.sum()),
        "beyond": int((~here).sum()),
        "span": Keyed.of(frame[["time"]].assign(end=frame["time"]), least=["time"], most=["end"]),
        "kept": Rows.of(frame.loc[keep].drop(columns=["command", "asked_at"])),
        "single": Recent.of(single.drop(columns=[*CONSTANT, "group"]), single["group"].to_numpy(), last),
        "chains": Rows.of(chains(window, entry[keep_rows])),
        "broken": Rows.of(cut_off),
        "unclaimed": unclaimed(window),
        "sessions": _sessions(window, frame, np.append(keep_rows, single.index.to_numpy())),
        "listed": _listed(window),
        "spoke": _spoke(window, frame),
        "right": went_right.look(window, frame, last),
        "right_kept": Rows.of(went_right.NONE),
    }


def _recent(time: pd.Series, keys: Any, **columns: Any) -> Recent:
    """Return a part with the times and some columns."""
    ns = cells.ns(time)
    last = int(ns.max()) if len(ns) else 0
    return Recent.of(pd.DataFrame({"time": ns, **columns}), keys, last)


def _sessions(window: Window, frame: pd.DataFrame, rows: Any) -> Recent:
    """Return the sessions that replies named, but for those of copies that are kept anyhow."""
    deliveries = window.deliveries
    named = deliveries["session"].notna().to_numpy(dtype=np.bool_, copy=True)
    named[rows] = False
    some = deliveries.loc[named, ["time", "session"]]
    return _recent(some["time"], hashed(some["session"]))


def _listed(window: Window) -> Recent:
    """Return the message-ids (without brackets) of mails that went to a command, a list's."""
    deliveries = window.deliveries
    some = deliveries.loc[to_commands(deliveries) & (deliveries["entry"] >= 0), ["time", "entry"]]
    ident = window.entries["message_id"].iloc[some["entry"].to_numpy()].fillna("").str.strip(" <>")
    some = some[(ident != "").to_numpy()]
    return _recent(some["time"], hashed(ident[ident != ""]))


def _spoke(window: Window, frame: pd.DataFrame) -> Recent:
    """Return which programs judged which message-ids, where no copy of theirs is in this window."""
    verdicts = window.verdicts
    spoken = texts.where(verdicts["program"], lambda names: names.isin(SPEAKERS))
    some = verdicts[["time", "message_id"]][spoken & verdicts["message_id"].notna().to_numpy()]
    some = some[~texts.among(some["message_id"], frame["message_id"])]
    bits = spoke(window, some["message_id"])
    some, bits = some[bits > 0], bits[bits > 0]
    return _recent(some["time"], hashed(some["message_id"]), spoke=bits)


def recent(partial: Partial, name: str) -> Recent:
    """Return a part of this kind."""
    part = partial.parts[name]
    assert isinstance(part, Recent)
    return part


def extent(partial: Partial) -> int:
    """Return how far apart the first and the last copy are, in ns."""
    span = partial.frame("span")
    known = span["time"][span["time"] > 0]
    return int(span["end"].max() - known.min()) if len(known) else 0


def gathered(partial: Partial) -> pd.DataFrame:
    """Return all copies that may have another, :func:`ordered`."""
    kept, single = partial.frame("kept"), recent(partial, "single")
    return ordered(_with(kept, single, _paired(kept, single)))


def _paired(kept: pd.DataFrame, single: Recent) -> Any:
    """Return the groups of single copies that have others after all."""
    return repeated(single.keys, np.unique(kept["group"].to_numpy(np.uint64)))


def _with(kept: pd.DataFrame, single: Recent, groups: Any) -> pd.DataFrame:
    """Return the rows kept, and those of single copies in some groups."""
    some = single.among(groups).rename(columns={"key": "group"})
    if not len(some):
        return kept
    some = some.assign(outside=False, ident=some["message_id"].str.strip(" <>"))
    return pd.concat([kept, some[list(kept.columns)]], ignore_index=True) if len(kept) else some[list(kept.columns)]


def with_unanswered(partial: Partial, frame: pd.DataFrame) -> pd.DataFrame:
    """Return copies (as :func:`gathered`), and behind them those that no reply tells of."""
    cut_off = partial.frame("broken")
    if not len(cut_off):
        return frame
    single = recent(partial, "single").column("store", "time")
    copies = [each[["store", "time"]] for each in (partial.frame("kept"), cut_off, single)]
    named = pd.concat([each.rename(columns={"store": "key"}) for each in copies])
    sessions = pd.concat([recent(partial, "sessions").frame[["key", "time"]], named], ignore_index=True)
    more = unanswered(cut_off, recent(partial, "unclaimed"), sessions)
    era = frame.drop_duplicates(["group", "root"])[["group", "root", "era"]]
    more = more.merge(era, on=["group", "root"], how="left") if len(more) else more
    return pd.concat([frame, more], ignore_index=True) if len(more) else frame


def settle(partial: Partial, frontier: int) -> Partial:
    """Let go what nothing can be compared with any more; what will be concluded stays the same.

    ``frontier`` (UTC ns) is before all rows of the windows that are still to come. Nothing is done while little can go.
    """
    single = recent(partial, "single")
    before = frontier - KEPT
    if single.old(before) * WORTH < max(1, len(single.keys)):
        return partial
    groups = _paired(partial.frame("kept"), single)
    kept = _with(partial.frame("kept"), single, groups)
    parts = dict(partial.parts)
    parts["kept"] = Rows((kept,))
    parts["single"] = single.without(groups).aged(before)[1]
    cut_off = partial.frame("broken")
    wanted = {
        "unclaimed": np.concatenate(
            [cut_off["by_mailbox"].to_numpy(np.uint64), cut_off["by_name"].to_numpy(np.uint64)]
        ),
        "listed": hashed(kept["ident"]),
        "spoke": hashed(kept["message_id"]),
    }
    for name, keys in wanted.items():
        parts[name] = recent(partial, name).settled(before, np.unique(keys))
    stored = recent(partial, "unclaimed").among(np.unique(wanted["unclaimed"]))["session"]
    parts["sessions"] = recent(partial, "sessions").settled(before, np.unique(stored.to_numpy(np.uint64)))
    old, parts["right"] = recent(partial, "right").aged(before)
    parts["right_kept"] = Rows((went_right.folded(partial.frame("right_kept"), old, kept),))
    return Partial(parts)
