"""Delivery attempts: one row each, with the mailbox they led to and what Dovecot says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.agents import ENDS, agents
from logscan.correlate.codes import Bools, Ints, category, extracted, factorise, matched, plain, take
from logscan.correlate.delays import PARTS, Delays
from logscan.correlate.facts import Facts
from logscan.correlate.frames import moments, words
from logscan.correlate.inferred import explained
from logscan.correlate.known import Known
from logscan.correlate.links import KINDS, Legs, some
from logscan.correlate.outcomes import OUTCOMES, PUT_OFF, Attempts, handed_back, once, outcome, outcomes, unattempted
from logscan.correlate.vanished import Ended
from logscan.correlate.verdicts import Judged
from logscan.tables.grouping import combine
from logscan.tables.texts import literal

DISCARDED = r"^2\d\d (?:2\.\d\.\d )?(?:Ok, discarded|BLOCKED)"
"""Replies with which filters (amavis, Proxmox) take mail that nobody gets."""


@dataclass
class Told:
    """What the delivery lines and Dovecot's tell by themselves, one value a row of deliveries."""

    categories: dict[str, pd.Series]
    session: pa.Array
    stored: Ints
    folder: pd.Series
    action: pd.Series
    store_row: Ints
    mailbox: pd.Series
    discarded: Bools
    sessions: tuple[Ints, Ints]
    """Codes of Dovecot's sessions: of each row of stores, and of each delivery."""


def told(tables: dict[str, pa.Table], known: Known) -> Told:
    """Gather what needs no lives: it is made while they are found."""
    table = tables["deliveries"]
    reply = plain(table.column("reply"))
    saved = extracted(reply, r"^250 2\.\d\.\d <[^ ]*> (?P<s>\S+) Saved$", " Saved")
    sessions, _ = factorise([plain(tables["stores"].column("session")), saved])
    stored, owner, folder, action, store_row = _stores(tables["stores"], *sessions)
    categories = {name: category(table.column(name)) for name in ("program", "relay", "dsn", "status")}
    discarded = matched(reply, DISCARDED, contains=("Ok, discarded", "BLOCKED"))
    discarded |= (categories["program"] == "discard").to_numpy()
    discarded |= matched(reply, "^delivered to file: /dev/null$", starts="delivered to file: /dev/null")
    mailbox = _mailboxes(words(plain(table.column("recipient"))), owner, known.delimiter)
    return Told(categories, saved, stored, folder, action, store_row, mailbox, discarded, (sessions[0], sessions[1]))


def attempts(
    tables: dict[str, pa.Table], f: Facts, hop: Bools, judged: Judged, told: Told, late: Delays
) -> tuple[pd.DataFrame, Bools]:
    """Return one row per delivery attempt, with the mailbox it led to; and which rows are a line logged again."""
    table = tables["deliveries"]
    by_agent = _add_agents(tables, f, hop, told)
    frame = pd.DataFrame(
        {
            "time": moments(table.column("time").to_numpy()),
            "entry": f.row_entry,
            "queue_id": words(plain(table.column("queue_id"))),
            "program": told.categories["program"],
            "recipient": words(plain(table.column("recipient"))),
            "original_recipient": words(plain(table.column("original_recipient"))),
            "relay": told.categories["relay"],
            "delay": table.column("delay").to_pandas(),
            "delays": words(plain(table.column("delays"))),
            "dsn": told.categories["dsn"],
            "status": told.categories["status"],
            "reply": words(plain(table.column("reply"))),
            "session": words(told.session),
            "hop": hop,
            "stored": told.stored,
            "folder": told.folder,
            "store_action": told.action,
            "store_row": told.store_row,
            "source": table.column("source").to_pandas(),
            "line": table.column("line").to_pandas(),
            "mailbox": told.mailbox,
            "arrived": moments(late.arrived).where(late.arrived >= 0),
        }
    )
    frame["verdict_row"] = judged.row_of_delivery
    frame["total_delay"] = late.total
    for name, seconds in late.parts.items():
        frame[name] = seconds
    repeated = _repeated(frame, tables, f)
    # Each of them stored a copy of its own.
    repeated[by_agent] = False
    return frame, repeated


