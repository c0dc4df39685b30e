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

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.predicting import predictions
from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.scan.aliases import Mended, alias_states, owned_aliases, owned_rows
from logscan.scan.hops import NAMES, filter_kinds, no_filter, unnamed_filter
from logscan.tables import cells

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.window import Window
    from logscan.settings import Settings


def run(scan: Window, settings: Settings) -> Result:
    """Look at each hand-over to DSPAM and at what its recipient became behind it."""
    frame = owned_aliases(scan)
    kept_back = _kept_back(scan, frame)
    result = Result(checked=int((frame["known"] & ~kept_back).sum()), eligible=int((~kept_back).sum()))
    result.predictions = predictions(settings).get("alias-owns-hash", [])
    if frame.empty:
        _without(result, scan, settings)
    elif ev.too_few(result) or not result.eligible:
        left = len(frame) - int(frame["known"].sum())
        result.blind_because.append(
            f"what became of {left} of {len(frame)} hand-overs to DSPAM isn't in these logs: nothing came out of it again"
        )
    bad = owned_rows(scan)
    bad = bad[~bad["alias"].isin(set(settings.mailboxes)) & ~bad["outside"]]
    if bad.empty:
        return result
    learned = set(scan.verdicts.loc[scan.verdicts["filter"] == "dspam", "user"].dropna().str.lower())
    if scan.inventory is not None:
        learned |= {user.lower() for user in scan.inventory.users}
    states = alias_states(scan)
    hosts = bad.groupby("alias")["host"].nunique()
    several = set(hosts.index[hosts > 1])
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in bad.itertuples():
        groups.setdefault((row.alias, row.host), []).append(row)
    finder = _Finder(scan, settings, bad)
    for (alias, host), rows in groups.items():
        # One name on two hosts is two aliases.
        subject = f"{alias} on {host}" if alias in several else alias
        result.findings.append(finder.finding(subject, rows, states[alias, host], alias in learned))
    return result


def _kept_back(scan: Window, frame: pd.DataFrame) -> np.ndarray:
    """Return which hand-overs ended in the filter's quarantine, so that nothing can come out."""
    rows = scan.deliveries["verdict_row"].to_numpy()[frame["row"].to_numpy(dtype=np.int64)]
    status = scan.verdicts["status"]
    quarantined = np.append((status == "Quarantined").fillna(False).to_numpy(dtype=np.bool_), False)
    out: np.ndarray = quarantined[rows] & ~frame["known"].to_numpy(dtype=np.bool_)
    return out


LOCAL = (
    "Aliases of aliases(5) are expanded at delivery only. To have the filter learn under the people, list this alias in "
    "virtual_alias_maps too (root: root@DOMAIN alice@DOMAIN), which cleanup expands before the filter."
)


class _Finder:
    """Makes one finding an alias; what all share is looked up once, since they may be many."""

    def __init__(self, scan: Window, settings: Settings, bad: pd.DataFrame) -> None:
        self.scan = scan
        self.judged = not scan.verdicts.empty
        entry = bad["entry"].to_numpy()
        texts_of = [scan.entries[name].iloc[entry].tolist() for name in ("message_id", "queue_id")]
        self.names = dict(zip(entry.tolist(), zip(*texts_of, strict=True), strict=True))
        ends = scan.deliveries["entry"][scan.deliveries["entry"].isin(bad["child"])]
        self.behind = {int(child): rows for child, rows in ends.groupby(ends).indices.items()}
        self.rows = ends.index.to_numpy()
        self.remedy = remedies.alias_owns_hash(settings) if not bad["by_local"].all() else Remedy(LOCAL)

    def _evidence(self, rows: list[Any]) -> list[Evidence]:
        behind = [int(self.rows[at]) for row in rows[:2] for at in self.behind.get(row.child, ())]
        return ev.merged(
            ev.rows_at(self.scan, "deliveries", [row.row for row in rows[:4]]),
            ev.rows_at(self.scan, "deliveries", behind),
        )

    def finding(self, subject: str, rows: list[Any], mended: Mended | None, learned: bool) -> Finding:
        cases = [
            {
                "message_id": cells.text(self.names[row.entry][0]),
                "mailboxes": list(row.people),
                "queue_id": self.names[row.entry][1],
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


def _without(result: Result, scan: Window, settings: Settings) -> None:
    """Say why no mail was handed to a filter that learns per recipient: there is none, or the log doesn't hold it."""
    kinds = filter_kinds(scan, settings)
    if "dspam" not in kinds:
        names = " and ".join(NAMES.get(kind, kind) for kind in sorted(kinds - {"other"}))
        if names:
            result.not_applicable = (
                f"No filter here learns under the recipient's address as DSPAM does: {names} "
                f"{'learn' if ' and ' in names else 'learns'} for all in common, unless set up per user."
            )
        elif not kinds and no_filter(scan, settings):
            result.not_applicable = "No filter is set up here, so none can learn under an alias."
        elif kinds:
            result.blind_because.append(
                f"whether the filter at {unnamed_filter(scan, settings)} learns per recipient isn't known: nothing names it"
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
    whole=run,
    marks=marks,
    order=20,
    clear="The filter learned under no alias ({checked:hand-over|hand-overs} to it looked at)",
    but="but for {noted:mail|mails} to aliases(5), which are always expanded behind it",
)
