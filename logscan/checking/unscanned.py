"""Troubles of filters that let mail pass, and the mails near them: what a look keeps to tell which mail passed unjudged.

No line of such a trouble names its mail. It is told by the process: a milter's warning stands in the session of the smtpd, or
in the mail of the cleanup, that wrote it; amavis's in the mail that this process judges next. DSPAM's daemon is one process:
there the time tells it, and that its own log has no verdict.

A trouble and its mail lie within ten minutes, but perhaps in two windows: so mails near a trouble of the same window are
kept, and those near the ends of the time that the window covers.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, places
from logscan.checking.milter_outages import process_of
from logscan.checking.nearness import Near
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, column, joined, moments, number, values
from logscan.scan.hops import dspam_hops
from logscan.tables import columns, texts
from logscan.tables.kept import Kept
from logscan.tables.partials import First, Partial

if TYPE_CHECKING:
    import numpy.typing as npt

    from logscan.scan.window import Window
    from logscan.tables.coded import Coded
    from logscan.tables.partials import Part

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

TROUBLES, MAILS, IDS, CONNECTS, HANDED, JUDGED = (
    "troubles",
    "mails near",
    "message-ids near",
    "connects near",
    "handed",
    "judged near",
)
"""Parts of the partial; all but the first hold only what is near a trouble, or near the ends of its window."""

REACH = 600 * SECOND
"""A trouble and its mail lie no further apart: a milter is waited for six minutes in all at most, by default."""

MOST_TROUBLES = 20_000
"""Troubles that are kept, the first ones: an outage of a busy server writes two lines a session."""

MOST_TEXT = 300

MILTER = re.compile(r"^(?:inet6?|unix|local):")

DOOR, CLEANUP, DSPAM, DICTIONARY, AMAVIS, SPAMPD, SPAMC = (
    "smtpd",
    "cleanup",
    "dspam",
    "dictionary",
    "amavis",
    "spampd",
    "spamc",
)
"""Who speaks of a trouble; ``dictionary``: DSPAM, of a user's file."""

AMAVIS_FAILED = (
    r"^(?:SA failed: |SA TIMED OUT|SpamdClient client failed: |\S+ client failed: |Failure reported by spamd)"
)
"""amavis goes on without the points of SpamAssassin (Amavis/SpamControl/SpamAssassin.pm, check(); SpamdClient.pm)."""

SPAMPD_FAILED = "WARNING!! SpamAssassin error on message "
"""spampd.pl, process_message(): without --dose the mail goes on as it came."""


def look(window: Window) -> dict[str, Part]:
    """Return the troubles of a window, and what lies near a trouble."""
    troubles = _troubles(window)
    near = Near(window, troubles["at"] if troubles else np.empty(0, np.int64), REACH)
    return {
        TROUBLES: First.of(troubles, MOST_TROUBLES, ("at", "source", "line", "who", "text")) if troubles else _none(),
        MAILS: _mails(window, near),
        IDS: _ids(window, near),
        CONNECTS: _connects(window, near),
        HANDED: _handed(window, near),
        JUDGED: _judged(window, near),
    }


def settle(partial: Partial, frontier: int) -> Partial:
    """Let go of what lies near no trouble, and too far back for one that is still to come (UTC ns)."""
    at = np.sort(partial.frame(TROUBLES)["at"].to_numpy(np.int64))
    parts = dict(partial.parts)
    for name in (MAILS, IDS, CONNECTS, HANDED, JUDGED):
        part = parts[name]
        assert isinstance(part, Kept)
        parts[name] = part.settled(at, REACH, frontier)
    return Partial(parts)


def _place(window: Window, table: str, rows: Ints) -> Ints:
    out: Ints = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
    return out


# --- troubles --------------------------------------------------------------------------------------------------------

TEXTS = ("host", "who", "path", "text")


@functools.cache
def _none() -> First:
    numbers = dict.fromkeys(("at", "process", "pid", "source", "line"), np.empty(0, np.int64))
    return First.of(
        {**numbers, **dict.fromkeys(TEXTS, pa.array([], pa.large_string()))},
        MOST_TROUBLES,
        ("at", "source", "line", "who", "text"),
    )


