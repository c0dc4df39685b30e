"""Makes mail logs of random flows whose truth is known: who opened which life, what came out of what, who got it.

A :class:`World` is a set of servers with one way of filtering each. :meth:`World.run` lets mails flow and returns a
:class:`Log`: lines in the order they were written, each with the life it belongs to, and the truth. The functions below
it do to a log what loggers do: shuffle, set clocks, lose lines, split files.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

START = datetime(2026, 3, 4, 10, tzinfo=UTC).timestamp()
DOMAIN = "example.com"
USERS = tuple(f"{name}@{DOMAIN}" for name in ("alice", "bob", "carol", "dave"))
ALIASES = {
    f"sales@{DOMAIN}": (USERS[0], USERS[1]),
    f"info@{DOMAIN}": (USERS[2],),
    f"root@{DOMAIN}": (f"root@{DOMAIN}", USERS[0]),
}
STRANGERS = tuple(f"{name}@example.{top}" for name in ("sam", "zoe", "quinn", "kim") for top in ("org", "net"))
FILTERS = ("none", "dspam", "amavis", "pipe")


@dataclass
class Life:
    """One life of a queue ID. ``mail`` numbers the mail as its sender counts it."""

    number: int
    mail: int
    host: str
    instance: str
    queue_id: str
    opened: float
    ident: str
    sender: str
    recipients: int
    size: int


@dataclass(frozen=True)
class Line:
    """One log line: its true time, and the stamp it was given."""

    time: float
    stamp: float
    host: str
    tag: str
    pid: int
    text: str
    life: int = -1

    def render(self, bsd: bool) -> str:
        """Return the line as rsyslog writes it, traditional or ISO."""
        at = datetime.fromtimestamp(self.stamp, UTC)
        head = f"{at:%b} {at.day:2d} {at:%H:%M:%S}" if bsd else at.isoformat(timespec="microseconds")
        tag = f"{self.tag}[{self.pid}]" if self.pid else self.tag
        return f"{head} {self.host} {tag}: {self.text}\n"


@dataclass
class Log:
    """Lines, and the truth about them; lives, legs (parent, child, kind) and mails by number."""

    lines: list[Line]
    lives: list[Life]
    legs: set[tuple[int, int, str]]
    finals: dict[int, Counter[str]]
    """By mail: what was delivered to whom in the end, as the delivery line has it."""

    def text(self, bsd: bool) -> str:
        """Return the whole log."""
        return "".join(line.render(bsd) for line in self.lines)


@dataclass(frozen=True)
class Server:
    """A host with its way of filtering."""

    host: str
    filter: str = "none"
    tells: tuple[str, ...] = ()
    """What amavis's set-up tells of its hops: reply, xforward, line."""
    expands_before: bool = True
    """Aliases are expanded before the filter, else after it."""
    renamed: bool = False
    """The re-injection smtpd bears a name without the instance."""

    @property
    def name(self) -> str:
        """The server's name as relays show it."""
        return f"{self.host}.{DOMAIN}"

    @property
    def reinjection(self) -> str:
        """The tag of the smtpd that takes mail back."""
        return "reinject" if self.renamed else "postfix/reinject"


