"""Mail that the filter here took for spam is sent on to somebody elsewhere.

## What it finds
Addresses here (aliases, users' scripts, lists) that send mail from outside on to another provider though the filter of this
server took it for spam, and the provider took it. One finding an address.

## Why it matters
The provider sees this server sending spam: it puts the mail into the reader's junk folder, then refuses this server's other mail
too.

## What the log shows
A verdict of the filter (DSPAM, amavis, rspamd, SpamAssassin) that is spam, and a delivery of that mail to another host with
`orig_to=` of an address here, or after Dovecot's Sieve said `forwarded to`.

## What to do
In a Sieve script: send on only what isn't tagged. An alias to outside can't tell: make it a mailbox with such a script, or have
the reader's provider fetch the mail. In a list: let its program throw away or hold what is tagged.

## When it is wrong
Somebody may want all of it and let the other side sort. A filter that is too strict is another matter (look at what it tags). One
such mail is passed over. What the provider refused is forwarder-refused's.

## When it is blind
When nothing from outside is sent on to outside, or it isn't known what the filter said of it. It isn't applicable where there is
no filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at, places
from logscan.checking.forwarded import WAYS, Forwarded, forwarded
from logscan.checking.limits import limits
from logscan.findings import Finding, Remedy, Result
from logscan.scan import kinds
from logscan.scan.columns import joined, values
from logscan.scan.mail_hashes import mail_hashes
from logscan.tables import cells
from logscan.tables.partials import Keyed, Partial
from logscan.visible import visible

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "forwards-spam"

CAUSES = dict(zip(WAYS, ("alias-sends-on", "script-sends-on", "user-sends-on", "list-sends-on"), strict=True))

UNTAGGED = ("Passed SPAM", "Passed SPAMMY")
"""What amavis says of spam even where it may not tag it, since the recipient is of another domain (@local_domains_maps)."""


@dataclass(frozen=True)
class Limits:
    """From what on it is worth a change."""

    mails: int = 2
    """Tagged mails that one address sends on: a filter takes a good mail for spam now and then."""


def look(window: Window, settings: Settings) -> Partial:
    """Take mail that was sent on and taken, with what the filter said of it."""
    some = forwarded(window)
    some = some.take(values(window, "deliveries", "final")[some.row])
    known, spam = _judged(window, some)
    return Partial(
        {
            "sent on": len(some.row),
            "judged": int(known.sum()),
            **({"spam": _cases(window, some.take(spam))} if spam.any() else {}),
            **kinds.look(window),
        }
    )


def _judged(window: Window, some: Forwarded) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return of which mails it is known what the filter said, and which it took for spam.

    Some filters tag no mail for other domains, though they know that it is spam (amavis): their verdict counts.
    """
    if not len(some.row):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    tagged = window.deliveries["spam"]
    verdict, verdicts = values(window, "deliveries", "verdict_row"), values(window, "verdicts", "spam")
    said = np.append(verdicts | joined(window, "verdicts", "result").is_in(*UNTAGGED), False)
    mail = joined(window, "mails", "verdict").take(values(window, "deliveries", "mail")[some.row])
    known, spam = ~mail.is_in("unknown"), np.zeros(len(some.row), np.bool_)
    for row in (some.row, some.over):
        known |= tagged.iloc[row].notna().to_numpy(dtype=np.bool_) | (verdict[row] >= 0)
        spam |= values(window, "deliveries", "spam")[row] | said[verdict[row]]
    # Of what came back from a queue that no line joins to its recipient, the mail's own verdict is all there is.
    spam |= mail.is_in("spam") & (verdict[some.row] < 0) & (verdict[some.over] < 0)
    return known, spam


