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

from logscan.checking.check import Check
from logscan.checking.own_mail import by_origin, judged, kept_back
from logscan.findings import Result
from logscan.scan.submitted import fetched, own

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.window import Window
    from logscan.settings import Settings


def run(scan: Window, settings: Settings) -> Result:
    """Look at each delivery to a recipient here of mail submitted here."""
    mine = own(scan, settings)
    local = mine.frame[mine.frame["inside"] & ~mine.frame["outside"].astype(bool)]
    local = local[~fetched(scan, settings, local)]
    result = Result()
    words = "{what} from {who} to users of this server {was} tagged as spam"
    judged(result, local, scan, settings, "no mail of a user or program of this server to its own users in these logs")
    if local.empty and settings.known("postfix") and settings.known("master") and not settings.local_domains:
        result.not_applicable = "The configuration names no domain whose mail stays on this server."
        result.blind_because.clear()
    tagged = local["spam"].fillna(False).astype(bool) & (local["kept"] == "")
    result.findings = by_origin(scan, settings, mine, local[tagged], "problem", words)
    result.findings += kept_back(scan, settings, mine, local, " to users of this server")
    known = {(finding.cause, finding.subject) for finding in result.findings}
    for finding in by_origin(scan, settings, mine, local[_in_spam_folder(settings, local)], "problem", words):
        if (finding.cause, finding.subject) not in known:
            finding.confidence = "medium"
            finding.summary += ", by the folder it was filed in: the filter's verdict isn't in these logs"
            result.findings.append(finding)
    return result


def _in_spam_folder(settings: Settings, frame: pd.DataFrame) -> pd.Series:
    """Return where a filtered mail without a verdict was filed as spam on delivery: the verdict's trace in Dovecot's log."""
    names = {name.lower() for name in settings.dovecot.spam_folders} | {"junk", "spam", "inbox.junk", "inbox.spam"}
    filed: pd.Series = frame["folder"].str.lower().isin(names)
    return frame["passed"].astype(bool) & frame["spam"].isna() & filed


CHECK = Check(
    "internal-tagged-spam",
    "Internal mail is tagged as spam",
    whole=run,
    order=70,
    clear="No mail between this server's own users was tagged as spam or kept back ({checked:delivery|deliveries} looked at)",
)
