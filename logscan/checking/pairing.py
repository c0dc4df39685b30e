"""What windows keep of copies, so that two of one mail are found wherever they lie: nearly all stay single.

Copies that have another in their own window are kept as they are. Of the others a packed row is kept, found by the hash of
message-id and mailbox, until nothing to come can lie within :data:`logscan.checking.duplicates.HORIZON`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking import went_right
from logscan.checking.copies import NONE, SPEAKERS, chains, copies, groups, rows_of, spoke, to_commands, told
from logscan.checking.duplicates import HORIZON, SAME_DAY, alone, ordered
from logscan.checking.unanswered import broken, unanswered, unclaimed
from logscan.scan.message_ids import idents, message_ids
from logscan.scan.pasts import newest, past
from logscan.tables import cells, texts
from logscan.tables.aside import Shelf
from logscan.tables.partials import Keyed, Partial, Rows
from logscan.tables.recent import WORTH, Hashes, Recent, column_of, hashed, joined, repeated

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Mergeable

Bools = npt.NDArray[np.bool_]

KEPT = HORIZON + SAME_DAY + 3600 * 10**9
"""Nanoseconds that rows are kept: what they are compared with lies up to a day from what is within the horizon of others."""


MOST_RECENT = 4_000_000
"""Rows kept of one kind for others to come; of each, 8 bytes in memory and about 50 in a file."""


def look(window: Window) -> dict[str, Mergeable | int]:
    """Return the parts for one window."""
    found, (group, lonely) = copies(window), groups(window)
    cut_off, again = broken(window)
    keep = _several(group) | np.isin(found.entry, again)
    kept, single = np.flatnonzero(keep), np.flatnonzero(~keep & ~lonely)
    time = cells.ns(window.deliveries["time"])[found.row]
    last = int(time.max()) if len(time) else 0
    span = {"time": time[:1], "end": time[:1]}
    if len(time):
        span = {"time": np.array([time.min()]), "end": np.array([last])}
    return {
        "to_mailboxes": int(np.count_nonzero(~found.command[: found.here])),
        "here": found.here,
        "beyond": len(found.row) - found.here,
        "span": Keyed.of(pd.DataFrame(span), least=["time"], most=["end"], once=True),
        "kept": Rows.of(rows_of(window, kept).assign(group=group[kept]) if len(kept) else NONE),
        "single": Recent.of(told(window, single), group[single], last),
        "chains": Rows.of(chains(window, found.entry[kept])),
        "broken": Rows.of(cut_off),
        "unclaimed": unclaimed(window),
        "sessions": _sessions(window, found.row[np.append(kept, single)]),
        "listed": _listed(window),
        "spoke": _spoke(window),
        "right": went_right.look(window, last),
        "right_kept": Rows.of(went_right.NONE),
    }


def _several(group: Hashes) -> Bools:
    """Return which copies have another of their group."""
    order = np.argsort(group)
    same = group[order][1:] == group[order][:-1]
    out = np.zeros(len(group), np.bool_)
    out[order[1:][same]] = True
    out[order[:-1][same]] = True
    return out


def _recent(times: pd.Series, rows: Any, keys: Hashes, **columns: Any) -> Recent:
    """Return a part with the times of some rows, and some columns."""
    ns = cells.ns(times)[rows]
    return Recent.of({"time": ns, **columns}, keys, int(ns.max()) if len(ns) else 0)


def _sessions(window: Window, rows: Any) -> Recent:
    """Return the sessions that replies named, but for those of copies that are kept anyhow."""
    session = texts.arrow(window.deliveries["session"])
    named = session.is_valid().to_numpy(zero_copy_only=False).copy()
    named[rows] = False
    at = np.flatnonzero(named)
    return _recent(window.deliveries["time"], at, hashed(texts.series(session.take(pa.array(at)))))


def _listed(window: Window) -> Recent:
    """Return the message-ids (without brackets) of mails that went to a command, a list's."""
    entry = window.deliveries["entry"].to_numpy()
    at = np.flatnonzero(entry >= 0)
    at = at[to_commands(window, at)]
    words, hashes = idents(window)
    code = message_ids(window).entries[entry[at]]
    named = ~np.asarray(pc.equal(words, ""))[code]
    return _recent(window.deliveries["time"], at[named], joined(hashes[code[named]]))


