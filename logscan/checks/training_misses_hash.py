"""Users train the filter in vain: their call names another dictionary than the one that learned the mail, or none is made.

## What it finds
Training calls for which DSPAM finds no signature under the user that the call names; moves into and out of Junk that no
call follows, and calls whose program fails. One finding a user and cause.

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
system.log only; the failing one in syslog only: both are needed to say clear. sa-learn writes no log at all. Of moves,
calls, and mails that the filter judged, the latest million each are kept: what is older is said, and not judged. Where the
filter has one memory for all (rspamd, SpamAssassin), the check is not applicable: training-without-effect looks at their calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking import missed, untrained
from logscan.checking.check import Check
from logscan.checking.predicting import predictions
from logscan.checking.untrained import Right, failed, not_called
from logscan.findings import Evidence, Finding, Prediction, Remedy, Result
from logscan.scan import coded, judged, kinds, moves, owners, trainings, uncalled
from logscan.scan.called import Moves, followed
from logscan.scan.hops import NAMES
from logscan.scan.judged import HandOvers, Served, Signatures
from logscan.scan.kinds import Kinds
from logscan.scan.memo import empty_once
from logscan.scan.mended import RELOADS, Ends, reload_times
from logscan.scan.pasts import with_past
from logscan.scan.uncalled import Uncalled
from logscan.tables import cells
from logscan.tables.latest import MOST_LATEST, Latest
from logscan.tables.partials import First, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.aliases import Owned
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

LOGINS, FIRST_LOGINS, OWN_LOG = "logins", "first_logins", "own_log"


def look(window: Window, settings: Settings) -> Partial:
    """Return calls and moves, and of each mail what one of them may ask for later: whose its signature is, and when.

    A move and its call lie within a minute, or within a day; a mail and its call as far apart as signatures are kept. Of
    each kind the latest million rows are kept.
    """
    parts: dict[str, Part] = {
        trainings.CALLS: trainings.look(window),
        RELOADS: reload_times(window),
        OWN_LOG: int(np.count_nonzero(coded.of(window.verdicts["program"]).equal("dspam.system", "dspam.user"))),
    }
    for more in (judged, kinds, owners, uncalled):
        parts |= more.look(window)
    return Partial(parts | moves.look(window, settings) | _logins(window))


@empty_once("logins")
def _logins(window: Window) -> dict[str, Part]:
    """Return who logged in by which protocol, with the last time, and the first two lines of each."""
    user, protocol = (coded.event(window, "logins", name) for name in ("user", "protocol"))
    rows = np.flatnonzero(coded.event(window, "logins", "event").equal("login") & (user.codes >= 0))
    time, source, line = (coded.numbers(window, "logins", name)[rows] for name in ("time", "source", "line"))
    who, wide = user.codes[rows], len(protocol.words) + 1
    key, of_row = np.unique(who * wide + protocol.codes[rows] + 1, return_inverse=True)
    last = np.full(len(key), coded.MISSING)
    np.maximum.at(last, of_row, time)
    logins = {
        "user": coded.told(user.words, key // wide),
        "protocol": coded.told(protocol.words, key % wide - 1),
        "last": coded.times(last),
    }
    # A missing time comes last, as everywhere.
    order = np.lexsort((line, source, np.where(time == coded.MISSING, np.iinfo(np.int64).max, time), who))
    begins = np.r_[True, who[order][1:] != who[order][:-1]][: len(order)]
    order = order[begins | np.r_[False, begins[:-1]][: len(order)]]
    first = {
        "time": coded.times(time[order]),
        "source": source[order],
        "line": line[order],
        "user": coded.told(user.words, who[order]),
    }
    return {
        LOGINS: Keyed.of(pd.DataFrame(logins, copy=False), most=["last"], once=True),
        FIRST_LOGINS: First.of(pd.DataFrame(first, copy=False), 2, ("time", "source", "line"), ("user",)),
    }


@dataclass(frozen=True)
class _Told:
    """What all windows told together."""

    partial: Partial
    log: Log
    kinds: Kinds
    signatures: Signatures
    handed: HandOvers
    served: Served
    ends: Ends
    aliases: Owned
    calls: pd.DataFrame
    """Calls of every filter (:func:`logscan.scan.trainings.told`)."""

    @classmethod
    def of(cls, partial: Partial, log: Log) -> _Told:
        ends = Ends.of(partial, log)
        return cls(
            partial,
            log,
            Kinds.of(partial, log),
            Signatures(partial),
            HandOvers(partial),
            Served(partial),
            ends,
            owners.owning(partial, ends),
            trainings.told(partial.frame(trainings.CALLS)).astype({"user": "str", "class": "str"}),
        )

    def left(self, name: str) -> int:
        """Return how many rows of a part were left out."""
        part = self.partial.parts[name]
        assert isinstance(part, Latest)
        return part.left


def conclude(partial: Partial, log: Log) -> Result:
    """Tell of each training call that missed at whose signature it was, and of each move whether a call followed."""
    partial = with_past(partial, log, CHECK.name)
    told, settings = _Told.of(partial, log), log.settings
    if "dspam" not in told.kinds.names:
        result = _without(told)
        result.predictions = predictions(settings).get("training-misses-hash", []) + _predictions(partial, settings)
        return result
    calls = told.calls[(told.calls["filter"] == "dspam").to_numpy()]
    calls = trainings.owned(calls, told.signatures, log.inventory, told.handed, told.aliases)
    learned = calls[(calls["outcome"] == "learned") & calls["class"].isin(["spam", "innocent"])]
    vain = calls[calls["outcome"] == "missed"]
    # DSPAM may write to syslog and to a file of its own, whose time has whole seconds.
    vain = vain[~vain.assign(time=vain["time"].dt.floor("s"))[["time", "user", "signature"]].duplicated()]
    found = followed(partial, told.calls, told.signatures)
    open_moves = uncalled.uncalled(partial, log, found, told.handed, told.kinds.names)
    result = _counted(told, found, open_moves, learned, vain)
    result.predictions = predictions(settings).get("training-misses-hash", []) + _predictions(partial, settings)
    result.findings += not_called(log, told.kinds.names, found, open_moves)
    result.findings += failed(log, told.calls, found)
    astray = _astray(learned)
    misses = pd.concat([vain, astray]) if len(astray) else vain
    if misses.empty:
        _blind(result, told, found, open_moves)
    else:
        result.findings += _missed(told, calls, misses)
    return result


def _counted(told: _Told, found: Moves, open_moves: Uncalled, learned: pd.DataFrame, vain: pd.DataFrame) -> Result:
    """Return how many trainings there were, and of how many the logs tell enough."""
    other = int((found.frame["called"] != "").sum()) + len(found.failed)
    base = (len(learned) + len(vain) or max(other, found.piped)) + len(open_moves.bad)
    until = told.signatures.until
    unowned = 0 if until is None else int((learned["belongs_to"].isna() & (learned["made"] <= until)).sum())
    left = max(told.left(trainings.CALLS), told.left(moves.MOVES))
    result = Result(checked=base - unowned, eligible=base + open_moves.undecided + left)
    if unowned + left and ev.too_few(result):
        result.blind_because.append(
            f"{unowned + left} of {result.eligible} trainings: whose the mail was, or the training itself, is kept for the "
            f"latest {MOST_LATEST:,} only; look at a shorter time"
        )
    return result


def _missed(told: _Told, calls: pd.DataFrame, misses: pd.DataFrame) -> list[Finding]:
    """Return one finding a user and cause for calls that missed."""
    right = Right(calls, told.partial.frame(LOGINS), told.ends)
    causes = [missed.causes(row, told.aliases, told.served) for row in misses.itertuples()]
    misses = misses.assign(causes=causes, cause=[each[0] for each in causes])
    misses["subject"] = misses["user"].fillna("(user not logged)")
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in misses.rename(columns={"class": "kind"}).itertuples():
        groups.setdefault((str(row.subject), str(row.cause)), []).append(row)
    lines = _Lines(told, misses)
    return [_finding(lines, told, user, cause, rows, right) for (user, cause), rows in groups.items()]


def _without(told: _Told) -> Result:
    """Say that no filter with a dictionary per user is here, or that it isn't known."""
    kinds, result = told.kinds.names, Result()
    if named := sorted(kinds - {"other"}):
        names = " and ".join(NAMES.get(kind, kind) for kind in named)
        result.not_applicable = (
            f"The filter here is {names}, not DSPAM with its dictionary per user: see training-without-effect."
        )
    elif kinds:
        result.blind_because.append(
            f"whether the filter at {told.kinds.unnamed} learns per user isn't known: nothing names it"
        )
    elif told.kinds.none:
        result.not_applicable = "No filter is set up here that users could train."
    else:
        result.blind_because.append(
            "no lines of DSPAM in these logs; which filter this server has isn't known: give main.cf and master.cf"
        )
    return result


