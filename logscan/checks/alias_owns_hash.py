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
common dictionary (amavis, rspamd) don't suffer.

## When it is blind
When no mail went through a filter that learns per recipient, or what came out of it isn't in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan import evidence as ev
from logscan import remedies, texts
from logscan.aliases import alias_state, owned_aliases
from logscan.settings import predictions
from logscan.verdict import Check, Finding, Remedy, Result

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan import Scan
    from logscan.settings import Settings


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each hand-over to DSPAM and at what its recipient became behind it."""
    frame = owned_aliases(scan)
    result = Result(checked=int(frame["known"].sum()), eligible=len(frame))
    result.predictions = predictions(settings).get("alias-owns-hash", [])
    if frame.empty:
        result.blind_because.append(no_learning_filter(scan, settings))
    elif not result.checked:
        result.blind_because.append("what came out of the filter again isn't in these logs")
    users = texts.lower(frame["user"])
    mailboxes = texts.values(users[frame["kept"]]) | set(settings.mailboxes)
    bad = frame[frame["expanded"] & ~users.isin(mailboxes) & ~frame["outside"]]
    learned = set(scan.verdicts.loc[scan.verdicts["filter"] == "dspam", "user"].dropna().str.lower())
    if scan.inventory is not None:
        learned |= {user.lower() for user in scan.inventory.users}
    for alias, rows in ev.groups(bad.assign(alias=texts.lower(bad["user"])), "alias"):
        result.findings.append(_finding(scan, settings, str(alias), rows, frame, str(alias) in learned))
    return result


LOCAL = (
    "Aliases of aliases(5) are expanded at delivery only. To have the filter learn under the people, list this alias in "
    "virtual_alias_maps too (root: root@DOMAIN alice@DOMAIN), which cleanup expands before the filter."
)


def _finding(
    scan: Scan, settings: Settings, alias: str, rows: pd.DataFrame, frame: pd.DataFrame, learned: bool
) -> Finding:
    ids = scan.entries["message_id"].to_numpy()
    queue_ids = scan.entries["queue_id"].to_numpy()
    cases = [
        {
            "message_id": ev.text(ids[row.entry]),
            "mailboxes": list(row.people),
            "queue_id": queue_ids[row.entry],
            "time": ev.iso(row.time),
        }
        for row in rows.itertuples()
    ]
    state, since = alias_state(scan, frame, alias)
    people = sorted({name for names in rows["people"] for name in names})
    summary = (
        f"The filter learns mail to {alias} under that alias, not under {', '.join(people[:4])}"
        f"{' …' if len(people) > 4 else ''}: {len(cases)} mail{'s' * (len(cases) != 1)}"
    )
    if since is not None:
        summary += f"; mended since {ev.iso(since)}"
    local = bool(rows["by_local"].all())
    behind = scan.deliveries.index[scan.deliveries["entry"].isin(rows["child"].head(2))]
    return Finding(
        cause="local-alias" if local else "alias-not-expanded",
        subject=alias,
        summary=summary,
        severity="note" if local else "problem",
        confidence="high" if learned or not scan.verdicts.empty else "medium",
        count=len(cases),
        cases=cases,
        first=ev.moment(rows["time"].min()),
        last=ev.moment(rows["time"].max()),
        state="mended" if state == "mended" else "active",
        remedy=Remedy(LOCAL) if local else remedies.alias_owns_hash(settings),
        evidence=ev.merged(ev.rows_at(scan, "deliveries", rows["row"].head(4)), ev.rows_at(scan, "deliveries", behind)),
        why="aliases(5) are expanded by local(8) at delivery, always behind the filter."
        if local
        else "Aliases are expanded behind the filter only: no_address_mappings stands before it.",
    )


def no_learning_filter(scan: Scan, settings: Settings) -> str:
    """Return why nothing here learns per recipient."""
    kinds = sorted(
        {setup.kind for setup in settings.filters} | set(scan.verdicts["filter"].dropna().astype("str"))
    ) or (["the filter"] if scan.deliveries["hop"].any() else [])
    if "dspam" in kinds:
        return "no mail handed to DSPAM in these logs"
    if kinds:
        return f"{', '.join(kinds)} learns in one dictionary for all, not per recipient: nothing to find here"
    return "no mail went through a filter that learns per recipient (DSPAM) in these logs"


CHECK = Check("alias-owns-hash", "The filter learns under an alias", "user", run, order=20)
