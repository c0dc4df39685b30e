"""Mail of this server's own domains leaves without a DKIM signature, though it signs others.

## What it finds
Mail that people or programs of this server sent under one of its own domains, that another host took, and that no signer
here (OpenDKIM, rspamd, amavis) gave a signature, while it signs other mail. One finding a domain without a key, a way in that the
signer doesn't stand in or doesn't trust, and what it missed now and then.

## Why it matters
Large providers refuse or file as spam what has neither a good signature nor a good SPF result, and a forwarder breaks
SPF. Nobody here notices: mail programs show no signature of one's own mail.

## What the log shows
No `DKIM-Signature field added` of OpenDKIM for any queue ID of the mail, no `DKIM_SIGNED` among rspamd's symbols, no
`dkim_new=` at the end of amavis's line. OpenDKIM
tells why with `LogWhy yes`: `no signing table match for 'a@example.com'`, `mx.example.com [192.0.2.7] not internal`, `not
authenticated`.

## What to do
No key: add the domain to SigningTable and KeyTable (rspamd: dkim_signing.conf, or a key file of the domain's name) and
publish the public key. A way that isn't signed: `non_smtpd_milters` for mail of local programs (pickup), `smtpd_milters` of
that service in master.cf for the others. Not trusted: put the client's network into InternalHosts (rspamd: `sign_networks`,
`sign_authenticated`, `sign_local`).

## When it is wrong
Where a later relay signs what this server doesn't. Mail of lists and forwarded mail is passed over, as it isn't the own
domain's; so are notifications without a sender. What programs send as `root@` this host's own name, and one or
two mails, are only noted.

## When it is blind
When nothing in these logs tells of a signature made here: OpenDKIM says so only with `SyslogSuccess yes`, rspamd only where
its log line has the symbols, amavis with its verbose template ($log_templ = $log_verbose_templ). What relays outside sign
isn't in these logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import unsigned
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.shown import most_seen
from logscan.checking.unsigned import Unsigned
from logscan.findings import Finding, Remedy, Result
from logscan.scan.pasts import DAY, past
from logscan.tables import cells
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

MINUTE = 60 * 10**9

NO_KEY_FOR, NOT_TRUSTED, WAY, MISSED = "no-key-for-domain", "client-not-trusted", "way-not-signed", "missed"


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    mails: int = 3
    """Mails without a signature that make a finding where the signer tells no reason: one or two may have been sent while it was
    being restarted."""
    proof: int = 3
    """Mails that were signed: as many show that this server signs at all, and isn't set up to leave it to another."""
    many: int = 20
    """Mails without a signature from which on it may be a problem: fewer hurt few, and are a warning."""
    share: float = 0.1
    """The share of the own outgoing mail from which on it is a problem: a provider that sees a tenth of a domain's mail without
    a signature counts that against the domain."""
    near_minutes: int = 60
    """A signer's own log, in a file of its own, tells also of the minutes before its first and after its last line: as long may
    a quiet server send nothing."""
    settled_hours: int = 24
    """What was missed now and then counts as over when that much later a mail of the same kind was signed and none missed."""


def look(window: Window, settings: Settings) -> Partial:
    """Count signed mails by domain and way, and keep the others with what tells of them."""
    return Partial(unsigned.look(window, settings))


PAST_DAYS = 30
"""Days for which it is remembered that this server signs."""


def remember(partial: Partial, now: int) -> Partial:
    """Return that there is a signer here, and how much it signed: a few mails a day are no proof by themselves."""
    signers = partial.frame(unsigned.SIGNERS).assign(source=-1)
    part = Keyed.of(signers[signers["last"] >= now - PAST_DAYS * DAY], sums=["signed"], least=["first"], most=["last"])
    return Partial({unsigned.SIGNERS: part})


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a domain without a key, a way that isn't signed, and what else was missed."""
    told = limits(log, "outgoing-unsigned", Limits)
    known = Unsigned.of(partial, log, told.near_minutes * MINUTE)
    signed, covered = int(known.signed["n"].sum()), known.mails[known.mails["covered"]]
    result = Result(checked=signed + len(covered), eligible=signed + len(known.mails))
    before = past(log, unsigned.SIGNERS)
    every = int(known.signers["signed"].sum()) + (int(before.frame(unsigned.SIGNERS)["signed"].sum()) if before else 0)
    if not result.eligible:
        result.blind_because.append("no mail of this server's own domains left for outside in these logs")
        return result
    if every < told.proof:
        result.checked = 0
        result.blind_because.append(_unseen(known, every, log))
        return result
    if ev.too_few(result):
        result.blind_because.append(
            f"{result.eligible - result.checked} of {ev.mails(result.eligible)} left at times that the signer's log doesn't "
            "cover: give the whole of it"
        )
    total = result.checked
    if len(covered):
        named = _named(known, covered)
        mine = named["subject"].isin({each for each in named["subject"].unique() if known.own.takes(each)})
        shown = most_seen(named, ("cause", "subject"), result, "outgoing-unsigned, domains", mine)
        for (cause, subject), rows in shown.groupby(["cause", "subject"], sort=True):
            result.findings.append(_finding(known, log, str(cause), str(subject), rows, total, told))
    return result


