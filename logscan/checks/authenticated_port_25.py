"""Users submit mail with authentication on port 25 instead of 587.

## What it finds
Mail that a user of this server submitted with a login on the service that listens on port 25. One finding a user: from
which addresses and hosts, how often, how many went through the spam filter, how many were tagged.

## Why it matters
Port 25 is where strangers hand in mail, so what comes in there is filtered like a stranger's. The user's own mail gets
a spam verdict, is learned under the recipients' names, and may arrive elsewhere marked as spam; nobody here notices.

## What the log shows
`postfix/smtpd[…]: QUEUEID: client=…, sasl_username=…` for a mail that really was queued (an aborted transaction shows
the same line). Which service holds port 25 comes from master.cf, from `--service 'postfix/smtpd=25'`, or is inferred:
plain `postfix/smtpd` beside a named submission service is medium, without any named service low confidence.

## What to do
Tell the user to set port 587 (STARTTLS) or 465 (TLS) in the mail program; the message is part of the finding. Only when
all users have moved, switch AUTH off on port 25 and refuse unauthenticated mail from your own domains there: some
programs fall back to sending without authentication and would vanish from sight.

## When it is wrong
Where submission on 587 logs under the plain name `postfix/smtpd` too (no `syslog_name`), and no configuration is given.

## When it is blind
Without a single authenticated mail in the log; or where the service's port can't be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan import remedies
from logscan.ports import entry_ports
from logscan.verdict import Check, Confidence, Finding, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

CONFIDENCES = ("low", "medium", "high")

MENDED_AFTER = pd.Timedelta(days=2)
"""A user counts as moved when this much later and MENDED_MAILS mails long all submissions came in elsewhere."""

MENDED_MAILS = 5


def run(scan: Scan, settings: Settings) -> Result:
    """Group the queued mails with a SASL user name by service and user."""
    entries = scan.entries
    mine = entries[entries["sasl_username"].notna() & (entries["queued"] | (entries["mail"] >= 0))]
    result = Result(eligible=len(mine))
    ports, sure = entry_ports(scan, settings)
    of_mine = ports[mine.index.to_numpy()]
    result.checked = int(np.count_nonzero(of_mine))
    if mine.empty:
        result.blind_because.append("no mail with a login (sasl_username=) in these logs")
    elif not result.checked:
        services = sorted(mine["service"].astype("str").unique())
        result.blind_because.append(
            f"which port {', '.join(services)} listens on isn't known: give master.cf, or say --service '{services[0]}=587'"
        )
    filtered = ev.entry_has_hop(scan)
    tagged = _tagged(scan)
    for user, rows in ev.groups(mine[of_mine == 25], "sasl_username"):
        confidence = max((sure[i] for i in rows.index), key=CONFIDENCES.index)
        result.findings.append(_finding(scan, settings, str(user), rows, filtered, tagged, confidence, mine))
    return result


def _tagged(scan: Scan) -> np.ndarray:
    """Return, per mail, whether any recipient's copy was tagged."""
    deliveries = scan.deliveries
    out = np.zeros(len(scan.mails) + 1, np.bool_)
    spam = deliveries["spam"].fillna(False).to_numpy().astype(bool)
    out[deliveries["mail"].to_numpy()[spam]] = True
    out[-1] = False
    return out


def _finding(
    scan: Scan,
    settings: Settings,
    user: str,
    rows: pd.DataFrame,
    filtered: np.ndarray,
    tagged: np.ndarray,
    confidence: Confidence,
    mine: pd.DataFrame,
) -> Finding:
    recipients = _recipients(scan, rows["mail"].to_numpy())
    cases = [
        {
            "message_id": ev.text(row.message_id),
            "sender": ev.text(row.sender),
            "recipients": sorted(recipients.get(int(row.mail), [])),
            "client": f"{row.client}[{row.client_address}]",
            "queue_id": row.queue_id,
            "filtered": bool(filtered[row.Index]),
            "tagged": bool(tagged[int(row.mail)]),
            "time": ev.iso(row.first),
        }
        for row in rows.itertuples()
    ]
    through, spam = sum(case["filtered"] for case in cases), sum(case["tagged"] for case in cases)
    summary = (
        f"{user} submitted {len(cases)} mail{'s' * (len(cases) != 1)} with a login on port 25; "
        f"{through} went through the filter, "
    )
    if (scan.mails["verdict"] != "unknown").to_numpy()[rows["mail"]].any() or not through:
        summary += f"{spam} {'was' if spam == 1 else 'were'} tagged as spam"
    else:
        summary += "whether they were tagged isn't in these logs"
    last = rows["first"].max()
    later = mine[(mine["sasl_username"] == user) & (mine["first"] > last)]
    mended = len(later) >= MENDED_MAILS and later["first"].max() - last >= MENDED_AFTER
    return Finding(
        cause="authenticated-port-25",
        subject=user,
        summary=summary,
        severity="problem" if through else "warning",
        confidence=confidence,
        count=len(cases),
        cases=cases,
        first=ev.moment(rows["first"].min()),
        last=ev.moment(last),
        state="mended" if mended else "active",
        remedy=remedies.move_to_submission(settings, user),
        evidence=ev.first_lines(scan, rows.index),
        why="Port 25's smtpd offers AUTH, and its content_filter treats all that it accepts alike."
        if through
        else "Port 25's smtpd offers AUTH.",
    )


def _recipients(scan: Scan, mails: np.ndarray) -> dict[int, list[str]]:
    """Return each mail's recipients as its sender gave them."""
    entries = scan.entries
    deliveries = scan.deliveries
    root = deliveries["entry"].to_numpy() == np.r_[entries["root"].to_numpy(), -1][deliveries["entry"].to_numpy()]
    rows = deliveries[root & deliveries["mail"].isin(mails)]
    asked = rows["original_recipient"].fillna(rows["recipient"])
    out: dict[int, list[str]] = {}
    for mail, address in zip(rows["mail"], asked, strict=True):
        seen = out.setdefault(int(mail), [])
        if address not in seen:
            seen.append(address)
    return out


CHECK = Check("authenticated-port-25", "Users submit with a login on port 25", "user", run, order=40)
