"""What one window shows of mailboxes that take no mail: attempts refused, refusals at the door, Dovecot's own lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking import mailbox_replies as replies
from logscan.checking.mail_rows import delivery_lines, event_lines, event_texts, mail_rows, taken
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.scan import columns
from logscan.scan.memo import per_window
from logscan.tables import columns as cols
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import First, Keyed, Part

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CASES = 500
"""Cases that are listed of one mailbox and cause; all are counted."""

AGENTS = ("local", "virtual", "pipe")
ENDS = ("delivered", "deferred", "bounced", "expired", "held", "discarded")


def look(window: Window) -> dict[str, Part]:
    """Return the parts of a partial: ``refused`` and ``refusals`` (counts), ``good``, ``reasons``, ``scripts`` ..."""
    here = deliveries_here(window)
    rows = _refused(window, here)
    at_door = _at_door(window)
    refused = cols.stacked([_attempts(window, rows), at_door]) if rows else at_door
    count = {name: refused[name] for name in ("mailbox", "cause", "relay")} | {
        "mails": np.ones(len(refused["line"]), np.int64),
        "failed": refused["failed"].astype(np.int64),
        "written": np.asarray(pc.not_equal(refused["sender"], "")).astype(np.int64),
        "first": refused["time"],
        "last": refused["last"],
    }
    last = columns.values(window, "deliveries", "last") & here
    return {
        "here": int(np.count_nonzero(last & columns.joined(window, "deliveries", "outcome").is_in(*ENDS)))
        + len(at_door["line"]),
        "refused": First.of(refused, CASES, ("time", "line", "recipient"), ("mailbox", "cause")),
        "refusals": Keyed.of(count, sums=("mails", "failed", "written"), least=("first",), most=("last",)),
        "good": _good(window, here),
        **_dovecot(window),
    }


@per_window
def deliveries_here(window: Window) -> Bools:
    """Return which attempts were to bring mail into a mailbox here; a hand-over to a filter is none."""
    if not len(window.deliveries):
        return np.zeros(0, np.bool_)
    relay = columns.joined(window, "deliveries", "relay")
    near = relay.matching(lambda words: pc.match_substring_regex(words, PRIVATE_RELAY))
    near |= relay.is_in(*(window.facts.mailbox_relays - {"none"}))
    program = columns.joined(window, "deliveries", "program")
    # What goes by SMTP to this host may be a tunnel to a smarthost.
    near = (near & ~program.is_in("smtp")) | program.is_in("local", "virtual")
    here = near | ~columns.values(window, "deliveries", "outside")
    here &= ~columns.values(window, "deliveries", "hop") & ~relay.is_in(*window.facts.filter_relays)
    out: Bools = here & (columns.values(window, "deliveries", "mail") >= 0)
    return out


def _refused(window: Window, here: Bools) -> dict[str, Ints]:
    """Return the rows of attempts that a mailbox refused, by cause."""
    if not here.any():
        return {}
    status = columns.joined(window, "deliveries", "status").is_in("deferred", "bounced", "SOFTBOUNCE")
    rows = np.flatnonzero(status & here)
    if not len(rows):
        return {}
    reply = columns.some_joined(window, "deliveries", "reply", rows)
    program = columns.joined(window, "deliveries", "program").take(rows)
    agent = program.is_in(*AGENTS)
    # What a list's program or a script in aliases(5) fails at is no mailbox's.
    relay = columns.joined(window, "deliveries", "relay").take(rows)
    kept = relay.is_in(*window.facts.mailbox_relays) | relay.matching(
        lambda each: pc.match_substring_regex(each, replies.KEEPERS)
    )
    kept |= program.is_in("virtual") | ~reply.having(replies.of_program)
    rows, reply, program, agent = (
        rows[~agent | kept],
        reply.take(~agent | kept),
        program.take(~agent | kept),
        agent[~agent | kept],
    )
    if not len(rows):
        return {}
    found = reply.changed(replies.of_reply)
    own = reply.take(agent).changed(replies.of_agent)
    causes = np.array(["", *found.values, *own.values], dtype=object)
    code = np.where(program.is_in("smtp", "lmtp"), found.codes + 1, 0)
    code[agent] = own.codes + 1 + len(found.values)
    cause = causes[code]
    return {name: rows[cause == name] for name in sorted(set(cause.tolist()) - {""})}


def _attempts(window: Window, rows: dict[str, Ints]) -> dict[str, Column]:
    """Return one row a mail, mailbox and cause: the first attempt, when the last was, and whether it failed for good."""
    parts = []
    for cause, at in rows.items():
        told = mail_rows(window, at)
        outcome = columns.joined(window, "deliveries", "outcome").take(at)
        relay = columns.joined(window, "deliveries", "relay").take(at).changed(_socket)
        told["reply"] = taken(window, "deliveries", "reply", at)
        frame = cols.frame_of(told | {"cause": pa.array([cause] * len(at), pa.string()), "relay": relay.texts()})
        frame["failed"] = outcome.is_in("bounced", "expired")
        frame["mailbox"] = frame["mailbox"].where(frame["mailbox"] != "", frame["recipient"])
        frame = frame.sort_values(["time", "line", "recipient"], kind="stable")
        by = frame.groupby(["mail", "mailbox"], sort=False)
        frame["last"], frame["failed"] = by["time"].transform("max"), by["failed"].transform("max")
        parts.append(frame.drop_duplicates(["mail", "mailbox"]))
    whole = pd.concat(parts, ignore_index=True)
    return cols.of_frame(whole[list(NONE)])


NONE: dict[str, Column] = {
    **dict.fromkeys(("line", "time", "last", "mail"), np.empty(0, np.int64)),
    **dict.fromkeys(
        ("host", "queue_id", "message_id", "sender", "recipient", "mailbox", "reply", "cause", "relay"),
        pa.array([], pa.string()),
    ),
    "failed": np.empty(0, np.bool_),
}


def _socket(relay: str) -> str:
    """Return a mailbox server as master.cf and transport maps name it: ``private/dovecot-lmtp``."""
    inner = relay.partition("[")[2].partition("]")[0]
    return inner if inner.startswith(("private/", "/")) else relay


def _at_door(window: Window) -> dict[str, Column]:
    """Return refusals at RCPT of mailboxes that are full."""
    table = "rejects"
    if not len(window.tables[table]):
        return NONE
    at = columns.column(window, table, "action").is_in("reject")
    at &= columns.column(window, table, "stage").is_in("RCPT")
    at &= columns.column(window, table, "text").having(replies.full_at_door)
    at &= columns.column(window, table, "recipient").codes >= 0
    rows = np.flatnonzero(at)
    if not len(rows):
        return NONE
    recipient = pc.utf8_lower(event_texts(window, table, "recipient", rows))
    size, time = len(rows), columns.moments(window, table)[rows]
    line = event_lines(window, table, rows)
    empty, door = pa.array([""] * size), pa.array(["smtpd"] * size)
    return {
        "line": line,
        "time": time,
        "last": time,
        "mail": -1 - line,
        "host": event_texts(window, table, "host", rows),
        "queue_id": empty,
        "message_id": empty,
        "sender": event_texts(window, table, "sender", rows),
        "recipient": recipient,
        "mailbox": recipient,
        "reply": event_texts(window, table, "text", rows),
        "cause": pa.array([replies.OVER_QUOTA] * size),
        "relay": door,
        "failed": np.ones(size, np.bool_),
    }


def _good(window: Window, here: Bools) -> First:
    """Return the last mail that each mailbox took; ``back`` is its time, negative."""
    row = np.flatnonzero(here & columns.values(window, "deliveries", "final")) if len(here) else np.empty(0, np.int64)
    mailbox = columns.joined(window, "deliveries", "mailbox").take(row)
    last = np.full(len(mailbox.words) + 1, -1, np.int64)
    order = np.lexsort((-delivery_lines(window, row), columns.values(window, "deliveries", "time")[row]))
    last[mailbox.codes[order]] = row[order]
    rows = last[:-1][last[:-1] >= 0]
    told = mail_rows(window, rows)
    kept = {name: told[name] for name in ("mailbox", "line", "message_id", "queue_id", "sender", "recipient")}
    return First.of({**kept, "back": -told["time"]}, 1, ("back", "line"), ("mailbox",))


def latest(name: str, column: Coded, time: Ints) -> Keyed:
    """Return the latest time of each value."""
    most = np.full(len(column.words) + 1, columns.NO_TIME)
    np.maximum.at(most, column.codes, time)
    used = column.used()
    words = Coded(used, column.words).texts() if len(used) else pa.array([], pa.string())
    return Keyed.of({name: words.cast(pa.string()), "last": most[used]}, most=("last",), once=True)


def _dovecot(window: Window) -> dict[str, Part]:
    """Return what Dovecot says itself: why it stored no mail, scripts that failed, when a user's mail was stored."""
    stores = window.tables["stores"]
    action = columns.column(window, "stores", "action")
    bad = np.flatnonzero(action.is_in("failed", "script"))
    stored = np.flatnonzero(action.is_in("stored"))
    reasons, scripts = NO_REASONS, NO_SCRIPTS
    if len(bad):
        sessions = _sessions(window)
        reasons, scripts = _reasons(window, bad), _scripts(window, bad, sessions)
        failing = np.isin(columns.moments(window, "stores")[bad], scripts["time"])
        stored = stored[~np.isin(sessions[stored], sessions[bad[failing]])]
    user = columns.column(window, "stores", "user").take(stored).changed(str.lower)
    ends = np.count_nonzero(action.is_in("stored", "failed")) if len(stores) else 0
    return {
        "told": int(ends),
        "reasons": First.of(reasons, CASES, ("time", "line"), ("user", "cause")),
        "causes": _counted(reasons, "user", "cause"),
        "scripts": First.of(scripts, CASES, ("time", "line"), ("user", "cause", "script")),
        "runs": _counted(scripts, "user", "cause", "script", "maybe"),
        "served": latest("user", user, columns.moments(window, "stores")[stored]),
    }