@dataclass
class World:
    """Servers, a clock and a supply of queue IDs; ``ids`` is their number: the fewer, the more are used again."""

    rng: random.Random
    servers: Sequence[Server]
    ids: int = 200
    long_ids: bool = False
    out: list[Line] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    legs: set[tuple[int, int, str]] = field(default_factory=set)
    finals: dict[int, Counter[str]] = field(default_factory=dict)
    busy: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """Until when (host, instance, queue ID) can't be used again."""
    mails: int = 0

    def run(self, flows: int, gap: float = 3.0) -> Log:
        """Let ``flows`` flows begin, ``gap`` seconds apart on average; returns what was logged."""
        now = START
        ways = (
            self.inbound,
            self.inbound,
            self.inbound,
            self.submission,
            self.script,
            self.aborted,
            self.resent,
            self.members,
        )
        for _ in range(flows):
            now += self.rng.expovariate(1 / gap)
            self.rng.choice(ways)(now, self.rng.choice(list(self.servers)))
        lines = sorted(self.out, key=lambda line: line.time)
        return Log(lines, self.lives, self.legs, self.finals)

    # the flows

    def inbound(
        self, at: float, server: Server, *, ident: str | None = None, to: Sequence[str] = (), sender: str = ""
    ) -> None:
        """Mail from outside, now and then over another server of ours."""
        sender = sender or self.rng.choice(STRANGERS)
        recipients = list(to) or self.some(USERS + tuple(ALIASES) + USERS, 3)
        ident = self.ident("example.org") if ident is None else ident
        if ident == "<>":  # two such mails at once to one person from one sender couldn't be told apart
            sender = f"s{self.mails}@example.org"
        others = [other for other in self.servers if other is not server]
        if others and ident != "<>" and self.rng.random() < 0.3:
            self.relayed(at, self.rng.choice(others), server, ident, sender, recipients)
            return
        life = self.opened(at, server, "postfix", "mail.example.org[203.0.113.26]", ident, sender, len(recipients))
        self.onward(life, server, recipients)

    def relayed(self, at: float, first: Server, server: Server, ident: str, sender: str, to: Sequence[str]) -> None:
        """One server hands the mail on to the next; each logs it."""
        before = self.opened(at, first, "postfix", "mail.example.org[203.0.113.26]", ident, sender, len(to))
        begun = before.opened + self.rng.uniform(0.05, 0.5)
        client = f"{first.name}[192.0.2.5]"
        after = self.opened(begun, server, "postfix", client, ident, sender, len(to), mail=before.mail)
        self.legs.add((before.number, after.number, "relay"))
        done = after.opened + self.rng.uniform(0.05, 0.5)
        for recipient in to:
            reply = f"250 2.0.0 Ok: queued as {after.queue_id}"
            self.attempt(before, done, "smtp", recipient, "", f"{server.name}[192.0.2.10]:25", done - begun, reply)
        self.removed(before, done)
        self.onward(after, server, to)

    def submission(self, at: float, server: Server) -> None:
        """An authenticated user's mail, past the filter."""
        user = self.rng.choice(USERS)
        client = f"desk.{DOMAIN}[192.0.2.7], sasl_method=PLAIN, sasl_username={user}"
        recipients = self.some(STRANGERS + USERS, 3)
        instance = self.rng.choice(("postfix", "postfix-out"))
        tag = f"{instance}/submission"
        life = self.opened(at, server, tag, client, self.ident(DOMAIN), user, len(recipients), instance=instance)
        self.delivered(life, server, [(each, "") for each in recipients], life.opened)

    def script(self, at: float, server: Server) -> None:
        """A program's mail: through pickup past the filter, or through 127.0.0.1:25 and the filter."""
        recipients = self.some(USERS + STRANGERS, 2)
        sender = f"cron@{DOMAIN}"
        if self.rng.random() < 0.5:
            life = self.opened(at, server, "", "", None, sender, len(recipients))
            self.delivered(life, server, [(each, "") for each in recipients], life.opened)
        else:
            life = self.opened(
                at, server, "postfix", "localhost[127.0.0.1]", self.ident(DOMAIN), sender, len(recipients)
            )
            self.onward(life, server, recipients)

    def aborted(self, at: float, server: Server) -> None:
        """A client that gives up after RCPT."""
        queue_id = self.queue_id(server.host, "postfix", at, at + 20)
        life = Life(len(self.lives), -1, server.host, "postfix", queue_id, at, "", "", 0, 0)
        self.lives.append(life)
        client = "mail.example.net[203.0.113.99]"
        self.say(at, server.host, "postfix/smtpd", 1, f"{queue_id}: client={client}", life.number)
        self.say(at + 0.4, server.host, "postfix/smtpd", 1, f"lost connection after RCPT from {client}")

    def resent(self, at: float, server: Server) -> None:
        """The same mail once more, half a minute later."""
        ident, to, sender = self.ident("example.org"), self.some(USERS, 2), self.rng.choice(STRANGERS)
        for n in range(2):
            self.inbound(at + 30 * n, server, ident=ident, to=to, sender=sender)

    def members(self, at: float, server: Server) -> None:
        """A list's mail, one envelope for each member, all at once."""
        ident = self.ident("example.net")
        for n, user in enumerate(USERS):
            self.inbound(at + n / 10, server, ident=ident, to=[user], sender="bounces@example.net")

    # behind the entrance

    def onward(self, life: Life, server: Server, to: Sequence[str]) -> None:
        """Take an entered mail through the server's filter, and deliver it."""
        before = server.filter == "none" or server.expands_before
        envelope = self.expanded(to) if before else [(each, "") for each in to]
        begun = life.opened + self.rng.uniform(0.05, 0.3)
        if server.filter == "none":
            self.delivered(life, server, envelope, begun)
        elif server.filter == "dspam":
            self.through_dspam(life, server, envelope, begun)
        else:
            self.through_one(life, server, envelope, begun)

    def through_dspam(self, life: Life, server: Server, envelope: Sequence[tuple[str, str]], begun: float) -> None:
        """One child a recipient, no word about IDs, the replies after the last child."""
        at = begun
        for recipient, _ in envelope:
            at += self.rng.uniform(0.05, 0.8)
            child = self.child(life, server, at, "localhost[127.0.0.1]", 1)
            self.legs.add((life.number, child.number, "filter"))
            self.delivered(child, server, self.after(server, [recipient]), child.opened)
        at += self.rng.uniform(0.01, 0.2)
        for recipient, asked in envelope:
            reply = f"250 2.6.0 <{recipient}> Message accepted for delivery"
            relay = f"{server.name}[/run/dspam/dspam.sock]"
            self.attempt(life, at, "lmtp", recipient, asked, relay, at - begun, reply)
        self.removed(life, at)

    def through_one(self, life: Life, server: Server, envelope: Sequence[tuple[str, str]], begun: float) -> None:
        """One child for all recipients: amavis, which may tell, or a pipe that hands back through sendmail."""
        at = begun + self.rng.uniform(0.05, 2)
        addresses = list(dict.fromkeys(recipient for recipient, _ in envelope))
        pipe = server.filter == "pipe"
        told = f", orig_queue_id={life.queue_id}, orig_client=mail.example.org[203.0.113.26]"
        client = "" if pipe else "localhost[127.0.0.1]" + (told if "xforward" in server.tells else "")
        child = self.child(life, server, at, client, len(addresses))
        self.legs.add((life.number, child.number, "filter"))
        done = child.opened + self.rng.uniform(0.01, 0.2)
        if not pipe and "line" in server.tells:
            self.say(
                done, server.host, "amavis", 70,
                f"(00070-{child.number:02d}) Passed CLEAN {{RelayedInbound}}, [203.0.113.26]:4711 [203.0.113.26]"
                f" <{life.sender}> -> "
                + ",".join(f"<{each}>" for each in addresses)
                + f", Queue-ID: {life.queue_id}, Message-ID: {life.ident}, mail_id: q{child.number:08d}abc, Hits: -1, size: 1000,"
                f" queued_as: {child.queue_id}, 900 ms",
            )  # fmt: skip
        for recipient, asked in envelope:
            if pipe:
                self.attempt(
                    life, done, "pipe", recipient, asked, "spamfilter", done - begun, "delivered via spamfilter service"
                )
                continue
            said = f"queued as {child.queue_id}" if "reply" in server.tells else "thanks"
            reply = f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: {said}"
            self.attempt(life, done, "smtp", recipient, asked, "127.0.0.1[127.0.0.1]:10024", done - begun, reply)
        self.removed(life, done)
        self.delivered(child, server, self.after(server, addresses), child.opened)

    def child(self, life: Life, server: Server, at: float, client: str, recipients: int) -> Life:
        """Return what came back from the filter."""
        ident = None if life.ident == "<>" else life.ident
        tag = server.reinjection if client else ""
        return self.opened(at, server, tag, client, ident, life.sender, recipients, mail=life.mail, size=1400)

    def after(self, server: Server, to: Sequence[str]) -> list[tuple[str, str]]:
        return [(each, "") for each in to] if server.expands_before else self.expanded(to)

    @staticmethod
    def expanded(to: Sequence[str]) -> list[tuple[str, str]]:
        """Return (recipient, address asked for) as the alias maps make them."""
        found = [(each, asked if each != asked else "") for asked in to for each in ALIASES.get(asked, (asked,))]
        return list(dict.fromkeys(found))

    def delivered(self, life: Life, server: Server, envelope: Sequence[tuple[str, str]], begun: float) -> None:
        """Deliver to mailboxes and to outside, with what can go wrong there; ends with removed."""
        at = begun + self.rng.uniform(0.02, 0.3)
        session, end = f"Ses{life.number:06d}AAAAAAAAAAAAA", at
        mailboxes: dict[str, str] = {}
        for recipient, asked in envelope:
            if recipient.endswith("@" + DOMAIN):
                known = mailboxes.get(recipient)
                one = known or session + (f":R{len(mailboxes) + 1}" if mailboxes else "")
                mailboxes[recipient] = one
                if not known:
                    text = f"lmtp({recipient})<80><{one}>: sieve: msgid={life.ident}: stored mail into mailbox 'INBOX'"
                    self.say(at, server.host, "dovecot", 0, text)
                relay = f"{server.name}[private/dovecot-lmtp]"
                self.attempt(
                    life, at, "lmtp", recipient, asked, relay, 0.02, f"250 2.0.0 <{recipient}> {one} Saved", final=True
                )
                continue
            end = max(end, self.away(life, server, recipient, asked, at))
        self.removed(life, end + 0.01)

    def away(self, life: Life, server: Server, recipient: str, asked: str, at: float) -> float:
        """Deliver to outside: at once, at the third try, or never. Returns the time of the last line."""
        relay, luck = "mx.example.net[203.0.113.200]:25", self.rng.random()
        at += self.rng.uniform(0.1, 1)
        if luck < 0.2:
            for _ in range(2):
                text = "connect to mx.example.net[203.0.113.200]:25: Connection timed out"
                self.attempt(life, at, "smtp", recipient, asked, "none", 0, text, status="deferred")
                at += 310
                self.queued(life, at - 0.02, life.size)
        elif luck < 0.35:
            said = "550 5.1.1 status=sent (queued as 1A00000001)"
            refused = f"host mx.example.net[203.0.113.200] said: {said} (in reply to RCPT TO command)"
            self.attempt(life, at, "smtp", recipient, asked, relay, 0.1, refused, status="bounced")
            return self.bounced(life, server, at + 0.02) if life.sender else at
        # A stranger's queue ID looks like ours, and may be one of ours.
        reply = f"250 2.0.0 Ok: queued as {self.name(self.rng.randrange(self.ids), at)}"
        self.attempt(life, at, "smtp", recipient, asked, relay, 0.1, reply, final=True)
        return at

    def bounced(self, life: Life, server: Server, at: float) -> float:
        """Make the notification; its line comes before or after its child's. Returns the time of the last line."""
        child = self.opened(at, server, "", "", None, "", 1, instance=life.instance, pickup=False, size=3000)
        self.legs.add((life.number, child.number, "bounce"))
        at = child.opened + self.rng.choice((-0.03, 0.03))
        text = f"{life.queue_id}: sender non-delivery notification: {child.queue_id}"
        self.say(at, life.host, f"{life.instance}/bounce", 17, text, life.number)
        self.delivered(child, server, [(life.sender, "")], child.opened)
        return max(at, child.opened)

    # lines

    def opened(
        self, at: float, server: Server, tag: str, client: str, ident: str | None, sender: str, recipients: int, *,
        mail: int | None = None, instance: str = "postfix", pickup: bool = True, size: int = 1000,
    ) -> Life:  # fmt: skip
        """Open a life: by smtpd with a ``client``, else by pickup, else by cleanup alone. Without ident cleanup makes one."""
        if mail is None:
            mail, self.mails = self.mails, self.mails + 1
        queue_id = self.queue_id(server.host, instance, at, at + 3600)
        if ident is None:
            moment = datetime.fromtimestamp(at, UTC)
            ident = f"<{moment:%Y%m%d%H%M%S}.{queue_id}@{server.name}>"
        life = Life(len(self.lives), mail, server.host, instance, queue_id, at, ident, sender, recipients, size)
        self.lives.append(life)
        if client:
            who = client.partition(",")[0]
            pid = self.rng.choice((20, 21)) + 10 * (tag != "postfix")
            self.say(at - 0.01, server.host, f"{tag}/smtpd", pid, f"connect from {who}")
            self.say(at, server.host, f"{tag}/smtpd", pid, f"{queue_id}: client={client}", life.number)
            self.say(
                at + 0.2,
                server.host,
                f"{tag}/smtpd",
                pid,
                f"disconnect from {who} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
            )
        elif pickup:
            self.say(at, server.host, f"{instance}/pickup", 9, f"{queue_id}: uid=107 from=<{sender}>", life.number)
        self.say(
            at + 0.005,
            server.host,
            f"{instance}/cleanup",
            self.rng.choice((40, 41)),
            f"{queue_id}: message-id={ident}",
            life.number,
        )
        self.queued(life, at + 0.01, size)
        return life

    def queued(self, life: Life, at: float, size: int) -> None:
        text = f"{life.queue_id}: from=<{life.sender}>, size={size + life.mail}, nrcpt={life.recipients} (queue active)"
        self.say(at, life.host, f"{life.instance}/qmgr", 12, text, life.number)

    def attempt(
        self, life: Life, at: float, program: str, recipient: str, asked: str, relay: str, d: float, reply: str, *,
        status: str = "sent", final: bool = False,
    ) -> None:  # fmt: skip
        delay = at - life.opened
        orig = f", orig_to=<{asked}>" if asked else ""
        dsn = {"sent": "2.0.0", "deferred": "4.4.1", "bounced": "5.1.1"}[status]
        delays = "/".join(seconds(each) for each in (max(0.0, delay - d), 0, 0, d))
        text = (
            f"{life.queue_id}: to=<{recipient}>{orig}, relay={relay}, delay={seconds(delay)}, delays={delays}, dsn={dsn},"
            f" status={status} ({reply})"
        )
        self.say(at, life.host, f"{life.instance}/{program}", self.rng.choice((50, 51)), text, life.number)
        if final:
            self.finals.setdefault(life.mail, Counter())[recipient] += 1

    def removed(self, life: Life, at: float) -> None:
        self.say(at + 0.002, life.host, f"{life.instance}/qmgr", 12, f"{life.queue_id}: removed", life.number)
        self.busy[life.host, life.instance, life.queue_id] = at + 20

    def say(self, at: float, host: str, tag: str, pid: int, text: str, life: int = -1) -> None:
        self.out.append(Line(at, at, host, tag, pid, text, life))

    # supplies

    def queue_id(self, host: str, instance: str, at: float, until: float) -> str:
        """Return an ID that is free in this queue, perhaps one that was used before."""
        for _ in range(1000):
            found = self.name(self.rng.randrange(self.ids), at)
            if self.busy.get((host, instance, found), 0) <= at:
                self.busy[host, instance, found] = until
                return found
        raise AssertionError("too few queue IDs for so many mails at once")

    def name(self, number: int, at: float) -> str:
        if self.long_ids:  # they never repeat: the time is in them
            moment = "".join(LONG[int(at * each) // 52 % 52] for each in (1, 52, 52**2, 52**3))
            return f"4PbC{moment}69Jz{LONG[number // 51]}{LONG[number % 51]}"
        return (
            f"{number % 16:X}A{number:04X}B{number:03X}"[:10]
            if number % 16 < 15
            else f"0A{number:04X}C{number:03X}"[:10]
        )

    def ident(self, domain: str) -> str:
        """Return a Message-ID; one mail in twelve has none."""
        return (
            "<>"
            if domain == "example.org" and self.rng.random() < 1 / 12
            else f"<{self.rng.randrange(10**9)}.x@{domain}>"
        )

    def some(self, addresses: Sequence[str], most: int) -> list[str]:
        return list(dict.fromkeys(self.rng.choice(addresses) for _ in range(self.rng.randint(1, most))))


LONG = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


def seconds(value: float) -> str:
    """Return seconds as Postfix prints them: two digits, two decimals at most (util/format_tv.c)."""
    value = max(0.0, value)
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}".rstrip("0").rstrip(".")


# -- what loggers do to logs -------------------------------------------------------------------------------------------


def shuffled(log: Log, rng: random.Random) -> Log:
    """Shuffle the lines of each second."""
    return replace(log, lines=sorted(log.lines, key=lambda line: (int(line.stamp), rng.random())))


def stepped(log: Log, rng: random.Random, most: int = 2) -> Log:
    """Set the clock of some processes back or forth by up to ``most`` seconds; lines keep their places."""
    processes = sorted({(line.host, line.tag, line.pid) for line in log.lines})
    off = {each: rng.choice((0, 0, rng.randint(-most, most))) for each in processes}
    return replace(
        log, lines=[replace(line, stamp=line.stamp + off[line.host, line.tag, line.pid]) for line in log.lines]
    )


def lossy(log: Log, rng: random.Random, share: float) -> Log:
    """Lose this share of the lines."""
    return replace(log, lines=[line for line in log.lines if rng.random() >= share])


def cut(log: Log, at: Sequence[int]) -> list[Log]:
    """Split the lines at these places."""
    places = [0, *sorted(at), len(log.lines)]
    return [replace(log, lines=log.lines[a:b]) for a, b in pairwise(places)]


def by_host(log: Log) -> list[Log]:
    """Split the lines by host."""
    hosts = sorted({line.host for line in log.lines})
    return [replace(log, lines=[line for line in log.lines if line.host == host]) for host in hosts]
