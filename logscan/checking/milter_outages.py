"""Times at which milters and proxy filters were out of reach: mail is refused at the door, or passes unseen.

Told by Postfix's warnings. That one works again is told by an SMTP session that accepts mail without a warning, and by
the milter's own verdict on a mail of the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.checking.outage import FLICKER, IN_A_ROW, Bools, Ints, Kind, Outage, moment, nanoseconds, reasons
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

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


def at_the_door(scan: Window) -> list[Outage]:
    """Return the outages that Postfix's warnings about milters and proxy filters tell of."""
    errors = scan.events("filter_errors")
    some = errors[(errors["kind"] == "connect") & errors["filter"].isna() & errors["time"].notna()]
    some = some[some["path"].str.contains(":", regex=False, na=False)]
    some = some[~some["text"].str.startswith("rejected", na=False)]
    if some.empty:
        return []
    ordered = some.assign(at=nanoseconds(some["time"])).sort_values("at", kind="stable")
    refused, taken, found = _refused(scan), _taken(scan, ordered), []
    for (host, path), part in ordered.groupby(["host", "path"], observed=True):
        works = np.sort(np.r_[taken[taken["host"] == host]["at"].to_numpy(), _judged(scan, str(path))])
        here = refused[refused["host"] == host]
        found += _of_path(str(host), str(path), part, works, here, _newest(scan, str(host)))
    return found


def _of_path(host: str, path: str, part: pd.DataFrame, works: Ints, refused: pd.DataFrame, newest: int) -> list[Outage]:
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
        to = int(away["recipient"].notna().sum()) if milter else 0
        what: Kind = "milter" if milter else "filter"
        reason = reasons(run["text"], np.zeros(len(run), np.int64), path)[0]
        out.append(Outage(host, path, what, moment(first), moment(until), over, mails, to, 0, reason, len(run)))
    return out


def _runs(part: pd.DataFrame, works: Ints) -> Ints:
    """Number the outages among warnings in order of time, from 0; -1 for what is the trouble of single mails."""
    at = part["at"].to_numpy()
    text = texts.arrow(part["text"])
    single = matched(text, ONE_MAIL, contains="SMFI")
    hung_up = single & matched(text, HUNG_UP, ends=("Application error", "Success"))
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


def _refused(scan: Window) -> pd.DataFrame:
    """Return the lines of mail that was refused because a milter was away."""
    rejects = scan.events("rejects")
    some = rejects[
        (rejects["action"] == "milter-reject")
        & rejects["code"].astype("str").str.startswith("4").fillna(False)
        & rejects["text"].str.contains("Service unavailable", regex=False, na=False)
        & rejects["sender"].notna()
        & rejects["time"].notna()
    ]
    return some.assign(at=nanoseconds(some["time"]), mail=some.groupby(MAIL_AT_DOOR, observed=True).ngroup())


def _newest(scan: Window, host: str) -> int:
    clients = scan.events("clients")
    some = clients[(clients["host"] == host) & clients["time"].notna()]
    return int(nanoseconds(some["time"]).max()) if len(some) else 0


def _taken(scan: Window, warned: pd.DataFrame) -> pd.DataFrame:
    """Return the mails (``host``, ``at``) that services with warnings took in sessions without one."""
    clients = scan.events("clients")
    services = warned["service"].astype("str").unique()
    some = clients[
        clients["service"].astype("str").isin(services) & (clients["program"] == "smtpd") & clients["time"].notna()
    ]
    sessions = scan.events("sessions")
    begins = sessions[
        (sessions["event"] == "connect") & sessions["service"].astype("str").isin(services) & sessions["time"].notna()
    ]
    names = ["host", "service", "pid"]
    frames = [each[names].astype({"host": "str", "service": "str"}) for each in (some, begins, warned)]
    process = pd.concat(frames).groupby(names, dropna=False).ngroup().to_numpy()
    at = [nanoseconds(each["time"]) for each in (some, begins, warned)]
    mine, begun, failed = np.split(process, np.cumsum([len(each) for each in at])[:-1])
    clean = ~_within(mine, at[0], begun, at[1], failed, at[2])
    return pd.DataFrame({"host": some["host"].astype("str").to_numpy()[clean], "at": at[0][clean]})


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


def _judged(scan: Window, path: str) -> Ints:
    """Return when the milter itself says that it judged a mail of the queue, where the path tells which milter it is."""
    port = path.rpartition(":")[2].partition("@")[0]
    names = [name for name, ports in KNOWN_PORTS.items() if name in path or port in ports]
    found = [np.empty(0, np.int64)]
    for table in ("verdicts", "milters"):
        rows = scan.events(table)
        found.append(
            nanoseconds(rows["time"][rows["filter"].isin(names) & rows["queue_id"].notna() & rows["time"].notna()])
        )
    return np.concatenate(found)