def _spoke(window: Window) -> Recent:
    """Return which programs judged which message-ids, where no copy of theirs is in this window."""
    verdicts, ids = window.verdicts, message_ids(window)
    if not len(verdicts):
        return _recent(verdicts["time"], np.empty(0, np.int64), np.empty(0, np.uint64), spoke=np.empty(0, np.int64))
    spoken = texts.where(verdicts["program"], lambda names: names.isin(SPEAKERS))
    here = np.zeros(len(ids.words), np.bool_)
    here[copies(window).message_id] = True
    named = verdicts["message_id"].notna().to_numpy(dtype=np.bool_)
    at = np.flatnonzero(spoken & named & ~here[ids.verdicts])
    code = ids.verdicts[at]
    once, of_row = np.unique(code, return_inverse=True)
    keys = hashed(texts.series(ids.words.take(pa.array(once))))[of_row]
    return _recent(verdicts["time"], at, keys, spoke=spoke(window)[code])


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

    ``frontier`` (UTC ns) is before all rows of the windows that are still to come. Nothing is done while little can go. Rows
    beyond :data:`MOST_RECENT` are let go all the same, and counted (``let_go``).
    """
    return _bounded(_without_old(_laid(partial), frontier))


MOST_REMEMBERED = 10_000
"""Copies that a past has, the latest; some 60 bytes each. Of more, those of the last hours are enough for what comes in again
soon; the causes that harm are of one mail, which is in one run as a whole."""


def remember(partial: Partial, now: int) -> Partial:
    """Return the copies that one of a mail that comes in again may be of, and which message-ids went to lists."""
    kept = partial.frame("kept") if "kept" in partial else NONE
    kept = kept[~alone(kept)]
    single = recent(partial, "single").frame
    both = [single, kept.rename(columns={"group": "key"})]
    names = list(NONE.columns.drop(["outside", "ident", "group"]))
    whole = pd.concat([each[[*names, "key"]] for each in both if len(each)] or [single], ignore_index=True)
    return Partial({"single": _cut(whole, now), "listed": _cut(recent(partial, "listed").frame, now)})


def _cut(frame: pd.DataFrame, now: int) -> Recent:
    """Return the latest rows as a part, those not older than what is compared."""
    rows = Rows.of(frame[frame["key"] > 0])
    kept = newest(rows, "time", now - KEPT, MOST_REMEMBERED).frame.sort_values("time", kind="stable", ignore_index=True)
    columns = {str(name): column_of(kept[name]) for name in kept.columns if name != "key"}
    return Recent.of(columns, kept["key"].to_numpy(np.uint64), int(kept["time"].max()) if len(kept) else 0)


def past_rows(log: Log) -> frozenset[int]:
    """Return the lines of the copies that were remembered."""
    before = past(log, "single", "listed")
    return frozenset() if before is None else frozenset(recent(before, "single").column("row")["row"].tolist())


RECENT = ("single", "unclaimed", "sessions", "listed", "spoke", "right")
"""The parts that hold rows for others to come."""


def _laid(partial: Partial) -> Partial:
    """Return it with the rows for others in a file, where there is room for one: they are hardly ever looked at again."""
    shelves = [shelf for name in RECENT if (shelf := recent(partial, name).shelf) is not None]
    try:
        shelf = shelves[0] if shelves and not shelves[0].full else Shelf()
        return Partial(partial.parts | {name: recent(partial, name).laid(shelf) for name in RECENT})
    except OSError:
        return partial


def _bounded(partial: Partial) -> Partial:
    """Return it without the oldest rows, of whatever is more than :data:`MOST_RECENT`."""
    parts = dict(partial.parts)
    left = partial.count("let_go")
    for name in RECENT[:-1]:
        parts[name], gone = recent(partial, name).bounded(MOST_RECENT)
        left += gone
    right, gone = recent(partial, "right").bounded(MOST_RECENT)
    if gone:
        kept, known = partial.frame("kept"), {id(block) for block in right.blocks}
        old = replace(right, blocks=tuple(each for each in recent(partial, "right").blocks if id(each) not in known))
        parts["right_kept"] = Rows((went_right.folded(partial.frame("right_kept"), old.frame, kept),))
        parts["right"] = right
    return Partial(parts | {"let_go": left + gone}) if left + gone else partial


def _without_old(partial: Partial, frontier: int) -> Partial:
    """Return it without what lies too far back for anything to come."""
    single = recent(partial, "single")
    before = frontier - KEPT
    if single.old(before) * WORTH < max(1, single.count):
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
