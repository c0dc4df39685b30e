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
Without a single authenticated mail in the log; where one name stands for port 25 and for a submission port, or nothing
tells the service's port; where a proxy stands before Postfix (a login by XCLIENT, the PROXY protocol): the port that the
user spoke to stands in the proxy's log.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.findings import Confidence, Finding, Remedy, Result
from logscan.scan.hops import entry_has_hop
from logscan.scan.ports import entry_ports
from logscan.tables import cells

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")

MENDED_AFTER = pd.Timedelta(days=2)
"""A user counts as moved when this much later and MENDED_MAILS mails long all submissions came in elsewhere."""

MENDED_MAILS = 5


def run(scan: Window, settings: Settings) -> Result:
    """Group the queued mails with a SASL user name by service and user."""
    entries = scan.entries
    mine = entries[entries["sasl_username"].notna() & (entries["queued"] | (entries["mail"] >= 0))]
    result = Result(eligible=len(mine))
    ports = entry_ports(scan, settings)
    index = mine.index.to_numpy()
    of_mine = ports.port[index]
    result.checked = int(np.count_nonzero(of_mine))
    if mine.empty:
        result.not_applicable = _no_login(settings)
        if not result.not_applicable:
            result.blind_because.append("no mail with a login (sasl_username=) in these logs")
    elif ev.too_few(result):
        reasons = Counter(ports.why[index[of_mine == 0]].tolist())
        result.blind_because += [f"{n} mail{'s' * (n != 1)} with a login: {why}" for why, n in reasons.items()]
    on_25 = mine[of_mine == 25]
    if len(on_25):
        result.findings = _Finder(scan, settings, on_25, ports.sure, _moved(mine, of_mine)).findings()
    return result


def _no_login(settings: Settings) -> str:
    """Return the sentence that is true where port 25 offers no login, as the configuration says."""
    if not settings.known("postfix") or not settings.known("master") or not settings.listeners():
        return ""
    if any(each.sasl for each in settings.listeners_on(25)):
        return ""
    if any(each.sasl for each in settings.listeners()):
        return "Port 25 offers no login here (smtpd_sasl_auth_enable is off for it)."
    return "Nobody can submit mail with a login here: no service offers one (smtpd_sasl_auth_enable)."


def _moved(mine: pd.DataFrame, ports: np.ndarray) -> set[str]:
    """Return the users who submitted elsewhere only, for long enough since their last mail on port 25."""
    users = mine["sasl_username"]
    last = mine["first"].where(ports == 25).groupby(users).transform("max")
    later = mine[((mine["first"] > last) & (ports > 0)).to_numpy()]
    some = later.groupby("sasl_username")["first"].agg(["size", "max"])
    some["last"] = last[later.index].groupby(later["sasl_username"]).first()
    enough = some[(some["size"] >= MENDED_MAILS) & (some["max"] - some["last"] >= MENDED_AFTER)]
    return set(enough.index)


