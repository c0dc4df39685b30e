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

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.predicting import predictions
from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.scan import kinds, owners
from logscan.scan.aliases import Mended, owned_aliases
from logscan.scan.hops import NAMES
from logscan.scan.kinds import Kinds
from logscan.scan.mended import RELOADS, Ends, reload_times
from logscan.tables import cells, texts
from logscan.tables.partials import First, Keyed, Partial, Rows

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

CASES, BEHIND, LEARNED = "cases", "behind", "learned"

SHOWN = 2
"""Cases of an alias of which what came out behind the filter is shown."""

ORDER = ["source", "line", "time", "queue_id"]


def look(window: Window, settings: Settings) -> Partial:
    """Return hand-overs to DSPAM that became other addresses behind it, and how many there were in all.

    ``cases``: ``alias``, ``host``, ``time``, ``message_id``, ``queue_id``, ``people`` (tuple), ``by_local``, ``mail`` (text,
    the same for one mail), ``source``, ``line``; ``behind``: the lines of what came out of the first cases of each alias.
    """
    frame = owned_aliases(window)
    back = _kept_back(window, frame)
    known = frame["known"].to_numpy(dtype=np.bool_)
    user = texts.lower(frame["user"].astype("str"))
    mine = frame["expanded"].to_numpy(dtype=np.bool_) & ~frame["outside"].to_numpy(dtype=np.bool_)
    mine &= ~user.isin(set(settings.mailboxes)).to_numpy(dtype=np.bool_)
    bad = frame[mine].assign(alias=user[mine])
    cases = _described(window, bad)
    verdicts = window.verdicts
    learned = verdicts.loc[verdicts["filter"] == "dspam", "user"].dropna().str.lower()
    return Partial(
        {
            "hand_overs": len(frame),
            "known": int(known.sum()),
            "checked": int((known & ~back).sum()),
            "eligible": int((~back).sum()),
            "judged": len(verdicts),
            CASES: Rows.of(cases),
            BEHIND: First.of(_behind(window, bad, cases), ev.MOST_EVIDENCE * SHOWN, BY, ["alias", "host"]),
            LEARNED: Keyed.of(pd.DataFrame({"user": learned.astype("str")})),
            RELOADS: reload_times(window),
            **kinds.look(window),
            **owners.look(window),
        }
    )


BY = [*ORDER[:2], "behind_source", "behind_line"]


def _described(window: Window, bad: pd.DataFrame) -> pd.DataFrame:
    entries = window.entries.iloc[bad["entry"].to_numpy()]
    deliveries = window.deliveries.iloc[bad["row"].to_numpy(dtype=np.int64)]
    mails = window.mails.iloc[bad["mail"].to_numpy(dtype=np.int64)]
    return pd.DataFrame(
        {
            "alias": bad["alias"].to_numpy(),
            "host": bad["host"].astype("str").to_numpy(),
            "time": bad["time"].array,
            "message_id": entries["message_id"].array,
            "queue_id": entries["queue_id"].array,
            "people": bad["people"].to_numpy(),
            "by_local": bad["by_local"].to_numpy(dtype=np.bool_),
            "mail": mails["host"].array
            + " "
            + mails["queue_id"].array
            + " "
            + mails["first"].astype("int64").astype("str").array,
            "source": deliveries["source"].to_numpy(),
            "line": deliveries["line"].to_numpy(),
        }
    )