def _troubles(window: Window) -> dict[str, columns.Column] | None:
    """Return the rows of troubles: ``at`` (UTC ns), ``process`` (hash), ``host``, ``who``, ``path``, ``text``, and the line."""
    if not len(window.tables["filter_errors"]):
        return None
    rows, who = _chosen(window)
    if not len(rows):
        return None
    some = {name: column(window, "filter_errors", name).take(rows).texts() for name in ("host", "path", "text")}
    return {
        "at": moments(window, "filter_errors")[rows],
        "process": process_of(window, "filter_errors", rows),
        "pid": number(window, "filter_errors", "pid")[rows],
        "source": number(window, "filter_errors", "source")[rows],
        "line": number(window, "filter_errors", "line")[rows],
        "host": _filled(some["host"]),
        "who": pa.array(who, pa.large_string()),
        "path": _filled(some["path"]),
        "text": pc.utf8_slice_codeunits(_filled(some["text"]), 0, MOST_TEXT),
    }


def _filled(words: pa.Array) -> pa.Array:
    return pc.fill_null(words, "").cast(pa.large_string())


def _texts(window: Window, table: str, name: str, rows: Ints) -> pa.Array:
    """Return some rows of a column of a joined table as texts; no code for each of many values, most of which differ."""
    return _filled(texts.arrow(getattr(window, table)[name]).take(pa.array(rows)))


def _chosen(window: Window) -> tuple[Ints, npt.NDArray[np.object_]]:
    """Return the rows of filter_errors that may have let a mail pass, and who speaks in each."""
    kind, name, path, text = (column(window, "filter_errors", each) for each in ("kind", "filter", "path", "text"))
    program = column(window, "filter_errors", "program")
    dated = moments(window, "filter_errors") > NO_TIME
    out = np.full(len(kind), None, object)
    milter = kind.is_in("connect") & (name.codes < 0)
    if milter.any():
        milter &= path.having(lambda where: bool(MILTER.match(where)))
        out[milter & program.is_in("smtpd", "qmqpd")] = DOOR
        out[milter & program.is_in("cleanup")] = CLEANUP
    passed = kind.is_in("delivered unfiltered")
    out[passed & name.is_in("dspam")] = DSPAM
    out[name.is_in("dspam") & kind.is_in("file")] = DICTIONARY
    out[(passed | kind.is_in("too big")) & name.is_in("spamc")] = SPAMC
    for who, pattern in ((AMAVIS, AMAVIS_FAILED), (SPAMPD, f"^{SPAMPD_FAILED}")):
        mine = name.is_in(who)
        if mine.any():
            rows = np.flatnonzero(mine)
            out[rows[text.take(rows).having(re.compile(pattern).match)]] = who
    found = np.flatnonzero(dated & np.array([each is not None for each in out], np.bool_))
    return found, out[found]


# --- mails -----------------------------------------------------------------------------------------------------------


def _mails(window: Window, near: Near) -> Kept:
    """Return the mails that smtpd took: by whom, when, and what became of them."""
    client = values(window, "entries", "client_row")
    at = np.append(moments(window, "clients"), NO_TIME)[client]
    rows = np.flatnonzero((client >= 0) & near(at))
    clients = client[rows]
    return Kept(
        {
            "at": at[rows],
            "process": process_of(window, "clients", clients),
            "place": _place(window, "clients", clients),
            "host": _filled(joined(window, "entries", "host").take(rows).texts()),
            "queue_id": _texts(window, "entries", "queue_id", rows),
            "message_id": _texts(window, "entries", "message_id", rows),
            "recipient": _recipients(window, rows),
            "passed": values(window, "entries", "queued")[rows],
            "by": _judges(window, rows),
        }
    )


def _recipients(window: Window, entries: Ints) -> pa.Array:
    """Return for each entry the last recipient of its mail by the first line that tells one; empty without any."""
    mail, line = values(window, "deliveries", "mail"), places(window)
    last = values(window, "deliveries", "last") & (mail >= 0)
    of_entry = values(window, "entries", "mail")[entries]
    wanted = np.zeros(len(window.mails) + 1, np.bool_)
    wanted[of_entry] = True
    wanted[-1] = False
    rows = np.flatnonzero(last & wanted[mail])
    rows = rows[np.argsort(line[rows], kind="stable")][::-1]
    of_mail = np.full(len(window.mails) + 1, -1, np.int64)
    of_mail[mail[rows]] = rows
    chosen = of_mail[of_entry]
    return _at(joined(window, "deliveries", "recipient"), chosen)


def _at(words: Coded, rows: Ints) -> pa.Array:
    """Return the texts of some rows; empty for row -1."""
    if not len(words):
        return pa.array([""] * len(rows), pa.large_string())
    out = _filled(words.take(rows).texts())
    return pc.if_else(pa.array(rows >= 0), out, "")