class _Finder:
    """Makes one finding a user; all that users share is looked up once, since they may be many."""

    def __init__(self, scan: Window, settings: Settings, rows: pd.DataFrame, sure: np.ndarray, moved: set[str]) -> None:
        self.scan = scan
        self.rows = rows
        self.moved = moved
        index = rows.index.to_numpy()
        mail = rows["mail"].to_numpy()
        self.sure = [CONFIDENCES.index(each) for each in sure[index].tolist()]
        self.users = rows["sasl_username"].tolist()
        self.index, self.mail = index.tolist(), mail.tolist()
        self.filtered = entry_has_hop(scan)[index].tolist()
        self.tagged = _tagged(scan)[mail].tolist()
        self.judged = np.append((scan.mails["verdict"] != "unknown").to_numpy(), False)[mail].tolist()
        self.recipients = _recipients(scan, mail)
        client = rows["client"].fillna("") + "[" + rows["client_address"].fillna("") + "]"
        texts = [rows["message_id"], rows["sender"], client, rows["queue_id"]]
        self.texts = [column.astype("object").where(column.notna(), None).tolist() for column in texts]
        self.times = rows["first"].tolist()
        self.evidence = dict(zip(self.index, ev.first_line_each(scan, index), strict=True))
        self.remedy = remedies.move_to_submission(settings)
        letter = remedies.move_to_submission(settings, _SOMEBODY)
        self.letter = letter.message or ""
        milters = any(each.via == "milter" for each in settings.filters)
        self.through = "a filter" if milters else "its content_filter"

    def findings(self) -> list[Finding]:
        by_user: dict[str, list[int]] = {}
        for place, user in enumerate(self.users):
            by_user.setdefault(user, []).append(place)
        return [self._finding(user, places) for user, places in by_user.items()]

    def _case(self, place: int) -> dict[str, Any]:
        message_id, sender, client, queue_id = (column[place] for column in self.texts)
        return {
            "message_id": message_id,
            "sender": sender,
            "recipients": sorted(self.recipients.get(self.mail[place], ())),
            "client": client,
            "queue_id": queue_id,
            "filtered": self.filtered[place],
            "tagged": self.tagged[place],
            "time": cells.iso(self.times[place]),
        }

    def _finding(self, user: str, places: list[int]) -> Finding:
        cases = [self._case(place) for place in places]
        through, spam = sum(case["filtered"] for case in cases), sum(case["tagged"] for case in cases)
        recipients = sum(len(case["recipients"]) for case in cases)
        summary = f"{user} submitted {ev.mails(len(cases), recipients)} with a login on port 25; "
        summary += f"{through} went through the filter, "
        if not through or any(self.judged[place] for place in places):
            summary += f"{spam} {'was' if spam == 1 else 'were'} tagged as spam"
        else:
            summary += "whether they were tagged isn't in these logs"
        times = [self.times[place] for place in places]
        mended = user in self.moved
        return Finding(
            cause="authenticated-port-25",
            subject=user,
            summary=summary + ("; the user has moved since" if mended else ""),
            severity="problem" if through else "warning",
            confidence=CONFIDENCES[max(self.sure[place] for place in places)],
            count=len(cases),
            cases=cases,
            first=cells.moment(min(times)),
            last=cells.moment(max(times)),
            state="mended" if mended else "active",
            remedy=None if mended else self._remedy(user),
            evidence=[self.evidence[self.index[place]] for place in places[: ev.MOST_EVIDENCE]],
            why=f"Port 25's smtpd offers AUTH, and {self.through} treats all that it accepts alike."
            if through
            else "Port 25's smtpd offers AUTH.",
            mails=len({self.mail[place] for place in places}),
            recipients=recipients,
        )

    def _remedy(self, user: str) -> Remedy:
        return dataclasses.replace(self.remedy, message=self.letter.replace(_SOMEBODY, user))


_SOMEBODY = "\0user\0"
"""Stands for the user in the letter, which is made once. No log line holds a NUL character in a login."""


def _tagged(scan: Window) -> np.ndarray:
    """Return, per mail, whether any recipient's copy was tagged."""
    deliveries = scan.deliveries
    out = np.zeros(len(scan.mails) + 1, np.bool_)
    spam = deliveries["spam"].fillna(False).to_numpy().astype(bool)
    out[deliveries["mail"].to_numpy()[spam]] = True
    out[-1] = False
    return out


def _recipients(scan: Window, mails: np.ndarray) -> dict[int, set[str]]:
    """Return each mail's recipients as its sender gave them."""
    entries = scan.entries
    deliveries = scan.deliveries
    root = deliveries["entry"].to_numpy() == np.r_[entries["root"].to_numpy(), -1][deliveries["entry"].to_numpy()]
    rows = deliveries[root & deliveries["mail"].isin(mails).to_numpy()]
    asked = rows["original_recipient"].fillna(rows["recipient"])
    out: dict[int, set[str]] = {}
    for mail, address in zip(rows["mail"].tolist(), asked.tolist(), strict=True):
        out.setdefault(mail, set()).add(address)
    return out


CHECK = Check(
    "authenticated-port-25",
    "Users submit with a login on port 25",
    whole=run,
    order=40,
    clear="No user submitted with a login on port 25 ({checked:mail|mails} with a login looked at)",
)