def _add_agents(tables: dict[str, pa.Table], f: Facts, hop: Bools, told: Told) -> Ints:
    """Add what Dovecot's LDA says of deliveries, which no session joins to its lines; returns their rows."""
    found = agents(tables, f, hop, told.session, pa.array(told.mailbox, pa.string()))
    if len(found.row):
        stores = tables["stores"]
        told.stored[found.row] = found.copies
        told.store_row[found.row] = found.store
        folder = words(take(plain(stores.column("mailbox")), told.store_row))
        told.folder.iloc[found.row] = folder.iloc[found.row].array
        told.action = category(stores.column("action"), told.store_row)
    return found.row


def settle(
    frame: pd.DataFrame,
    tables: dict[str, pa.Table],
    f: Facts,
    legs: Legs,
    told: Told,
    repeated: Bools,
    end: Ended,
    entries: pd.DataFrame,
) -> Ints:
    """Set ``outcome``, ``final`` and ``last``; returns, per entry, the recipients that no attempt tells of."""
    action = frame["store_action"]
    nothing = told.stored == 0
    redirected = np.zeros(len(frame), np.bool_)
    sent_on = np.isin(legs.kind, [KINDS.index("redirect"), KINDS.index("list")])
    by_script = legs.row[sent_on & (legs.row >= 0)]
    redirected[by_script] = told.stored[by_script] <= 0
    known = Attempts(
        tables["deliveries"].column("status"),
        frame["hop"].to_numpy() | redirected,
        told.discarded,
        nothing & action.isin(("discarded", "rejected silently")).to_numpy(),
        nothing & (action == "rejected").to_numpy(),
        repeated,
    )
    code, last = outcomes(f, known, end.code, entries["expired"].to_numpy())
    frame["outcome"] = pd.Categorical.from_codes(code, list(OUTCOMES))
    final = code == outcome("delivered")
    frame["final"], frame["last"] = final, last
    late = frame.loc[~final, []].index
    for name in ("total_delay", *PARTS):
        frame.loc[late, name] = np.nan
        frame[name] = frame[name].round(3)
    left = unattempted(f, tables, last, end.code, entries["opened"].to_numpy())
    put_off = frame["status"].isin(PUT_OFF).to_numpy() & (code != outcome("repeated"))
    if end.listed:
        left = end.listed.untold(left, f.row_entry[last & put_off & (f.row_entry >= 0)])
    frame["last"] = once(f, legs, code, last, put_off, left)
    return handed_back(f, legs, left)


def keep_back(frame: pd.DataFrame, verdicts: pd.DataFrame, f: Facts, legs: Legs) -> None:
    """Set the outcome of what went to a filter and came back from none, where the filter says what it did with it."""
    handed = (frame["outcome"] == "handed-on").to_numpy() & (frame["verdict_row"].to_numpy() >= 0)
    if not handed.any():
        return
    rows = np.flatnonzero(handed & ~explained(f, some(legs, legs.kind != KINDS.index("bounce"))))
    status = verdicts["status"].iloc[frame["verdict_row"].to_numpy()[rows]]
    for word, name in (("Discard", "discarded"), ("Quarantine", "held")):
        told = status.str.contains(word, case=False, regex=False, na=False).to_numpy()
        frame.loc[rows[told], "outcome"] = name


