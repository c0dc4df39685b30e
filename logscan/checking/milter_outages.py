"""Times at which milters and proxy filters were out of reach: mail is refused at the door, or passes unseen.

Told by Postfix's warnings. That one works again is told by an SMTP session that accepts mail without a warning, and by
the milter's own verdict on a mail of the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.outage import (
    FLICKER,
    IN_A_ROW,
    Bools,
    Ints,
    Kind,
    Outage,
    Reasons,
    moment,
    nanoseconds,
    said,
)
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.tables import columns, texts
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Points, Rows, hashes, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

WARNINGS, WORDS, REFUSED, JUDGED = "warnings", "warnings: words", "refused", "judged"
TAKEN, CONNECTS, NEWEST = "mail taken", "sessions begun", "newest mail"
"""Parts of the partial."""

MAIL_AT_DOOR = ["host", "pid", "client_address", "sender", "time"]
"""What lines about one refused mail have in common."""

SILENCE = 600 * SECOND
"""After which mail that was taken says that a milter works, where no session can be told apart."""

ONE_MAIL = r"SMFI[CR]_(?:MAIL|RCPT|DATA|HEADER|EOH|BODY|BODYEOB|ADD|CHG|DEL|INS|REPL|QUARANTINE|PROGRESS)"
"""A milter that had been reached gives up within a mail: its size, its time, its content (Postfix milter/milter8.c)."""

HUNG_UP = r": (?:Application error|Success)$"
"""How Postfix tells that the other side closed the connection without an answer."""

KNOWN_PORTS = {"rspamd": ("11332",), "opendkim": ("8891",), "opendmarc": ("8893",)}
"""Ports that these milters are set up with, as their own documentation has it."""

SESSION = 120 * SECOND
"""How far back a session is looked at whose beginning isn't in the log."""


NO_POINTS = Points.of({"key": np.empty(0, np.int64), "at": np.empty(0, np.int64)})
NONE_REFUSED = Keyed.of(
    {
        **dict.fromkeys(("host", "session", "client", "sender"), pa.array([], pa.string())),
        **dict.fromkeys(("at", "mail", "recipients"), np.empty(0, np.int64)),
    },
    sums=("recipients",),
)
NO_WARNINGS: dict[str, Part] = {
    WARNINGS: Rows.of(
        columns.frame_of(
            {
                **dict.fromkeys(("host", "service", "path", "session"), pa.array([], pa.string())),
                **dict.fromkeys(("process", "at"), np.empty(0, np.int64)),
                **dict.fromkeys(("single", "hung_up"), np.empty(0, np.bool_)),
                **dict.fromkeys(("words", "source", "line"), np.empty(0, np.int64)),
            }
        )
    ),
    WORDS: said(Coded(np.empty(0, np.int64), [])),
}
"""What most windows have."""


def look(window: Window) -> dict[str, Part]:
    """Return the warnings of a window, the mail refused meanwhile, and when mail was taken and judged."""
    return {**_warnings(window), **_refused(window), **_taken(window), **_judged(window)}


def at_the_door(partial: Partial) -> list[Outage]:
    """Return the outages that Postfix's warnings about milters and proxy filters tell of."""
    if WARNINGS not in partial or partial.frame(WARNINGS).empty:
        return []
    warnings = partial.frame(WARNINGS).sort_values(["at", "source", "line"], ignore_index=True)
    refused = partial.frame(REFUSED).sort_values(["at", "mail"], ignore_index=True)
    newest = partial.frame(NEWEST).set_index("host")["newest"]
    reasons, taken, found = Reasons(partial.frame(WORDS)), _clean(partial, warnings), []
    for (host, path), part in warnings.groupby(["host", "path"], sort=True):
        works = np.sort(np.r_[taken[str(host)], _judged_by(partial, str(path))])
        here = refused[refused["host"] == host]
        found += _of_path(str(host), str(path), part, works, here, int(newest.get(host, 0)), reasons)
    return found


