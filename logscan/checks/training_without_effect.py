"""Users train rspamd or SpamAssassin, and nothing is learned: no call is made, it fails, is refused, or learns for somebody else.

## What it finds
Moves into and out of Junk that the filter's log tells no learning of, training programs that end with an error, mail that the
filter refuses to learn, and calls for a user under whom no mail is judged. One finding a user (or a reason) and cause.

## Why it matters
The mail program says OK to each move, and nothing changes: the same spam comes again, and users stop telling.

## What the log shows
Dovecot's mail_log tells the moves (`copy from INBOX: box=Junk`), imapsieve the programs that fail (`pipe action: failed to
execute to program …`). rspamd.log tells each mail that was learned (`learned message as spam`) or not (`cannot learn <…>`); spamd
tells `Tell: Setting local for alice:1000`, or `service unavailable: TELL commands are not enabled`.

## What to do
`training-not-called`: find why the plug-in, the sieve script or the job doesn't see the move, or can't reach the filter.
`training-call-failed`: run the program by hand as Dovecot's user. `learning-refused`: the line says why (rspamd's Redis; spamd's
`--allow-tell`). `learns-for-another-user`: train under the user whom spamd judges mail for (`spamc -u`).

## When it is wrong
What was learned before already is no failure, nor is a mail too short to learn (a note). One Bayes database for all makes it
equal under whom is trained: so `learns-for-another-user` is a warning only, and a note where all mail is judged under one name.

## When it is blind
Without the filter's log of that time (rspamd.log), or without a move and a call. sa-learn writes no log: its calls show only
where imapsieve or a script tells of them. For DSPAM, with its dictionary per user, training-misses-hash looks at all that:
there this check is not applicable.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.untrained import CAUSES as UNTRAINED
from logscan.checking.untrained import failed, not_called
from logscan.correlate.lives import SECOND
from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.scan import judged, kinds, moves, trainings, uncalled
from logscan.scan.called import Moves, followed
from logscan.scan.columns import column, joined
from logscan.scan.hops import NAMES
from logscan.scan.judged import HandOvers, Signatures
from logscan.scan.kinds import Kinds
from logscan.scan.pasts import with_past
from logscan.scan.uncalled import Uncalled
from logscan.tables import cells
from logscan.tables.partials import First, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

CAUSES = (*UNTRAINED, "learning-refused", "learns-for-another-user")
REFUSED, USERS = "refused", "users"

MOST_REFUSED = 5_000
"""Refused calls that are kept, the first ones."""

FEW_WORDS = re.compile(r"(?:less|more) tokens than|empty (?:message|part)|no text tokens")
"""rspamd learns nothing of a mail without enough words, by design (libstat/stat_process.c)."""


def look(window: Window, settings: Settings) -> Partial:
    """Return calls and moves as training-misses-hash does, what filters refused to learn, and under whom spamd works."""
    parts: dict[str, Part] = {trainings.CALLS: trainings.look(window), REFUSED: _refused(window), USERS: _users(window)}
    for more in (judged, kinds, uncalled):
        parts |= more.look(window)
    return Partial(parts | moves.look(window, settings))


def remember(partial: Partial, now: int) -> Partial:
    """Return what was judged, as moves and calls may ask for it, and under whom spamd judges."""
    users = partial.frame(USERS)
    judging = Keyed.of(users[users["judged"] > 0].iloc[:MOST_REFUSED].assign(judged=1, learned=0), sums=NO_USERS.sums)
    return Partial({**judged.remember(partial, now), USERS: judging})


def _refused(window: Window) -> First:
    """Return the calls that a filter other than DSPAM refused, with its reason; what was learned before is none."""
    outcome, name = column(window, "trainings", "outcome"), column(window, "trainings", "filter")
    rows = np.flatnonzero(outcome.is_in("failed") & ~name.is_in("dspam"))
    if not len(rows):
        return NONE_REFUSED
    text = column(window, "trainings", "text").take(rows)
    rows = rows[~text.having(lambda words: "already" in words)]
    some = window.rows("trainings", rows, "time", "source", "line", "filter", "user", "message_id", "text")
    some = some.astype({"filter": "str", "source": "int64", "line": "int64"})
    return First.of(some[some["time"].notna()], MOST_REFUSED, ("time", "source", "line"))


NONE_REFUSED = First.of(
    pd.DataFrame(
        {
            "time": pd.Series([], dtype="datetime64[ns, UTC]"),
            **dict.fromkeys(("source", "line"), pd.Series([], dtype="int64")),
            **dict.fromkeys(("filter", "user", "message_id", "text"), pd.Series([], dtype="str")),
        }
    ),
    MOST_REFUSED,
    ("time", "source", "line"),
)


def _users(window: Window) -> Keyed:
    """Count under whom spamd judged mail and learned it: ``user``, ``judged``, ``learned``."""
    rows = np.empty(0, np.int64)
    if len(window.verdicts):
        rows = np.flatnonzero(joined(window, "verdicts", "filter").is_in("spamd"))
    own = joined(window, "verdicts", "user").take(rows)
    calls = np.flatnonzero(
        column(window, "trainings", "filter").is_in("spamd") & column(window, "trainings", "outcome").is_in("learned")
    )
    if not len(rows) + len(calls):
        return NO_USERS
    told = column(window, "trainings", "user").take(calls)
    names = pa.concat_arrays([each.texts().fill_null("").cast(pa.large_string()) for each in (own, told)])
    flag = np.r_[np.zeros(len(rows), np.int64), np.ones(len(calls), np.int64)]
    return Keyed.of({"user": names, "judged": 1 - flag, "learned": flag}, sums=("judged", "learned"))


NO_USERS = Keyed.of(
    {"user": pa.array([], pa.large_string()), **dict.fromkeys(("judged", "learned"), np.empty(0, np.int64))},
    sums=("judged", "learned"),
)


def conclude(partial: Partial, log: Log) -> Result:
    """Tell of each move whether it was learned, and of each call why it wasn't."""
    partial = with_past(partial, log, CHECK.name)
    here = Kinds.of(partial, log)
    refused = partial.frame(REFUSED).sort_values(["time", "source", "line"], ignore_index=True)
    if "dspam" in here.names:
        result = Result(len(refused), len(refused))
        result.findings = _refusals(log, refused)
        if not any(each.counts for each in result.findings):
            result.not_applicable = "The filter here is DSPAM: training-misses-hash tells whether training reaches it."
        return result
    calls = trainings.told(partial.frame(trainings.CALLS)).astype({"user": "str", "class": "str"})
    found = followed(partial, calls, Signatures(partial))
    open_moves = uncalled.uncalled(partial, log, found, HandOvers(partial), here.names)
    learned = int((calls["outcome"] == "learned").sum())
    called = max(int((found.frame["called"] != "").sum()), learned, found.piped)
    base = called + len(refused) + len(open_moves.bad)
    result = Result(checked=base, eligible=base + open_moves.undecided)
    result.findings += not_called(log, here.names, found, open_moves)
    result.findings += failed(log, calls, found)
    result.findings += _refusals(log, refused)
    result.findings += _other_users(log, partial.frame(USERS), calls)
    _blind(result, log, here, found, open_moves)
    return result


