"""The log itself holds passwords.

## What it finds
Lines in which Dovecot or Postfix wrote the password that somebody logged in with, or a hash or an encoded form of it. One
finding a host and setting that makes it write them.

## Why it matters
Whoever may read the log, a backup of it or the log server's disk, reads passwords: a refused one is mostly the right one with a
slip, or that of another account. Log files are kept for weeks and sent around when somebody asks for help.

## What the log shows
Dovecot: `Password mismatch`, in brackets behind it `given password:` and the password (auth_verbose_passwords = plain), or
`SHA1 of given password:`; with auth_debug_passwords also `client in: AUTH … resp=…`, `client passdb out: … pass=…`,
`Credentials:`. Postfix with -v: `< host[address]: AUTH PLAIN …`, `init_response …`. logscan shows no password in any output:
in its place stands `<hidden>`.

## What to do
Switch the setting off, then get rid of what was written: rotate the log, delete or shred the old files and their copies on other
hosts, and let the users whose logins stand there change their passwords. Meanwhile nobody but root should read the log.

## When it is wrong
Hashes of passwords (SHA1) are no passwords, but weak ones are found out from them in no time; with a length behind
(`sha1:6`) only the beginning is written, to tell equal tries apart, which is harmless: that is only noted.

## When it is blind
When nobody was refused in these logs, and no configuration of Dovecot tells that no passwords are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.checking.check import Check
from logscan.checking.copies import LINE_BITS, lines_at
from logscan.findings import Counted, Finding, Remedy, Result, Severity
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.tables import cells
from logscan.tables.partials import Ints, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

VERBOSE, HASHES, DEBUG, DIALOGUE = "auth-verbose-passwords", "password-hashes", "auth-debug-passwords", "smtpd-verbose"
EVERYBODY = 0o004


def look(window: Window, settings: Settings) -> Partial:
    """Count the lines that show passwords, by host and kind, and refusals that show none."""
    event, shown = column(window, "logins", "event"), column(window, "logins", "shown")
    refused = event.is_in("failed", "auth")
    bad = np.flatnonzero(shown.codes >= 0)
    told = np.flatnonzero(column(window, "service_events", "event").is_in("password"))
    kinds = [pa.array([], pa.string())]
    if len(bad):
        kinds.append(shown.take(bad).changed(lambda word: HASHES if word.startswith("SHA1") else VERBOSE).texts())
    if len(told):
        postfix = column(window, "service_events", "program").take(told)
        kinds.append(postfix.changed(lambda name: DIALOGUE if name == "smtpd" else DEBUG).texts())
    columns = {
        "host": pa.concat_arrays(
            [_texts(window, "logins", "host", bad), _texts(window, "service_events", "host", told)]
        ),
        "user": pa.concat_arrays([_texts(window, "logins", "user", bad), pa.nulls(len(told), pa.string())]),
        "kind": pa.concat_arrays(kinds),
        **{name: np.concatenate(both) for name, both in _numbers(window, bad, told).items()},
    }
    quiet = np.flatnonzero(event.is_in("auth") & (shown.codes < 0))
    since = {"host": _texts(window, "logins", "host", quiet), "last": moments(window, "logins")[quiet]}
    return Partial(
        {
            "refused": int(np.count_nonzero(refused)),
            "lines": Keyed.of(columns, sums=["n"], least=["first", "place"], most=["last"]),
            "quiet": Keyed.of(since, most=["last"]),
        }
    )


def _texts(window: Window, table: str, name: str, rows: Ints) -> pa.Array:
    return column(window, table, name).take(rows).texts()


def _numbers(window: Window, bad: Ints, told: Ints) -> dict[str, list[Ints]]:
    out: dict[str, list[Ints]] = {"n": [], "first": [], "last": [], "place": []}
    for table, rows in (("logins", bad), ("service_events", told)):
        time = np.maximum(moments(window, table)[rows], NO_TIME + 1)
        place = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
        for name, each in zip(out, (np.ones(len(rows), np.int64), time, time, place), strict=True):
            out[name].append(each)
    return out


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a host and setting."""
    rows = partial.frame("lines")
    refused = partial.count("refused")
    result = Result(checked=max(refused, int(rows["n"].sum())), eligible=max(refused, int(rows["n"].sum())))
    if not result.eligible:
        if log.settings.known("dovecot") and not _written(log):
            result.not_applicable = (
                "Dovecot's configuration lets it write no passwords (auth_verbose_passwords, auth_debug_passwords)."
            )
        else:
            result.blind_because.append(
                "nobody was refused in these logs, and passwords are written with refusals; doveconf -n tells whether they are"
            )
        return result
    quiet = dict(zip(partial.frame("quiet")["host"], partial.frame("quiet")["last"], strict=True))
    short = ":" in (log.settings.dovecot.get("auth_verbose_passwords") if log.settings.known("dovecot") else "")
    for (host, kind), some in rows.groupby(["host", "kind"], sort=True, dropna=False):
        over = kind in (VERBOSE, HASHES) and int(quiet.get(host, NO_TIME)) > int(some["last"].max())
        result.findings.append(_finding(log, str(kind), str(host), some, over, short))
    return result