def _counted(rows: dict[str, Column], *keys: str) -> Keyed:
    """Return how many rows there are of each key, and when the first and the last."""
    some = {name: rows[name] for name in keys}
    some |= {"mails": np.ones(len(rows["line"]), np.int64), "first": rows["time"], "last": rows["time"]}
    return Keyed.of(some, sums=("mails",), least=("first",), most=("last",))


_TOLD = {
    **dict.fromkeys(("line", "time"), np.empty(0, np.int64)),
    **dict.fromkeys(("user", "message_id", "text", "cause"), pa.array([], pa.string())),
}
NO_REASONS: dict[str, Column] = _TOLD
NO_SCRIPTS: dict[str, Column] = {**_TOLD, "script": pa.array([], pa.string()), "maybe": np.empty(0, np.bool_)}


def _reasons(window: Window, rows: Ints) -> dict[str, Column]:
    """Return why Dovecot stored no mail, a line each; what a script's own action failed at, with the mail in INBOX, is none."""
    text = columns.column(window, "stores", "text").take(rows)
    kept = text.having(replies.tells_why)
    return _told(window, rows[kept]) | {"cause": text.take(kept).changed(replies.of_dovecot).texts().cast(pa.string())}


def _told(window: Window, rows: Ints) -> dict[str, Column]:
    return {
        "line": event_lines(window, "stores", rows),
        "time": columns.moments(window, "stores")[rows],
        "user": pc.utf8_lower(event_texts(window, "stores", "user", rows)),
        "message_id": event_texts(window, "stores", "message_id", rows),
        "text": event_texts(window, "stores", "text", rows),
    }


