"""The filter learns under an alias address that no person can train.

## What it finds
Aliases such as `sales` under which DSPAM learns mail: they reach the filter unexpanded and are expanded behind it. One
finding an alias.

## Why it matters
A dictionary grows under `sales`, and nobody can train it: whoever moves such a mail to Junk trains under the own name,
where its signature isn't. The filter never gets better for that mail.

## What the log shows
A hand-over to DSPAM with `to=<sales@…>`, and behind it deliveries with `orig_to=<sales@…>` to other addresses, for an
address that owns no mailbox and doesn't list itself. DSPAM's system.log shows that user name.

## What to do
`no_address_mappings` stands before the filter; it belongs behind it: merge it into the re-injection service's existing
receive_override_options, then remove it before the filter. What was learned under the alias: dspam_merge, or retrain.

## When it is wrong
An alias that keeps an archive of its own (`root: root, alice`) rightly owns a dictionary and is passed over; so are
external recipients and people who left. Aliases of aliases(5), which only local(8) expands, are a note. Filters with one
common dictionary (amavis, rspamd, unless their Bayes is set up per user) don't suffer: there the check is not applicable.

## When it is blind
When no mail went through a filter that learns per recipient, or what came out of it isn't in the log.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at, places
from logscan.checking.predicting import predictions
from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.scan import kinds, owners
from logscan.scan.aliases import HandOvers, handed_over, told_of
from logscan.scan.hops import NAMES
from logscan.scan.mended import RELOADS, Ends, Mended, reload_times
from logscan.tables import cells, texts
from logscan.tables.partials import Partial, Rows

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


def look(window: Window, settings: Settings) -> Partial:
    """Look at each hand-over to DSPAM and at what its recipient became behind it."""
    found = handed_over(window)
    kept_back = _kept_back(window, found)
    return Partial(
        {
            "hand_overs": len(found.row),
            "known": int(np.count_nonzero(found.known)),
            "checked": int(np.count_nonzero(found.known & ~kept_back)),
            "eligible": int(np.count_nonzero(~kept_back)),
            "judged": len(window.verdicts),
            "owned": Rows.of(_owned(window, told_of(window, found.expanded)) if found.expanded.any() else _none()),
            RELOADS: reload_times(window),
            **owners.look(window),
            **kinds.look(window),
        }
    )


def _kept_back(window: Window, found: HandOvers) -> np.ndarray:
    """Return which hand-overs ended in the filter's quarantine, so that nothing can come out."""
    if not len(window.verdicts):
        return np.zeros(len(found.row), np.bool_)
    rows = window.deliveries["verdict_row"].to_numpy()[found.row]
    quarantined = np.append(texts.equal(window.verdicts["status"], "Quarantined"), False)
    out: np.ndarray = quarantined[rows] & ~found.known
    return out


TEXTS = ("alias", "host", "message_id", "queue_id")


@functools.cache
def _none() -> pd.DataFrame:
    """Return no row of :func:`_owned`."""
    kinds_ = dict.fromkeys(("row", "mail"), "int64") | {"time": "datetime64[ns, UTC]"} | dict.fromkeys(TEXTS, "str")
    kinds_ |= dict.fromkeys(("outside", "by_local"), "bool") | dict.fromkeys(("people", "behind"), "object")
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds_.items()})