def _blind(result: Result, told: _Told, found: Moves, open_moves: Uncalled) -> None:
    """Say what keeps the check from knowing."""
    settings = told.log.settings
    home = f"{settings.dspam.home}/system.log, `SystemLog on`"
    if open_moves.undecided and ev.too_few(result):
        result.blind_because.append(
            f"{open_moves.undecided} of {result.eligible} trainings: users moved mail into or out of Junk, and whether a "
            f"call followed isn't in these logs; {open_moves.reason}"
        )
    # Each move of which DSPAM learned the mail needs no line that tells of a failure.
    proven = len(found.frame) and (found.frame["called"] == "at once").all() and not open_moves.undecided
    if "dspam" not in told.log.read.programs and not proven:
        result.blind_because.append(
            "no syslog line of DSPAM (program dspam) in these logs: a training that fails is told only there"
        )
    if not result.eligible and not found.piped:
        where = (
            "DSPAM's own log is among them"
            if told.partial.count(OWN_LOG)
            else f"one that works is told only in DSPAM's system.log ({home})"
        )
        result.blind_because.append(f"no training call and no user's move into or out of Junk in these logs; {where}")


def _astray(learned: pd.DataFrame) -> pd.DataFrame:
    """Return trainings that were learned, but under another user than the one who owns the signature."""
    other = learned[learned["belongs_to"].notna() & learned["user"].notna()]
    return other[other["belongs_to"] != other["user"]]


