"""Trainings: what users taught the filter, in vain or not, with the dictionary named in the call and the signature's owner.

A call and its mail lie far apart: a look keeps the calls (:func:`look`); in the end they are put in order (:func:`told`) and
get their owners (:func:`owned`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise
from logscan.scan import coded, judged, mended, owners
from logscan.scan.aliases import Owned
from logscan.scan.coded import Coded
from logscan.scan.judged import SECOND, HandOvers, Signatures, bare
from logscan.scan.memo import empty_once, per_window
from logscan.scan.mended import RELOADS, Ends, reload_times
from logscan.settings.dspam_home import user_of_path
from logscan.tables import texts
from logscan.tables.grouping import combine
from logscan.tables.latest import Latest, hashed
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings.dspam_home import Inventory

WITHIN = 2000
"""Milliseconds within which the lines of one failed call lie (one process, or one thread of the daemon)."""

CALLS = "calls"
"""The part of a partial that :func:`look` makes and :func:`told` reads."""


def signature_time(signatures: pd.Series) -> pd.Series:
    """Return when DSPAM made each signature: its first eight hex digits behind an optional ``uid,`` (dspam.md §4)."""
    digits = signatures.astype("str").str.extract(r"^(?:\d+,)?([0-9a-f]{8})\d", expand=False)
    seconds = [int(value, 16) if isinstance(value, str) else None for value in digits]
    return pd.to_datetime(pd.Series(seconds, index=signatures.index, dtype="Int64"), unit="s", utc=True).dt.as_unit(
        "ns"
    )


@empty_once("trainings")
@per_window
def look(window: Window) -> Latest:
    """Return the calls that a window shows, autolearning aside: the columns of the event table that :func:`told` reads.

    ``ident`` is the message-id's hash; ``again``: the filter had learned the mail before. Copies and echoes are still among
    them where the lines that show it may be in another window.
    """
    columns = {name: coded.event(window, "trainings", name) for name in (*REPEATED, *OTHERS)}
    rows = np.flatnonzero(~columns["outcome"].equal("autolearned"))
    time, source, line = (coded.numbers(window, "trainings", name)[rows] for name in ("time", "source", "line"))
    again = columns["text"].among(pc.match_substring(columns["text"].words, "already"))
    columns["user"] = _users(window)
    frame = {
        "time": coded.times(time),
        "source": source.astype(np.int32),
        "line": line.astype(np.int64),
        **{name: coded.category(columns[name].words, columns[name].codes[rows]) for name in REPEATED},
        "signature": columns["signature"].at(rows),
        "path": columns["path"].at(rows),
        "ident": hashed(bare(pd.Series(columns["message_id"].at(rows)))),
        "again": again[rows],
    }
    return Latest.latest(_without_echoes(_without_copies(pd.DataFrame(frame, copy=False))))


REPEATED, OTHERS = ("program", "filter", "outcome", "class", "user"), ("signature", "path", "message_id", "text")


def told(frame: pd.DataFrame) -> pd.DataFrame:
    """Return calls in the order of time, each once, with ``made`` (datetime64, when the signature was made).

    ``outcome`` is learned, missed, called or failed. A call that DSPAM's SQL drivers report without a path has no ``user``.
    """
    frame = _without_echoes(_without_copies(frame)).copy()
    frame["outcome"] = frame["outcome"].astype("str").replace("unresolved", "missed").astype("category")
    frame["made"] = signature_time(frame["signature"])
    return frame.sort_values(["time", "source", "line"], kind="stable", ignore_index=True)


def owned(
    frame: pd.DataFrame, signatures: Signatures, inventory: Inventory | None, handed: HandOvers, aliases: Owned
) -> pd.DataFrame:
    """Return calls with ``belongs_to`` (str), the signature's owner, if known: from DSPAM's logs, its home, or (``inferred``)
    by the second in which the signature was made."""
    known = pd.Series(signatures.owners(frame["signature"]), index=frame.index, dtype="object")
    if inventory is not None:
        open_rows = known.isna() & frame["signature"].notna()
        known[open_rows] = frame.loc[open_rows, "signature"].map(inventory.owner_of)
    frame = frame.assign(inferred=False, belongs_to=known)
    _by_time(frame, handed, aliases)
    frame["belongs_to"] = frame["belongs_to"].astype("str")
    return frame


def known(window: Window) -> Partial:
    """Return what a window tells of the mails that calls anywhere may be about: what :func:`owned_calls` needs of all windows."""
    return Partial({**judged.look(window), **owners.look(window), RELOADS: reload_times(window)})


def remember(partial: Partial, now: int) -> Partial:
    """Return whose the signatures are that calls to come may name, and which aliases owned mail."""
    return Partial({**judged.remember(partial, now), **owners.remember(partial, now), **mended.remember(partial, now)})


def calls(window: Window) -> pd.DataFrame:
    """Return the rows of the event table, with the user of a path where it stands only there."""
    return window.events("trainings").assign(user=_users(window).at(slice(None)))


def owned_calls(frame: pd.DataFrame, partial: Partial, log: Log) -> pd.DataFrame:
    """Return one row per training call: columns of :func:`calls`, and those of :func:`told` and :func:`owned`.

    ``partial`` is what all windows told (:func:`known`).
    """
    aliases = owners.owning(partial, Ends.of(partial, log))
    return owned(told(frame), Signatures(partial), log.inventory, HandOvers(partial), aliases)


@per_window
def trainings(scan: Window) -> pd.DataFrame:
    """Return the :func:`owned_calls` of a whole log."""
    return owned_calls(calls(scan), known(scan), scan.log)


def _by_time(frame: pd.DataFrame, handed: HandOvers, aliases: Owned) -> None:
    """Find owners that no file of DSPAM tells: whom DSPAM was handed mail for in the second the signature was made.

    Of several recipients, the one that can be the caller's: the same local part, or an alias. Sets ``inferred``.
    """
    open_rows = frame.index[(frame["outcome"] == "missed") & frame["belongs_to"].isna() & frame["made"].notna()]
    made = frame["made"].dt.as_unit("ns").astype("int64").to_numpy() // SECOND
    for position, row in zip(frame.index.get_indexer(open_rows), open_rows, strict=True):
        names = handed.recipients(int(made[position]))
        caller = frame.at[row, "user"]
        caller = "" if pd.isna(caller) else str(caller)
        user = caller.lower().partition("@")[0]
        # It lies elsewhere than under the caller, or it isn't kept any more.
        others = [name for name in names if name != caller]
        likely = [name for name in others if name.lower().partition("@")[0].partition("+")[0] == user]
        likely += [name for name in others if name.lower() in aliases and _among(user, aliases[name.lower()][1])]
        chosen = likely if len(likely) == 1 else names if len(names) == 1 else []
        if chosen:
            frame.at[row, "belongs_to"], frame.at[row, "inferred"] = chosen[0], True


def _among(local: str, people: Iterable[str]) -> bool:
    return any(person.partition("@")[0] == local for person in people)


def _users(window: Window) -> Coded:
    """Return whom each call names; of one that missed, whom the path names that DSPAM looked for."""
    user, path, outcome = (coded.event(window, "trainings", name) for name in ("user", "path", "outcome"))
    missed = outcome.equal("missed")
    if not missed.any():
        return user
    used = np.unique(path.codes[missed])
    named = np.full(len(path.words) + 1, None, object)
    named[used[used >= 0]] = [user_of_path(each) for each in path.words.take(pa.array(used[used >= 0])).to_pylist()]
    (given, found), words = factorise([user.words, pa.array(named, pa.string())])
    return Coded(np.where(missed, found[path.codes], np.append(given, -1)[user.codes]), words)


def _without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop rows of the user logs that system.log has too."""
    from_user_log = frame["program"] == "dspam.user"
    if not from_user_log.any() or from_user_log.all():
        return frame
    copy = from_user_log.to_numpy(dtype=np.bool_)
    time = np.unique(frame["time"].dt.as_unit("ns").astype("int64").to_numpy(), return_inverse=True)[1]
    key = combine(time.astype(np.int64), *(texts.coded(frame[name])[0] for name in ("user", "class", "signature")))
    return frame[~(copy & np.isin(key, key[~copy]))]


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
    return frame[~drop]
