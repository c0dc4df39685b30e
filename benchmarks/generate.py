#!/usr/bin/env python3
"""Writes the log of a busy mail server that never was: Postfix, DSPAM as its content filter, Dovecot.

    python benchmarks/generate.py mail.log --lines 2000000
    python benchmarks/generate.py mail.log --lines 200000 --stamps iso --long-ids --system-log system.log

The same arguments give the same file. Mails come in from strangers (one to three recipients, aliases among them), go
through the filter and back to Dovecot; users submit to outside with a login, from the local host and by sendmail; there
are refusals, deferrals with retries, bounces, probes, postscreen, TLS, anvil and IMAP sessions around them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

HOST = "mx1"
START = 1_795_000_000
"""The first line's time, seconds since 1970 (November 2026)."""

ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
SESSION = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
ALIASES = {"sales": (1, 2, 3), "info": (4,), "root": (0, 1), "all": tuple(range(8))}
CIPHER = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
CIPHER += " key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"


class Server:
    """Tells stories; each adds its lines, (milliseconds, text), to ``lines``."""

    def __init__(self, seed: int, *, long_ids: bool, verdicts: bool) -> None:
        self.random = random.Random(seed)
        self.long_ids = long_ids
        self.verdicts: list[str] | None = [] if verdicts else None
        self.lines: list[tuple[int, str]] = []
        self.now = START * 1000
        self.serial = 0
        draw = self.random.randrange
        self.users = [f"user{i}@example.com" for i in range(400)]
        self.hosts = [
            (f"mail{i % 7}.{domain}", f"203.0.113.{draw(256)}" if i % 9 else f"2001:db8::{draw(65536):x}", domain)
            for i, domain in ((i, f"d{i}.example.{('net', 'org', 'edu')[i % 3]}") for i in range(6000))
        ]
        self.smtpd = [draw(2000, 30000) for _ in range(40)]
        self.lmtp = [draw(2000, 30000) for _ in range(20)]

    # --- pieces ---

    def queue_id(self, at: int) -> str:
        """Return a queue ID as Postfix makes it: microseconds and inode, short or long."""
        inode = self.random.randrange(0x540000, 0x54FFFF)
        micro = at % 1000 * 1000 + self.random.randrange(1000)
        if not self.long_ids:
            return f"{micro:05X}{inode:X}"
        return f"{_base(at // 1000, 52, 6)}{_base(micro, 52, 4)}z{_base(inode, 51, 1)}"

    def session(self) -> str:
        """Return a Dovecot session."""
        return "".join(self.random.choices(SESSION, k=22))

    def stranger(self) -> tuple[str, str, str, str]:
        """Return host, address, and sender of a mail server elsewhere; few send most."""
        i = min(int(self.random.expovariate(1 / 900)), len(self.hosts) - 1)
        name, address, domain = self.hosts[i]
        return name, address, f"person{self.random.randrange(40)}@{domain}", domain

    def add(self, at: int, text: str) -> None:
        """Add one line."""
        self.lines.append((at, text))

    def message_id(self, domain: str) -> str:
        """Return a Message-ID of its own."""
        self.serial += 1
        return f"<{self.serial:08d}.{self.random.randrange(1 << 40):010x}@{domain}>"

    # --- stories ---

    def inbound(self) -> None:
        """A stranger's mail: through the filter, a copy a recipient, to Dovecot."""
        rnd, add, at = self.random, self.add, self.now
        name, address, sender, domain = self.stranger()
        client = f"{name}[{address}]"
        smtpd = f"postfix/smtpd[{rnd.choice(self.smtpd)}]: "
        add(at, f"{smtpd}connect from {client}")
        if rnd.random() < 0.6:
            add(at + 60, f"{smtpd}Anonymous TLS connection established from {client}: {CIPHER}")
        at += 120
        queue, mid, size = self.queue_id(at), self.message_id(domain), int(rnd.lognormvariate(9, 1.5)) + 600
        given: list[tuple[str, str]] = []
        for _ in range(rnd.choice((1, 1, 1, 1, 2, 3))):
            if rnd.random() < 0.1:
                alias = rnd.choice(("sales", "info", "root"))
                given += [(self.users[i], f", orig_to=<{alias}@example.com>") for i in ALIASES[alias]]
            else:
                given.append((rnd.choice(self.users), ""))
        given = list({to: (to, orig) for to, orig in given}.values())
        add(at, f"{smtpd}{queue}: client={client}")
        add(at + 20, f"postfix/cleanup[{rnd.choice(self.smtpd) + 1}]: {queue}: message-id={mid}")
        add(at + 60, f"postfix/qmgr[811]: {queue}: from=<{sender}>, size={size}, nrcpt={len(given)} (queue active)")
        counts = f"ehlo=2 starttls=1 mail=1 rcpt={len(given)} data=1 quit=1 commands=7"
        add(at + 80, f"{smtpd}disconnect from {client} {counts}")
        filtered = f"postfix/lmtp[{rnd.choice(self.lmtp)}]: "
        back = at + 100
        spam = rnd.random() < 0.2
        for to, _ in given:
            took = rnd.randrange(80, 500)
            back += took
            self.reinject(back, mid, sender, to, size + 340)
            if self.verdicts is not None:
                self.verdicts.append(
                    f"{back // 1000}\t{'S' if spam else 'I'}\t{sender}\t{self.serial},{len(self.verdicts):x}\t"
                    f"Subject {self.serial}\t{took / 1000:.6f}\t{to}\tDelivered\t{mid}"
                )
        done = back + 20
        spent = (done - at) / 1000
        for to, orig in given:
            tried = f"{filtered}{queue}: to=<{to}>{orig}, relay={HOST}.example.com[/var/run/dspam/dspam.sock]"
            tried += f", delay={spent:.2g}, delays=0.08/0.01/0/{max(0.0, spent - 0.1):.2g}"
            add(done, f"{tried}, dsn=2.6.0, status=sent (250 2.6.0 <{to}> Message accepted for delivery)")
        add(done + 1, f"postfix/qmgr[811]: {queue}: removed")

    def reinject(self, at: int, mid: str, sender: str, to: str, size: int) -> None:
        """The filter hands a mail back; it ends in a mailbox."""
        rnd, add = self.random, self.add
        smtpd = f"postfix/smtpd[{rnd.choice(self.smtpd) + 2}]: "
        queue = self.queue_id(at)
        add(at - 5, f"{smtpd}connect from localhost[127.0.0.1]")
        add(at, f"{smtpd}{queue}: client=localhost[127.0.0.1]")
        add(at + 4, f"postfix/cleanup[{rnd.choice(self.smtpd) + 1}]: {queue}: message-id={mid}")
        add(at + 10, f"postfix/qmgr[811]: {queue}: from=<{sender}>, size={size}, nrcpt=1 (queue active)")
        add(at + 12, f"{smtpd}disconnect from localhost[127.0.0.1] helo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
        self.store(at + 20, queue, mid, to)

    def store(self, at: int, queue: str, mid: str, to: str) -> None:
        """Dovecot takes a mail by LMTP."""
        rnd, add = self.random, self.add
        session, pid = self.session(), rnd.choice(self.lmtp) + 3
        add(at, f"dovecot: lmtp({pid}): Connect from local")
        folder = "INBOX" if rnd.random() < 0.8 else "Junk"

        add(at + 15, f"dovecot: lmtp({to})<{pid}><{session}>: sieve: msgid={mid}: stored mail into mailbox '{folder}'")
        tried = (
            f"postfix/lmtp[{rnd.choice(self.lmtp)}]: {queue}: to=<{to}>, relay={HOST}.example.com[private/dovecot-lmtp]"
        )
        tried += f", delay=0.1{rnd.randrange(10)}, delays=0.08/0.01/0/0.0{rnd.randrange(10)}"
        add(at + 17, f"{tried}, dsn=2.0.0, status=sent (250 2.0.0 <{to}> {session} Saved)")
        add(at + 18, f"postfix/qmgr[811]: {queue}: removed")
        add(at + 20, f"dovecot: lmtp({pid}): Disconnect from local: Logged out (state=READY)")

    def outbound(self) -> None:
        """A user submits with a login; some hosts defer, some refuse."""
        rnd, add, at = self.random, self.add, self.now
        user, address = rnd.choice(self.users), f"198.51.100.{rnd.randrange(256)}"
        smtpd = f"postfix/submission/smtpd[{rnd.choice(self.smtpd)}]: "
        add(at, f"{smtpd}connect from unknown[{address}]")
        add(at + 50, f"{smtpd}Anonymous TLS connection established from unknown[{address}]: {CIPHER}")
        at += 100
        queue, mid = self.queue_id(at), self.message_id("example.com")
        add(at, f"{smtpd}{queue}: client=unknown[{address}], sasl_method=PLAIN, sasl_username={user}")
        self.leave(at, queue, mid, user)
        counts = "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
        add(at + 90, f"{smtpd}disconnect from unknown[{address}] {counts}")

    def sendmail(self) -> None:
        """A program on the host sends a mail."""
        at, queue = self.now, self.queue_id(self.now)
        self.add(at, f"postfix/pickup[812]: {queue}: uid=33 from=<www-data>")
        self.leave(at, queue, self.message_id("example.com"), "www-data@example.com")

    def leave(self, at: int, queue: str, mid: str, sender: str) -> None:
        """A mail goes to somebody elsewhere: at once, later or never."""
        rnd, add = self.random, self.add
        name, address, to, _ = self.stranger()
        smtp = f"postfix/smtp[{rnd.choice(self.smtpd) + 4}]: "
        size = int(rnd.lognormvariate(9, 1.5)) + 600
        add(at + 15, f"postfix/cleanup[{rnd.choice(self.smtpd) + 1}]: {queue}: message-id={mid}")
        active = f"postfix/qmgr[811]: {queue}: from=<{sender}>, size={size}, nrcpt=1 (queue active)"
        add(at + 60, active)
        what, start, relay = rnd.random(), at, f"{name}[{address}]:25"
        tries = 0
        while what < 0.08 and tries < 6:
            said = f"451 4.7.1 <{to}>: Recipient address rejected: Greylisted (in reply to RCPT TO command)"
            tried = f"{smtp}{queue}: to=<{to}>, relay={relay}, delay={(at + 900 - start) / 1000:.3g}"
            tried += ", delays=0.1/0/0.5/0.3, dsn=4.7.1"
            add(at + 900, f"{tried}, status=deferred (host {name}[{address}] said: {said})")
            at += 300_000 * 2**tries
            tries += 1
            add(at, active)
            what = rnd.random() * 0.2
        if 0.08 <= what < 0.11:
            said = f"550 5.1.1 <{to}>: Recipient address rejected: User unknown (in reply to RCPT TO command)"
            tried = f"{smtp}{queue}: to=<{to}>, relay={relay}, delay={(at + 900 - start) / 1000:.3g}"
            tried += ", delays=0.1/0/0.5/0.3, dsn=5.1.1"
            add(at + 900, f"{tried}, status=bounced (host {name}[{address}] said: {said})")
            child = self.queue_id(at + 910)
            notice = f"<2026.{child}@{HOST}.example.com>"
            add(at + 910, f"postfix/cleanup[{rnd.choice(self.smtpd) + 1}]: {child}: message-id={notice}")
            bounce = f"postfix/bounce[{rnd.choice(self.smtpd) + 5}]: "
            add(at + 915, f"{bounce}{queue}: sender non-delivery notification: {child}")
            add(at + 916, f"postfix/qmgr[811]: {child}: from=<>, size=3300, nrcpt=1 (queue active)")
            self.store(at + 930, child, notice, sender)
        else:
            took = rnd.randrange(200, 1500)
            tried = f"{smtp}{queue}: to=<{to}>, relay={relay}, delay={(at + took - start) / 1000:.3g}"
            tried += f", delays=0.1/0.01/0.2/0.{rnd.randrange(10)}"
            add(at + took, f"{tried}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {rnd.randrange(1 << 40):010X})")
        add(at + 1600, f"postfix/qmgr[811]: {queue}: removed")

    def refused(self) -> None:
        """A stranger is refused before the queue."""
        rnd, add, at = self.random, self.add, self.now
        name, address, sender, _ = self.stranger()
        smtpd = f"postfix/smtpd[{rnd.choice(self.smtpd)}]: "
        add(at, f"{smtpd}connect from {name}[{address}]")
        unknown = "550 5.1.1 <{}>: Recipient address rejected: User unknown in virtual mailbox table"
        to, reason = rnd.choice(
            (
                (f"nobody{rnd.randrange(90)}@example.com", unknown),
                (f"victim{rnd.randrange(90)}@example.edu", "554 5.7.1 <{}>: Relay access denied"),
            )
        )
        behind = f"from=<{sender}> to=<{to}> proto=ESMTP helo=<{name}>"
        add(at + 80, f"{smtpd}NOQUEUE: reject: RCPT from {name}[{address}]: {reason.format(to)}; {behind}")
        add(at + 90, f"{smtpd}disconnect from {name}[{address}] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")

    def probe(self) -> None:
        """A robot that goes away, seen by postscreen or smtpd."""
        rnd, add, at = self.random, self.add, self.now
        address, port = f"192.0.2.{rnd.randrange(256)}", rnd.randrange(1024, 65535)
        if rnd.random() < 0.5:
            add(at, f"postfix/postscreen[815]: CONNECT from [{address}]:{port} to [198.51.100.10]:25")
            add(at + 100, f"postfix/postscreen[815]: PREGREET 11 after 0.1 from [{address}]:{port}: EHLO User\\r\\n")
            add(at + 300, f"postfix/postscreen[815]: DISCONNECT [{address}]:{port}")
            return
        smtpd = f"postfix/smtpd[{rnd.choice(self.smtpd)}]: "
        unknown = f"hostname host{port}.example.net does not resolve to address {address}: Name or service not known"
        add(at, f"{smtpd}warning: {unknown}")
        add(at, f"{smtpd}connect from unknown[{address}]")
        add(at + 200, f"{smtpd}warning: unknown[{address}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6")
        add(at + 250, f"{smtpd}lost connection after AUTH from unknown[{address}]")
        add(at + 251, f"{smtpd}disconnect from unknown[{address}] ehlo=1 auth=0/1 commands=1/2")

    def imap(self) -> None:
        """A user looks into a mailbox."""
        rnd, add, at = self.random, self.add, self.now
        user, pid, session = rnd.choice(self.users), rnd.randrange(2000, 30000), "".join(rnd.choices(SESSION, k=16))
        address = f"rip=198.51.100.{rnd.randrange(256)}, lip=198.51.100.10"
        add(
            at,
            f"dovecot: imap-login: Login: user=<{user}>, method=PLAIN, {address}, mpid={pid}, TLS, session=<{session}>",
        )
        imap = f"dovecot: imap({user})<{pid}><{session}>: "
        if rnd.random() < 0.2:
            what = f"box=INBOX, uid={rnd.randrange(9000)}, msgid={self.message_id('example.net')}"
            add(at + 400, f"{imap}expunge: {what}, size={rnd.randrange(90000)}, flags=(\\Seen \\Deleted)")
        counts = "in=214 out=1221 deleted=0 expunged=0 trashed=0 hdr_count=1 hdr_bytes=71 body_count=0 body_bytes=0"
        add(at + 900, f"{imap}Disconnected: Logged out {counts}")

    def anvil(self) -> None:
        """Statistics nobody reads."""
        at = self.now
        when = time.strftime("%b %e %H:%M:%S", time.gmtime(at / 1000))
        client = f"(smtp:203.0.113.{self.random.randrange(256)}) at {when}"
        self.add(at, f"postfix/anvil[816]: statistics: max connection rate 1/60s for {client}")
        self.add(at, f"postfix/anvil[816]: statistics: max connection count 1 for {client}")
        self.add(at, f"postfix/anvil[816]: statistics: max cache size 1 at {when}")


def _base(number: int, base: int, least: int) -> str:
    out = ""
    while number or len(out) < least:
        number, digit = divmod(number, base)
        out = ALPHABET[digit] + out
    return out


def stamper(stamps: str) -> Callable[[int], str]:
    """Return what turns milliseconds into a stamp with the host."""
    known: dict[int, str] = {}

    def second(at: int) -> str:
        when = at // 1000
        if when not in known:
            known.clear()
            known[when] = time.strftime(
                "%b %e %H:%M:%S " if stamps == "bsd" else "%Y-%m-%dT%H:%M:%S", time.gmtime(when)
            )
        return known[when]

    if stamps == "bsd":
        return lambda at: f"{second(at)}{HOST} "
    return lambda at: f"{second(at)}.{at % 1000:03d}{at * 7 % 1000:03d}+00:00 {HOST} "


def generate(path: Path, lines: int, *, stamps: str, long_ids: bool, seed: int, system_log: Path | None) -> None:
    """Write ``lines`` lines to ``path``."""
    server = Server(seed, long_ids=long_ids, verdicts=system_log is not None)
    stories = [server.inbound] * 40 + [server.outbound] * 12 + [server.sendmail] * 2 + [server.refused] * 15
    stories += [server.probe] * 14 + [server.imap] * 16 + [server.anvil]
    stamp = stamper(stamps)
    left = lines
    with path.open("w", encoding="ascii") as out:
        while left > 0:
            for _ in range(5000):
                server.now += int(server.random.expovariate(1 / 500))
                server.random.choice(stories)()
            server.lines.sort(key=lambda line: line[0])
            ready = [line for line in server.lines if line[0] < server.now][:left]
            del server.lines[: len(ready)]
            left -= len(ready)
            out.writelines([f"{stamp(at)}{text}\n" for at, text in ready])
    if system_log is not None and server.verdicts is not None:
        system_log.write_text("".join(f"{line}\n" for line in server.verdicts), encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the log of a busy mail server that never was.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--stamps", choices=("bsd", "iso"), default="bsd")
    parser.add_argument("--long-ids", action="store_true", help="queue IDs as with enable_long_queue_ids")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--system-log", type=Path, metavar="PATH", help="also write DSPAM's system.log")
    args = parser.parse_args()
    generate(
        args.path, args.lines, stamps=args.stamps, long_ids=args.long_ids, seed=args.seed, system_log=args.system_log
    )


if __name__ == "__main__":
    main()