def _judges(window: Window, entries: Ints) -> pa.Array:
    """Return which filters judged each entry, by name, with blanks around."""
    verdicts = np.flatnonzero(values(window, "verdicts", "entry") >= 0)
    wanted = np.zeros(len(window.entries) + 1, np.bool_)
    wanted[entries] = True
    of_entry = values(window, "verdicts", "entry")[verdicts]
    verdicts, of_entry = verdicts[wanted[of_entry]], of_entry[wanted[of_entry]]
    if not len(verdicts):
        return pa.array([""] * len(entries), pa.large_string())
    out: dict[int, set[str]] = {}
    names = joined(window, "verdicts", "filter").take(verdicts).texts().to_pylist()
    for entry, name in zip(of_entry.tolist(), names, strict=True):
        out.setdefault(entry, set()).add(str(name))
    found = [f" {' '.join(sorted(out.get(entry, set())))} " if entry in out else "" for entry in entries.tolist()]
    return pa.array(found, pa.large_string())


def _ids(window: Window, near: Near) -> Kept:
    """Return which process of cleanup had which mail when."""
    at = moments(window, "message_ids")
    rows = np.flatnonzero(near(at))
    return Kept(
        {
            "at": at[rows],
            "process": process_of(window, "message_ids", rows),
            "place": _place(window, "message_ids", rows),
            "host": _filled(column(window, "message_ids", "host").take(rows).texts()),
            # No code for each of many IDs, most of which nobody asks for.
            "queue_id": _filled(window.tables["message_ids"].column("queue_id").take(pa.array(rows)).combine_chunks()),
        }
    )


def _connects(window: Window, near: Near) -> Kept:
    """Return when sessions of which smtpd began."""
    at = moments(window, "sessions")
    rows = np.flatnonzero(column(window, "sessions", "event").is_in("connect") & near(at))
    return Kept(
        {
            "at": at[rows],
            "process": process_of(window, "sessions", rows),
            "place": _place(window, "sessions", rows),
        }
    )


def _handed(window: Window, near: Near) -> Kept:
    """Return the hand-overs to DSPAM of which its own log tells no verdict: ``begin`` and ``at`` (UTC ns)."""
    free = dspam_hops(window) & (values(window, "deliveries", "verdict_row") < 0)
    free &= values(window, "deliveries", "entry") >= 0
    rows = np.flatnonzero(free)
    at = values(window, "deliveries", "time")[rows]
    rows, at = rows[near(at)], at[near(at)]
    entry = values(window, "deliveries", "entry")[rows]
    spent = np.nan_to_num(values(window, "deliveries", "delay")[rows].astype(np.float64))
    return Kept(
        {
            "at": at,
            "begin": at - (np.clip(spent, 0, 3600) * SECOND).astype(np.int64),
            "place": places(window)[rows],
            "host": _filled(joined(window, "entries", "host").take(entry).texts()),
            "queue_id": _texts(window, "entries", "queue_id", entry),
            "message_id": _texts(window, "entries", "message_id", entry),
            "recipient": pc.utf8_lower(_texts(window, "deliveries", "recipient", rows)),
        }
    )


def _judged(window: Window, near: Near) -> Kept:
    """Return amavis's verdicts by process: the mail that a trouble was about comes next."""
    rows = np.empty(0, np.int64)
    if len(window.verdicts):
        rows = np.flatnonzero(joined(window, "verdicts", "filter").is_in("amavis"))
        rows = rows[near(values(window, "verdicts", "time")[rows])]
    if not len(rows):
        return NONE_JUDGED
    numbers = (values(window, "verdicts", name)[rows].astype(np.float64) for name in ("source", "line", "pid"))
    source, line, pid = (np.nan_to_num(each).astype(np.int64) for each in numbers)
    names = {"message_id": "message_id", "queue_id": "queue_id", "recipient": "recipients", "result": "result"}
    return Kept(
        {
            "at": values(window, "verdicts", "time")[rows],
            "pid": pid,
            "place": (source << LINE_BITS) + line,
            "host": _filled(joined(window, "verdicts", "host").take(rows).texts()),
            **{name: _texts(window, "verdicts", each, rows) for name, each in names.items()},
        }
    )


NONE_JUDGED = Kept(
    {
        **dict.fromkeys(("at", "pid", "place"), np.empty(0, np.int64)),
        **dict.fromkeys(("host", "message_id", "queue_id", "recipient", "result"), pa.array([], pa.large_string())),
    }
)