def _refusals(log: Log, refused: pd.DataFrame) -> list[Finding]:
    """Return one finding for each filter and reason for which it learned nothing."""
    groups: dict[tuple[str, bool], list[Any]] = {}
    for row in _each_once(refused).itertuples(index=False):
        groups.setdefault((str(row.filter), bool(FEW_WORDS.search(cells.text(row.text) or ""))), []).append(row)
    out = []
    for (name, short), rows in groups.items():
        reasons = [_reason(cells.text(row.text) or "") for row in rows]
        reason = max(sorted(often := Counter(reasons)), key=often.__getitem__)
        n, who = len(rows), NAMES.get(name, name)
        out.append(
            Finding(
                cause="learning-refused",
                subject=f"{who}: too few words" if short else who,
                summary=f"{who} refused {n:,} time{'s' * (n != 1)} to learn a mail: {reason}",
                severity="note" if short else "problem",
                confidence="high",
                count=n,
                cases=[
                    {
                        "time": cells.iso(row.time),
                        "message_id": cells.text(row.message_id),
                        "user": cells.text(row.user),
                        "reason": text,
                    }
                    for row, text in zip(rows, reasons, strict=True)
                ],
                first=cells.moment(rows[0].time),
                last=cells.moment(rows[-1].time),
                remedy=None if short else Remedy(_REFUSED.get(name, "The line says why: mend that, and train again.")),
                evidence=_evidence(log, rows),
                why="rspamd learns no mail with too few words in it, by design." if short else "",
                mails=len({cells.text(row.message_id) for row in rows}),
            )
        )
    return out


def _each_once(refused: pd.DataFrame) -> pd.DataFrame:
    """Drop what a backend says without a mail's name where the call that failed for it says so too, and keep its reason there."""
    named = refused["message_id"].notna().to_numpy()
    if named.all() or not named.any():
        return refused
    out, at = refused.copy(), refused["time"].dt.as_unit("ns").astype("int64").to_numpy()
    there, gone = np.flatnonzero(named), []
    for row in np.flatnonzero(~named).tolist():
        place = int(np.searchsorted(at[there], at[row]))
        near = [int(there[each]) for each in (place - 1, place) if 0 <= each < len(there)]
        near = [each for each in near if abs(int(at[each]) - int(at[row])) <= 2 * SECOND]
        if near:
            out.loc[near[-1], "text"] = refused.at[row, "text"]
            gone.append(row)
    return out.drop(index=gone)