def _finding(lines: _Lines, told: _Told, user: str, cause: str, rows: list[Any], right: Right) -> Finding:
    owned = told.aliases
    cases = [
        {
            "time": cells.iso(row.time),
            "signature": cells.text(row.signature),
            "path": cells.text(row.path),
            "class": cells.text(row.kind),
            "belongs_to": cells.text(row.belongs_to),
            "causes": row.causes,
            "state": missed.state(row, owned),
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
        if owners or cause == missed.CAUSES[0]
        else "low",
        count=len(cases),
        cases=cases,
        first=cells.moment(min(times)),
        last=cells.moment(max(times)),
        state=state,
        remedy=lines.remedy(told.log.settings, cause, user, owners) if state == "active" else None,
        evidence=lines.of(user, rows),
        why=missed.untold(rows, told.served, told.signatures.until, told.log.zone)
        if cause == "unknown"
        else missed.WHY[cause],
        mails=len({row.signature for row in rows}),
    )


class _Lines:
    """The lines that prove misses, and the remedies, each looked up once: users may be many."""

    def __init__(self, told: _Told, misses: pd.DataFrame) -> None:
        self.labels = [source.label for source in told.log.read.sources]
        self.learned = told.signatures.lines(misses["signature"])
        first = told.partial.frame(FIRST_LOGINS)
        first = first[first["user"].isin(misses["user"].dropna())].sort_values(["time", "source", "line"])
        self.logins: dict[str, list[tuple[int, int]]] = {}
        for name, *place in zip(first["user"], first["source"], first["line"], strict=True):
            self.logins.setdefault(str(name), []).append((int(place[0]), int(place[1])))
        self._remedies: dict[tuple[str, str], Remedy | None] = {}

    def of(self, user: str, rows: list[Any]) -> list[Evidence]:
        """Return the calls that missed, the lines under which the filter learned these mails, the user's logins."""
        calls = [(int(row.source), int(row.line)) for row in rows[:4]]
        learned = [place for row in rows[:4] for place in self.learned.get(str(row.signature), ())]
        places = dict.fromkeys([*calls, *learned, *self.logins.get(user, ())])
        known = [(source, line) for source, line in places if 0 <= source < len(self.labels)]
        return [Evidence(self.labels[source], line, "") for source, line in known][: ev.MOST_EVIDENCE]

    def remedy(self, settings: Settings, cause: str, user: str, owners: list[str]) -> Remedy | None:
        """Return what mends a cause; users with the same cure share one."""
        key = (cause, ", ".join(owners) if cause == "case-or-extension" else "")
        if key not in self._remedies:
            self._remedies[key] = _remedy(settings, cause, user, owners)
        return self._remedies[key]


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


def _predictions(partial: Partial, settings: Settings) -> list[Prediction]:
    """Predict misses for every user seen logging in without a domain, where the training call passes the bare login."""
    fact = settings.dovecot.training_arguments
    if fact is None or not settings.dovecot.trains_login_as_given or settings.dovecot.default_domain:
        return []
    logins = partial.frame(LOGINS)
    some = logins.loc[(logins["protocol"] == "imap").to_numpy(dtype=bool), "user"]
    bare = sorted({user for user in some if user and "@" not in user})
    return [
        Prediction(
            "login-without-domain",
            user,
            f"{user} logs in without a domain, and {fact.value!r} passes that to the training call: it must miss",
            fact.file,
            fact.line,
            remedies.training_arguments(settings),
        )
        for user in bare
    ]


CHECK = Check(
    "training-misses-hash",
    "Users train in vain",
    look=look,
    conclude=conclude,
    remember=trainings.remember,
    causes=(*missed.CAUSES, *untrained.CAUSES),
    many={
        "login-without-domain": "{n} people log in without a domain: their training looks where nothing was learned",
        "alias-not-expanded": "{n} people train mail in vain that was learned under an alias",
        "case-or-extension": "{n} people train under another spelling of their address than the filter learned under",
        "login-is-not-address": "{n} people log in with a name that isn't their address, and train under it in vain",
        "signature-expired": "{n} people train mail whose signature isn't kept any more",
        "training-not-called": "{n} people move mail to and from Junk, and no training follows",
        "training-call-failed": "Training calls of {n} people fail",
    },
    order=10,
    clear="Nobody trained in vain ({checked:training|trainings} looked at)",
)
