"""What OpenDMARC and rspamd said of strangers' mail that bears an own domain in its From header, and who handed it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan import own_domains
from logscan.scan.by_queue_id import coded, entries_of, key, keys, keys_of_entries
from logscan.scan.client_networks import network
from logscan.scan.columns import NO_TIME, column, joined, moments, number, some_joined, values
from logscan.scan.outgoing import MADE
from logscan.scan.own_domains import OwnDomains
from logscan.scan.pasts import DAY, newest, past
from logscan.scan.submitted import own_names
from logscan.tables import texts
from logscan.tables.partials import Ints, Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Bools = npt.NDArray[np.bool_]

RESULTS, FAILS, ENTRIES = "results", "fails", "entries"

JUDGED = r"(?:^|,)DMARC_(?:POLICY_|NA\()"
FAILED = r"(?:^|,)DMARC_POLICY_(?:SOFTFAIL|QUARANTINE|REJECT)\([^)]*\)\{(?P<domain>[^}:; ]+) :"
"""rspamd's symbols, the policy's domain first among their options (src/plugins/lua/dmarc.lua)."""

NAMED = ("address", "client", "sender", "message_id", "queue_id")


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts from which :func:`failed` is told. For look."""
    here = OwnDomains(own_names(window, settings), frozenset())
    milters, verdicts = _opendmarc(window), _rspamd(window)
    fails = [_of_milter(window, milters, here), _of_verdicts(window, verdicts, here)]
    found = [each for each in fails if len(each["key"])]
    return {
        **own_domains.look(window, settings),
        RESULTS: _results(window, milters, verdicts),
        FAILS: Keyed.of(_stacked(found) if found else fails[0]),
        ENTRIES: _edges(window, milters),
    }


def _opendmarc(window: Window) -> Ints:
    """Return OpenDMARC's results (opendmarc/opendmarc.c, mlfi_eom())."""
    found = column(window, "milters", "filter").is_in("opendmarc")
    found &= column(window, "milters", "result").is_in("pass", "fail", "none")
    return np.flatnonzero(found & (moments(window, "milters") != NO_TIME)) if found.any() else np.empty(0, np.int64)


def _rspamd(window: Window) -> Ints:
    """Return rspamd's verdicts that tell a DMARC result."""
    if not len(window.verdicts):
        return np.empty(0, np.int64)
    rows = np.flatnonzero(joined(window, "verdicts", "filter").is_in("rspamd"))
    status = some_joined(window, "verdicts", "status", rows)
    out: Ints = rows[status.matching(lambda words: pc.match_substring_regex(words, JUDGED))]
    return out


def _results(window: Window, milters: Ints, verdicts: Ints) -> Keyed:
    """Return how many results there were, and when the first and the last."""
    time = np.concatenate([moments(window, "milters")[milters], values(window, "verdicts", "time")[verdicts]])
    made = {"n": np.ones(len(time), np.int64), "first": time, "last": time}
    return Keyed.of(made, sums=["n"], least=["first"], most=["last"])


def _row(size: int, **told: Any) -> dict[str, Any]:
    """Return the columns of fails: what isn't told is empty."""
    blank = pa.repeat("", size)
    return {"key": np.zeros(size, np.int64)} | dict.fromkeys(("domain", *NAMED), blank) | told


def _of_milter(window: Window, rows: Ints, here: OwnDomains) -> dict[str, Any]:
    """Return OpenDMARC's fails of own domains, with the client where the mail is of this window."""
    domain = column(window, "milters", "domain").take(rows)
    mine = column(window, "milters", "result").is_in("fail")[rows] & domain.having(lambda name: here.has(name.lower()))
    rows, domain = rows[mine], domain.take(mine).changed(str.lower)
    queue_id, time = column(window, "milters", "queue_id").take(rows), moments(window, "milters")[rows]
    entry = entries_of(window, queue_id, time)
    places = {name: number(window, "milters", name)[rows] for name in ("source", "line")}
    told = _row(len(rows), domain=domain.texts(), time=time, **_lines(places))
    told["key"] = key(queue_id.hashed(), time)
    known = pa.array(entry >= 0)
    for name, each in _clients(window, np.maximum(entry, 0)).items() if len(window.entries) else ():
        told[name] = pc.fill_null(pc.if_else(known, each.cast(pa.string()), ""), "")
    told["queue_id"] = queue_id.texts()
    kept = np.append(joined(window, "entries", "origin").is_in("outside"), True)[entry]
    return {name: columns_taken(each, np.flatnonzero(kept)) for name, each in told.items()}


def columns_taken(column_: Any, rows: Ints) -> Any:
    """Return some rows of an array of numpy or Arrow."""
    return column_.take(pa.array(rows)) if isinstance(column_, pa.Array) else column_[rows]


def _lines(places: dict[str, Ints]) -> dict[str, Ints]:
    return {"place": (places["source"] << 32) + places["line"]}


def _clients(window: Window, entry: Ints) -> dict[str, pa.Array]:
    names = {"address": "client_address"}
    return {name: some_joined(window, "entries", names.get(name, name), entry).texts() for name in NAMED}