def _owned(window: Window, some: pd.DataFrame) -> pd.DataFrame:
    """Return the hand-overs of aliases that were expanded behind the filter, with what tells them in any window.

    ``row`` is the line (:func:`logscan.checking.copies.places`), ``mail`` the first of its mail's; ``behind`` are the lines of
    what came out of the filter.
    """
    deliveries, line = window.deliveries, places(window)
    mail = deliveries["mail"].to_numpy()
    of_mail = np.full(len(window.mails) + 1, np.iinfo(np.int64).max)
    np.minimum.at(of_mail, mail, line)
    entry = deliveries["entry"].to_numpy()
    ends = np.flatnonzero(np.isin(entry, some["child"].to_numpy(np.int64)))
    behind = {
        int(child): np.sort(line[ends[rows]])[: ev.MOST_EVIDENCE].tolist()
        for child, rows in pd.Series(entry[ends]).groupby(entry[ends]).indices.items()
    }
    names = window.entries[["message_id", "queue_id"]].iloc[some["entry"].to_numpy(np.int64)]
    row = some["row"].to_numpy(np.int64)
    return pd.DataFrame(
        {
            "row": line[row],
            "mail": of_mail[mail[row]],
            "time": some["time"].array,
            "alias": texts.lower(some["user"].astype("str")).array,
            "host": some["host"].astype("str").array,
            "outside": some["outside"].to_numpy(dtype=np.bool_),
            "by_local": some["by_local"].to_numpy(dtype=np.bool_),
            "message_id": names["message_id"].array,
            "queue_id": names["queue_id"].array,
            "people": pd.Series(some["people"].tolist(), dtype="object"),
            "behind": pd.Series([tuple(behind.get(int(child), ())) for child in some["child"]], dtype="object"),
        }
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each alias that was expanded behind the filter and keeps nothing."""
    settings = log.settings
    result = Result(checked=partial.count("checked"), eligible=partial.count("eligible"))
    result.predictions = predictions(settings).get("alias-owns-hash", [])
    hand_overs = partial.count("hand_overs")
    if not hand_overs:
        _without(result, kinds.Kinds.of(partial, log), settings)
    elif ev.too_few(result) or not result.eligible:
        left = hand_overs - partial.count("known")
        result.blind_because.append(
            f"what became of {left} of {hand_overs} hand-overs to DSPAM isn't in these logs: nothing came out of it again"
        )
    bad = _keeping_nothing(partial)
    bad = bad[~bad["alias"].isin(set(settings.mailboxes)) & ~bad["outside"].to_numpy(dtype=np.bool_)]
    if bad.empty:
        return result
    learned = {user.lower() for user in log.inventory.users} if log.inventory is not None else set()
    states = owners.states(partial, Ends.of(partial, log))
    hosts = bad.groupby("alias")["host"].nunique()
    several = set(hosts.index[hosts > 1])
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in bad.itertuples():
        groups.setdefault((row.alias, row.host), []).append(row)
    finder = _Finder(log, bad, judged=partial.count("judged") > 0)
    for (alias, host), rows in groups.items():
        # One name on two hosts is two aliases.
        subject = f"{alias} on {host}" if alias in several else alias
        result.findings.append(finder.finding(subject, rows, states[alias, host], alias in learned))
    return result


def _keeping_nothing(partial: Partial) -> pd.DataFrame:
    """Return the hand-overs of aliases that keep nothing on their host, in the order of the lines."""
    keeping = partial.frame(owners.KEEPING)[["alias", "host"]].drop_duplicates().assign(keeps=True)
    both = partial.frame("owned").merge(keeping, on=["alias", "host"], how="left")
    return both[both["keeps"].isna()].sort_values(["row", "alias"], kind="stable", ignore_index=True)


LOCAL = (
    "Aliases of aliases(5) are expanded at delivery only. To have the filter learn under the people, list this alias in "
    "virtual_alias_maps too (root: root@DOMAIN alice@DOMAIN), which cleanup expands before the filter."
)


class _Finder:
    """Makes one finding an alias; what all share is made once, since they may be many."""

    def __init__(self, log: Log, bad: pd.DataFrame, judged: bool) -> None:
        self.log, self.judged = log, judged
        self.remedy = remedies.alias_owns_hash(log.settings) if not bad["by_local"].all() else Remedy(LOCAL)

    def _evidence(self, rows: list[Any]) -> list[Evidence]:
        return ev.merged(
            lines_at(self.log, [row.row for row in rows[:4]]),
            lines_at(self.log, [place for row in rows[:2] for place in row.behind]),
        )

    def finding(self, subject: str, rows: list[Any], mended: Mended | None, learned: bool) -> Finding:
        cases = [
            {
                "message_id": cells.text(row.message_id),
                "mailboxes": list(row.people),
                "queue_id": row.queue_id,
                "time": cells.iso(row.time),
            }
            for row in rows
        ]
        people = sorted({name for row in rows for name in row.people})
        mails = len({row.mail for row in rows})
        summary = (
            f"The filter learns mail to {subject} under that alias, not under {', '.join(people[:4])}"
            f"{' …' if len(people) > 4 else ''}: {ev.mails(mails)}"
        )
        local = all(row.by_local for row in rows)
        times = [row.time for row in rows]
        return Finding(
            cause="local-alias" if local else "alias-not-expanded",
            subject=subject,
            summary=f"{summary}; {mended.words}" if mended else summary,
            severity="note" if local else "problem",
            confidence="high" if learned or self.judged else "medium",
            count=len(cases),
            cases=cases,
            first=cells.moment(min(times)),
            last=cells.moment(max(times)),
            state="mended" if mended else "active",
            remedy=None if mended else Remedy(LOCAL) if local else self.remedy,
            evidence=self._evidence(rows),
            why="aliases(5) are expanded by local(8) at delivery, always behind the filter."
            if local
            else "Aliases are expanded behind the filter only: no_address_mappings stands before it.",
            mails=mails,
            recipients=len(rows),
        )


def _without(result: Result, here: kinds.Kinds, settings: Settings) -> None:
    """Say why no mail was handed to a filter that learns per recipient: there is none, or the log doesn't hold it."""
    if "dspam" not in here.names:
        names = " and ".join(NAMES.get(kind, kind) for kind in sorted(here.names - {"other"}))
        if names:
            result.not_applicable = (
                f"No filter here learns under the recipient's address as DSPAM does: {names} "
                f"{'learn' if ' and ' in names else 'learns'} for all in common, unless set up per user."
            )
        elif here.none:
            result.not_applicable = "No filter is set up here, so none can learn under an alias."
        elif here.names:
            result.blind_because.append(
                f"whether the filter at {here.unnamed} learns per recipient isn't known: nothing names it"
            )
        else:
            result.blind_because.append(
                "no mail went through a filter that learns per recipient (DSPAM) in these logs; which filter this server "
                "has isn't known: give main.cf and master.cf"
            )
    elif settings.dspam.fixed_user:
        user = settings.dspam.fixed_user
        result.not_applicable = f"DSPAM learns all mail under one user here ({user}), under no recipient's address."
    elif settings.known("aliases") and not settings.aliases and not settings.unresolved:
        result.not_applicable = "There is no alias on this server."
    else:
        result.blind_because.append("no mail handed to DSPAM in these logs")


def marks(source: str, target: str) -> bool:
    """Whether strangers' mail goes this way into the filter."""
    return target.startswith("filter:") and source.startswith("listener:") and not source.endswith((":login", ":local"))


CHECK = Check(
    "alias-owns-hash",
    "The filter learns under an alias",
    look=look,
    conclude=conclude,
    causes=("alias-not-expanded", "local-alias"),
    marks=marks,
    many={"alias-not-expanded": "The filter learns under {n} aliases, which nobody can train"},
    order=20,
    clear="The filter learned under no alias ({checked:hand-over|hand-overs} to it looked at)",
    but="but for {noted:mail|mails} to aliases(5), which are always expanded behind it",
)
