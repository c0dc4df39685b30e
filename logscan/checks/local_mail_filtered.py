"""Mail from scripts and cron jobs on this host goes through the filter.

## What it finds
Mail that a local process handed in (sendmail, or a connection from this host without a login) and that went through the
spam filter.

## Why it matters
Harmless until it is tagged; then a web shop's orders or a monitoring system's alarms reach nobody.

## What the log shows
`pickup` or `client=localhost[127.0.0.1]`, then a hand-over to the filter. Told apart from the filter's re-injection on
the same address by what follows: only this mail goes on to the filter.

## What to do
By route. sendmail and cron: no content_filter on the pickup line. 127.0.0.1:25: one smtpd line per address instead of
the wildcard, those of this host without the filter; or a FILTER action after permit_mynetworks and
permit_sasl_authenticated. None of it where fetchmail hands in mail of strangers on that way.

## When it is wrong
fetchmail, webmail and Mailman connect from this host too; mail from a foreign sender that stays here is passed over.

## When it is blind
When no local process sent mail, or when nothing here goes through a filter that the log can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.checks.internal_tagged_spam import fetched
from logscan.outgoing import by_origin, own
from logscan.verdict import Check, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each delivery of mail that a local process handed in."""
    mine = own(scan, settings)
    origin = scan.entries["origin"].astype("str").iloc[mine.frame["root"].to_numpy()].to_numpy()
    local = mine.frame[(origin == "local") & (mine.frame["outside"] | ~fetched(scan, mine.frame))]
    result = Result(checked=len(local), eligible=len(local))
    if local.empty:
        result.blind_because.append("no mail from a local process in these logs")
    filtered = local[local["filtered"]]
    result.findings = by_origin(
        scan,
        settings,
        filtered,
        "warning",
        "{n} mail{s} from {who}, handed in by a program on this host, went through the filter",
    )
    for finding in result.findings:
        rows = filtered.loc[list(finding.rows)]
        away = int(rows["outside"].sum())
        finding.severity = "warning" if away else "note"
        finding.summary += f": {away} bound for outside, {len(rows) - away} for users here"
    return result


CHECK = Check("local-mail-filtered", "Mail from local programs is filtered", "mail", run, order=60)
