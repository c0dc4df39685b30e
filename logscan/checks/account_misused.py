"""An account sends mail that its owner didn't write.

## What it finds
Accounts that somebody else sends by. `many-networks`: one account sends from several networks within an hour, none of which
it ever came from before. `new-network`: it sends to far more people than ever before, from a network that is new to it.
`burst`: far more than ever from its usual place, and much of it is refused. `no-past` only notes accounts that sent much while
the log tells nothing of what is usual for them. One finding an account, its cases are the mails.

## Why it matters
A stolen password is sold and used for spam. Within hours the server stands on block lists, and everybody's mail is refused.

## What the log shows
`sasl_username=` with its `client=`, the recipients of each mail, and logins of IMAP and POP3 that tell where the account is
at home. Networks are an IPv4 /24 and an IPv6 /64; several networks are of several providers (IPv4 /12, IPv6 /32). What is
usual is what the account did before in this log: where it came from, and to how many it wrote within three hours.

## What to do
Lock the account or give it a new password, end what is open, take its mail out of the queue, and look how the password was
lost: guessed (password-guessing), or typed into a stranger's page.

## When it is wrong
A traveller changes networks too, one after the other, and writes little: passed over. A newsletter from its author's usual
network is no misuse, and is passed over unless much of it is refused. A newsletter sent on a journey looks like misuse:
then the confidence is low. Addresses of a house's own (RFC 1918) are never new networks.

## When it is blind
Without mail with a login; where an account has no past in the log before it sends much from one network: it isn't judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.amounts import percent, plural
from logscan.checking import accounts, guessing, sent_mail
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.guess_rows import DAY, HOUR
from logscan.checking.guessing import Guesses
from logscan.checking.limits import limits
from logscan.findings import Confidence, Finding, Remedy, Result
from logscan.scan.networks import in_house, provider
from logscan.scan.pasts import chosen, with_past
from logscan.tables.partials import Keyed, Partial, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What an account does that its owner wouldn't."""

    providers: int = 3
    """New providers within an hour: a telephone and a desktop are two at most, which take turns all day."""
    mails: int = 10
    """Mails within that hour: a person on the way writes fewer."""
    recipients: int = 20
    """Recipients within that hour: whoever changes networks on the way writes to a few."""
    two_mails: int = 20
    """Mails within an hour from two new providers: nobody writes twenty mails in an hour on a telephone and a desktop."""
    two_recipients: int = 60
    """Recipients of these: a telephone and a desktop in turn write to a few people each."""
    many: int = 30
    """Recipients within three hours, from a new network, that make one wonder: a person writes to fewer on a journey."""
    few_mails: int = 4
    """Mails that these must be: one mail to all of a club is written on a journey too."""
    times: int = 5
    """Times as many as ever before within three hours: what varies by less is a busy day."""
    new_people: float = 0.5
    """Share of recipients to whom the account never wrote before: spam goes to strangers."""
    grace: int = 2
    """Hours for which a network stays new: who steals a password tries it before."""
    flood: int = 100
    """Recipients within an hour from the usual network, where a program on the owner's own machine sends."""
    flood_times: int = 10
    """Times as many as ever before within an hour."""
    refused: float = 0.2
    """Share of them that are refused: addresses of bought lists; a newsletter's are mostly right."""
    past_days: int = 7
    """Days of past, with mail, that tell what is usual for a flood from the usual network."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep each mail with a login, and what tells where accounts get in from."""
    return Partial({**guessing.look(window), **sent_mail.look(window)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each account that somebody else sends by."""
    known = limits(log, "account-misused", Limits)
    found = guessing.guesses(partial, log)
    kept = partial.parts[sent_mail.SENT]
    assert isinstance(kept, Keyed)
    mails = sent_mail.prepared(kept.frame, found, log)
    people = mails.loc[mails["fresh"], "user"].nunique()
    result = Result(checked=people, eligible=people)
    if not people:
        result.not_applicable = accounts.no_logins(log.settings)
        if not result.not_applicable:
            result.blind_because.append("no mail with a login (sasl_username=) in these logs")
        return result
    if kept.rest and kept.limit < 2**64:
        result.notes.append(f"account-misused: of very many mails with a login {len(kept):,} were looked at, by chance")
    first_to = with_past(Partial(chosen(partial, [sent_mail.TO])), log, CHECK.name).frame(sent_mail.TO)
    told = _Told(log, known, found, first_to, dict(first_to.groupby("user").indices))
    unjudged = []
    for user, some in mails[mails["user"].isin(_busy(mails, known))].groupby("user", sort=True):
        rows = some.reset_index(drop=True)
        one = _Account(str(user), rows, told)
        finding = one.finding()
        if finding is not None:
            result.findings.append(finding)
            if finding.cause == "no-past":
                unjudged.append(str(user))
    result.checked -= len(unjudged)
    if ev.too_few(result):
        result.blind_because.append(
            f"{plural(len(unjudged), 'account')} sent much from one network, and the log tells nothing of what is usual for "
            "them: give a longer log, or that of the logins (IMAP) too"
        )
    return result


def _busy(mails: pd.DataFrame, known: Limits) -> set[str]:
    """Return the accounts that sent much from a network while it was new, or very much at all: all others are quickly told."""
    fresh = mails[(mails["time"] - mails["since"] <= (WIDE + known.grace * HOUR)) & (mails["network"] != "")]
    by = fresh.groupby("user")["recipients"].agg(["size", "sum"])
    out = set(by.index[(by["size"] >= known.few_mails) & (by["sum"] >= min(known.recipients, known.many))])
    hourly = mails.groupby(["user", mails["time"] // HOUR])["recipients"].sum()
    # A flood of an hour may lie in two of the clock's.
    out |= set(hourly.index.get_level_values(0)[hourly.to_numpy() >= known.flood / 2])
    return out & set(mails.loc[mails["fresh"], "user"])


WIDE = 3 * HOUR
"""Nanoseconds within which recipients are counted: three hours."""


@dataclass(frozen=True)
class _Told:
    """What all accounts are judged by."""

    log: Log
    known: Limits
    found: Guesses
    first_to: pd.DataFrame
    places: dict[Any, Ints]
    """Where each account (a hash) is in ``first_to``."""


class _Account:
    """One account's mails, in the order of time."""

    def __init__(self, user: str, rows: pd.DataFrame, told: _Told) -> None:
        self.user, self.rows, self.told, self.known = user, rows, told, told.known
        self.time, self.since = rows["time"].to_numpy(), rows["since"].to_numpy()
        self.fresh = rows["fresh"].to_numpy(dtype=np.bool_)
        """Which are of new lines: what was remembered was told by an earlier run."""
        self.recipients = rows["recipients"].to_numpy()
        self.networks = rows["network"].tolist()
        shared = told.found.shared
        mine = told.log.settings.is_mine
        away = {
            each: bool(each) and not in_house(each) and each not in shared and not mine(each.partition("/")[0])
            for each in set(self.networks)
        }
        self.away = np.array([away[each] for each in self.networks], np.bool_)
        self.home = np.sort(told.found.good_of(user)["first"].to_numpy())
        place = told.places.get(int(hashes([user])[0]), np.empty(0, np.int64))
        self.first_to = told.first_to["first"].to_numpy()[place]
        self.most: dict[int, Ints] = {}
        self.unjudged = np.zeros(len(rows), np.bool_)
        """Mails that were much, while nothing tells what is usual."""

    def finding(self) -> Finding | None:
        """Return what is found of it, if anything: by the strongest sign."""
        grace = self.known.grace * HOUR
        strange = self._many_networks(grace)
        if strange[self.fresh].any():
            return self._finding("many-networks", strange)
        strange = self._new_network(grace)
        if strange[self.fresh].any():
            return self._finding("new-network", strange)
        strange = self._burst()
        if strange[self.fresh].any():
            return self._finding("burst", strange)
        return self._finding("no-past", self.unjudged) if self.unjudged[self.fresh].any() else None

    def _many_networks(self, grace: int) -> Bools:
        """Return the mails of networks that are new together."""
        known, out = self.known, np.zeros(len(self.time), np.bool_)
        fresh = np.flatnonzero(self.away & (self.time - self.since <= HOUR + grace))
        if len({provider(self.networks[row]) for row in fresh.tolist()}) < TWO:
            return out
        for rows in sent_mail.spans(self.time, fresh, HOUR):
            new = rows[self.since[rows] >= self.time[rows[0]] - grace]
            if len(new) < known.mails or self.recipients[new].sum() < known.recipients:
                continue
            nets = {self.networks[row] for row in new.tolist()}
            providers = len({provider(net) for net in nets})
            two = len(new) >= known.two_mails and self.recipients[new].sum() >= known.two_recipients
            enough = providers >= (TWO if two else known.providers)
            if enough and self._strangers(new) >= known.new_people and not self._roams(int(self.time[rows[0]])):
                out |= self._from(nets, int(self.time[rows[0]]))
        return out

    def _roams(self, start: int) -> bool:
        """Whether new networks are usual for it, as for a program in a provider's cloud: before, or else for days to come."""
        new = self.away & (self.time == self.since)
        before = self.away & (self.time < start - self.known.grace * HOUR)
        if before.sum() >= ENOUGH:
            return bool((new & before).sum() > before.sum() / 2)
        other = before | (self.away & (self.time > start + DAY))
        days = len(set((self.time[new & other] // DAY).tolist()))
        return bool(other.sum() >= ENOUGH and (new & other).sum() > other.sum() / 2 and days >= ROAMED)

    def _new_network(self, grace: int) -> Bools:
        """Return the mails of a network that is new to an account that was at home elsewhere, where they are far too many."""
        known, out = self.known, np.zeros(len(self.time), np.bool_)
        fresh = np.flatnonzero(self.away & (self.time - self.since <= WIDE + grace))
        for rows in sent_mail.spans(self.time, fresh, WIDE):
            start = int(self.time[rows[0]])
            new = rows[self.since[rows] >= start - grace]
            count = int(self.recipients[new].sum())
            if len(new) < known.few_mails or count < known.many:
                continue
            before = np.arange(np.searchsorted(self.time, start - grace))
            if not len(before) and not (self.home < start - grace).any() and not self._guessed(start):
                self.unjudged[new] = True
                continue
            if count >= known.times * self._most(before, WIDE) and self._strangers(new) >= known.new_people:
                out |= self._from({self.networks[row] for row in new.tolist()}, start)
        return out

    def _burst(self) -> Bools:
        """Return the mails of an hour that are far more than ever, and of which much is refused."""
        known, out = self.known, np.zeros(len(self.time), np.bool_)
        refused = self.rows["refused"].to_numpy()
        for rows in sent_mail.spans(self.time, np.arange(len(self.time)), HOUR):
            count = int(self.recipients[rows].sum())
            if count < known.flood or refused[rows].sum() < known.refused * count:
                continue
            before = np.arange(np.searchsorted(self.time, self.time[rows[0]]))
            if not len(before) or self.time[rows[0]] - self.time[0] < known.past_days * DAY:
                self.unjudged[rows] = True
            elif count >= known.flood_times * self._most(before, HOUR):
                out[rows] = True
        return out

    def _most(self, before: Ints, width: int) -> int:
        """Return the most recipients within so many nanoseconds before; 1 at least."""
        if width not in self.most:
            self.most[width] = sent_mail.most_until(self.time, self.recipients, width)
        return int(self.most[width][len(before)])

    def _from(self, nets: set[str], start: int) -> Bools:
        """Return the mails from these networks from then on, as long as no day is without any."""
        rows = np.flatnonzero(np.array([net in nets for net in self.networks], np.bool_) & (self.time >= start))
        gap = np.flatnonzero(np.diff(self.time[rows]) > DAY)
        out = np.zeros(len(self.time), np.bool_)
        out[rows[: int(gap[0]) + 1] if len(gap) else rows] = True
        return out

    def _strangers(self, rows: Ints) -> float:
        """Return which share of the recipients the account wrote to for the first time then; 1 where nothing is known."""
        mine = self.first_to
        start, end = self.time[rows[0]], self.time[rows[-1]]
        if not (mine < start).any():
            return 1.0
        new = np.count_nonzero((mine >= start) & (mine <= end))
        return min(new / max(int(self.recipients[rows].sum()), 1), 1.0)

    def _finding(self, cause: str, strange: Bools) -> Finding:
        rows = self.rows[strange & self.fresh]
        place = np.flatnonzero(strange)
        count, recipients = len(rows), int(rows["recipients"].sum())
        # It may go on from the day before.
        start, end = int(self.time[place[0]]), int(rows["time"].max())
        before = np.flatnonzero(self.time < start)
        refused = int(rows["refused"].sum()) / max(recipients, 1)
        guessed = self._guessed(start)
        sure = self._sure(cause, refused, guessed, len(before), place)
        networks = sorted(set(rows["network"]))
        summary = f"{self.user} sent {ev.mails(count, recipients)} in {accounts.duration(end - int(rows['time'].min()))} from "
        if cause == "no-past":
            summary += f"{accounts.listed(networks)}; the log tells nothing of what is usual for it: not judged"
        elif cause == "burst":
            summary += f"its usual network, and {percent(refused)} of it was refused"
        else:
            summary += (
                f"{plural(len(networks), 'network')} that it never came from before ({accounts.listed(networks)})"
            )
        return Finding(
            cause=cause,
            subject=self.user,
            summary=summary,
            severity="note" if cause == "no-past" else "warning" if sure == "low" else "problem",
            confidence=sure,
            count=count,
            cases=[_case(self.user, row) for row in rows.head(accounts.MOST_CASES).itertuples()],
            first=accounts.at(int(rows["time"].min())),
            last=accounts.at(end),
            remedy=Remedy(ASK.replace("USER", self.user))
            if cause == "no-past"
            else Remedy(REMEDY.replace("USER", accounts.for_command(self.user)), key=f"stop-account-{self.user}"),
            evidence=lines_at(self.told.log, [int(each) for each in rows["place"].head(ev.MOST_EVIDENCE)]),
            why=self._why(before, refused, guessed, place),
            mails=count,
            recipients=recipients,
        )

    def _guessed(self, start: int) -> bool:
        """Whether somebody guessed the account's password before."""
        return self.told.found.guessed.get(self.user, start) < start

    def _sure(self, cause: str, refused: float, guessed: bool, before: int, place: Ints) -> Confidence:
        if cause == "no-past":
            return "low"
        if guessed or (cause == "many-networks" and before):
            return "high"
        if cause != "new-network" or refused >= self.known.refused:
            return "medium"
        return "medium" if before >= ENOUGH and self._strangers(place) > MOSTLY else "low"

    def _why(self, before: Ints, refused: float, guessed: bool, place: Ints) -> str:
        parts = []
        if len(before):
            parts.append(
                f"Before, it sent {plural(len(before), 'mail')} in this log, to {self._most(before, WIDE):,} at most within "
                "three hours"
            )
        else:
            parts.append("It sent nothing before in this log")
        if refused >= self.known.refused:
            parts.append(f"{percent(refused)} of the recipients were refused")
        if len(before) and self._strangers(place) > MOSTLY:
            parts.append("it never wrote to these recipients before")
        if guessed:
            parts.append("its password was guessed at before")
        return "; ".join(parts) + "."


TWO, ROAMED, ENOUGH, MOSTLY = 2, 3, 20, 0.9
"""Providers of a telephone and a desktop; days with new networks that make these usual, as a theft is over sooner; mails of a
past, and share of recipients who are new, from which a new network is hardly a journey."""

REMEDY = (
    "Stop it first: give the account a new password (or lock it), end what is open (doveadm kick USER), and take its mail out "
    "of the queue once you have looked at it: postqueue -p lists it, postsuper -h QUEUE_ID puts one on hold, which loses "
    "nothing. Then ask its owner whether the mail was theirs, look for rules that were left behind (doveadm sieve list -u "
    "USER), and at how the password was lost. smtpd_client_message_rate_limit doesn't tell accounts apart: a policy service "
    "(policyd, postfwd) limits recipients by sasl_username. Then look whether block lists have the server "
    "(delivery-blocked)."
)


ASK = "Ask USER whether the mail was theirs; give a longer log, or that of the logins (IMAP) too, and it can be judged."


def _case(user: str, row: Any) -> dict[str, Any]:
    return {
        "message_id": row.message_id or None,
        "queue_id": row.queue_id,
        "time": accounts.iso(row.time),
        "user": user,
        "addresses": [row.address],
        "recipients": int(row.recipients),
    }


CHECK = Check(
    "account-misused",
    "Somebody else sends by an account",
    look,
    conclude,
    remember=lambda partial, now: Partial({**guessing.remember(partial, now), **sent_mail.remember(partial, now)}),
    causes=("many-networks", "new-network", "burst", "no-past"),
    order=315,
    clear="No account sent what its owner wouldn't ({checked:account|accounts} looked at)",
    group="accounts",
    severity="problem",
    needs=("mail with a login of Postfix's smtpd, with the client's address", "an earlier part of the log"),
    related=("guess-succeeded", "password-guessing", "delivery-blocked"),
    limits=Limits,
)