def _cases(window: Window, some: Forwarded) -> Keyed:
    entry = values(window, "deliveries", "entry")[some.row]
    mail = values(window, "mails", "entry")[values(window, "deliveries", "mail")[some.row]]
    texts = {
        "source": some.source,
        "way": some.way,
        "recipient": joined(window, "deliveries", "recipient").take(some.row),
        "message_id": joined(window, "entries", "message_id").take(entry),
        "queue_id": joined(window, "entries", "queue_id").take(entry),
    }
    return Keyed.of(
        {
            **{name: each.texts().fill_null("") for name, each in texts.items()},
            "mail": mail_hashes(window, mail),
            "place": places(window)[some.row],
            "at": values(window, "deliveries", "time")[some.row],
        },
        least=("place", "at"),
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding an address that sends tagged mail on."""
    bounds = limits(log, NAME, Limits)
    result = Result(checked=partial.count("judged"), eligible=partial.count("sent on"))
    here = kinds.Kinds.of(partial, log)
    if here.none:
        result.not_applicable = "No filter is set up here, so no mail that is sent on was tagged by one."
    elif not result.eligible:
        result.blind_because.append("no mail from outside was sent on to outside in these logs")
    elif ev.too_few(result):
        left = result.eligible - result.checked
        result.blind_because.append(
            f"what the filter said of {left} of {plural(result.eligible, 'mail')} that were sent on isn't in these logs: give "
            "the filter's own log too (DSPAM: system.log; rspamd: rspamd.log)"
        )
    if "spam" not in partial:
        return result
    rows = partial.frame("spam").sort_values(["place", "recipient"], kind="stable")
    for (source, way), part in rows.groupby(["source", "way"], sort=True):
        if part["mail"].nunique() >= bounds.mails:
            result.findings.append(_finding(log, part, str(source), str(way)))
    return result


REMEDIES = {
    "alias": (
        "An alias can't tell what is tagged: give this address a mailbox whose Sieve script sends on only what isn't, for "
        'instance if not header :contains "X-Spam-Flag" "YES" { redirect "…"; } with the header that your filter sets; or let '
        "the reader's provider fetch the mail."
    ),
    "Sieve": (
        "Put the redirect of this user's Sieve script behind a condition: if the filter's header says spam, fileinto Junk and "
        "stop; redirect comes after that."
    ),
    ".forward or alias": (
        "A .forward or an alias can't tell what is tagged: replace it by a Sieve script that sends on only what isn't."
    ),
    "list": "Have the list's program throw away or hold what the filter tagged (Mailman: header_filter rules, or spam checks).",
}


def _finding(log: Log, part: pd.DataFrame, source: str, way: str) -> Finding:
    targets = sorted(set(part["recipient"]))
    mails, recipients = part["mail"].nunique(), len(part[["mail", "recipient"]].drop_duplicates())
    to = ", ".join(visible(each, 80) for each in targets[:3]) + (" …" if len(targets) > 3 else "")
    cases: list[dict[str, Any]] = [
        {
            "message_id": row.message_id,
            "recipient": row.recipient,
            "queue_id": row.queue_id,
            "time": cells.iso(cells.moment_of(row.at)),
        }
        for row in part.itertuples()
    ]
    return Finding(
        cause=CAUSES[way],
        subject=source,
        summary=f"{visible(source, 80)} sent {ev.mails(mails, recipients)} on to {to} that the filter here took for spam ({way})",
        severity="warning",
        confidence="high" if way in ("alias", ".forward or alias") else "medium",
        count=len(cases),
        cases=cases,
        first=cells.moment_of(int(part["at"].min())),
        last=cells.moment_of(int(part["at"].max())),
        remedy=Remedy(REMEDIES[way], key=f"forwards-spam:{way}"),
        evidence=lines_at(log, part["place"].tolist()[:8]),
        mails=mails,
        recipients=recipients,
    )


CHECK = Check(
    NAME,
    "Spam is sent on to other providers",
    look=look,
    conclude=conclude,
    causes=tuple(CAUSES.values()),
    order=245,
    clear="Nothing that the filter took for spam was sent on to outside ({checked:mail|mails} looked at)",
    group="reputation",
    severity="warning",
    needs=("deliveries of Postfix to other hosts", "verdicts of the filter", "forwarding by aliases, Sieve or lists"),
    related=("forwarder-refused", "delivery-blocked"),
    limits=Limits,
)
