"""Mail of this server's own users or scripts to users of this server was tagged as spam.

## What it finds
Mail that an authenticated user, or a script on this host, sent to somebody here, and that the server's own filter
tagged as spam.

## Why it matters
Colleagues don't see each other's mail: it lies in the Junk folder, and the filter learns it as spam.

## What the log shows
The mail's way from a login or a local process through the filter to a mailbox, and the filter's own verdict for that
recipient (DSPAM: a row of class S in system.log).

## What to do
Take the way by which it entered out of the filter; the finding names it and shows the change.

## When it is wrong
A connection from this host isn't always a script: fetchmail hands in mail of strangers, which may well be spam.

## When it is blind
When such mail went through the filter but the filter's verdicts aren't there, or when there was no such mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.checks.outgoing_tagged_spam import judged
from logscan.outgoing import by_origin, own
from logscan.verdict import Check, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each delivery to a recipient here of mail submitted here."""
    mine = own(scan, settings)
    local = mine.frame[mine.frame["inside"] & ~mine.frame["outside"] & ~fetched(scan, mine.frame)]
    result = Result(eligible=len(local))
    judged(result, local, mine.milter, "mail between users of this server")
    result.findings = by_origin(
        scan,
        settings,
        local[local["spam"].fillna(False).astype(bool)],
        "problem",
        "{n} mail{s} from {who} to users of this server was tagged as spam",
    )
    return result


def fetched(scan, frame):  # type: ignore[no-untyped-def]
    """Return which rows are foreign mail handed in from this host (fetchmail): a sender of another domain, no login."""
    sender = frame["sender"].astype("str")
    domain = sender.str.rpartition("@")[2].str.lower()
    foreign = sender.str.contains("@", regex=False, na=False) & ~domain.isin(scan.correlated.local_domains)
    return foreign & frame["user"].isna() & ~frame["client"].str.startswith("uid ", na=False)


CHECK = Check("internal-tagged-spam", "Internal mail is tagged as spam", "mail", run, order=70)
