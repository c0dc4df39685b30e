"""Siblings of the lab's stories: the same things happen on another server, with other names, addresses, clocks and forms.

Each function takes a :class:`Story` and gives another one in which logs, configuration and truth are rewritten alike, so what is
to be found stays the same. ``benchmarks/siblings.py`` tries them all, ``test_siblings.py`` one mixture for each story.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from sibling_clocks import long_ids, moved, stretched, timed
from sibling_story import STAMP, Story, each, lines, named, utc, words

# -- names -------------------------------------------------------------------------------------------------------------


def with_domain(told: Story, domain: str, host: str) -> Story:
    """Return a story of a server with another domain and host name."""
    old, short = told.truth["local_domains"][0], told.truth["host"].split(".")[0]
    pattern = re.compile(rf"(?<![\w-])(?:{re.escape(short)}\.)?{re.escape(old)}(?![\w-])")
    told = named(told, lambda text: pattern.sub(lambda found: f"{host}." * (found[0] != old) + domain, text))
    return lines(told, lambda line: STAMP.sub(rf"\1 {host} ", line, count=1))


def with_users(told: Story, rename: Callable[[str], str]) -> Story:
    """Return a story whose mailboxes have other names; roles keep theirs."""
    roles = {"root", "postmaster", "abuse", "nagios", "archive", "monitoring", "backup", "ops", "scanner"}
    truth = told.truth
    domain = re.escape(truth["local_domains"][0])
    new = {box.split("@")[0]: rename(box.split("@")[0]) for box in truth["mailboxes"]}
    names = "|".join(sorted((re.escape(name) for name in new if name not in roles), key=len, reverse=True))
    pattern = re.compile(
        rf"(?<![\w.-])({names})(?=(?:\+[\w-]+)?@{domain}\b)|(?<={domain}/)({names})(?=[/\s])|(?<=/)({names})(?=\.(?:css|sig|stats|log|lock|mbox)\b)"
    )
    return named(told, lambda text: pattern.sub(lambda found: new[found[0]], text))


# -- addresses ---------------------------------------------------------------------------------------------------------

ADDRESS = re.compile(r"(?<![\w.:])(\d{1,3}\.\d{1,3}\.\d{1,3})\.(\d{1,3})(?![\w]|\.\d)")
NETS = (
    "45.77.12",
    "176.9.40",
    "212.227.15",
    "81.169.145",
    "62.141.39",
    "91.198.174",
    "193.99.144",
    "5.9.61",
    "78.46.5",
)


def _nets(told: Story) -> list[str]:
    found = {net for name in told.logs for net, _ in ADDRESS.findall(told.files[name])}
    return sorted(net for net in found if not net.startswith("127.") and int(net.split(".")[0]) > 4 and net != "8.2302")


def other_nets(told: Story) -> Story:
    """Return a story whose hosts have other IPv4 addresses; the local ones stay local."""
    new = {net: "192.168.77" if net.startswith("10.") else f"{100 + place}.{64 + place}.{7 * place % 250}"
           for place, net in enumerate(_nets(told))}  # fmt: skip
    return each(told, lambda text: ADDRESS.sub(
        lambda found: f"{new[found[1]]}.{found[2]}" if found[1] in new else found[0], text))  # fmt: skip


def ipv6(told: Story) -> Story:
    """Return a story whose hosts have IPv6 addresses, those outside a network each; the server keeps its own."""
    nets = [net for net in _nets(told) if net != "198.51.100"]
    new = {
        net: "fd4c:91::{}" if net.startswith("10.") else f"2a02:{place + 5:x}c8:1:9::{{}}"
        for place, net in enumerate(nets)
    }

    def address(found: re.Match[str]) -> str:
        return new[found[1]].format(found[2]) if found[1] in new else found[0]

    return each(told, lambda text: ADDRESS.sub(address, text), only=lambda name: not name.endswith((".cf", ".txt")))


# -- forms -------------------------------------------------------------------------------------------------------------


def instance(told: Story, name: str) -> Story:
    """Return a story of an instance with another name, which main.cf gives."""
    told = lines(told, lambda line: re.sub(r"^((?:\S+ +){2,4}?)postfix/", rf"\g<1>{name}/", line, count=1))
    told = each(
        told,
        lambda text: text.replace("syslog_name=postfix/", f"syslog_name={name}/"),
        only=lambda file: "master" in file,
    )
    return each(
        told, lambda text: text + f"syslog_name = {name}\n", only=lambda file: file in ("main.cf", "postconf-n.txt")
    )


def unnamed(told: Story) -> Story:
    """Return a story whose services all log under one name, as master.cf without ``-o syslog_name`` makes it."""
    told = lines(told, lambda line: re.sub(r" (postfix[\w-]*)/[\w-]+/(smtpd\[)", r" \1/\2", line, count=1))
    drop = re.compile(r"^\s+-o syslog_name=.*\n", re.M)
    return each(told, lambda text: drop.sub("", text), only=lambda file: file.startswith("master"))


def dovecot_2_4(told: Story) -> Story:
    """Return a story with the login lines of Dovecot 2.4."""
    codes = {"auth failed": "auth_failed", "no auth attempts": "no_auth_attempts"}
    pattern = re.compile(
        r"-login: (?:Disconnected|Aborted login)(?:: ([\w ]+))? \(((auth failed|no auth attempts)[^)]*)\):"
    )

    def line(text: str) -> str:
        return pattern.sub(
            lambda found: f"-login: Login aborted: {found[1] or 'Connection closed'} ({found[2]}) ({codes[found[3]]}):",
            text,
        )

    version = "Dovecot v2.3.19.1 (9b53102964)", "Dovecot v2.4.1-4 (7d8c0e5759)"
    return each(lines(told, line), lambda text: text.replace(*version))


SOCKET = "/run/filter/scan.sock"


def filter_over_tcp(told: Story) -> Story:
    """Return a story whose content filter listens at a port."""

    def line(text: str) -> str:
        if f"[{SOCKET}]" not in text:
            return text
        text = re.sub(rf"(relay=|connect to )[\w.-]+\[{SOCKET}\]", r"\g<1>127.0.0.1[127.0.0.1]:10024", text)
        text = re.sub(rf"[\w.-]+\[{SOCKET}\]", "127.0.0.1[127.0.0.1]", text)
        return text.replace("/lmtp[", "/smtp[", 1).replace("No such file or directory", "Connection refused")

    told = each(lines(told, line), lambda text: text.replace(f"lmtp:unix:{SOCKET}", "smtp:[127.0.0.1]:10024"))
    return each(told, lambda text: text.replace(SOCKET, "127.0.0.1:10024"), only=lambda file: file in told.logs)


def mailboxes_over_tcp(told: Story) -> Story:
    """Return a story whose LMTP server listens at a port."""

    def line(text: str) -> str:
        text = re.sub(r"(relay=|connect to )[\w.-]+\[private/dovecot-lmtp\]", r"\g<1>127.0.0.1[127.0.0.1]:24", text)
        text = re.sub(r"[\w.-]+\[private/dovecot-lmtp\]", "127.0.0.1[127.0.0.1]", text)
        return re.sub(r"(lmtp\(\d+\): (?:Disc|C)onnect from )local", r"\g<1>127.0.0.1", text)

    return each(lines(told, line), lambda text: text.replace("lmtp:unix:private/dovecot-lmtp", "lmtp:inet:127.0.0.1:24"),
                only=lambda file: not file.startswith("truth"))  # fmt: skip


def by_lda(told: Story) -> Story:
    """Return a story whose mailboxes are written by dovecot-lda, which pipe(8) runs."""
    lda = "dovecot unix - n n - - pipe\n  flags=DRhu user=vmail argv=/usr/lib/dovecot/dovecot-lda -f ${sender} -d ${recipient}\n"

    def line(text: str) -> str:
        if re.search(r" dovecot: lmtp\(\d+\): ", text):
            return ""
        text = re.sub(r" dovecot: lmtp\(([^)]*@[^)]*)\)", r" dovecot: lda(\1)", text)
        if "[private/dovecot-lmtp]" not in text or "status=sent" not in text:
            return text
        text = re.sub(r"relay=[\w.-]+\[private/dovecot-lmtp\]", "relay=dovecot", text).replace("/lmtp[", "/pipe[", 1)
        return re.sub(r"status=sent \(.*\)", "status=sent (delivered via dovecot service)", text)

    told = each(lines(told, line), lambda text: text.replace("lmtp:unix:private/dovecot-lmtp", "dovecot"))
    return each(told, lambda text: text + lda, only=lambda file: file == "master.cf")


def milter_at_socket(told: Story) -> Story:
    """Return a story whose milter listens at a socket."""
    return each(told, lambda text: text.replace("inet:127.0.0.1:11332", "unix:/run/rspamd/milter.sock"))


def without_dovecot(told: Story) -> Story:
    """Return a story whose Dovecot logs elsewhere."""
    return lines(told, lambda line: "" if " dovecot: " in line else line)


# -- company -----------------------------------------------------------------------------------------------------------

NOISE = (
    "kernel: [{n}.118034] eth0: renamed from veth{n}",
    "CRON[{n}]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)",
    "sshd[{n}]: Invalid user admin from 192.0.2.77 port {n}",
    "sshd[{n}]: Failed password for invalid user admin from 192.0.2.77 port {n} ssh2",
    "systemd[1]: Starting Cleanup of Temporary Directories...",
    "ntpd[{n}]: Soliciting pool server 192.0.2.123",
)


def noisy(told: Story, every: int = 7) -> Story:
    """Return a story in a log that all programs of the host write to."""
    count = 0

    def line(text: str) -> str:
        nonlocal count
        count += 1
        head = STAMP.match(text)
        if head is None or count % every:
            return text
        return text + head[0] + NOISE[count // every % len(NOISE)].format(n=4000 + count) + "\n"

    return lines(told, line)


def beside(told: Story, healthy: Story, host: str = "zwei") -> Story:
    """Return a story on one of two hosts that share a log; nothing is wrong on the other."""
    name = told.logs[-1]
    first, other = (STAMP.match(one.files[one.logs[0]]) for one in (told, healthy))
    assert first is not None
    assert other is not None
    ends = utc(first[1]) - utc(other[1])
    shifted = timed(lines(healthy, lambda line: STAMP.sub(rf"\1 {host} ", line, count=1)), lambda stamp: stamp + ends)
    every = told.files[name].splitlines(keepends=True) + shifted.files[shifted.logs[0]].splitlines(keepends=True)
    ordered = sorted(every, key=lambda line: utc(STAMP.match(line)[1]))  # type: ignore[index]
    return replace(told, files=told.files | {name: "".join(ordered)})


def only_log(told: Story) -> Story:
    """Return a story of which only the mail log was saved."""
    return replace(
        told, files={name: text for name, text in told.files.items() if name in told.logs or name == "truth.json"}
    )


def fewer(told: Story, every: int = 3) -> Story:
    """Return a story with fewer of the mails that nothing is told of: each so many are left out, with all their lines."""
    truth = told.truth
    kept = {
        ident for case in truth.get("cases", []) + truth.get("quiet_cases", []) for ident in case.get("message_ids", ())
    }
    gone: set[str] = set()
    ids: set[str] = set()
    for name in told.logs:
        for found in re.finditer(r": ([0-9A-Za-z]{7,20}): (?:resent-)?message-id=(<[^>]+>)", told.files[name]):
            ident = found[2].strip("<>")
            other = (
                {ident, found[2]} & kept or not ident.partition(".")[0].isdigit() or len(ident.partition(".")[0]) != 5
            )
            if not other and int(ident[:5]) % every == 0:
                gone |= {found[1], found[2]}
            else:
                ids.add(found[1])
    gone -= ids
    pattern = re.compile(r"[<]?[\w.-]+(?:@[\w.-]+>)?")
    return lines(told, lambda line: "" if gone.intersection(pattern.findall(line)) else line)


# -- all of them -------------------------------------------------------------------------------------------------------


def hyphened(name: str) -> str:
    return f"{name[0]}.{name}-{len(name)}x"


PLACES = {
    "/run/filter/scan.sock": "/var/spool/guard/in.lmtp",
    "private/dovecot-lmtp": "private/dc-lmtp24",
    "scanfilter": "mailguardd",
    "frontscan": "gatekeeper-x",
    "10025": "20125", "10026": "20126", "10030": "8130", "10031": "8131", "10024": "20124",
    "postfix/back": "postfix/from-guard",
    "postfix/reinject": "postfix/returned",
    "postfix/submission": "postfix/submissions",
}  # fmt: skip

SIBLINGS: dict[str, Callable[[Story], Story]] = {
    "itself": lambda told: told,
    "names": lambda told: with_users(with_domain(told, "grosse-muehle24.co.uk", "relay-07b"), hyphened),
    "punycode": lambda told: with_domain(told, "xn--mnchen-3ya.example", "m"),
    "nets": other_nets,
    "ipv6": ipv6,
    "new-year": lambda told: moved(told, "2026-12-31T23:00:00"),
    "winter-time": lambda told: moved(told, "2025-10-25T23:30:00", "Europe/Berlin"),
    "summer-time": lambda told: moved(told, "2025-03-30T00:20:00", "Europe/Berlin"),
    "iso": lambda told: moved(told, "2024-02-28T21:00:00", "Asia/Kolkata", "iso"),
    "iso-winter-time": lambda told: moved(told, "2025-11-02T05:10:00", "America/New_York", "iso"),
    "instance": lambda told: instance(told, "mta-in7"),
    "unnamed": unnamed,
    "places": lambda told: words(told, PLACES),
    "long-ids": long_ids,
    "dovecot-2.4": dovecot_2_4,
    "filter-over-tcp": filter_over_tcp,
    "mailboxes-over-tcp": mailboxes_over_tcp,
    "by-lda": by_lda,
    "milter-at-socket": milter_at_socket,
    "without-dovecot": without_dovecot,
    "slower": lambda told: stretched(told, 1.3),
    "faster": lambda told: stretched(told, 0.8),
    "noisy": noisy,
    "fewer": fewer,
    "only-log": only_log,
}

UNTOLD: dict[tuple[str, str], dict[str, str]] = {
    ("mail-vanished", "only-log"): {
        "mail-vanished": "without postqueue.json removed files can't be told from mail that waits"
    },
    ("rspamd-learning", "only-log"): {
        "training-without-effect": "only the script's own lines tell of it, which nobody knows"
    },
    ("mailbox-refused", "without-dovecot"): {"mailbox-refused": "Postfix says sent where a script fails"},
    ("password-guessing", "without-dovecot"): {"password-guessing": "logins by IMAP and POP3 are Dovecot's lines"},
    ("log-gap-clock", "without-dovecot"): {"log-gap": "Dovecot's lines tell the steps"},
    ("rspamd-learning", "without-dovecot"): {"training-without-effect": "the moves are Dovecot's lines"},
}
"""What a sibling's logs can't tell of a story, by (story, sibling): the check, and why."""