def _unseen(known: Unsigned, every: int, log: Log) -> str:
    """Return why nothing can be said where nothing here was signed."""
    if every:
        return f"only {ev.mails(every)} in these logs got a signature here: too few to tell that this server is to sign its mail"
    if (known.signers["filter"] == "opendkim").any():
        return "OpenDKIM's lines tell of no signature: it tells of those it makes with SyslogSuccess yes in opendkim.conf only"
    if (known.signers["filter"] == "rspamd").any():
        return (
            "none of rspamd's lines has the symbol DKIM_SIGNED: it signs nothing here, or another program does, which isn't in "
            "these logs"
        )
    relay = log.settings.postfix.get("relayhost").strip() if log.settings.known("postfix") else ""
    elsewhere = f"; mail leaves by {relay}, which may sign it" if relay else ""
    return (
        "nothing in these logs tells of a signature: OpenDKIM's lines with SyslogSuccess yes, rspamd.log with symbols, or "
        f"amavis's with $log_verbose_templ would{elsewhere}"
    )


TOLD = (NO_KEY_FOR, NOT_TRUSTED)
"""Causes that the signer itself may tell."""


def _named(known: Unsigned, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mails with ``cause`` and ``subject``, and whether the signer ``told`` why."""
    enough = known.signed.groupby("way")["n"].sum() if len(known.signed) else pd.Series(dtype="int64")
    domain = rows["domain"].where(rows["asked"].fillna("") == "", rows["asked"])
    signed, way = domain.isin(set(known.signed["domain"])), rows["way"].isin(set(enough.index[enough > 0]))
    no_key, untrusted = rows["no_key"].astype(bool), rows["untrusted"].astype(bool)
    causes = (no_key & ~(untrusted & signed), untrusted, ~way, ~signed)
    cause = np.select(causes, (NO_KEY_FOR, NOT_TRUSTED, WAY, NO_KEY_FOR), MISSED)
    by_way = np.isin(cause, (NOT_TRUSTED, WAY))
    return rows.assign(cause=cause, subject=rows["way"].where(by_way, domain), told=no_key | untrusted)


def _finding(
    known: Unsigned, log: Log, cause: str, subject: str, rows: pd.DataFrame, total: int, told: Limits
) -> Finding:
    mails, recipients = len(rows), int(rows["recipients"].sum())
    since = _signed_since(known, cause, subject, rows, told)
    few = len(rows) < (1 if cause in TOLD and rows["told"].any() else told.mails)
    small = few or (cause == NO_KEY_FOR and not known.own.takes(subject))
    grave = mails >= told.many and mails >= told.share * total
    count = ev.mails(mails, recipients)
    words = {
        NO_KEY_FOR: f"Mail of {subject} leaves without a DKIM signature: {count}",
        NOT_TRUSTED: f"The signer doesn't trust the clients of {subject or 'a service'}, and signs none of their mail: {count}",
        WAY: f"Mail that comes in by {subject or 'a way that no line tells'} leaves without a DKIM signature: {count}",
        MISSED: f"Some mail of {subject} left without a DKIM signature, while other was signed: {count}",
    }[cause]
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{words}; signed since" if since else words,
        severity="note" if small else "problem" if grave else "warning",
        confidence="high" if rows["told"].all() else "medium",
        count=mails,
        cases=[_case(row) for row in rows.itertuples()],
        first=cells.moment(pd.Timestamp(int(rows["time"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(rows["time"].max()), tz="UTC")),
        state="mended" if since else "active",
        remedy=None if since else Remedy(_cure(cause, subject)),
        evidence=lines_at(log, rows["place"].tolist()),
        why=_why(known, cause, subject),
        mails=mails,
        recipients=recipients,
    )


def _signed_since(known: Unsigned, cause: str, subject: str, rows: pd.DataFrame, told: Limits) -> bool:
    """Whether mail of the same kind was signed later, and none missed any more."""
    name = "way" if cause in (NOT_TRUSTED, WAY) else "domain"
    same = known.signed[known.signed[name] == subject]
    end = int(rows["time"].max())
    # What left before the first signature did so before the signer was set up, or came back.
    began = len(same) > 0 and end < int(same["first"].min())
    wait = told.settled_hours * 60 * MINUTE if cause == MISSED and not began else 0
    return bool(len(same)) and int(same["last"].max()) > end + wait


def _case(row: Any) -> dict[str, Any]:
    return {
        "message_id": cells.text(row.message_id),
        "queue_id": row.queue_id,
        "sender": row.sender,
        "way": row.way,
        "time": cells.iso(pd.Timestamp(row.time, tz="UTC")),
    }


def _why(known: Unsigned, cause: str, subject: str) -> str:
    name = "way" if cause in (NOT_TRUSTED, WAY) else "domain"
    others = known.signed[known.signed[name] != subject]
    if cause == MISSED:
        return "Mail of this domain that came in the same way got a signature: the signer was away, or failed, now and then."
    if not len(others):
        return ""
    first = str(others.groupby(name)["n"].sum().sort_values(kind="stable").index[-1])
    return f"Mail {'that comes in by' if name == 'way' else 'of'} {first} is signed here."


def _cure(cause: str, subject: str) -> str:
    if cause == NO_KEY_FOR:
        return (
            f"Make a key for {subject} (opendkim-genkey -d {subject} -s SELECTOR; rspamadm dkim_keygen; amavisd genrsa), publish "
            f"its TXT record below SELECTOR._domainkey.{subject}, then name it: OpenDKIM in SigningTable and KeyTable, rspamd in "
            "local.d/dkim_signing.conf, amavis in dkim_key of amavisd.conf. Reload the signer, and look at the headers of a mail "
            "to another provider."
        )
    if cause == NOT_TRUSTED:
        return (
            "OpenDKIM signs for clients in InternalHosts and for those that logged in: add the clients' network to the file that "
            "InternalHosts names in opendkim.conf; for logins look that Postfix hands {auth_type} to the milter "
            "(milter_mail_macros in main.cf). rspamd: sign_networks, sign_authenticated, sign_local in local.d/dkim_signing.conf."
        )
    if cause == WAY and subject.endswith("/pickup"):
        return (
            "Name the signer's socket in non_smtpd_milters of main.cf, as it stands in smtpd_milters: mail of local programs "
            "(sendmail, cron) then passes it too. Only the signer: a spam filter there may refuse their mail."
        )
    if cause == WAY:
        return (
            f"Look at the service that logs as {subject} in master.cf: an -o smtpd_milters= there, or no_milters in "
            "receive_override_options, keeps the signer out. Name the signer's socket in its smtpd_milters; behind a content "
            "filter one of both sides is enough, mostly the one after it."
        )
    return (
        "Look in the signer's log at the times of the cases (systemctl status opendkim, rspamd.log), and in Postfix's for "
        "warnings about the milter: with milter_default_action = accept mail passes unsigned while the signer is away; tempfail "
        "lets it wait."
    )


CHECK = Check(
    "outgoing-unsigned",
    "Own mail leaves without a signature",
    look,
    conclude,
    remember=remember,
    causes=(NO_KEY_FOR, NOT_TRUSTED, WAY, MISSED),
    order=210,
    clear="All mail of own domains that left was signed ({checked:mail|mails} looked at)",
    but="but for {noted:mail|mails} of this host's own name, or missed by chance",
    group="reputation",
    severity="problem",
    needs=(
        "deliveries of Postfix",
        "signatures of OpenDKIM (SyslogSuccess yes), rspamd's symbols or amavis's verbose lines",
    ),
    related=("own-domain-fails-dmarc", "sends-as-others"),
    limits=Limits,
)
