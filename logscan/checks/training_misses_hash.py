"""Users train the filter in vain: their call names another dictionary than the one that learned the mail, or none is made.

## What it finds
Training calls for which DSPAM finds no signature under the user that the call names; moves into and out of Junk that no
call follows, and calls whose program fails, with any filter. One finding a user and cause.

## Why it matters
The user moves spam to Junk day after day, the mail program says OK, DSPAM exits 0, and nothing is learned.

## What the log shows
`dspam[…]: Unable to open file for reading: …/alice.sig/SIGNATURE.sig: No such file or directory`. The path holds the
user that was looked for; system.log, or DSPAM's home, holds the user who owns that signature. Moves are in Dovecot's
mail_log (`copy from INBOX: box=Junk`); the calls in DSPAM's system.log, in rspamd.log, in imapsieve's lines
(`pipe action: failed to execute to program …`).

## What to do
`login-without-domain`: spell the domain in antispam_dspam_args (`--user;%n@example.com`), or set a default realm after
checking that no mail_location or userdb depends on the bare name. `alias-not-expanded`: see alias-owns-hash.
`case-or-extension`: filter and trainer must name the user alike. `signature-expired`: the signature is older than what
is kept. `training-not-called`: the plug-in, the sieve script or the job that should train doesn't see the move.
`training-call-failed`: run the program by hand as Dovecot's user. The stray dictionaries that failed calls left behind
may be removed.

## When it is wrong
A call while DSPAM is down is refused, and the user is told: that is the outage's. Moves of mail without a signature, and
moves to and from the trash, train nothing by design. rspamc ends with an error where a mail was learned before already.

## When it is blind
Without DSPAM's lines in the log, or without a single training call or move. Successful training leaves a trace in
system.log only; the failing one in syslog only: both are needed to say clear. sa-learn writes no log at all. Where no
filter with a dictionary per user is, and nobody trains, the check is not applicable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.predicting import predictions
from logscan.checking.untrained import Right, failed, not_called
from logscan.findings import Evidence, Finding, Prediction, Remedy, Result
from logscan.scan.aliases import Owned, owning
from logscan.scan.hops import NAMES, dspam_hops, filter_kinds, no_filter, unnamed_filter
from logscan.scan.moves import Moves, Uncalled, moves, trigger, uncalled
from logscan.scan.trainings import trainings
from logscan.tables import cells

if TYPE_CHECKING:
    from logscan.scan.window import Window
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
    "unknown",
)
"""In the order in which they are to be mended."""

KEPT = pd.Timedelta(days=7)
"""A signature that is older may have been purged (dspam_clean, by its cron job); a younger one hardly."""


def run(scan: Window, settings: Settings) -> Result:
    """Look at each training call, for each miss at whose signature it was, and at each move whether a call followed."""
    calls = trainings(scan)
    calls = calls[calls["filter"] == "dspam"]
    learned = calls[(calls["outcome"] == "learned") & calls["class"].isin(["spam", "innocent"])]
    missed = calls[calls["outcome"] == "missed"]
    # DSPAM may write to syslog and to a file of its own, whose time has whole seconds.
    missed = missed[~missed.assign(time=missed["time"].dt.floor("s"))[["time", "user", "signature"]].duplicated()]
    astray = _astray(scan, learned)
    misses = pd.concat([missed, astray]) if len(astray) else missed
    found = moves(scan, settings)
    open_moves = uncalled(scan, settings, found)
    other = int((found.frame["called"] != "").sum()) + len(found.failed)
    checked = (len(learned) + len(missed) or max(other, found.piped)) + len(open_moves.bad)
    result = Result(checked=checked, eligible=checked + open_moves.undecided)
    result.predictions = predictions(settings).get("training-misses-hash", []) + _predictions(scan, settings)
    result.findings += not_called(scan, settings, found, open_moves)
    result.findings += failed(scan, found)
    if misses.empty:
        _blind(result, scan, settings, found, open_moves)
        return result
    owned = owning(scan)
    known, right = _Known(scan), Right(scan)
    causes = [_causes(row, owned, known) for row in misses.itertuples()]
    misses = misses.assign(causes=causes, cause=[each[0] for each in causes])
    misses["subject"] = misses["user"].fillna("(user not logged)")
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in misses.rename(columns={"class": "kind"}).itertuples():
        groups.setdefault((str(row.subject), str(row.cause)), []).append(row)
    lines = _Lines(scan, misses)
    for (subject, cause), rows in groups.items():
        result.findings.append(_finding(lines, settings, subject, cause, rows, owned, known, right))
    return result


def _blind(result: Result, scan: Window, settings: Settings, found: Moves, open_moves: Uncalled) -> None:
    """Say what keeps the check from knowing, or that nobody can train in vain here."""
    kinds = filter_kinds(scan, settings)
    nobody = not result.eligible and not found.piped
    home = f"{settings.dspam.home}/system.log, `SystemLog on`"
    if open_moves.undecided and ev.too_few(result):
        result.blind_because.append(
            f"{open_moves.undecided} of {result.eligible} trainings: users moved mail into or out of Junk, and whether a "
            f"call followed isn't in these logs; {open_moves.reason}"
        )
    if "dspam" in kinds:
        # Each move of which DSPAM learned the mail needs no line that tells of a failure.
        proven = len(found.frame) and (found.frame["called"] == "at once").all() and not open_moves.undecided
        if "dspam" not in scan.log.read.programs and not proven:
            result.blind_because.append(
                "no syslog line of DSPAM (program dspam) in these logs: a training that fails is told only there"
            )
        if nobody:
            own_log = scan.verdicts["program"].isin(["dspam.system", "dspam.user"]).any()
            where = (
                "DSPAM's own log is among them"
                if own_log
                else f"one that works is told only in DSPAM's system.log ({home})"
            )
            result.blind_because.append(
                f"no training call and no user's move into or out of Junk in these logs; {where}"
            )
    elif not nobody:
        return
    elif by := trigger(settings):
        mail_log = "" if settings.dovecot.mail_log else " (moves are told with mail_plugins = … notify mail_log)"
        result.blind_because.append(f"Dovecot trains by {by}, but these logs hold no call and no user's move{mail_log}")
    elif kinds - {"other"}:
        names = " and ".join(NAMES.get(kind, kind) for kind in sorted(kinds - {"other"}))
        result.not_applicable = (
            f"The filter here is {names}, not DSPAM with its dictionary per user, and nobody trained it in these logs."
        )
    elif kinds:
        result.blind_because.append(
            f"what the filter at {unnamed_filter(scan, settings)} learns isn't known, and nobody trained one in these logs"
        )
    elif no_filter(scan, settings):
        result.not_applicable = "No filter is set up here that users could train."
    else:
        result.blind_because.append(
            "no lines of DSPAM and no training in these logs; which filter this server has isn't known: give main.cf and "
            "master.cf"
        )


def _astray(scan: Window, learned: pd.DataFrame) -> pd.DataFrame:
    """Return trainings that were learned, but under another user than the one who owns the signature."""
    other = learned[learned["belongs_to"].notna() & learned["user"].notna()]
    return other[other["belongs_to"] != other["user"]]


class _Known:
    """Whom the filter has mail of, and the time over which the logs tell that."""

    def __init__(self, scan: Window) -> None:
        verdicts = scan.verdicts
        judged = verdicts[verdicts["filter"] == "dspam"]
        hops = scan.deliveries[dspam_hops(scan)]
        self.users = set(judged["user"].dropna().str.lower()) | set(hops["recipient"].dropna().str.lower())
        times = pd.concat([judged["time"], hops["time"]]).dropna()
        self.first, self.last = times.min(), times.max()

    def covers(self, made: Any) -> bool:
        """Whether the logs tell what DSPAM judged when a signature was made."""
        return not pd.isna(made) and not pd.isna(self.first) and bool(self.first <= made <= self.last)


def _base(address: str) -> str:
    local, at, domain = address.lower().partition("@")
    return local.partition("+")[0] + at + domain


def _unowned(row: Any, user: str, known: _Known) -> str:
    """Return why a call missed, where nothing tells whose the signature is.

    That the filter never saw a user, or that a signature isn't kept any more, can be said only of a time that the logs
    cover, or long after it.
    """
    bare, low = "@" not in user, user.lower()
    covered = known.covers(row.made)
    if bare and any(name.partition("@")[0] == low and "@" in name for name in known.users):
        return "login-without-domain"
    if low in known.users:
        return "signature-expired" if covered or (not pd.isna(row.made) and row.time - row.made >= KEPT) else "unknown"
    # With domain-scale folders DSPAM keeps a user without a domain under `local`.
    if bare and (
        "/data/local/" in (cells.text(row.path) or "") or (covered and all("@" in name for name in known.users))
    ):
        return "login-without-domain"
    return "unknown-user" if covered else "unknown"


def _causes(row: Any, owned: Owned, known: _Known) -> list[str]:
    """Return why a call missed, in the order in which to mend it."""
    user, owner = cells.text(row.user), cells.text(row.belongs_to)
    if user is None:
        return ["unknown"]
    if owner is None:
        return [_unowned(row, user, known)]
    found: list[str] = []
    bare = "@" not in user
    local = user.partition("@")[0].lower()
    low = owner.lower()
    if low in owned:
        people = owned[low][1]
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
    mended = owned[str(row.belongs_to).lower()][0]
    if mended is None or (not pd.isna(row.made) and row.made >= mended.since):
        return "active"
    return "residual" if row.time >= mended.since else "mended"


def _finding(
    lines: _Lines,
    settings: Settings,
    user: str,
    cause: str,
    rows: list[Any],
    owned: Owned,
    known: _Known,
    right: Right,
) -> Finding:
    cases = [
        {
            "time": cells.iso(row.time),
            "signature": cells.text(row.signature),
            "path": cells.text(row.path),
            "class": cells.text(row.kind),
            "belongs_to": cells.text(row.belongs_to),
            "causes": row.causes,
            "state": _state(row, owned),
        }
        for row in rows
    ]
    times = [row.time for row in rows]
    states = {case["state"] for case in cases}
    state: Any = "active" if "active" in states else "residual" if "residual" in states else "mended"
    since = right.since(user, max(times)) if state == "active" else None
    if since is not None:
        state = "mended"
    owners = sorted({str(case["belongs_to"]) for case in cases if case["belongs_to"]})
    summary = f"{user} trained {len(cases)} time{'s' * (len(cases) != 1)} in vain"
    if owners:
        summary += f": the mail was learned under {', '.join(owners[:3])}{' …' if len(owners) > 3 else ''}"
    if state != "active":
        ends = [owned[str(owner).lower()][0] for owner in owners if str(owner).lower() in owned]
        words = sorted({each.words for each in (*ends, since) if each is not None})
        left = ", and what was learned before can't be trained any more" if state == "residual" else ""
        summary += f"; {words[-1]}{left}" if words else ""
    return Finding(
        cause=cause,
        subject=user,
        summary=summary,
        severity="problem",
        confidence="high"
        if owners and not any(row.inferred for row in rows)
        else "medium"
        if owners or cause == CAUSES[0]
        else "low",
        count=len(cases),
        cases=cases,
        first=cells.moment(min(times)),
        last=cells.moment(max(times)),
        state=state,
        remedy=lines.remedy(settings, cause, user, owners) if state == "active" else None,
        evidence=lines.of(user, rows),
        why=_untold(lines.scan, rows, known) if cause == "unknown" else WHY[cause],
        mails=len({row.signature for row in rows}),
    )


class _Lines:
    """The lines that prove misses, and the remedies, each looked up once: users may be many."""

    def __init__(self, scan: Window, misses: pd.DataFrame) -> None:
        self.scan = scan
        self.labels = [source.label for source in scan.log.read.sources]
        verdicts = scan.verdicts
        mine = verdicts[(verdicts["filter"] == "dspam") & verdicts["signature"].isin(misses["signature"].dropna())]
        self.learned: dict[str, list[tuple[int, int]]] = {}
        for signature, *place in zip(mine["signature"], mine["source"], mine["line"], strict=True):
            self.learned.setdefault(str(signature), []).append((int(place[0]), int(place[1])))
        logins = scan.events("logins")
        first = logins[(logins["event"] == "login") & logins["user"].isin(misses["user"].dropna())]
        first = first[first.groupby("user", observed=True).cumcount() < 2]
        self.logins: dict[str, list[tuple[int, int]]] = {}
        for name, *place in zip(first["user"], first["source"], first["line"], strict=True):
            self.logins.setdefault(str(name), []).append((int(place[0]), int(place[1])))
        self._remedies: dict[tuple[str, str], Remedy | None] = {}

    def of(self, user: str, rows: list[Any]) -> list[Evidence]:
        """Return the calls that missed, the lines under which the filter learned these mails, the user's logins."""
        calls = [(int(row.source), int(row.line)) for row in rows[:4]]
        learned = [place for row in rows[:4] for place in self.learned.get(str(row.signature), ())]
        places = dict.fromkeys([*calls, *learned, *self.logins.get(user, ())])
        return [Evidence(self.labels[source], line, "") for source, line in places][: ev.MOST_EVIDENCE]

    def remedy(self, settings: Settings, cause: str, user: str, owners: list[str]) -> Remedy | None:
        """Return what mends a cause; users with the same cure share one."""
        key = (cause, ", ".join(owners) if cause == "case-or-extension" else "")
        if key not in self._remedies:
            self._remedies[key] = _remedy(settings, cause, user, owners)
        return self._remedies[key]


def _untold(scan: Window, rows: list[Any], known: _Known) -> str:
    """Return why the cause of a miss can't be told."""
    if pd.isna(known.first):
        return "The cause can't be told: these logs hold no mail that DSPAM judged."
    made = min((row.made for row in rows if not pd.isna(row.made)), default=None)
    if made is not None and made < known.first:
        when = made.tz_convert(scan.zone or "UTC")
        return (
            f"The cause can't be told: the mail was judged at {when:%H:%M} on {when.day} {when:%B %Y}, before these logs "
            "begin."
        )
    return "The cause can't be told: no log at hand says for whom that mail was learned."


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


def _predictions(scan: Window, settings: Settings) -> list[Prediction]:
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


CHECK = Check(
    "training-misses-hash",
    "Users train in vain",
    whole=run,
    order=10,
    clear="Nobody trained in vain ({checked:training|trainings} looked at)",
)