def _sessions(window: Window) -> Ints:
    """Return a number for each of Dovecot's lines, the same for those of one delivery: its session's, else its process'."""
    session = columns.column(window, "stores", "session").codes
    pid, user = columns.number(window, "stores", "pid"), columns.column(window, "stores", "user").codes
    host = columns.column(window, "stores", "host").codes
    known = session >= 0
    return numbered(combine(known.astype(np.int64), np.where(known, session, pid), np.where(known, 0, user), host))[0]


def _scripts(window: Window, rows: Ints, sessions: Ints) -> dict[str, Column]:
    """Return the failures of scripts, one a delivery and cause; ``maybe``: a refusing mailbox may be what is behind it."""
    found = columns.column(window, "stores", "text").take(rows).changed(replies.of_script)
    kept = np.flatnonzero(found.codes >= 0)
    if not len(kept):
        return NO_SCRIPTS
    rows, told_of = rows[kept], [found.values[code] for code in found.codes[kept].tolist()]
    told = _told(window, rows)
    told["cause"] = pa.array([each[0] for each in told_of], pa.string())
    told["script"] = pa.array([each[1] or "" for each in told_of], pa.string())
    told["maybe"] = np.array([each[2] for each in told_of], np.bool_)
    told["message_id"] = _message_ids(window, rows, sessions)
    return told


def _message_ids(window: Window, rows: Ints, sessions: Ints) -> pa.Array:
    """Return the Message-ID of each row, else that of another line of the same delivery."""
    column = columns.column(window, "stores", "message_id")
    there = np.flatnonzero(column.codes >= 0)[::-1]
    of_session = np.full(int(sessions.max(initial=0)) + 1, -1, np.int64)
    of_session[sessions[there]] = column.codes[there]
    found = np.where(column.codes[rows] >= 0, column.codes[rows], of_session[sessions[rows]])
    return pc.fill_null(Coded(found, column.words).texts().cast(pa.string()), "")