def _of_path(
    host: str, path: str, part: pd.DataFrame, works: Ints, refused: pd.DataFrame, newest: int, reasons: Reasons
) -> list[Outage]:
    """Return one milter's or proxy filter's outages; ``works``: when it is seen to work (UTC ns, in order)."""
    milter = path.split(":", maxsplit=1)[0] in ("inet", "inet6", "unix", "local")
    number = _runs(part, works)
    out = []
    for one in range(int(number.max(initial=-1)) + 1):
        run = part[number == one]
        first, last = int(run["at"].iloc[0]), int(run["at"].iloc[-1])
        after = int(np.searchsorted(works, last, "right"))
        over = after < len(works)
        until = int(works[after]) if over else last
        # Nothing is seen of it, but mail came in for long without a warning.
        over |= newest > last + SILENCE
        away = refused[refused["at"].between(first - SECOND, until if until > last else last + FLICKER)]
        # A proxy filter's smtpd answers without a line of its own: each warning is one mail.
        mails = away["mail"].nunique() if milter else len(run)
        to = int(away["recipients"].sum()) if milter else 0
        what: Kind = "milter" if milter else "filter"
        reason = reasons.most(run["words"], path)
        times = moment(first), moment(until), over
        rows, told = run[["at", "source", "line"]], away if milter else run.assign(client="", sender="")
        told = told[["at", "session", "client", "sender"]]
        out.append(Outage(host, path, what, *times, mails, to, 0, reason, len(run), rows, told))
    return out


def _runs(part: pd.DataFrame, works: Ints) -> Ints:
    """Number the outages among warnings in order of time, from 0; -1 for what is the trouble of single mails."""
    at, single, hung_up = (part[name].to_numpy() for name in ("at", "single", "hung_up"))
    before = np.searchsorted(works, at)
    quiet = (np.diff(at) > SILENCE) & (len(works) == 0)
    run = np.r_[0, np.cumsum((np.diff(before) > 0) | quiet)]
    count = int(run[-1]) + 1
    grave = np.bincount(run[~single], minlength=count) > 0
    many = np.bincount(run[~hung_up], minlength=count) >= IN_A_ROW
    kept = np.flatnonzero((grave | many)[run] & ~hung_up)
    out = np.full(len(at), -1, np.int64)
    if len(kept):
        apart = (np.diff(at[kept]) > FLICKER) | (np.diff(before[kept]) >= IN_A_ROW)
        out[kept] = np.r_[0, np.cumsum((run[kept][1:] != run[kept][:-1]) & apart)]
    return out


def _warnings(window: Window) -> dict[str, Part]:
    rows = _about_milters(window)
    if not len(rows):
        return NO_WARNINGS
    host, service, path, text = (
        column(window, "filter_errors", name).take(rows) for name in ("host", "service", "path", "text")
    )

    words = text.texts()
    single = matched(words, ONE_MAIL, contains="SMFI")
    frame = columns.frame_of(
        {
            "host": host.texts(),
            "service": service.texts(),
            "path": path.texts(),
            "session": _sessions(window, "filter_errors", rows),
            "process": process_of(window, "filter_errors", rows),
            "at": moments(window, "filter_errors")[rows],
            "single": single,
            "hung_up": single & matched(words, HUNG_UP, ends=("Application error", "Success")),
            "words": text.hashed(),
            "source": number(window, "filter_errors", "source")[rows],
            "line": number(window, "filter_errors", "line")[rows],
        }
    )
    return {WARNINGS: Rows.of(frame), WORDS: said(text)}


def _about_milters(window: Window) -> Ints:
    """Return the lines in which Postfix says that a milter or proxy filter was out of reach."""
    if not len(window.tables["filter_errors"]):
        return np.empty(0, np.int64)
    kind, name, path, text = (column(window, "filter_errors", each) for each in ("kind", "filter", "path", "text"))
    about = kind.is_in("connect") & (name.codes < 0) & (moments(window, "filter_errors") > NO_TIME)
    rows = np.flatnonzero(about)
    rejected = text.take(rows).having(lambda words: words.startswith("rejected"))
    return rows[path.take(rows).having(lambda where: ":" in where) & ~rejected]


