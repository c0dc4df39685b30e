"""Mail of this server's own users or scripts to users of this server was tagged as spam.

## What it finds
Mail that an authenticated user, or a script on this host, sent to somebody here, and that the server's own filter
tagged as spam, or kept back altogether: thrown away, put into quarantine or on hold, refused.

## Why it matters
Colleagues don't see each other's mail: it lies in the Junk folder, and the filter learns it as spam. What the filter threw
away reaches nobody, and nobody is told.

## What the log shows
The mail's way from a login or a local process through the filter to a mailbox, and the filter's own verdict for that
recipient (DSPAM: a row of class S in system.log; amavis: `Tagged`, `Blocked`; rspamd: `add header`; spamd: `result: Y`).

## What to do
Take the way by which it entered out of the filter; the finding names it and shows the change that fits the filter. For
`own-mail-discarded` first see whether the mail lies in a quarantine.

## When it is wrong
A connection from this host isn't always a script: fetchmail hands in mail of strangers, which may well be spam. Senders of
other domains that come from this host without a login are passed over.

## When it is blind
When such mail went through the filter but the filter's verdicts aren't there, when a milter's log doesn't cover its times,
or when there was no such mail. It isn't applicable where the configuration names no spam filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.checking import own_cases, own_mail
from logscan.checking.check import Check
from logscan.checking.own_findings import KEPT_BACK, by_origin, kept_back
from logscan.checking.own_judged import judged
from logscan.checking.own_mail import ORIGINS, OwnMail
from logscan.findings import Result
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


def look(window: Window, settings: Settings) -> Partial:
    """Take deliveries to recipients here of mail submitted here that the filter tagged or kept back, or that look so."""
    rows = own_cases.cases(window, settings)
    rows = rows[rows["inside"] & ((rows["kept"] != "") | (~rows["outside"] & (rows["tagged"] | rows["filed"])))]
    return Partial({**own_mail.look(window, settings), **own_cases.kept_of(rows)})


def conclude(partial: Partial, log: Log) -> Result:
    """Look at each delivery to a recipient here of mail submitted here."""
    own, settings = OwnMail.of(partial, log), log.settings
    local = own.cases[~own.cases["outside"] & ~own.cases["fetched"]]
    result = Result()
    words = "{what} from {who} to users of this server {was} tagged as spam"
    counts = own.counts[~own.counts["outside"] & ~own.counts["fetched"] & ~own.counts["kept"]]
    nothing = "no mail of a user or program of this server to its own users in these logs"
    judged(result, counts, int((local["kept"] != "").sum()), own, nothing)
    if not result.eligible and settings.known("postfix") and settings.known("master") and not settings.local_domains:
        result.not_applicable = "The configuration names no domain whose mail stays on this server."
        result.blind_because.clear()
    tagged = local["tagged"] & (local["kept"] == "")
    result.findings = by_origin(own, local[tagged], "problem", words)
    result.findings += kept_back(own, local, " to users of this server")
    known = {(finding.cause, finding.subject) for finding in result.findings}
    # The verdict's trace in Dovecot's log: what was filed as spam on delivery.
    for finding in by_origin(own, local[local["filed"]], "problem", words):
        if (finding.cause, finding.subject) not in known:
            finding.confidence = "medium"
            finding.summary += ", by the folder it was filed in: the filter's verdict isn't in these logs"
            result.findings.append(finding)
    return result


CHECK = Check(
    "internal-tagged-spam",
    "Internal mail is tagged as spam",
    look,
    conclude,
    own_edges=True,
    causes=(*ORIGINS, *KEPT_BACK),
    order=70,
    clear="No mail between this server's own users was tagged as spam or kept back ({checked:delivery|deliveries} looked at)",
)
