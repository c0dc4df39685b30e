"""Users train the filter in vain: their call names another dictionary than the one that learned the mail.

## What it finds
Training calls for which DSPAM finds no signature under the user that the call names. One finding a user and cause.

## Why it matters
The user moves spam to Junk day after day, the mail program says OK, DSPAM exits 0, and nothing is learned.

## What the log shows
`dspam[…]: Unable to open file for reading: …/alice.sig/SIGNATURE.sig: No such file or directory`. The path holds the
user that was looked for; system.log, or DSPAM's home, holds the user who owns that signature.

## What to do
`login-without-domain`: spell the domain in antispam_dspam_args (`--user;%n@example.com`), or set a default realm after
checking that no mail_location or userdb depends on the bare name. `alias-not-expanded`: see alias-owns-hash.
`case-or-extension`: filter and trainer must name the user alike. `signature-expired`: the signature is older than what
is kept. The stray dictionaries that failed calls left behind may be removed.

## When it is wrong
A call while DSPAM is down is refused, and the user is told: that is the outage's. Moves of mail without a signature
train nothing by design.

## When it is blind
Without DSPAM's lines in the log, or without a single training call. Successful training leaves a trace in system.log
only; the failing one in syslog only: both are needed to say clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from logscan import evidence as ev
from logscan import remedies
from logscan.aliases import owning
from logscan.settings import predictions
from logscan.verdict import Check, Finding, Prediction, Remedy, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

CAUSES = (
    "login-without-domain",
    "alias-not-expanded",
    "case-or-extension",
    "other-domain",
    "login-is-not-address",
    "shared-mailbox",
    "signature-expired",
    "unknown-user",
)
"""In the order in which they are to be mended."""

Owned = dict[str, tuple[str, "pd.Timestamp | None", frozenset[str]]]


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each training call, and for each miss at whose signature it was."""
    calls = scan.trainings
    calls = calls[calls["filter"] == "dspam"]
    learned = calls[(calls["outcome"] == "learned") & calls["class"].isin(["spam", "innocent"])]
    missed = calls[calls["outcome"] == "missed"]
    # DSPAM may write to syslog and to a file of its own, whose time has whole seconds.
    missed = missed[~missed.assign(time=missed["time"].dt.floor("s"))[["time", "user", "signature"]].duplicated()]
    astray = _astray(scan, learned)
    misses = pd.concat([missed, astray]) if len(astray) else missed
    result = Result(checked=len(learned) + len(missed), eligible=len(learned) + len(missed))
    result.predictions = predictions(settings).get("training-misses-hash", []) + _predictions(scan, settings)
    _blind(result, scan, settings, calls)
    if misses.empty:
        return result
    owned = owning(scan)
    known = _known_users(scan)
    causes = [_causes(row, owned, known) for row in misses.itertuples()]
    misses = misses.assign(causes=causes, cause=[each[0] for each in causes])
    misses["subject"] = misses["user"].fillna("(user not logged)")
    for (subject, cause), rows in ev.groups(misses, ["subject", "cause"]):
        result.findings.append(_finding(scan, settings, str(subject), str(cause), rows, owned))
    return result


def _blind(result: Result, scan: Scan, settings: Settings, calls: pd.DataFrame) -> None:
    """Say what keeps the check from knowing."""
    if len(calls[calls["outcome"] == "missed"]):
        return
    used = "dspam" in {setup.kind for setup in settings.filters} or bool(ev.dspam_hops(scan).any())
    programs = set(scan.read.programs)
    if not used and "dspam" not in programs and calls.empty:
        kinds = sorted({s.kind for s in settings.filters} | set(scan.verdicts["filter"].dropna().astype("str")))
        result.blind_because.append(
            f"{', '.join(kinds)} has no dictionary per user: a training call can't miss one"
            if kinds
            else "no lines of DSPAM and no training in these logs"
        )
        return
    if "dspam" not in programs:
        result.blind_because.append(
            "no syslog line of DSPAM (program dspam) in these logs: a training that fails is told only there"
        )
    if not result.checked:
        result.blind_because.append(
            "no training call in these logs; one that works is told only in DSPAM's system.log "
            f"({settings.dspam.home}/system.log, `SystemLog on`)"
        )


def _astray(scan: Scan, learned: pd.DataFrame) -> pd.DataFrame:
    """Return trainings that were learned, but under another user than the one who owns the signature."""
    other = learned[learned["belongs_to"].notna() & learned["user"].notna()]
    return other[other["belongs_to"] != other["user"]]


def _known_users(scan: Scan) -> set[str]:
    """Return everybody whom the filter has mail of."""
    verdicts = scan.verdicts
    users = set(verdicts.loc[verdicts["filter"] == "dspam", "user"].dropna().str.lower())
    hops = ev.dspam_hops(scan)
    return users | set(scan.deliveries.loc[hops, "recipient"].dropna().str.lower())


def _base(address: str) -> str:
    local, at, domain = address.lower().partition("@")
    return local.partition("+")[0] + at + domain