_REFUSED = {
    "rspamd": "Look at the reason that rspamd gives: Redis out of reach or read-only (redis-cli ping, redis-cli info "
    "replication), a classifier without servers (rspamadm configdump classifier). Then train again: rspamc learn_spam FILE.",
    "spamd": "Start spamd with --allow-tell (OPTIONS in /etc/default/spamd or spamassassin) and let it listen to this host only, "
    "or train with sa-learn as the user whom spamd judges mail for.",
}


def _reason(text: str) -> str:
    """Return a reason without the message-id that may stand in it, so that equal ones are one."""
    return re.sub(r"<[^<>]*>", "<…>", text)[:200]


def _other_users(log: Log, users: pd.DataFrame, calls: pd.DataFrame) -> list[Finding]:
    """Return one finding for each user under whom spamd learns and never judges, where it judges mail under others."""
    judging = {_bare(user) for user, n in zip(users["user"], users["judged"], strict=True) if n} - {"", "(unknown)"}
    strange = sorted(
        {user for user, n in zip(users["user"], users["learned"], strict=True) if n and _bare(user) not in judging}
    )
    out = []
    for user in strange if judging else []:
        rows = list(
            calls[(calls["filter"] == "spamd") & (calls["user"] == user) & (calls["outcome"] == "learned")].itertuples()
        )
        rows = [row for row in rows if not pd.isna(row.time)]
        if not rows:
            continue
        n, others = len(rows), sorted(judging)
        named = f"{', '.join(others[:3])}{' …' if len(others) > 3 else ''}"
        out.append(
            Finding(
                cause="learns-for-another-user",
                subject=user,
                summary=f"spamd learned {ev.mails(n)} under {user}, and judges none under that name, but under {named}",
                # Where all mail is judged under one name, all may well share what is learned.
                severity="warning" if len(others) > 1 else "note",
                confidence="medium" if len(others) > 1 else "low",
                count=n,
                cases=[{"time": cells.iso(row.time), "user": user, "addresses": []} for row in rows],
                first=cells.moment(rows[0].time),
                last=cells.moment(rows[-1].time),
                remedy=Remedy(
                    "Train under the user whom mail is judged for: spamc -u USER -L spam, or sa-learn as that user. Where all "
                    "share one database (bayes_path, or bayes_sql_override_username in local.cf), nothing has to be done."
                ),
                evidence=_evidence(log, rows),
                why="SpamAssassin keeps a Bayes database for each user unless local.cf names one for all.",
            )
        )
    return out


def _bare(user: Any) -> str:
    return "" if pd.isna(user) else str(user).lower().partition(":")[0]


def _evidence(log: Log, rows: list[Any]) -> list[Evidence]:
    some = rows[: ev.MOST_EVIDENCE]
    return [Evidence(log.read.sources[int(row.source)].label, int(row.line), "") for row in some]


def _blind(result: Result, log: Log, here: Kinds, found: Moves, open_moves: Uncalled) -> None:
    """Say what keeps the check from knowing, or that nobody can train in vain here."""
    if open_moves.undecided and ev.too_few(result):
        result.blind_because.append(
            f"{open_moves.undecided} of {result.eligible} trainings: users moved mail into or out of Junk, and whether it was "
            f"learned isn't in these logs; {open_moves.reason}"
        )
    if result.eligible and not len(found.frame) and not found.piped:
        # A call that fails on its way leaves no line with the filter.
        result.blind_because.append(
            "only trainings that reached the filter are in these logs; those that don't are told by Dovecot's lines of moves "
            "(mail_plugins = … notify mail_log) or by the script that calls"
        )
    if result.eligible or found.piped:
        return
    names, settings = here.names, log.settings
    if by := moves.trigger(settings):
        mail_log = "" if settings.dovecot.mail_log else " (moves are told with mail_plugins = … notify mail_log)"
        result.blind_because.append(f"Dovecot trains by {by}, but these logs hold no call and no user's move{mail_log}")
    elif names - {"other"}:
        named = " and ".join(NAMES.get(kind, kind) for kind in sorted(names - {"other"}))
        result.not_applicable = (
            f"Nobody trained {named} in these logs, and no configuration at hand says that users do."
        )
    elif names:
        result.blind_because.append(
            f"what the filter at {here.unnamed} learns isn't known, and nobody trained one in these logs"
        )
    elif here.none:
        result.not_applicable = "No filter is set up here that users could train."
    else:
        result.blind_because.append(
            "no training in these logs; which filter this server has isn't known: give main.cf and master.cf"
        )


CHECK = Check(
    "training-without-effect",
    "Training has no effect",
    look=look,
    conclude=conclude,
    remember=remember,
    causes=CAUSES,
    order=425,
    group="filters",
    severity="problem",
    needs=("moves of Dovecot's mail_log, or training calls", "the log of rspamd or spamd"),
    related=("training-misses-hash", "filter-half-blind"),
    clear="No training was without effect ({checked:training|trainings} looked at)",
)