def _sessions(window: Window, table: str, rows: Ints) -> pa.Array:
    """Return who wrote lines, ``postfix/smtpd[123]``."""
    service, program = (column(window, table, name).take(rows).texts() for name in ("service", "program"))
    pid = pa.array(number(window, table, "pid")[rows]).cast(pa.string())
    parts = (pc.fill_null(service, ""), "/", pc.fill_null(program, ""), "[", pid, "]", "")
    return pc.binary_join_element_wise(*parts)


def process_of(window: Window, table: str, rows: Ints) -> Ints:
    """Return one number for each process (host, service, PID) of lines, the same in all windows."""
    host, service = (column(window, table, name).take(rows) for name in ("host", "service"))
    return mixed(host.hashed(), service.hashed(), number(window, table, "pid")[rows])


def _refused(window: Window) -> dict[str, Part]:
    """Count the recipients of mail that was refused because a milter was away, by host, time and mail."""
    action = column(window, "rejects", "action")
    rows = np.flatnonzero(action.is_in("milter-reject"))
    if not len(rows):
        return {REFUSED: NONE_REFUSED}
    code, text, sender = (column(window, "rejects", name).take(rows) for name in ("code", "text", "sender"))
    away = code.having(lambda each: each.startswith("4")) & text.having(lambda each: "Service unavailable" in each)
    rows = rows[away & (sender.codes >= 0) & (moments(window, "rejects")[rows] > NO_TIME)]
    if not len(rows):
        return {REFUSED: NONE_REFUSED}
    some = window.rows("rejects", rows, *MAIL_AT_DOOR, "recipient")
    known = some[MAIL_AT_DOOR].notna().all(axis=1).to_numpy()
    words = some[MAIL_AT_DOOR].astype("str").agg("\0".join, axis=1)
    client, address = (column(window, "rejects", name).take(rows).texts() for name in ("client", "client_address"))
    address = pc.binary_join_element_wise("[", pc.fill_null(address, ""), "]", "")
    found = {
        "host": texts.arrow(some["host"].astype("str")),
        "session": _sessions(window, "rejects", rows),
        "client": pc.binary_join_element_wise(pc.fill_null(client, ""), address, ""),
        "sender": pc.fill_null(column(window, "rejects", "sender").take(rows).texts(), ""),
        "at": nanoseconds(some["time"]),
        "mail": np.where(known, hashes(words), -1),
        "recipients": some["recipient"].notna().to_numpy().astype(np.int64),
    }
    return {REFUSED: Keyed.of(found, sums=("recipients",))}


def _taken(window: Window) -> dict[str, Part]:
    """Return when smtpd took mail, when its sessions began, and the newest mail of each host."""
    at = moments(window, "clients")
    dated = np.flatnonzero(at > NO_TIME)
    some = dated[column(window, "clients", "program").is_in("smtpd")[dated]]
    connect = column(window, "sessions", "event").is_in("connect") & column(window, "sessions", "program").is_in(
        "smtpd"
    )
    begins = np.flatnonzero(connect & (moments(window, "sessions") > NO_TIME))
    host, service = (column(window, "clients", name).take(some).hashed() for name in ("host", "service"))
    taken = {"key": _door(host, service), "at": at[some], "process": process_of(window, "clients", some)}
    connects = {"key": process_of(window, "sessions", begins), "at": moments(window, "sessions")[begins]}
    return {
        NEWEST: _newest(column(window, "clients", "host").take(dated), at[dated]),
        TAKEN: Points.of(taken),
        CONNECTS: Points.of(connects),
    }