def _written(log: Log) -> bool:
    """Whether Dovecot is set up to write passwords, or a part of them."""
    verbose, debug = (
        log.settings.dovecot.get(name).lower() for name in ("auth_verbose_passwords", "auth_debug_passwords")
    )
    return verbose not in ("", "no") or debug == "yes"


def _finding(log: Log, kind: str, host: str, rows: pd.DataFrame, over: bool, short: bool) -> Finding:
    lines = int(rows["n"].sum())
    users = sorted(set(rows["user"].dropna()) - {""})
    what = "hashes of passwords" if kind == HASHES else "passwords"
    who = f" of {Counted(len(users)):login|logins}" if users else ""
    severity: Severity = "problem" if kind != HASHES else "note" if short else "warning"
    summary = f"The log of {host} holds {what}{who} in {Counted(lines):line|lines}"
    rows = rows.sort_values(["first", "place"], ignore_index=True)
    open_to_all = any(mode & EVERYBODY for mode, _ in log.modes)
    return Finding(
        cause=kind,
        subject=host,
        summary=f"{summary}; none is written any more, but those lines are still there" if over else summary,
        severity=severity,
        confidence="high",
        count=lines,
        cases=[_case(row) for row in rows.itertuples()],
        first=cells.moment(pd.Timestamp(int(rows["first"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(rows["last"].max()), tz="UTC")),
        state="mended" if over else "active",
        remedy=Remedy(f"{CURES[kind]} {CLEANING}"),
        evidence=lines_at(log, rows["place"].tolist()),
        why="The log file can be read by everybody on the host." if open_to_all else "",
    )


def _case(row: Any) -> dict[str, Any]:
    user = cells.text(row.user)
    return {"user": user, "addresses": [], "lines": int(row.n), "time": cells.iso(pd.Timestamp(row.first, tz="UTC"))}


CLEANING = (
    "Then rotate the log (logrotate -f), delete the old files that hold passwords and their copies on log servers and in "
    "backups, chmod 640 the log, and let the users whose logins are listed change their passwords."
)
CURES = {
    VERBOSE: "Set auth_verbose_passwords = no in Dovecot's 10-logging.conf, and doveadm reload.",
    HASHES: (
        "Set auth_verbose_passwords = no in Dovecot's 10-logging.conf, or sha1:6, which still tells equal tries apart, and "
        "doveadm reload."
    ),
    DEBUG: "Set auth_debug_passwords = no (and auth_debug = no) in Dovecot's 10-logging.conf, and doveadm reload.",
    DIALOGUE: (
        "Take -v off the smtpd lines in master.cf, clear debug_peer_list in main.cf (postconf debug_peer_list prints it), and "
        "postfix reload."
    ),
}

CHECK = Check(
    "passwords-in-log",
    "The log holds passwords",
    look,
    conclude,
    causes=(VERBOSE, HASHES, DEBUG, DIALOGUE),
    order=340,
    clear="No password stands in the log ({checked:refusal|refusals} looked at)",
    but="but for the beginnings of hashes",
    group="accounts",
    severity="problem",
    needs=("refused logins of Dovecot",),
    related=("login-without-tls", "password-guessing"),
)
