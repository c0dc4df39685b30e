"""Delivery attempts: one row each, with the mailbox they led to and what Dovecot says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.agents import ENDS, agents
from logscan.correlate.codes import Bools, Ints, among, distinct, factorise, first_rows, matched, numbered
from logscan.correlate.events import Coded, Events
from logscan.correlate.facts import Facts
from logscan.correlate.frames import Category, Draft, Moments, Words, category, coded_as
from logscan.correlate.inferred import explained
from logscan.correlate.known import Known
from logscan.correlate.links import KINDS, Legs, some
from logscan.correlate.lives import plain_float
from logscan.correlate.mailboxes import mailboxes
from logscan.correlate.outcomes import OUTCOMES, PUT_OFF, Attempts, handed_back, once, outcome, outcomes, unattempted
from logscan.correlate.vanished import Ended
from logscan.tables.grouping import combine

DISCARDED = r"^2\d\d (?:2\.\d\.\d )?(?:Ok, discarded|BLOCKED)"
"""Replies with which filters (amavis, Proxmox) take mail that nobody gets."""


@dataclass
class Told:
    """What the delivery lines and Dovecot's tell by themselves, one value a row of deliveries."""

    session: pa.Array
    stored: Ints
    store_row: Ints
    mailbox: Words
    discarded: Bools
    sessions: tuple[Ints, Ints]
    """Codes of Dovecot's sessions: of each row of stores, and of each delivery."""


def told(tables: Events, known: Known) -> Told:
    """Gather what needs no lives."""
    reply = tables.plain("deliveries", "reply")
    session = tables.saved().session
    sessions, _ = factorise([tables.plain("stores", "session"), session])
    stored, store_row = _stores(tables.coded("stores", "action"), *sessions)
    owner = tables.coded("stores", "user")
    discarded = matched(reply, DISCARDED, contains=("Ok, discarded", "BLOCKED"))
    discarded |= tables.coded("deliveries", "program").equal("discard")
    discarded |= matched(reply, "^delivered to file: /dev/null$", starts="delivered to file: /dev/null")
    mailbox = mailboxes(
        tables.coded("deliveries", "recipient"),
        Coded(np.append(owner.codes, -1)[store_row], owner.words),
        known.delimiter,
    )
    return Told(session, stored, store_row, mailbox, discarded, (sessions[0], sessions[1]))


def attempts(tables: Events, f: Facts, hop: Bools, told: Told) -> tuple[Draft, Bools]:
    """Return one row per delivery attempt, with the mailbox it led to; and which rows are a line logged again."""
    table = tables["deliveries"]
    by_agent = _add_agents(tables, f, hop, told)

    def text(column: str) -> Words:
        return Words(tables.plain("deliveries", column))

    def few(column: str) -> Category:
        return category(tables.coded("deliveries", column))

    draft: Draft = {
        "time": Moments(tables.time("deliveries")),
        "entry": f.row_entry,
        "queue_id": text("queue_id"),
        "program": few("program"),
        "recipient": text("recipient"),
        "original_recipient": text("original_recipient"),
        "relay": few("relay"),
        "delay": plain_float(table.column("delay")),
        "delays": text("delays"),
        "dsn": few("dsn"),
        "status": few("status"),
        "reply": text("reply"),
        "session": Words(told.session),
        "hop": hop,
        "stored": told.stored,
        "folder": Words(tables.plain("stores", "mailbox"), told.store_row),
        "store_action": category(tables.coded("stores", "action"), told.store_row),
        "store_row": told.store_row,
        "source": table.column("source").to_numpy(),
        "line": table.column("line").to_numpy(),
        "mailbox": told.mailbox,
    }
    repeated = _repeated(draft, tables, f)
    # Each of them stored a copy of its own.
    repeated[by_agent] = False
    return draft, repeated


def _add_agents(tables: Events, f: Facts, hop: Bools, told: Told) -> Ints:
    """Add what Dovecot's LDA says of deliveries, which no session joins to its lines; returns their rows."""
    found = agents(tables, f, hop, told.session, told.mailbox)
    if len(found.row):
        told.stored[found.row] = found.copies
        told.store_row[found.row] = found.store
    return found.row