def _repeated(frame: pd.DataFrame, tables: dict[str, pa.Table], f: Facts) -> Bools:
    """Return which rows are a line logged again: the same in every word, delays included, and of the same process.

    Equal lines are several copies all the same where different processes wrote them, or where qmgr counted as many
    recipients as there are lines.
    """
    out = np.zeros(len(frame), np.bool_)
    key = combine(f.row_entry, f.recipient, f.asked)
    again = np.flatnonzero(pd.Series(key).duplicated(keep=False).to_numpy() & (f.row_entry >= 0))
    if not len(again):
        return out
    rows = frame.loc[again, ["relay", "delay", "delays", "status", "reply"]]
    rows["key"], rows["entry"] = key[again], f.row_entry[again]
    rows["pid"] = tables["deliveries"].column("pid").take(pa.array(again)).to_pandas().to_numpy()
    some = again[rows.duplicated()]
    row = f.lives.first_row("queued")
    counted = pc.fill_null(tables["queued"].column("nrcpt").combine_chunks(), 0).to_numpy(zero_copy_only=False)
    nrcpt = np.append(counted, 0)[row]
    entry = np.unique(f.row_entry[some])
    of_these = np.flatnonzero(np.isin(f.row_entry, entry))
    distinct_rows = of_these[~pd.Series(key[of_these]).duplicated().to_numpy()]
    seen = np.bincount(f.row_entry[distinct_rows], minlength=f.lives.size)
    seen += np.bincount(f.row_entry[some], minlength=f.lives.size)
    out[some] = nrcpt[f.row_entry[some]] < seen[f.row_entry[some]]
    return out


def _stores(stores: pa.Table, session: Ints, told: Ints) -> tuple[np.ndarray, pd.Series, pd.Series, pd.Series, Ints]:
    """Join Dovecot's lines by session. Returns copies stored (-1 unknown), owner, folder, action and row by delivery."""
    size = int(max(session.max(initial=-1), told.max(initial=-1))) + 1
    action = plain(stores.column("action"))
    is_stored = pc.fill_null(pc.equal(action, "stored"), False).to_numpy(zero_copy_only=False)
    ends = pc.is_in(action, pa.array(ENDS))
    ends_store = ends.to_numpy(zero_copy_only=False) & (session >= 0)
    copies = np.bincount(session[is_stored & (session >= 0)], minlength=size)
    spoken = np.bincount(session[ends_store], minlength=size)
    first = np.full(size, -1, np.int64)
    rows = np.flatnonzero(ends_store)[::-1]
    first[session[rows]] = rows
    rows = np.flatnonzero(is_stored & (session >= 0))[::-1]
    first[session[rows]] = rows
    row = np.where(told >= 0, np.r_[first, -1][told], -1)
    count = np.where(row >= 0, np.r_[np.where(spoken > 0, copies, -1), -1][told], -1)
    return (
        count,
        words(take(plain(stores.column("user")), row)),
        words(take(plain(stores.column("mailbox")), row)),
        category(stores.column("action"), row),
        row,
    )


def _mailboxes(recipient: pd.Series, owner: pd.Series, delimiter: str) -> pd.Series:
    """Return the mailbox: Dovecot's owner where known, else the recipient without extension, in lower case."""
    (to, by), values = factorise([pa.array(recipient, pa.string()), pa.array(owner, pa.string())])
    both, which = np.unique(to * (len(values) + 1) + by, return_inverse=True)
    by = (both + 1) % (len(values) + 1) - 1
    to = (both - by) // (len(values) + 1)
    found = _mailbox(words(take(values, to)), words(take(values, by)), delimiter)
    return found.take(which).reset_index(drop=True)


def _mailbox(recipient: pd.Series, owner: pd.Series, delimiter: str) -> pd.Series:
    """Do so for each pair there is, once: addresses are few, deliveries many."""
    address = recipient.str.lower()
    if delimiter:
        # One of the delimiter's characters begins the extension, and only behind a local part.
        pattern = f"^([^@]+?)[{literal(delimiter)}][^@]*(@.*)?$"
        bare = address.str.replace(pattern, lambda m: m[1] + (m[2] or ""), regex=True)
        extended = address.str.contains(pattern.replace("(", "(?:"), regex=True, na=False)
        address = address.where(~extended, bare)
    user = owner.str.lower()
    bare_user = user.notna() & ~user.str.contains("@", regex=False, na=False)
    domain = address.str.extract(r"@([^@]*)$", expand=False).fillna("")
    full = user.where(~bare_user, user + "@" + domain)
    return full.where(user.notna(), address).str.replace(r"@$", "", regex=True)