def _behind(window: Window, bad: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return the delivery lines of what came out of the filter, by case."""
    deliveries = window.deliveries[["entry", "source", "line"]]
    ends = deliveries[deliveries["entry"].isin(bad["child"])]
    ends = ends.rename(columns={"source": "behind_source", "line": "behind_line"})
    found = cases[["alias", "host", "source", "line"]].assign(entry=bad["child"].to_numpy())
    return found.merge(ends, on="entry").drop(columns="entry")


def _kept_back(window: Window, frame: pd.DataFrame) -> np.ndarray:
    """Return which hand-overs ended in the filter's quarantine, so that nothing can come out."""
    rows = window.deliveries["verdict_row"].to_numpy()[frame["row"].to_numpy(dtype=np.int64)]
    status = window.verdicts["status"]
    quarantined = np.append((status == "Quarantined").fillna(False).to_numpy(dtype=np.bool_), False)
    out: np.ndarray = quarantined[rows] & ~frame["known"].to_numpy(dtype=np.bool_)
    return out


def conclude(partial: Partial, log: Log) -> Result:
    """Tell the aliases that the filter learned under: what became other addresses behind it, and kept nothing itself."""
    settings, total = log.settings, partial.count("hand_overs")
    result = Result(checked=partial.count("checked"), eligible=partial.count("eligible"))
    result.predictions = predictions(settings).get("alias-owns-hash", [])
    if not total:
        _without(result, Kinds.of(partial, log), settings)
    elif ev.too_few(result) or not result.eligible:
        left = total - partial.count("known")
        result.blind_because.append(
            f"what became of {left} of {total} hand-overs to DSPAM isn't in these logs: nothing came out of it again"
        )
    bad = partial.frame(CASES)
    keeping = set(partial.frame(owners.KEEPING)[["alias", "host"]].itertuples(index=False, name=None))
    kept = [pair in keeping for pair in zip(bad["alias"], bad["host"], strict=True)]
    bad = bad[~np.array(kept, np.bool_)].sort_values(ORDER, kind="stable")
    if bad.empty:
        return result
    states = owners.states(partial, Ends.of(partial, log))
    hosts = bad.groupby("alias")["host"].nunique()
    several = set(hosts.index[hosts > 1])
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in bad.itertuples():
        groups.setdefault((row.alias, row.host), []).append(row)
    finder = _Finder(partial, log, bad)
    for (alias, host), rows in groups.items():
        # One name on two hosts is two aliases.
        subject = f"{alias} on {host}" if alias in several else alias
        result.findings.append(finder.finding(subject, rows, states.get((alias, host))))
    return result


LOCAL = (
    "Aliases of aliases(5) are expanded at delivery only. To have the filter learn under the people, list this alias in "
    "virtual_alias_maps too (root: root@DOMAIN alice@DOMAIN), which cleanup expands before the filter."
)


class _Finder:
    """Makes one finding an alias; what all share is looked up once, since they may be many."""

    def __init__(self, partial: Partial, log: Log, bad: pd.DataFrame) -> None:
        self.log = log
        self.judged = partial.count("judged") > 0
        self.learned = set(partial.frame(LEARNED)["user"])
        if log.inventory is not None:
            self.learned |= {user.lower() for user in log.inventory.users}
        self.behind: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for source, line, at, number in partial.frame(BEHIND).sort_values(BY)[BY].itertuples(index=False):
            self.behind.setdefault((source, line), []).append((at, number))
        self.remedy = remedies.alias_owns_hash(log.settings) if not bad["by_local"].all() else Remedy(LOCAL)

    def _lines(self, places: list[tuple[int, int]]) -> list[Evidence]:
        sources = self.log.read.sources
        return [Evidence(sources[source].label, int(line), "") for source, line in places[: ev.MOST_EVIDENCE]]

    def _evidence(self, rows: list[Any]) -> list[Evidence]:
        behind = [place for row in rows[:SHOWN] for place in self.behind.get((row.source, row.line), ())]
        return ev.merged(self._lines([(row.source, row.line) for row in rows[:4]]), self._lines(behind))

    def finding(self, subject: str, rows: list[Any], mended: Mended | None) -> Finding:
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
            confidence="high" if rows[0].alias in self.learned or self.judged else "medium",
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


def _without(result: Result, found: Kinds, settings: Settings) -> None:
    """Say why no mail was handed to a filter that learns per recipient: there is none, or the log doesn't hold it."""
    if "dspam" not in found.names:
        names = " and ".join(NAMES.get(kind, kind) for kind in sorted(found.names - {"other"}))
        if names:
            result.not_applicable = (
                f"No filter here learns under the recipient's address as DSPAM does: {names} "
                f"{'learn' if ' and ' in names else 'learns'} for all in common, unless set up per user."
            )
        elif found.none:
            result.not_applicable = "No filter is set up here, so none can learn under an alias."
        elif found.names:
            result.blind_because.append(
                f"whether the filter at {found.unnamed} learns per recipient isn't known: nothing names it"
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
    marks=marks,
    order=20,
    clear="The filter learned under no alias ({checked:hand-over|hand-overs} to it looked at)",
    but="but for {noted:mail|mails} to aliases(5), which are always expanded behind it",
)