def decided(
    draft: Draft, tables: Events, f: Facts, legs: Legs, told: Told, repeated: Bools, ended: Ints, expired: Bools
) -> tuple[Ints, Bools]:
    """Return the code of each row's outcome, and whether no later attempt for its recipient followed."""
    action, actions = tables.coded("stores", "action"), told.store_row
    nothing = told.stored == 0
    redirected = np.zeros(len(nothing), np.bool_)
    sent_on = np.isin(legs.kind, [KINDS.index("redirect"), KINDS.index("list")])
    by_script = legs.row[sent_on & (legs.row >= 0)]
    redirected[by_script] = told.stored[by_script] <= 0
    known = Attempts(
        tables.coded("deliveries", "status"),
        draft["hop"] | redirected,
        told.discarded,
        nothing & np.append(action.equal("discarded", "rejected silently"), False)[actions],
        nothing & np.append(action.equal("rejected"), False)[actions],
        repeated,
    )
    return outcomes(f, known, ended, expired)


def settle(
    draft: Draft, tables: Events, f: Facts, legs: Legs, end: Ended, opened: Bools, code: Ints, last: Bools
) -> Ints:
    """Set ``outcome``, ``final`` and ``last``; returns, per entry, the recipients that no attempt tells of."""
    draft["outcome"], draft["final"] = coded_as(code, OUTCOMES), code == outcome("delivered")
    left = unattempted(f, tables, last, end.code, opened)
    put_off = tables.coded("deliveries", "status").equal(*PUT_OFF) & (code != outcome("repeated"))
    if end.listed:
        left = end.listed.untold(left, f.row_entry[last & put_off & (f.row_entry >= 0)])
    draft["last"] = once(f, legs, code, last, put_off, left)
    return handed_back(f, legs, left)


def keep_back(draft: Draft, verdicts: pd.DataFrame, f: Facts, legs: Legs) -> None:
    """Set the outcome of what went to a filter and came back from none, where the filter says what it did with it."""
    code = draft["outcome"].codes
    handed = (code == outcome("handed-on")) & (draft["verdict_row"] >= 0)
    if not handed.any():
        return
    rows = np.flatnonzero(handed & ~explained(f, some(legs, legs.kind != KINDS.index("bounce"))))
    status = verdicts["status"].iloc[draft["verdict_row"][rows]]
    for word, name in (("Discard", "discarded"), ("Quarantine", "held")):
        told = status.str.contains(word, case=False, regex=False, na=False).to_numpy()
        code[rows[told]] = outcome(name)


def _repeated(draft: Draft, tables: Events, f: Facts) -> Bools:
    """Return which rows are a line logged again: the same in every word, delays included, and of the same process.

    Equal lines are several copies all the same where different processes wrote them, or where qmgr counted as many
    recipients as there are lines.
    """
    out = np.zeros(len(f.row_entry), np.bool_)
    key = combine(f.row_entry, f.recipient, f.asked)
    again = np.flatnonzero(pd.Index(key).duplicated(keep=False) & (f.row_entry >= 0))
    if not len(again):
        return out
    delay = (draft["delay"][again] + 0.0).view(np.int64)
    codes = [draft[name].codes[again] for name in ("relay", "status")]
    codes += [tables.coded("deliveries", "delays").codes[again], draft["reply"].of(again).coded().codes]
    codes += [numbered(each)[1] for each in (key[again], delay, tables.ints("deliveries", "pid", -1)[again])]
    some = again[pd.Index(combine(*codes)).duplicated()]
    if not len(some):
        return out
    nrcpt = np.append(tables.ints("queued", "nrcpt"), 0)[f.lives.first_row("queued")]
    entry = distinct(f.row_entry[some])
    of_these = np.flatnonzero(among(f.row_entry, entry, f.lives.size))
    distinct_rows = of_these[first_rows(key[of_these])]
    seen = np.bincount(f.row_entry[distinct_rows], minlength=f.lives.size)
    seen += np.bincount(f.row_entry[some], minlength=f.lives.size)
    out[some] = nrcpt[f.row_entry[some]] < seen[f.row_entry[some]]
    return out


def _stores(action: Coded, session: Ints, told: Ints) -> tuple[Ints, Ints]:
    """Join Dovecot's lines by session. Returns copies stored (-1 unknown) and the row by delivery."""
    size = int(max(session.max(initial=-1), told.max(initial=-1))) + 1
    is_stored = action.equal("stored") & (session >= 0)
    ends = action.equal(*ENDS) & (session >= 0)
    copies = np.bincount(session[is_stored], minlength=size)
    spoken = np.bincount(session[ends], minlength=size)
    first = np.full(size, -1, np.int64)
    for which in (ends, is_stored):
        rows = np.flatnonzero(which)[::-1]
        first[session[rows]] = rows
    row = np.append(first, -1)[told]
    count = np.where(row >= 0, np.append(np.where(spoken > 0, copies, -1), -1)[told], -1)
    return count, row