def _of_verdicts(window: Window, rows: Ints, here: OwnDomains) -> dict[str, Any]:
    """Return rspamd's fails of own domains: its line names the client itself."""
    if not len(rows):
        return _row(0, time=np.empty(0, np.int64), place=np.empty(0, np.int64))
    status = some_joined(window, "verdicts", "status", rows)
    domain = status.made(_domain)
    entry = values(window, "verdicts", "entry")[rows]
    origin = joined(window, "entries", "origin").is_in("outside")
    outside = np.append(origin, True)[entry]
    mine = outside & domain.having(here.has)
    rows, entry, domain = rows[mine], entry[mine], domain.take(mine)
    named = {
        name: some_joined(window, "verdicts", name, rows) for name in ("sender", "message_id", "queue_id", "client")
    }
    client = (
        some_joined(window, "entries", "client", np.maximum(entry, 0)).texts()
        if len(entry)
        else pa.array([], pa.string())
    )
    known = pc.if_else(pa.array(entry >= 0), client, "")
    told = {name: pc.fill_null(named[name].texts(), "") for name in ("sender", "message_id", "queue_id")}
    places = {name: values(window, "verdicts", name)[rows].astype(np.int64) for name in ("source", "line")}
    made = {"address": pc.fill_null(named["client"].texts(), ""), "client": pc.fill_null(known, "")}
    return _row(
        len(rows),
        domain=domain.texts(),
        time=values(window, "verdicts", "time")[rows],
        **told,
        **made,
        **_lines(places),
    )


def _domain(words: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(words, FAILED), [0]))


def _stacked(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: pa.concat_arrays([each[name].cast(pa.string()) for each in parts])
        if isinstance(parts[0][name], pa.Array)
        else np.concatenate([each[name] for each in parts])
        for name in parts[0]
    }


def _edges(window: Window, milters: Ints) -> Keyed:
    """Return strangers' mails of which OpenDMARC may have spoken in another window: it was silent here when they came in."""
    entry = np.empty(0, np.int64)
    if len(milters):
        time, first = moments(window, "milters")[milters], values(window, "entries", "first")
        at_edge = (first < time.min()) | (first > time.max())
        entry = np.flatnonzero(at_edge & joined(window, "entries", "origin").is_in("outside"))
    return Keyed.of({"key": keys_of_entries(window, entry), **_clients(window, entry)})


def failed(partial: Partial, log: Log) -> tuple[pd.DataFrame, OwnDomains]:
    """Return the mails of own domains that failed, whose client is known, one row each, with its network (``net``).

    ``fresh`` are those of new lines, the others were remembered.
    """
    own = OwnDomains.of(partial, log)
    rows = _completed(partial.frame(FAILS), partial.frame(ENTRIES)).assign(fresh=True)
    before = past(log, RESULTS, FAILS)
    if before is not None:
        rows = pd.concat([rows, before.frame(FAILS).assign(fresh=False)], ignore_index=True)
    rows = rows[(rows["address"].fillna("") != "").to_numpy(dtype=np.bool_) & own.are(rows["domain"])]
    # A list that sends on what our users wrote to it breaks their signature, and is named in nobody's SPF record.
    lists = pc.match_substring_regex(texts.arrow(rows["sender"].fillna("").astype("str")), MADE)
    rows = rows[~np.asarray(lists.to_numpy(zero_copy_only=False), np.bool_)]
    return rows.assign(net=[network(each) for each in rows["address"]]), own


PAST_DAYS, MOST_REMEMBERED = 60, 3_000
"""Days that a past tells of: a host that sends once a week has sent eight times; and how many mails that failed."""


def remember(partial: Partial, now: int) -> Partial:
    """Return which mails failed, as far as their clients are known, and since when results are told."""
    fails = _completed(partial.frame(FAILS), partial.frame(ENTRIES) if ENTRIES in partial else pd.DataFrame())
    fails = fails[(fails["address"].fillna("") != "").to_numpy(dtype=np.bool_)].assign(message_id="", queue_id="")
    since = now - PAST_DAYS * DAY
    results = partial.frame(RESULTS)
    results = results.assign(n=0, first=results["first"].clip(lower=since))
    return Partial(
        {
            FAILS: newest(Keyed.of(fails.astype(dict.fromkeys(NAMED, "str"))), "time", since, MOST_REMEMBERED),
            RESULTS: Keyed.of(results[results["last"] >= since], sums=["n"], least=["first"], most=["last"]),
        }
    )


def _completed(rows: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """Return the fails with the client of those whose mail lies in another window."""
    some = rows.index[(rows["address"].fillna("") == "").to_numpy(dtype=np.bool_)]
    if not len(some) or not len(entries):
        return rows
    rows, entries = rows.copy(), entries.drop_duplicates("key").set_index("key")
    ids = coded(texts.arrow(rows.loc[some, "queue_id"].astype("str"))).hashed()
    for wanted in keys(ids, rows.loc[some, "time"].to_numpy(np.int64)):
        hit = np.isin(wanted, entries.index)
        for name in ("address", "client", "sender", "message_id"):
            rows.loc[some[hit], name] = entries.loc[wanted[hit], name].fillna("").to_numpy()
    return rows