def _newest(host: Coded, at: Ints) -> Keyed:
    """Return the latest time by host: ``host``, ``newest`` (UTC ns)."""
    of_row, first = numbered(host.codes)
    latest = at[first]
    np.maximum.at(latest, of_row, at)
    return Keyed.of({"host": host.take(first).texts(), "newest": latest}, most=("newest",), once=True)


def _door(host: Ints, service: Ints) -> Ints:
    """Return one number for each host and service, of which the hashes are given."""
    return mixed(host, service, np.full(len(host), -1))


def _clean(partial: Partial, warnings: pd.DataFrame) -> dict[str, Ints]:
    """Return when services with warnings took mail in sessions without one, by host."""
    taken, connects = partial.frame(TAKEN), partial.frame(CONNECTS)
    hosts, services = warnings["host"].unique(), warnings["service"].unique()
    doors = {host: _door(np.full(len(services), hashes([host])[0]), hashes(services)) for host in hosts}
    mine = taken[taken["key"].isin(np.concatenate(list(doors.values())))]
    at = mine["at"].to_numpy()
    names = ("process", "key", "process")
    frames = (mine, connects, warnings)
    process = pd.factorize(np.concatenate([each[name] for each, name in zip(frames, names, strict=True)]))[0]
    own, begun, failed = np.split(process.astype(np.int64), np.cumsum([len(each) for each in frames])[:-1])
    clean = ~_within(own, at, begun, connects["at"].to_numpy(), failed, warnings["at"].to_numpy())
    return {host: at[clean & mine["key"].isin(keys).to_numpy()] for host, keys in doors.items()}


def _within(process: Ints, at: Ints, begun: Ints, begins: Ints, failed: Ints, failures: Ints) -> Bools:
    """Return for which mails their session, from its connect to the process's next, holds a warning."""
    order = np.lexsort((begins, begun))
    begun, begins = begun[order], begins[order]
    place = _place(begun, begins, process, at)
    known = (place > 0) & (np.r_[begun, -1][place - 1] == process)
    start = np.where(known, np.r_[begins, 0][place - 1], at - SESSION)
    more = np.r_[begun, -1][place] == process
    end = np.where(more, np.r_[begins, 0][place], at + SESSION)
    order = np.lexsort((failures, failed))
    failed, failures = failed[order], failures[order]
    found: Bools = _place(failed, failures, process, end - 1) > _place(failed, failures, process, start - 1)
    return found


def _place(process: Ints, at: Ints, wanted: Ints, time: Ints) -> Ints:
    """Return how many of the pairs (in order) are not after each of the wanted ones."""
    late = np.r_[np.zeros(len(at)), np.ones(len(time))]
    order = np.lexsort((late, np.r_[at, time], np.r_[process, wanted]))
    before = np.cumsum(order < len(at))
    out = np.empty(len(order), np.int64)
    out[order] = before
    found: Ints = out[len(at) :]
    return found


def _judged(window: Window) -> dict[str, Part]:
    """Return when the milters that are known by their ports say that they judged a mail of the queue."""
    keys, times = [], []
    for table in ("verdicts", "milters"):
        name, at = column(window, table, "filter"), moments(window, table)
        rows = np.flatnonzero(name.is_in(*KNOWN_PORTS) & (at > NO_TIME))
        if len(rows):
            rows = rows[column(window, table, "queue_id").codes[rows] >= 0]
            keys.append(name.take(rows).hashed())
            times.append(at[rows])
    if not keys:
        return {JUDGED: NO_POINTS}
    return {JUDGED: Points.of({"key": np.concatenate(keys), "at": np.concatenate(times)})}


def _judged_by(partial: Partial, path: str) -> Ints:
    """Return when the milter itself says that it judged a mail, where the path tells which milter it is."""
    port = path.rpartition(":")[2].partition("@")[0]
    names = [name for name, ports in KNOWN_PORTS.items() if name in path or port in ports]
    judged = partial.parts[JUDGED]
    assert isinstance(judged, Points)
    return np.concatenate([np.empty(0, np.int64), *(judged.times(int(key)) for key in hashes(names))])