def _causes(row: Any, owned: Owned, known: set[str]) -> list[str]:
    """Return why a call missed, in the order in which to mend it."""
    user, owner = ev.text(row.user), ev.text(row.belongs_to)
    if user is None:
        return ["unknown-user"]
    found: list[str] = []
    bare = "@" not in user
    local = user.partition("@")[0].lower()
    full = {name for name in known if name.partition("@")[0] == local and "@" in name}
    if owner is None:
        if bare and full:
            return ["login-without-domain"]
        if not bare and user.lower() in known:
            return ["signature-expired"]
        return ["login-without-domain" if bare else "unknown-user"]
    low = owner.lower()
    if low in owned:
        people = owned[low][2]
        if bare and (any(name.partition("@")[0] == local for name in people) or "@" in owner):
            found.append("login-without-domain")
        found.append("alias-not-expanded")
    elif owner == user:
        found.append("signature-expired")
    elif bare and _base(low).partition("@")[0] == _base(user) and "@" in low:
        found.append("login-without-domain")
        if owner.partition("@")[0] != user:
            found.append("case-or-extension")
    elif _base(low) == _base(user):
        found.append("case-or-extension")
    elif not bare and low.partition("@")[0] == local:
        found.append("other-domain")
    elif bare:
        found.append("login-is-not-address")
    else:
        found.append("shared-mailbox")
    return [cause for cause in CAUSES if cause in found]


def _state(row: Any, owned: Owned) -> Literal["active", "mended", "residual"]:
    """Return the state of one miss: a mail learned under an alias before that was mended can't be trained any more."""
    if row.causes != ["alias-not-expanded"]:
        return "active"
    state, since, _ = owned[str(row.belongs_to).lower()]
    if state != "mended" or since is None:
        return "active"
    if not pd.isna(row.made) and row.made >= since:
        return "active"
    return "residual" if row.time >= since else "mended"


def _finding(scan: Scan, settings: Settings, user: str, cause: str, rows: pd.DataFrame, owned: Owned) -> Finding:
    cases = [
        {
            "time": ev.iso(row.time),
            "signature": ev.text(row.signature),
            "path": ev.text(row.path),
            "class": ev.text(getattr(row, "_class", None)) or ev.text(rows.loc[row.Index, "class"]),
            "belongs_to": ev.text(row.belongs_to),
            "causes": row.causes,
            "state": _state(row, owned),
        }
        for row in rows.itertuples()
    ]
    states = {case["state"] for case in cases}
    state: Any = "active" if "active" in states else "residual" if "residual" in states else "mended"
    owners = sorted({str(case["belongs_to"]) for case in cases if case["belongs_to"]})
    summary = f"{user} trained {len(cases)} time{'s' * (len(cases) != 1)} in vain"
    if owners:
        summary += f": the mail was learned under {', '.join(owners[:3])}{' …' if len(owners) > 3 else ''}"
    return Finding(
        cause=cause,
        subject=user,
        summary=summary,
        severity="problem",
        confidence="high"
        if owners and not rows["inferred"].any()
        else "medium"
        if owners or cause == CAUSES[0]
        else "low",
        count=len(cases),
        cases=cases,
        first=ev.moment(rows["time"].min()),
        last=ev.moment(rows["time"].max()),
        state=state,
        remedy=_remedy(settings, cause, user, owners),
        evidence=ev.merged(ev.rows_at_frame(scan, rows.head(4)), _owners(scan, rows), _logins(scan, user)),
        why=WHY[cause],
    )


def _owners(scan: Scan, rows: pd.DataFrame) -> list[Any]:
    """Return the lines under which the filter learned the first of these mails."""
    verdicts = scan.verdicts
    mine = verdicts[(verdicts["filter"] == "dspam") & verdicts["signature"].isin(rows["signature"].head(4))]
    return ev.rows_at_frame(scan, mine)


def _logins(scan: Scan, user: str) -> list[Any]:
    logins = scan.events("logins")
    mine = logins[(logins["event"] == "login") & (logins["user"] == user)]
    return ev.rows_at(scan, "logins", mine.index[:2])


WHY = {
    "login-without-domain": "The user logs in without the domain, and the training call passes the login name as it is.",
    "alias-not-expanded": "The mail was learned under the alias it came to, and the person trains under the own name.",
    "case-or-extension": "The filter saw the address in another case or with an extension: two dictionaries.",
    "other-domain": "The mail was learned under another domain than the one the user logs in with.",
    "login-is-not-address": "The login name isn't the mail address, under which the filter learned.",
    "shared-mailbox": "The mail was learned under somebody else's address: a shared folder, or mail moved between people.",
    "signature-expired": "The user is right, but the signature isn't kept any more.",
    "unknown-user": "The filter never saw mail of that user.",
}


def _remedy(settings: Settings, cause: str, user: str, owners: list[str]) -> Remedy | None:
    if cause in ("login-without-domain", "login-is-not-address", "other-domain"):
        return remedies.training_arguments(settings, cause)
    if cause == "alias-not-expanded":
        return remedies.alias_owns_hash(settings)
    if cause == "case-or-extension":
        return remedies.case_or_extension(settings, owners, user)
    if cause == "signature-expired":
        return remedies.signatures_kept_longer()
    return Remedy("Find out which address this login's mail is filtered under, and pass that to the training call.")


def _predictions(scan: Scan, settings: Settings) -> list[Prediction]:
    """Predict misses for every user seen logging in without a domain, where the training call passes the bare login."""
    fact = settings.dovecot.training_arguments
    if fact is None or not settings.dovecot.trains_login_as_given or settings.dovecot.default_domain:
        return []
    logins = scan.events("logins")
    some = logins[(logins["event"] == "login") & logins["user"].notna() & (logins["protocol"] == "imap")]
    bare = sorted({user for user in some["user"] if user and "@" not in user})
    return [
        Prediction(
            "login-without-domain",
            user,
            f"{user} logs in without a domain, and {fact.value!r} passes that to the training call: it must miss",
            fact.file,
            fact.line,
        )
        for user in bare
    ]


CHECK = Check("training-misses-hash", "Users train in vain", "user", run, order=10)
