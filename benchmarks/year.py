#!/usr/bin/env python3
"""A year of a healthy company's mail server, reported day by day, week by week and month by month: what is found is false.

    python benchmarks/year.py [--days 365] [--seed 1] [--keep mail.log]

Twenty-five people with an office, a home and a telephone each, who write to the same correspondents again and again; a
monthly newsletter, journeys, holidays, mistyped passwords, greylisting, hosts elsewhere that are down for an hour, restarts
of the filter, reloads each night, one forward to outside, vacation answers; and, as on every server, strangers who guess
passwords and scan. Printed are the findings by check and cause; that passwords are guessed is true, and counted apart.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import logscan

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generate import HOST, Server, stamper
from logscan.checking.judging import concluded, looked, together, wanted
from logscan.checking.remembering import pasts_of, remembered
from logscan.tables.partials import Partial

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
DAY = 86_400
TRUE = frozenset({"password-guessing"})
"""Checks that rightly find something on a server that is reached from the Internet."""


class Company(Server):
    """Tells what happens on one day after another."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, long_ids=True, verdicts=False)
        draw = self.random.randrange
        self.users = [f"{name}@example.com" for name in NAMES]
        self.home = {user: f"198.51.{100 + i % 5}.{draw(2, 250)}" for i, user in enumerate(self.users)}
        self.friends = {user: [draw(len(self.hosts)) for _ in range(12)] for user in self.users}
        self.away: dict[str, tuple[int, str]] = {}
        """Users abroad: until which day, and from which network."""

    def stranger(self) -> tuple[str, str, str, str]:
        """Return a correspondent of the person who is being written to or writes, else anybody."""
        if self.random.random() < 0.2:
            return super().stranger()
        which = self.friends[self.who][min(int(self.random.expovariate(1 / 3)), 11)]
        name, address, domain = self.hosts[which]
        return name, address, f"person{which % 7}@{domain}", domain

    who = "anna@example.com"

    def address(self, user: str, day: int, hour: int) -> str:
        """Return where a person's mail program is: in the office, at home, abroad, or a telephone of a provider."""
        until, network = self.away.get(user, (-1, ""))
        if day <= until:
            return f"{network}.{self.random.randrange(2, 250)}" if self.random.random() < 0.3 else f"{network}.77"
        if self.random.random() < 0.25:
            return f"10.{60 + len(user) % 4}.{self.random.randrange(20)}.{self.random.randrange(2, 250)}".replace(
                "10.", "80."
            )
        office = 8 <= hour < 18 and day % 7 < 5
        return f"203.0.113.{150 + self.users.index(user)}" if office else self.home[user]

    def day(self, day: int) -> None:
        """Tell one day: work, evening and night, strangers all the time."""
        rnd, base = self.random, (START + day * DAY) * 1000
        weekend = (day + 3) % 7 >= 5  # 1 January 2026 is a Thursday
        busy = 0.25 if weekend else 0.15 if day >= 355 or day < 4 else 1.0
        self._nightly(base)
        if rnd.random() < 0.03:
            user = rnd.choice(self.users)
            self.away[user] = (
                day + rnd.randrange(2, 9),
                f"{rnd.randrange(60, 200)}.{rnd.randrange(250)}.{rnd.randrange(250)}",
            )
        for hour in range(24):
            share = busy * (1.0 if 8 <= hour < 18 else 0.25 if 18 <= hour < 23 else 0.06)
            for _ in range(self._some(9 * share)):
                self._at(base, hour, self.inbound)
            for _ in range(self._some(4 * share)):
                self._at(base, hour, self.submitted, day, hour)
            for _ in range(self._some(12 * share + 1)):
                self._at(base, hour, self.looked, day, hour)
            for _ in range(self._some(1.5)):
                self._at(base, hour, self.refused)
            for _ in range(self._some(3)):
                self._at(base, hour, self.probe)
            if rnd.random() < 0.01:
                self._at(base, hour, self.mistyped, day, hour)
        if day % 30 == 14:
            self._at(base, 10, self.newsletter)
        if rnd.random() < 0.03:
            self._at(base, rnd.randrange(9, 17), self.host_down)
        if day % 7 == 2:
            self._at(base, 12, self.filter_restarts)
        for _ in range(self._some(2 * busy)):
            self._at(base, rnd.randrange(8, 20), self.forwarded)
        if 190 <= day % 365 < 215:
            self._at(base, rnd.randrange(8, 20), self.answered)
        if rnd.random() < 0.4:
            self._at(base, rnd.randrange(24), self.guessing)

    def _some(self, mean: float) -> int:
        """Return a Poisson number."""
        count, left = 0, self.random.expovariate(1)
        while left < mean:
            count, left = count + 1, left + self.random.expovariate(1)
        return count

    def _at(self, base: int, hour: int, what: object, *args: int) -> None:
        self.now = base + hour * 3_600_000 + self.random.randrange(3_500_000)
        self.who = self.random.choice(self.users)
        assert callable(what)
        what(*args)

    def _nightly(self, base: int) -> None:
        """Logs are rotated, Postfix is reloaded, a cron job writes to root."""
        at = base + 23_100_000
        self.add(at, 'rsyslogd: [origin software="rsyslogd" swVersion="8.2302.0" x-pid="400"] rsyslogd was HUPed')
        self.add(at + 2_000, "postfix/postfix-script[9000]: refreshing the Postfix mail system")
        self.add(at + 2_100, "postfix/master[800]: reload -- version 3.7.11, configuration /etc/postfix")

    def submitted(self, day: int, hour: int) -> None:
        """A person writes to a correspondent."""
        rnd, add, at, user = self.random, self.add, self.now, self.who
        client = f"unknown[{self.address(user, day, hour)}]"
        smtpd = f"postfix/submission/smtpd[{rnd.choice(self.smtpd)}]: "
        add(at, f"{smtpd}connect from {client}")
        queue, mid = self.queue_id(at + 100), self.message_id("example.com")
        add(at + 100, f"{smtpd}{queue}: client={client}, sasl_method=PLAIN, sasl_username={user}")
        self.leave(at + 100, queue, mid, user)
        counts = "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
        add(at + 190, f"{smtpd}disconnect from {client} {counts}")

    def looked(self, day: int, hour: int) -> None:
        """A person's mail program looks into the mailbox."""
        rnd, add, at, user = self.random, self.add, self.now, self.who
        pid, session = rnd.randrange(2000, 30000), "".join(rnd.choices("ABCDEFabcdef0123456789", k=16))
        where = f"rip={self.address(user, day, hour)}, lip=198.51.100.10"
        add(
            at,
            f"dovecot: imap-login: Login: user=<{user}>, method=PLAIN, {where}, mpid={pid}, TLS, session=<{session}>",
        )
        counts = "in=214 out=1221 deleted=0 expunged=0 trashed=0 hdr_count=1 hdr_bytes=71 body_count=0 body_bytes=0"
        add(at + 900, f"dovecot: imap({user})<{pid}><{session}>: Disconnected: Logged out {counts}")

    def mistyped(self, day: int, hour: int) -> None:
        """A person mistypes the password, and gets it right in the end."""
        user, address = self.who, self.address(self.who, day, hour)
        for turn in range(self.random.randrange(1, 5)):
            why = "(auth failed, 1 attempts in 2 secs)"
            where = (
                f"user=<{user}>, method=PLAIN, rip={address}, lip=198.51.100.10, TLS, session=<s{turn}{self.serial}>"
            )
            self.add(self.now + turn * 9_000, f"dovecot: imap-login: Disconnected: Connection closed {why}: {where}")
        self.now += 60_000
        self.looked(day, hour)

    def newsletter(self) -> None:
        """Once a month somebody writes to sixty customers, from the usual address."""
        self.who = "nora@example.com"
        for _ in range(60):
            self.now += 700
            self.submitted(self.now // 1000 // DAY, 10)

    def host_down(self) -> None:
        """A host elsewhere is away for an hour; mail to it waits and arrives."""
        rnd, add, at = self.random, self.add, self.now
        queue, mid, user = self.queue_id(at), self.message_id("example.com"), self.who
        name, address, to, _ = self.stranger()
        client = f"unknown[{self.home[user]}]"
        smtpd, smtp = (
            f"postfix/submission/smtpd[{rnd.choice(self.smtpd)}]: ",
            f"postfix/smtp[{rnd.choice(self.smtpd) + 4}]: ",
        )
        add(at, f"{smtpd}{queue}: client={client}, sasl_method=PLAIN, sasl_username={user}")
        add(at + 20, f"postfix/cleanup[{rnd.choice(self.smtpd) + 1}]: {queue}: message-id={mid}")
        active = f"postfix/qmgr[811]: {queue}: from=<{user}>, size=4000, nrcpt=1 (queue active)"
        refused = f"connect to {name}[{address}]:25: Connection refused"
        for wait in (0, 300, 900, 2100):
            then = at + wait * 1000 + 60
            add(then, active)
            tried = f"{smtp}{queue}: to=<{to}>, relay=none, delay={wait + 1}, delays=0.1/0/1/0, dsn=4.4.1"
            add(then + 900, f"{tried}, status=deferred ({refused})")
        then = at + 4_500_000
        add(then, active)
        tried = f"{smtp}{queue}: to=<{to}>, relay={name}[{address}]:25, delay=4501, delays=4500/0/0.4/0.2"
        add(then + 700, f"{tried}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77)")
        add(then + 710, f"postfix/qmgr[811]: {queue}: removed")

    def opened(self, at: int, sender: str, domain: str) -> tuple[str, str]:
        """A mail comes in from outside; returns its queue ID and Message-ID."""
        name, address, *_ = self.stranger()
        queue, mid, smtpd = (
            self.queue_id(at),
            self.message_id(domain),
            f"postfix/smtpd[{self.random.choice(self.smtpd)}]: ",
        )
        self.add(at, f"{smtpd}{queue}: client={name}[{address}]")
        self.add(at + 20, f"postfix/cleanup[{self.random.choice(self.smtpd) + 1}]: {queue}: message-id={mid}")
        self.add(at + 60, f"postfix/qmgr[811]: {queue}: from=<{sender}>, size=5000, nrcpt=1 (queue active)")
        return queue, mid

    def filter_restarts(self) -> None:
        """Once a week the filter is restarted while a mail comes in, which arrives five minutes later."""
        at, to, relay = self.now, self.who, f"{HOST}.example.com[/var/run/dspam/dspam.sock]"
        _, _, sender, domain = self.stranger()
        queue, mid = self.opened(at, sender, domain)
        lmtp = f"postfix/lmtp[{self.random.choice(self.lmtp)}]: {queue}: to=<{to}>, relay="
        why = f"(connect to {relay}: Connection refused)"
        self.add(at + 90, f"{lmtp}none, delay=0.1, delays=0.08/0.01/0/0, dsn=4.4.1, status=deferred {why}")
        self.add(at + 300_000, f"postfix/qmgr[811]: {queue}: from=<{sender}>, size=5000, nrcpt=1 (queue active)")
        self.reinject(at + 300_200, mid, sender, to, 5340)
        sent = f"dsn=2.6.0, status=sent (250 2.6.0 <{to}> Message accepted for delivery)"
        self.add(at + 300_400, f"{lmtp}{relay}, delay=300, delays=300/0.01/0/0.2, {sent}")
        self.add(at + 300_401, f"postfix/qmgr[811]: {queue}: removed")

    def forwarded(self) -> None:
        """An alias leads to a mailbox elsewhere."""
        at, rnd = self.now, self.random
        _, _, sender, domain = self.stranger()
        queue, _ = self.opened(at, sender, domain)
        relay = "gmail-smtp-in.l.example.org[192.0.2.26]:25"
        tried = f"{queue}: to=<boss77@mail.example.org>, orig_to=<boss@example.com>, relay={relay}, delay=0.9"
        sent = "delays=0.1/0.01/0.3/0.5, dsn=2.0.0, status=sent (250 2.0.0 OK 1767225600 a1si77 - gsmtp)"
        self.add(at + 900, f"postfix/smtp[{rnd.choice(self.smtpd) + 4}]: {tried}, {sent}")
        self.add(at + 901, f"postfix/qmgr[811]: {queue}: removed")

    def answered(self) -> None:
        """Somebody is on holiday, and a script answers."""
        at, to = self.now, self.who
        _, _, sender, domain = self.stranger()
        mid, pid, session = self.message_id(domain), self.random.choice(self.lmtp) + 3, self.session()
        self.reinject(at, mid, sender, to, 5340)
        told = f"dovecot: lmtp({to})<{pid}><{session}>: sieve: msgid={mid}: sent vacation response to <{sender}>"
        self.add(at + 40, told)

    def guessing(self) -> None:
        """Strangers guess passwords for half an hour."""
        rnd, address = self.random, f"45.{self.random.randrange(90, 99)}.{self.random.randrange(250)}.7"
        names = ("info", "admin", "sales", "test", *NAMES)
        for _ in range(rnd.randrange(20, 60)):
            self.now += rnd.randrange(5_000, 60_000)
            smtpd = f"postfix/submission/smtpd[{rnd.choice(self.smtpd)}]: "
            said = f"SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username={rnd.choice(names)}@example.com"
            self.add(self.now, f"{smtpd}warning: unknown[{address}]: {said}")


NAMES = ("anna", "ben", "carla", "david", "emil", "fritz", "greta", "hanna", "ivo", "jana", "karl", "lena", "max", "nora",
         "otto", "paula", "quentin", "rosa", "sven", "tina", "uwe", "vera", "willi", "xenia", "yann")  # fmt: skip


def written(seed: int, days: int) -> list[list[str]]:
    """Return the lines of each day."""
    company, stamp, out = Company(seed), stamper("iso"), []
    for day in range(days):
        company.day(day)
        company.lines.sort(key=lambda line: line[0])
        end = (START + (day + 1) * DAY) * 1000
        ready = [line for line in company.lines if line[0] < end]
        del company.lines[: len(ready)]
        out.append([f"{stamp(at)}{text}\n" for at, text in ready])
    return out


def reported(days: list[list[str]], length: int, folder: Path) -> tuple[Counter[tuple[str, str, str]], list[str], int]:
    """Return what reports on so many days each found: counts by severity, check and cause, the problems, the reports."""
    found: Counter[tuple[str, str, str]] = Counter()
    said, reports = [], 0
    for first in range(0, len(days) - length + 1, length):
        path = folder / "mail.log"
        path.write_text("".join(line for day in days[first : first + length] for line in day))
        report = logscan.analyse(logscan.read(path, jobs=1))
        reports += 1
        for each in report.found:
            if each.counts:
                found[each.severity, each.check, each.cause] += 1
                when = time.strftime("%d %b", time.gmtime(START + first * DAY))
                said += [f"{when}: {each.check}: {each.summary}"] if each.check not in TRUE else []
    return found, said, reports


def remembering(days: list[list[str]], folder: Path) -> tuple[Counter[tuple[str, str, str]], list[str], int]:
    """Return the same of reports on one day each that know what the days before remembered; the last is the bytes of that."""
    found: Counter[tuple[str, str, str]] = Counter()
    said, pasts, blob, checks = [], dict[str, Partial](), b"", wanted()
    for day, lines in enumerate(days):
        path = folder / "mail.log"
        path.write_text("".join(lines))
        scan = logscan.read(path, jobs=1)
        seen = together(checks, [looked(checks, scan)])
        scan.log.pasts = pasts
        for result in concluded(checks, [seen], scan.log):
            for each in result.findings:
                if each.counts:
                    found[each.severity, result.name, each.cause] += 1
                    when = time.strftime("%d %b", time.gmtime(START + day * DAY))
                    said += [f"{when}: {result.name}: {each.summary}"] if result.name not in TRUE else []
        blob = remembered(checks, seen, pasts, (START + (day + 1) * DAY) * 10**9)
        pasts = pasts_of(blob)
    return found, said, len(blob)


def main() -> int:
    """Run it; returns 1 where a problem was found more often than once a month."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="PATH", help="write the log there too")
    args = parser.parse_args()
    days = written(args.seed, args.days)
    print(f"{HOST}: {args.days} days, {sum(map(len, days)):,} lines, seed {args.seed}")
    if args.keep:
        args.keep.write_text("".join(line for day in days for line in day))
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        found, said, size = remembering(days, Path(folder))
        false = {key: count for key, count in found.items() if key[1] not in TRUE}
        problems = sum(count for key, count in false.items() if key[0] == "problem")
        warnings = sum(false.values()) - problems
        print(
            f"reports on 1 day that know those before: {len(days)}; false problems {problems}, false warnings {warnings}"
        )
        print(
            f"    what they know: {size:,} bytes; {', '.join(f'{key[1]} {key[2]} {n}' for key, n in false.items()) or 'none'}"
        )
        for each in said[:12]:
            print(f"        {each[:200]}")
        bad += problems > max(1.0, args.days / 30)
        for length in (1, 7, 30):
            found, said, reports = reported(days, length, Path(folder))
            false = {key: count for key, count in found.items() if key[1] not in TRUE}
            problems = sum(count for key, count in false.items() if key[0] == "problem")
            print(
                f"reports on {length} days: {reports}; false problems {problems}, false warnings {sum(false.values()) - problems}"
            )
            for key, count in sorted(found.items(), key=lambda item: (item[0][0], -item[1])):
                true = " (true)" if key[1] in TRUE else ""
                print(f"    {key[0]:8} {key[1]:24} {key[2]:24} {count:5} in {reports} reports{true}")
            for each in said[:12]:
                print(f"        {each[:200]}")
            bad += problems > max(1.0, args.days / 30)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
