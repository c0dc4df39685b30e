"""Times at which milters and proxy filters were out of reach: mail is refused at the door, or passes unseen.

Told by Postfix's warnings. That one works again is told by an SMTP session that accepts mail without a warning, and by
the milter's own verdict on a mail of the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.checking.outage import (
    FLICKER,
    IN_A_ROW,
    Bools,
    Ints,
    Kind,
    Outage,
    Reasons,
    hashed,
    moment,
    nanoseconds,
    said,
)
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.tables import texts
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
        out.append(Outage(host, path, what, moment(first), moment(until), over, mails, to, 0, reason, len(run)))
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
    errors = window.events("filter_errors")
    connect = (errors["kind"] == "connect").to_numpy() & errors["filter"].isna().to_numpy()
    some = errors[connect & errors["time"].notna().to_numpy()]
    some = some[some["path"].str.contains(":", regex=False, na=False)]
    some = some[~some["text"].str.startswith("rejected", na=False)]
    text = texts.arrow(some["text"])
    single = matched(text, ONE_MAIL, contains="SMFI")
    frame = pd.DataFrame(
        {
            "host": some["host"].astype("str"),
            "service": some["service"].astype("str"),
            "path": some["path"].astype("str"),
            "process": process_of(some),
            "at": nanoseconds(some["time"]),
            "single": single,
            "hung_up": single & matched(text, HUNG_UP, ends=("Application error", "Success")),
            "words": hashed(some["text"]),
            "source": some["source"],
            "line": some["line"],
        }
    )
    return {WARNINGS: Rows.of(frame), WORDS: said(some["text"])}


def process_of(rows: pd.DataFrame) -> Ints:
    """Return one number for each process (host, service, PID) of lines, the same in all windows."""
    pid = rows["pid"].fillna(-1).to_numpy(dtype=np.int64)
    return mixed(hashed(rows["host"]), hashed(rows["service"]), pid)


def _refused(window: Window) -> dict[str, Part]:
    """Count the recipients of mail that was refused because a milter was away, by host, time and mail."""
    rejects = window.columns("rejects", *MAIL_AT_DOOR, "recipient", "action", "code", "text")
    rejects = rejects[(rejects["action"] == "milter-reject").to_numpy()]
    some = rejects[
        rejects["code"].astype("str").str.startswith("4").fillna(False)
        & rejects["text"].str.contains("Service unavailable", regex=False, na=False)
        & rejects["sender"].notna()
        & rejects["time"].notna()
    ]
    known = some[MAIL_AT_DOOR].notna().all(axis=1).to_numpy()
    words = some[MAIL_AT_DOOR].astype("str").agg("\0".join, axis=1) if len(some) else pd.Series(dtype="str")
    frame = pd.DataFrame(
        {
            "host": some["host"].astype("str"),
            "at": nanoseconds(some["time"]),
            "mail": np.where(known, hashes(words), -1),
            "recipients": some["recipient"].notna().astype("int64"),
        }
    )
    return {REFUSED: Keyed.of(frame, sums=("recipients",))}


def _taken(window: Window) -> dict[str, Part]:
    """Return when smtpd took mail, when its sessions began, and the newest mail of each host."""
    who = ("time", "host", "program", "service", "pid")
    clients, sessions = window.columns("clients", *who), window.columns("sessions", *who, "event")
    clients = clients[clients["time"].notna().to_numpy()]
    newest = _newest(*texts.coded(clients["host"]), nanoseconds(clients["time"]))
    some = clients[(clients["program"] == "smtpd").to_numpy()]
    connect = (sessions["event"] == "connect").to_numpy() & (sessions["program"] == "smtpd").to_numpy()
    begins = sessions[connect & sessions["time"].notna().to_numpy()]
    taken = {"key": _door(some), "at": nanoseconds(some["time"]), "process": process_of(some)}
    connects = {"key": process_of(begins), "at": nanoseconds(begins["time"])}
    return {
        NEWEST: Keyed.of(newest, most=("newest",)),
        TAKEN: Points.of(pd.DataFrame(taken)),
        CONNECTS: Points.of(pd.DataFrame(connects)),
    }


def _newest(host: Ints, names: pd.Series, at: Ints) -> pd.DataFrame:
    """Return the latest time by host (a code): ``host``, ``newest`` (UTC ns)."""
    latest = np.full(len(names) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, host, at)
    known = np.unique(host)
    return pd.DataFrame({"host": names.reindex(known).array, "newest": latest[known]})


def _door(rows: pd.DataFrame) -> Ints:
    """Return one number for each host and service."""
    return mixed(hashed(rows["host"]), hashed(rows["service"]), np.full(len(rows), -1))


def _clean(partial: Partial, warnings: pd.DataFrame) -> dict[str, Ints]:
    """Return when services with warnings took mail in sessions without one, by host."""
    taken, connects = partial.frame(TAKEN), partial.frame(CONNECTS)
    hosts, services = warnings["host"].unique(), warnings["service"].unique()
    doors = {host: _door(pd.DataFrame({"host": host, "service": services}).astype("str")) for host in hosts}
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
    frames = []
    for table in ("verdicts", "milters"):
        rows = window.columns(table, "filter", "queue_id", "time")
        some = rows[texts.where(rows["filter"], lambda names: names.isin(KNOWN_PORTS))]
        some = some[some["queue_id"].notna().to_numpy() & some["time"].notna().to_numpy()]
        frames.append(pd.DataFrame({"key": hashed(some["filter"]), "at": nanoseconds(some["time"])}))
    return {JUDGED: Points.of(pd.concat(frames))}


def _judged_by(partial: Partial, path: str) -> Ints:
    """Return when the milter itself says that it judged a mail, where the path tells which milter it is."""
    port = path.rpartition(":")[2].partition("@")[0]
    names = [name for name, ports in KNOWN_PORTS.items() if name in path or port in ports]
    judged = partial.parts[JUDGED]
    assert isinstance(judged, Points)
    return np.concatenate([np.empty(0, np.int64), *(judged.times(int(key)) for key in hashes(names))])
