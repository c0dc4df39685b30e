"""Mail from scripts and cron jobs on this host goes through the filter.

## What it finds
Mail that a local process handed in (sendmail, or a connection from this host without a login) and that was handed to the
spam filter from the queue (content_filter, a FILTER action).

## Why it matters
Harmless until it is tagged or thrown away; then a web shop's orders or a monitoring system's alarms reach nobody.

## What the log shows
`pickup` or `client=localhost[127.0.0.1]`, then a hand-over to the filter. Told apart from the filter's re-injection on
the same address by what follows: only this mail goes on to the filter.

## What to do
By route. sendmail and cron: no content_filter on the pickup line. 127.0.0.1:25: one smtpd line per address instead of
the wildcard, those of this host without the filter; or a FILTER action after permit_mynetworks and
permit_sasl_authenticated. None of it where fetchmail hands in mail of strangers on that way.

## When it is wrong
fetchmail, webmail and Mailman connect from this host too; mail from a foreign sender that stays here is passed over. A
milter that looks at local mail is no finding as long as it tags none. logscan's own reports, known by their Message-ID and
handed in on this host, are left out and counted in a note, unless the filter tagged one or kept it back.

## When it is blind
When no local process sent mail, or when no filter shows, neither in the log nor in the configuration: a milter leaves no
trace in Postfix's log. It isn't applicable where the configuration names no spam filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.checking import own_cases, own_mail
from logscan.checking.check import Check
from logscan.checking.own_findings import by_origin, groups_of_mail
from logscan.checking.own_judged import NO_FILTER, UNSEEN, unknown_milter
from logscan.checking.own_mail import OwnMail
from logscan.findings import Counted, Result, Severity
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


def look(window: Window, settings: Settings) -> Partial:
    """Take deliveries of mail that a local process handed in and that was kept back, or handed to the filter."""
    rows = own_cases.cases(window, settings)
    rows = rows[(rows["came"] == "local") & (rows["passed"] | (rows["kept"] != ""))]
    return Partial({**own_mail.look(window, settings), **own_cases.kept_of(rows)})


def conclude(partial: Partial, log: Log) -> Result:
    """Look at each delivery of mail that a local process handed in."""
    own = OwnMail.of(partial, log)
    local = own.cases[own.cases["outside"] | ~own.cases["fetched"]]
    reports = own_cases.own_reports(local)
    ours, local = groups_of_mail(local[reports])[1], local[~reports]
    counts = own.counts[(own.counts["came"] == "local") & (own.counts["outside"] | ~own.counts["fetched"])]
    known = own.filters
    total = int(counts["n"][~counts["kept"]].sum()) + int((local["kept"] != "").sum()) - int(reports.sum())
    result = Result(checked=total, eligible=total)
    if known.none:
        result.not_applicable = NO_FILTER
    elif not total:
        but = " but logscan's own reports" if ours else ""
        result.blind_because.append(f"no mail from a local process{but} in these logs")
    elif known.unseen:
        result.checked = 0
        result.blind_because.append(UNSEEN)
    elif known.unknown:
        result.checked = 0
        result.blind_because.append(unknown_milter(known))
    words = "{what} from {who}, handed in by a program on this host, went through the filter"
    if ours and not known.none:
        result.notes.append(
            f"{Counted(ours):mail|mails} with logscan's own reports, handed in on this host, left out: {THEIRS}"
        )
    result.findings = by_origin(own, local[local["passed"]], "warning", words, detail=_detail)
    return result


THEIRS = "what a report is about is not the report; one that is tagged or kept back counts"


def _detail(rows: pd.DataFrame) -> tuple[str, Severity]:
    """Return whom the mail was for, and how much it matters: nothing yet where it stays here and came through."""
    whole = groups_of_mail(rows)[1]
    outside = groups_of_mail(rows[rows["outside"]])[1]
    kept = groups_of_mail(rows[rows["kept"] != ""])[1]
    said = f": {outside} bound for outside, {whole - outside} for users here"
    if kept:
        return f"{said}; {kept} of them kept back by the filter", "problem"
    return said, "warning" if outside else "note"


def marks(source: str, target: str) -> bool:
    """Whether mail of this host's programs goes this way into the filter."""
    into_filter = target.startswith("filter:") and source.startswith("listener:")
    return into_filter and any(end.endswith(":local") or end == "listener:pickup" for end in (source, target))


CHECK = Check(
    "local-mail-filtered",
    "Mail from local programs is filtered",
    look,
    conclude,
    causes=("all-filtered", "local-script"),
    marks=marks,
    many={"local-script": "Mail of {n} programs on this host goes through the filter"},
    order=60,
    clear="No mail of a local program was handed to a content filter ({checked:delivery|deliveries} looked at)",
    but="but for {noted:mail|mails} to users here, which came through",
)
