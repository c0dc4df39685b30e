"""What the checks of accounts say alike: times, names, where logins are, and that there are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.amounts import plural
from logscan.checking.copies import lines_at
from logscan.tables import cells
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.findings import Evidence
    from logscan.scan.log import Log
    from logscan.settings import Settings

MOST_CASES = 500
"""Cases that a finding lists; it counts all."""

PROTOCOLS = {
    "smtp": "SMTP AUTH",
    "imap": "IMAP",
    "pop3": "POP3",
    "managesieve": "ManageSieve",
    "sieve": "ManageSieve",
    "submission": "submission (Dovecot)",
    "auth": "Dovecot's auth",
}

NO_LOGIN = (
    "no login stands in these logs, neither one that succeeded nor one that failed: those of SMTP AUTH are in Postfix's log, "
    "those of IMAP, POP3 and ManageSieve in Dovecot's (log_path, info_log_path; auth_verbose = yes tells more)"
)

TOO_MANY = "{:,} refused logins were too many to be kept one by one: look at a shorter time (--since, --until)"


def no_logins(settings: Settings) -> str:
    """Return the sentence that is true where nobody can log in, as the configuration says; empty where somebody can."""
    if not settings.known("postfix") or not settings.known("master") or not settings.listeners():
        return ""
    if settings.known("dovecot") or any(each.sasl for each in settings.listeners()):
        return ""
    return (
        "No service offers a login here: smtpd_sasl_auth_enable is off for all of Postfix's, and no Dovecot is set up."
    )


def at(ns: int) -> datetime:
    """Return a time in UTC ns as an aware datetime, whole seconds."""
    return datetime.fromtimestamp(int(ns) // 10**9, UTC)


def when(log: Log, ns: int) -> str:
    """Return a time in UTC ns as ``18 Nov 22:53``, in the server's zone as everywhere in a report."""
    return f"{at(ns).astimezone(log.zone or UTC):%d %b %H:%M}"


def for_command(user: str) -> str:
    """Return a user name as it may stand in a command to be copied: ``USER`` for one that a shell would read otherwise."""
    return user if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._%+@-]*", user) else "USER"


def iso(ns: int) -> str | None:
    """Return a time in UTC ns as an ISO time."""
    return cells.iso(pd.Timestamp(int(ns), tz="UTC"))


def duration(ns: int) -> str:
    """Return ``40 seconds``, ``9 minutes``, ``18 hours``, ``3 days``."""
    seconds = max(round(ns / 1e9), 1)
    for size, noun, most in ((1, "second", 120), (60, "minute", 120), (3600, "hour", 48)):
        if seconds < most * size:
            return plural(round(seconds / size), noun)
    return plural(round(seconds / 86400), "day")


LONGEST = 60
"""Characters of a name in a sentence: strangers write them."""


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return ``a, b and 3 more``."""
    some = [visible(each, LONGEST) for each in names]
    if len(some) <= most:
        return " and ".join(filter(None, [", ".join(some[:-1]), *some[-1:]]))
    return f"{', '.join(some[:most])} and {len(some) - most:,} more"


def ways(hows: Iterable[str]) -> str:
    """Return ``SMTP AUTH and IMAP``."""
    return listed(sorted({PROTOCOLS.get(each, each) for each in hows} - {"?"})) or "a login process"


def cases(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one case for each account that was tried: the one tried most first; tries without a name only where all are."""
    named = rows[rows["user"] != ""]
    some = named if len(named) else rows
    total = some.groupby("user")["n"].sum().reset_index().sort_values(["n", "user"], ascending=[False, True])
    most = total.head(MOST_CASES)
    found: dict[str, dict[str, Any]] = {}
    names = ("user", "address", "how", "first", "last")
    for user, address, how, first, last in zip(
        *(some.loc[some["user"].isin(set(most["user"])), name].tolist() for name in names), strict=True
    ):
        case = found.setdefault(user, {"addresses": set(), "protocols": set(), "from": first, "until": last})
        case["addresses"].add(address)
        case["protocols"].add(how)
        case["from"], case["until"] = min(case["from"], first), max(case["until"], last)
    return [
        {
            "user": user or None,
            "addresses": sorted(found[user]["addresses"]),
            "attempts": int(n),
            "from": iso(found[user]["from"]),
            "until": iso(found[user]["until"]),
            "protocols": sorted(found[user]["protocols"]),
        }
        for user, n in zip(most["user"].tolist(), most["n"].tolist(), strict=True)
    ]


def evidence(log: Log, rows: pd.DataFrame, most: int = 6) -> list[Evidence]:
    """Return lines of the first rows, and of the last ones."""
    places = rows.sort_values(["first", "place"], kind="stable")["place"].tolist()
    chosen = [*places[: most - 2], *places[max(len(places) - 2, most - 2) :]]
    return lines_at(log, dict.fromkeys(map(int, chosen)))


def people(names: Sequence[str]) -> str:
    """Return ``the account a`` or ``3 accounts (a, b and c)``; without a name ``accounts that no line names``."""
    some = [each for each in names if each]
    if not some:
        return "accounts that no line names"
    return f"the account {visible(some[0], LONGEST)}" if len(some) == 1 else f"{len(some):,} accounts ({listed(some)})"
